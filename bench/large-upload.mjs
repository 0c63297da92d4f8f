// Uploads a directory of sparse files and compares the resident set with the memory budget; see README.md.
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { buildBlobServer, startBlobServer } from './server/blob-server.mjs'

const { values: flags } = parseArgs({
  options: {
    gib: { type: 'string', default: '50' },
    /** Files of the same size that it is divided into. */
    files: { type: 'string', default: '25' },
  },
})
const MiB = 2 ** 20
const totalBytes = Number(flags.gib) * 1024 * MiB
const files = Number(flags.files)
/** What all transfers of a file system may hold together by default, and what is allowed beside it. */
const budgetMiB = 256
const besideMiB = 64
const unchecked = 'sv=2025-01-05&ss=b&srt=sco&sp=rwdlac&se=2099-01-01T00:00:00Z&sig=YmVuY2g%3D'
const worker = fileURLToPath(new URL('workers/abfs.mjs', import.meta.url))

function makeSparse(directory) {
  mkdirSync(directory)
  for (let i = 0; i < files; i++) {
    const file = join(directory, `part-${i}`)
    writeFileSync(file, '')
    truncateSync(file, Math.floor(totalBytes / files))
  }
}

async function main() {
  const directory = mkdtempSync(join(tmpdir(), 'abfs-bench-'))
  const server = await startBlobServer(buildBlobServer(directory), { directory })
  const env = {
    PATH: process.env.PATH,
    HOME: directory,
    ABFS_ACCOUNT: 'bench',
    ABFS_BLOB_ENDPOINT: server.endpoint,
    BENCH_SAS: unchecked,
  }
  try {
    const source = join(directory, 'tree')
    makeSparse(source)
    const job = JSON.stringify({ directory: source, path: 'data/tree' })
    const { stdout } = await promisify(execFile)(process.execPath, [worker, 'put', job], { env })
    const { seconds, cpuSeconds, peakMiB, result } = JSON.parse(stdout)
    const { requests } = await server.counts()
    const gib = result.bytes / 1024 / MiB
    console.log(`${gib.toFixed(1)} GiB in ${result.files} files: ${seconds.toFixed(1)} s,`)
    console.log(`  ${(cpuSeconds / gib).toFixed(2)} processor seconds a GiB, requests`, requests)
    const limitMiB = budgetMiB + besideMiB
    const verdict = peakMiB <= limitMiB ? 'within' : 'BEYOND'
    console.log(`  ${peakMiB.toFixed(0)} MiB resident at most, ${verdict} the ${limitMiB} allowed`)
    if (peakMiB > limitMiB) process.exitCode = 1
  } finally {
    await server.close()
    rmSync(directory, { recursive: true, force: true })
  }
}

await main()
