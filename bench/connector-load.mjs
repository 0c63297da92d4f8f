import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

/** User and system time of a process: fields 14 and 15 of proc(5)'s stat, hundredths of a second. */
export function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** One request after another on each connection, for a time or a number of requests. */
export async function load(target, { seconds = Number.POSITIVE_INFINITY, requests, connections }) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const latencies = []
  const endMs = performance.now() + seconds * 1000
  const worker = async () => {
    while (performance.now() < endMs && latencies.length < (requests ?? Number.POSITIVE_INFINITY)) {
      latencies.push(await timed(agent, target))
    }
  }
  await Promise.all(Array.from({ length: connections }, worker))
  agent.destroy()
  return summary(latencies, seconds)
}

/** Requests at a rate, whether or not the ones before were answered. */
export async function openLoad(target, { seconds, perSecond }) {
  const agent = new Agent({ keepAlive: true, maxSockets: 256 })
  const beganMs = performance.now()
  const asked = []
  while (performance.now() - beganMs < seconds * 1000) {
    const due = ((performance.now() - beganMs) / 1000) * perSecond
    while (asked.length < due) asked.push(timed(agent, target))
    await delay(1)
  }
  const latencies = await Promise.all(asked)
  agent.destroy()
  return summary(latencies, seconds)
}

async function timed(agent, { url, method = 'GET', headers, body }) {
  const beganMs = performance.now()
  await new Promise((resolve, reject) => {
    const sent = request(url, { agent, method, headers }, (answer) => {
      if (answer.statusCode !== 200) reject(new Error(`HTTP ${answer.statusCode}`))
      answer.resume().on('end', resolve)
    })
    sent.on('error', reject).end(body)
  })
  return performance.now() - beganMs
}

function summary(latencies, seconds) {
  const sorted = [...latencies].sort((a, b) => a - b)
  const at = (part) => Number(sorted[Math.floor(sorted.length * part)]?.toFixed(2))
  const answersPerSecond = Math.round(sorted.length / seconds)
  return {
    answers: sorted.length,
    answersPerSecond,
    p50Ms: at(0.5),
    p90Ms: at(0.9),
    p99Ms: at(0.99),
    p999Ms: at(0.999),
    maxMs: Number(sorted.at(-1)?.toFixed(2)),
  }
}

/**
 * The same from a process of its own: what else the measuring process does, the sandbox for one, is not
 * taken for the server's. `kind` is `load` or `openLoad`.
 */
export async function loadApart(kind, target, options) {
  const script = fileURLToPath(import.meta.url)
  const child = spawn(process.execPath, [script], { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(JSON.stringify({ kind, target, options }))
  let text = ''
  for await (const data of child.stdout) text += data
  if (child.exitCode === null) await once(child, 'exit')
  return JSON.parse(text)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  let text = ''
  for await (const data of process.stdin) text += data
  const { kind, target, options } = JSON.parse(text)
  const result = await (kind === 'load' ? load : openLoad)(target, options)
  process.stdout.write(JSON.stringify(result))
}
