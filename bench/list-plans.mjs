// Requests of glob, find, walk, du and rm over many directories, beside an ideal plan and adlfs; see README.md.
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { createFileSystem } from '../dist/index.js'
import { buildBlobServer, startBlobServer } from './server/blob-server.mjs'

const { values: flags } = parseArgs({
  options: {
    directories: { type: 'string', default: '10000' },
    'files-each': { type: 'string', default: '10' },
    /** Directories that are removed. */
    removed: { type: 'string', default: '10000' },
    /** An interpreter that has adlfs. */
    python: { type: 'string' },
  },
})
const [directories, each, removed] = ['directories', 'files-each', 'removed'].map((name) =>
  Number(flags[name]),
)
const perPage = 5000
const perBatch = 256
const pagesOf = (names) => Math.ceil(names / perPage)
const unchecked = 'sv=2025-01-05&ss=b&srt=sco&sp=rwdlac&se=2099-01-01T00:00:00Z&sig=YmVuY2g%3D'
const program = fileURLToPath(new URL('workers/list-plans.py', import.meta.url))

/** Directories whose number has the form `00*7`, as in the pattern of `glob`. */
const matching = Array.from({ length: directories }, (_, number) =>
  `${number}`.padStart(6, '0'),
).filter((number) => /^00.*7$/.test(number)).length

/**
 * What nobody who knew the tree could do without: a request for 5,000 names, and one for 256 blobs that
 * are deleted. A glob may list every directory that matches, or everything.
 */
const ideal = {
  glob: Math.min(pagesOf(directories) + matching, pagesOf(directories * each)),
  find: pagesOf(directories * each),
  walk: pagesOf(directories * each),
  du: pagesOf(directories * each),
  rm: pagesOf(removed * each) + Math.ceil((removed * each) / perBatch),
}

const operations = {
  glob: async (fs, root) => (await fs.glob(`${root}/directory-00*7/file-*3`)).length,
  find: async (fs, root) => (await fs.find(root)).length,
  async walk(fs, root) {
    let files = 0
    for await (const step of fs.walk(root)) files += step.files.length
    return files
  },
  du: (fs, root) => fs.du(root),
  rm: (fs, root) => fs.rm(root, { recursive: true }),
}

async function byAbfs(operation, root) {
  const signature = { kind: 'sas', query: unchecked, expiresAtMs: Date.now() + 86_400_000 }
  const credential = { getCredential: async () => signature }
  const fs = await createFileSystem({ credential, hns: false })
  try {
    return JSON.stringify(await operations[operation](fs, root))
  } finally {
    await fs.close()
  }
}

async function byAdlfs(operation, root) {
  const env = { ...process.env, BENCH_SAS: unchecked }
  const { stdout } = await promisify(execFile)(flags.python, [program, operation, root], {
    env,
    timeout: 600_000,
  })
  return stdout.trim()
}

async function measure(server, operation, work) {
  const root = operation === 'rm' ? 'data/gone' : 'data/kept'
  if (operation === 'rm') {
    await server.fill({ prefix: 'data/gone/', count: removed * each, size: 1000, per: each })
  }
  await server.reset()
  try {
    const found = await work(operation, root)
    const { requests } = await server.counts()
    return { found, requests: Object.values(requests).reduce((sum, count) => sum + count, 0) }
  } catch (error) {
    return {
      found: `failed: ${String(error.stderr ?? error)
        .trim()
        .split('\n')
        .at(-1)}`,
    }
  }
}

async function main() {
  const directory = mkdtempSync(join(tmpdir(), 'abfs-bench-'))
  const server = await startBlobServer(buildBlobServer(directory), { directory })
  Object.assign(process.env, { ABFS_ACCOUNT: 'bench', ABFS_BLOB_ENDPOINT: server.endpoint })
  try {
    await server.fill({ prefix: 'data/kept/', count: directories * each, size: 1000, per: each })
    const row = (...cells) => console.log(cells.map((cell) => String(cell).padStart(10)).join(' '))
    row('work', 'ideal', 'abfs', 'of ideal', 'adlfs')
    for (const operation of Object.keys(operations)) {
      const ours = await measure(server, operation, byAbfs)
      const theirs =
        flags.python === undefined ? undefined : await measure(server, operation, byAdlfs)
      const share = (ours.requests / ideal[operation]).toFixed(2)
      row(
        operation,
        ideal[operation],
        ours.requests,
        share,
        theirs?.requests ?? theirs?.found ?? '-',
      )
      if (theirs?.requests !== undefined && theirs.found !== ours.found && operation !== 'rm') {
        console.log(`  they found ${theirs.found}, abfs ${ours.found}`)
      }
    }
  } finally {
    await server.close()
    rmSync(directory, { recursive: true, force: true })
  }
}

await main()
