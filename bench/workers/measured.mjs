import { execFileSync } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { monitorEventLoopDelay } from 'node:perf_hooks'

/** Keeps the event loop on processor `BENCH_CORE`; V8's threads and those of the pool stay where they like. */
async function settle() {
  const core = process.env.BENCH_CORE
  if (core === undefined) return
  // The pool's threads begin with their first task, and would be kept on that processor too.
  await stat('/')
  execFileSync('taskset', ['-p', '-c', core, String(process.pid)], { stdio: 'ignore' })
}

/**
 * Runs `warmUp` and then `work`, and prints what `work` cost as one line of JSON: wall and processor
 * seconds of this process, how often it was made to yield its processor, its largest resident set and the longest
 * stall of its event loop.
 */
export async function measured(warmUp, work) {
  await settle()
  await warmUp?.()
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const cpu = process.cpuUsage()
  const yielded = process.resourceUsage().involuntaryContextSwitches
  const start = process.hrtime.bigint()
  const result = await work()
  const seconds = Number(process.hrtime.bigint() - start) / 1e9
  const { user, system } = process.cpuUsage(cpu)
  delay.disable()
  const { maxRSS, involuntaryContextSwitches } = process.resourceUsage()
  const residentMiB = process.memoryUsage.rss() / 2 ** 20
  const peakMiB = maxRSS / 1024
  const yields = involuntaryContextSwitches - yielded
  const stallMs = delay.max / 1e6
  const cpuSeconds = (user + system) / 1e6
  const line = { seconds, cpuSeconds, residentMiB, peakMiB, stallMs, yields, result }
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

/** Calls `work(index)` for `count` indexes, `width` at a time. */
export async function inFlight(count, width, work) {
  let next = 0
  const lane = async () => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: width }, lane))
}

/** Half a second or more for every contender: until then V8 is still compiling, on the same two cores. */
export const rangesToWarmUp = 5000

/** A fixed sequence of offsets, the same for every contender. */
export function offsets(sizeBytes, rangeBytes) {
  let state = 12345
  return () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return Math.floor((state / 2 ** 32) * (sizeBytes / rangeBytes)) * rangeBytes
  }
}
