import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'

/** Runs a command to its end; rejects with its stderr when it fails. Output is dropped. */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], ...options })
    let stderr = ''
    child.stderr?.on('data', (data) => {
      stderr = (stderr + data).slice(-4000)
    })
    child.on('error', reject)
    child.on('close', (code) =>
      code === 0
        ? resolve()
        : reject(new Error(`${command} ${args[0]} ended with ${code}: ${stderr}`)),
    )
  })
}

/** Counts the lines of a growing file. */
export function lineCounter(file) {
  return () => readFileSync(file, 'latin1').split('\n').length - 1
}

/** Empties the kernel's page cache where the process may; says whether it could. */
export function dropCaches() {
  try {
    writeFileSync('/proc/sys/vm/drop_caches', '3')
    return true
  } catch {
    return false
  }
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]
}

/**
 * Lets the contenders of one row take turns, `runs` times. A contender is
 * `{ name, prepare?, work, finish? }`; only `work` is timed and counted.
 */
export async function measureRow(contenders, { runs, requests }) {
  const samples = new Map(contenders.map(({ name }) => [name, []]))
  for (let i = 0; i < runs; i++) {
    for (const contender of contenders) {
      const sample = await measureOnce(contender, requests)
      samples.get(contender.name)?.push(sample)
    }
  }
  return contenders.map(({ name }) => summarize(name, samples.get(name) ?? []))
}

async function measureOnce(contender, requests) {
  const context = await contender.prepare?.()
  dropCaches()
  const before = requests()
  const start = process.hrtime.bigint()
  try {
    await contender.work(context)
    const seconds = Number(process.hrtime.bigint() - start) / 1e9
    return { seconds, requests: requests() - before }
  } finally {
    await contender.finish?.(context)
  }
}

function summarize(name, samples) {
  return {
    name,
    seconds: median(samples.map((sample) => sample.seconds)),
    requests: median(samples.map((sample) => sample.requests)),
    samples,
  }
}
