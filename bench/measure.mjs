import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'

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

/** Empties the kernel's page cache where the process may; a process that may not goes on warm. */
function dropCaches() {
  try {
    writeFileSync('/proc/sys/vm/drop_caches', '3')
  } catch (error) {
    process.stderr.write(`caches stay warm: ${error.message}\n`)
  }
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]
}

/** Processor seconds of process `pid`, by field of `/proc/PID/stat` counted from 0; NaN elsewhere than on Linux. */
export function cpuOf(pid, fields = [13, 14]) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name of the program may hold blanks and brackets: what counts begins behind the last one.
    const values = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields.reduce((sum, field) => sum + Number(values[field - 2]), 0) / 100
  } catch {
    return Number.NaN
  }
}

/** Processor seconds of a process and of those below it that still run. */
function treeCpu(pid) {
  let seconds = cpuOf(pid)
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const children = readFileSync(`/proc/${pid}/task/${thread}/children`, 'latin1')
    for (const child of children.split(' ').filter(Boolean)) seconds += treeCpu(child)
  }
  return seconds
}

/** Processor seconds of our children that have ended: of what a contender ran. */
export function childCpu() {
  return cpuOf('self', [15, 16])
}

/**
 * Lets the contenders of one row take turns, `runs` times. A contender is
 * `{ name, prepare?, work, finish? }`; only `work` is timed and counted.
 */
export async function measureRow(contenders, { runs, ...options }) {
  const samples = new Map(contenders.map(({ name }) => [name, []]))
  for (let i = 0; i < runs; i++) {
    for (const contender of contenders) {
      const sample = await measureOnce(contender, options)
      samples.get(contender.name)?.push(sample)
    }
  }
  return contenders.map(({ name }) => summarize(name, samples.get(name) ?? []))
}

async function measureOnce(contender, { requests, serverPid, cold }) {
  const context = await contender.prepare?.()
  if (cold) dropCaches()
  const before = requests()
  const cpu = { client: childCpu(), server: treeCpu(serverPid) }
  const start = process.hrtime.bigint()
  try {
    await contender.work(context)
    const seconds = Number(process.hrtime.bigint() - start) / 1e9
    return {
      seconds,
      requests: requests() - before,
      clientCpu: childCpu() - cpu.client,
      serverCpu: treeCpu(serverPid) - cpu.server,
    }
  } finally {
    await contender.finish?.(context)
  }
}

function summarize(name, samples) {
  return {
    name,
    seconds: median(samples.map((sample) => sample.seconds)),
    requests: median(samples.map((sample) => sample.requests)),
    clientCpu: median(samples.map((sample) => sample.clientCpu)),
    serverCpu: median(samples.map((sample) => sample.serverCpu)),
    samples,
  }
}
