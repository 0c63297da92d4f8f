// How long listings keep the event loop's thread, turn by turn, and what memory they take; see README.md.
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { environmentOf, workerOf } from './library/contenders.mjs'
import { median } from './measure.mjs'
import { buildBlobServer, startBlobServer } from './server/blob-server.mjs'

const { values: flags } = parseArgs({
  options: {
    names: { type: 'string', default: '1000000' },
    runs: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
  },
})
const names = Number(flags.names)
const jobs = ['findIter', 'find', 'du', 'glob', 'ls'].filter((job) => job.includes(flags.only))
const execute = promisify(execFile)
const directory = mkdtempSync(join(tmpdir(), 'abfs-bench-'))

async function runOnce(server, job) {
  const env = environmentOf(server, { directory })
  const { stdout } = await execute(process.execPath, [workerOf('listing-turns'), job], { env })
  return JSON.parse(stdout)
}

async function main() {
  const server = await startBlobServer(buildBlobServer(directory), { directory })
  try {
    await server.fill({ prefix: 'data/tree/', count: names, size: 1000, per: 1000 })
    // One directory: the server makes one for each so many.
    await server.fill({ prefix: 'data/flat/', count: names, size: 1000, per: names + 1 })
    const columns = ['turn ms', 'largest', 'over 25', 'gc ms', 'cpu s', 'peak MiB']
    console.log(['work'.padEnd(10), ...columns.map((name) => name.padStart(9))].join(' '))
    for (const job of jobs) {
      const samples = []
      for (let run = 0; run < Number(flags.runs); run++) samples.push(await runOnce(server, job))
      const of = (field) => samples.map((sample) => sample[field])
      const cells = [
        median(of('longestMs')).toFixed(1),
        Math.max(...of('longestMs')).toFixed(1),
        median(of('over25')).toFixed(0),
        median(of('collectorMs')).toFixed(1),
        median(of('cpuSeconds')).toFixed(2),
        median(of('peakMiB')).toFixed(0),
      ]
      console.log([job.padEnd(10), ...cells.map((cell) => cell.padStart(9))].join(' '))
    }
  } finally {
    await server.close()
    rmSync(directory, { recursive: true, force: true })
  }
}

await main()
