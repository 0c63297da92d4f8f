// One listing of the library: node listing-turns.mjs JOB, with ABFS_* naming a server. Prints its longest turns as JSON.
import { readFileSync } from 'node:fs'
import { PerformanceObserver } from 'node:perf_hooks'
import { createFileSystem } from '../../dist/index.js'

const [job] = process.argv.slice(2)
const signature = {
  kind: 'sas',
  query: process.env.BENCH_SAS,
  expiresAtMs: Date.now() + 86_400_000,
}
const fs = await createFileSystem({
  credential: { getCredential: async () => signature },
  hns: false,
})

/** Processor time of the event loop's thread alone; Linux counts it on every tick of its clock, some 4 ms. */
const times = `/proc/${process.pid}/task/${process.pid}/schedstat`
const ownMs = () => Number(readFileSync(times, 'latin1').split(' ')[0]) / 1e6

const turns = []
let isDone = false
let lastMs = ownMs()
function count() {
  const nowMs = ownMs()
  turns.push(nowMs - lastMs)
  lastMs = nowMs
  if (!isDone) setImmediate(count)
}

let collectorMs = 0
const collections = new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) collectorMs = Math.max(collectorMs, duration)
})

async function counted(items) {
  let found = 0
  for await (const _ of items) found++
  return found
}

async function kept(items) {
  globalThis.kept = await items
  return globalThis.kept.length
}

const [flat] = await fs.ls('data/flat')
const jobs = {
  findIter: () => counted(fs.findIter('data/tree')),
  find: () => kept(fs.find('data/tree')),
  du: () => fs.du('data/tree'),
  glob: () => kept(fs.glob('data/tree/**')),
  ls: () => kept(fs.ls(flat.name)),
}
collections.observe({ entryTypes: ['gc'] })
setImmediate(count)
const before = process.cpuUsage()
const result = await jobs[job]()
const { user, system } = process.cpuUsage(before)
const peakMiB = process.resourceUsage().maxRSS / 1024
// What is left of the last turn is counted too.
await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
isDone = true
const longestMs = turns.reduce((most, ms) => Math.max(most, ms), 0)
const over25 = turns.filter((ms) => ms > 25).length
const line = { result, longestMs, over25, collectorMs, peakMiB, cpuSeconds: (user + system) / 1e6 }
process.stdout.write(`${JSON.stringify(line)}\n`)
await fs.close()
