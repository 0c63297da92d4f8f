// How many tokens a second a local agent hands out, and how long it takes to be there. Needs a build.
// `node bench/agent.mjs [--seconds 5] [--connections 16]` prints one JSON object.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { median } from './measure.mjs'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    connections: { type: 'string', default: '16' },
  },
})
const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url))
const directory = await mkdtemp(join(tmpdir(), 'abfs-bench-'))
const children = []
try {
  const environment = await startSandbox()
  const starts = []
  for (let run = 0; run < 5; run += 1) starts.push(await timeExec(environment))
  const startMs = Math.round(median(starts.map(({ withAgent }) => withAgent)))
  const nodeMs = Math.round(median(starts.map(({ nodeAlone }) => nodeAlone)))
  const agent = await startAgent(environment)
  const connections = Number(values.connections)
  await load(agent, { seconds: 1, connections })
  const cpuBefore = cpuSeconds(agent.pid)
  const measured = await load(agent, { seconds: Number(values.seconds), connections })
  const answersPerCpuSecond = Math.round(measured.answers / (cpuSeconds(agent.pid) - cpuBefore))
  console.log(
    JSON.stringify({ execMs: startMs, nodeMs, connections, ...measured, answersPerCpuSecond }),
  )
} finally {
  for (const child of children) {
    child.kill('SIGTERM')
    if (child.exitCode === null) await once(child, 'exit')
  }
  await rm(directory, { recursive: true, force: true })
}

function start(argv, env) {
  const child = spawn(process.execPath, ['--', main, ...argv], { env, stdio: 'pipe' })
  children.push(child)
  return child
}

async function startSandbox() {
  const file = join(directory, 'sandbox.env')
  start(['sandbox', '--env-file', file, '--container', 'data'], process.env)
  while (!existsSync(file)) await delay(50)
  const lines = readFileSync(file, 'utf8').trim().split('\n')
  const pairs = lines.map((line) => /^(\w+)='?(.*?)'?$/.exec(line)?.slice(1) ?? [])
  return { PATH: process.env.PATH, ...Object.fromEntries(pairs) }
}

/** User and system time of a process: fields 14 and 15 of proc(5)'s stat, hundredths of a second. */
function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** `abfs exec -- true` as a whole, beside Node doing nothing. */
async function timeExec(env) {
  const time = async (argv) => {
    const beganMs = performance.now()
    await once(spawn(process.execPath, argv, { env, stdio: 'ignore' }), 'exit')
    return performance.now() - beganMs
  }
  const nodeAlone = await time(['-e', '0'])
  return { nodeAlone, withAgent: await time(['--', main, 'exec', '--', 'true']) }
}

async function startAgent(env) {
  const child = start(['agent', '--json'], env)
  const [line] = await once(child.stdout, 'data')
  const { variables, pid } = JSON.parse(String(line))
  const query = 'api-version=2019-08-01&resource=https%3A%2F%2Fstorage.azure.com'
  return {
    pid,
    url: `${variables.IDENTITY_ENDPOINT}?${query}`,
    headers: { 'x-identity-header': variables.IDENTITY_HEADER },
  }
}

/** One request after another on each connection. */
async function load({ url, headers }, { seconds, connections }) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  const latencies = []
  const endMs = performance.now() + seconds * 1000
  const ask = () =>
    new Promise((resolve, reject) => {
      const sent = request(url, { agent, headers }, (answer) => {
        if (answer.statusCode !== 200) reject(new Error(`HTTP ${answer.statusCode}`))
        answer.resume().on('end', resolve)
      })
      sent.on('error', reject).end()
    })
  const worker = async () => {
    while (performance.now() < endMs) {
      const beganMs = performance.now()
      await ask()
      latencies.push(performance.now() - beganMs)
    }
  }
  await Promise.all(Array.from({ length: connections }, worker))
  agent.destroy()
  latencies.sort((a, b) => a - b)
  const at = (part) => Number(latencies[Math.floor(latencies.length * part)]?.toFixed(2))
  return {
    answers: latencies.length,
    answersPerSecond: Math.round(latencies.length / seconds),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
  }
}
