// Compares the drive with rclone's and with a local directory; see README.md for how.
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { abfsDrive, localDirectory, rcloneDrive, residentMiB } from './drive/contenders.mjs'
import { peerDrives } from './drive/peers.mjs'
import { namesInRepository, rowsOf } from './drive/rows.mjs'
import { atEnd, detachBelow } from './endings.mjs'
import { median, run } from './measure.mjs'
import { startLatentSandbox } from './server/latent-sandbox.mjs'
import { startPlainServer } from './server/plain-server.mjs'

const HELP = `Usage: node bench/drive.mjs [flags]        needs root, rclone, fio and git; npm run build first

Measures the drive beside rclone's and, for warm rows, a local directory. README.md says how.

  --only TEXT            rows whose title has TEXT; only what they work on is made and uploaded
  --runs N               of each contender in each row; medians are shown (3)
  --size-mib N           of the large file (1024)
  --files N              of durable creates (800)
  --directories N        of find (2000)
  --clone-files N        of git clone (300; 60 where the sandbox waits)
  --set-files N          of 100 KB, in ten directories, that a data loader reads (1000)
  --edit-mib N           of the file that is edited (as --size-mib; 64 where the sandbox waits)
  --latency-ms N         that the sandbox waits before each answer (0)
  --server KIND          sandbox, or plain or tls: a faster server, for rows that read (sandbox)
  --huge-mib N           of the file of random reads on such a server (16384)
  --rclone MODES         its cache modes, with commas (full)
  --peers DIRECTORY      other libraries' drives, see README.md
  --peer-seconds N       that a peer may take (120)
  --flag=FLAG            more of abfs mount; may be repeated
  --json FILE            all samples
  --rows                 print the titles of the rows, and end`

const { values: flags } = parseArgs({
  options: {
    runs: { type: 'string', default: '3' },
    'size-mib': { type: 'string', default: '1024' },
    files: { type: 'string', default: '800' },
    directories: { type: 'string', default: '2000' },
    'clone-files': { type: 'string' },
    'set-files': { type: 'string', default: '1000' },
    'edit-mib': { type: 'string' },
    'latency-ms': { type: 'string', default: '0' },
    only: { type: 'string', default: '' },
    server: { type: 'string', default: 'sandbox' },
    'huge-mib': { type: 'string', default: '16384' },
    rclone: { type: 'string', default: 'full' },
    peers: { type: 'string' },
    'peer-seconds': { type: 'string', default: '120' },
    flag: { type: 'string', multiple: true, default: [] },
    json: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
    rows: { type: 'boolean' },
  },
})
if (flags.help) {
  console.log(HELP)
  process.exit()
}
const runs = Number(flags.runs)
const sizeMiB = Number(flags['size-mib'])
const directories = Number(flags.directories)
// One request after the other, or all of a file: with latency they would take longer than all other rows.
const waits = Number(flags['latency-ms']) > 0
const cloneFiles = Number(flags['clone-files'] ?? (waits ? 60 : 300))
const editMiB = Number(flags['edit-mib'] ?? (waits ? 64 : sizeMiB))
const hugeMiB = Number(flags['huge-mib'])
const setFiles = Number(flags['set-files'])
const readsOnly = flags.server !== 'sandbox'
const cli = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'abfs-bench-'))
const source = join(directory, 'local')
atEnd(() => {
  detachBelow(directory)
  rmSync(directory, { recursive: true, force: true })
})

/** How what rows work on is made in the local directory. */
const makers = {
  big: () => makeRandom(`big-${sizeMiB}`, sizeMiB),
  edited: () => makeRandom(`edited-${editMiB}`, editMiB),
  parts: async () => {
    for (const part of [0, 1, 2, 3]) await makeRandom(`part-${part}`, sizeMiB / 4)
  },
  'list-10000': () => makeFiles('list-10000', 10_000, (i) => `file-${i}`),
  'list-100000': () => makeFiles('list-100000', 100_000, (i) => `file-${i}`),
  thousand: () => makeFiles('thousand', 1000, (i) => `file-${i}`),
  set: () => makeFiles('set', setFiles, nameInSet, () => randomBytes(100_000)),
  tree: () => makeFiles('tree', directories, (i) => `d-${i}/file`),
}

/** What `rows` work on: the same files in a local directory and in the container. */
async function makeInput(server, rows) {
  const needs = new Set(rows.flatMap((row) => row.needs ?? []))
  mkdirSync(source)
  const made = Object.entries(makers).filter(([name]) => needs.has(name))
  for (const [, make] of made) await make()
  // Without anything to copy the server still waits as it is told to.
  if (made.length === 0) mkdirSync(join(source, 'nothing'))
  await server.upload(source, cli)
  if (needs.has('huge')) await server.fillHuge(hugeMiB)
  return needs.has('repository') ? { repository: makeRepository() } : {}
}

function makeRandom(name, mib) {
  return run('dd', ['if=/dev/urandom', `of=${join(source, name)}`, 'bs=1M', `count=${mib}`])
}

/** In one of ten directories, as data sets have them: names of one length, in order. */
function nameInSet(i) {
  const digits = (value, length) => String(value).padStart(length, '0')
  return `class-${digits(i % 10, 2)}/image-${digits(i, 6)}.jpg`
}

function makeFiles(parent, count, nameOf, contentOf = (i) => `${i}\n`) {
  for (let i = 0; i < count; i++) {
    const file = join(source, parent, nameOf(i))
    mkdirSync(join(file, '..'), { recursive: true })
    writeFileSync(file, contentOf(i))
  }
}

function makeRepository() {
  const repository = join(directory, 'repository')
  const git = (...args) => execFileSync('git', ['-C', repository, ...args], { stdio: 'ignore' })
  mkdirSync(repository)
  git('init', '-q')
  for (const [i, name] of namesInRepository(cloneFiles).entries()) {
    mkdirSync(join(repository, name, '..'), { recursive: true })
    writeFileSync(join(repository, name), 'line\n'.repeat(i))
  }
  git('add', '.')
  git('-c', 'user.name=bench', '-c', 'user.email=bench@localhost', 'commit', '-qm', 'files')
  return repository
}

async function measureOnce(server, { row, contender, input }) {
  contender.forget()
  const context = { ...input, token: `${process.hrtime.bigint()}` }
  if (row.copied !== undefined) await server.copy(row.copied, `copy-${context.token}`)
  const mountpoint = await contender.mount()
  try {
    await row.warm?.(mountpoint)
    await server.reset()
    const start = process.hrtime.bigint()
    const told = await row.work(mountpoint, context)
    const doneSeconds = Number(process.hrtime.bigint() - start) / 1e9
    await contender.flush(row.changes?.(context) ?? [])
    const seconds = Number(process.hrtime.bigint() - start) / 1e9
    const { requests, bytesIn, bytesOut } = await server.counts()
    const sums = { requests: Object.values(requests).reduce((a, b) => a + b, 0), bytesIn, bytesOut }
    const memory = row.tellsMemory ? residentMiB(contender.pid(mountpoint)) : Number.NaN
    return {
      seconds,
      doneSeconds,
      ...sums,
      residentMiB: memory,
      ...(typeof told === 'object' ? told : {}),
    }
  } finally {
    await contender.unmount(mountpoint)
  }
}

async function measureRow(server, row, contenders, input) {
  const samples = new Map(contenders.map(({ name }) => [name, []]))
  for (let i = 0; i < runs; i++) {
    for (const contender of contenders) {
      const sample = await unlessPeerFails(contender, { server, row, input })
      if (sample !== undefined) samples.get(contender.name).push(sample)
    }
  }
  return [...samples]
    .filter(([, of]) => of.length > 0)
    .map(([name, of]) => ({ name, samples: of, ...mediansOf(of) }))
}

/** What a peer cannot do, or not within its time, is told, and ends nothing. */
async function unlessPeerFails(contender, { server, row, input }) {
  if (!contender.isPeer && !contender.mayFail) return measureOnce(server, { row, contender, input })
  const stop = setTimeout(() => contender.stop?.(), Number(flags['peer-seconds']) * 1000)
  try {
    return await measureOnce(server, { row, contender, input })
  } catch (error) {
    console.log(`${row.title.padEnd(46)} ${contender.name} failed: ${reasonOf(error)}`)
    return undefined
  } finally {
    clearTimeout(stop)
  }
}

function reasonOf(error) {
  return (
    String(error.stderr ?? '')
      .trim()
      .split('\n')
      .at(-1) || error.message.split('\n')[0]
  )
}

function mediansOf(samples) {
  const of = (field) => median(samples.map((sample) => sample[field] ?? Number.NaN))
  const fields = [
    'seconds',
    'doneSeconds',
    'requests',
    'bytesIn',
    'bytesOut',
    'perSecond',
    'asked',
    'residentMiB',
    'p99Ms',
  ]
  return Object.fromEntries(fields.map((field) => [field, of(field)]))
}

/** How much better the first contender is: by operations a second where those were counted. */
function ratioOf(ours, result) {
  const ratio = Number.isNaN(ours.perSecond)
    ? result.seconds / ours.seconds
    : ours.perSecond / result.perSecond
  return ratio.toFixed(2)
}

/** The same of the moment at which programs were done, stored or not. */
const doneRatioOf = (ours, result) => (result.doneSeconds / ours.doneSeconds).toFixed(2)

function print(title, results) {
  for (const result of results) {
    const shown = (value, digits) => (Number.isNaN(value) ? '' : value.toFixed(digits))
    const cells = [shown(result.doneSeconds, 3), shown(result.seconds, 3)]
    cells.push(shown(result.perSecond, 0), shown(result.requests, 0))
    cells.push(shown(result.bytesIn / 2 ** 20, 1), shown(result.bytesOut / 2 ** 20, 1))
    cells.push(
      shown(result.bytesOut / result.asked, 1),
      shown(result.residentMiB, 0),
      doneRatioOf(results[0], result),
      ratioOf(results[0], result),
    )
    console.log(
      [title.padEnd(46), result.name.padEnd(12), ...cells.map((cell) => cell.padStart(9))].join(
        ' ',
      ),
    )
  }
}

async function main() {
  const files = Number(flags.files)
  const sizes = { sizeMiB, files, directories, cloneFiles, editMiB, hugeMiB, setFiles, readsOnly }
  const all = rowsOf(sizes)
  const rows = all.filter(({ title, reads }) => title.includes(flags.only) && (reads || !readsOnly))
  if (flags.rows) return console.log(rows.map(({ title }) => title).join('\n'))
  if (rows.length === 0) {
    console.error(`no row's title has '${flags.only}': --rows prints them`)
    process.exitCode = 2
    return
  }
  const server = readsOnly
    ? await startPlainServer({ directory, tls: flags.server === 'tls' })
    : await startLatentSandbox({ directory, latencyMs: Number(flags['latency-ms']) })
  try {
    const input = await makeInput(server, rows)
    const drives = [
      abfsDrive(server, { directory, cache: 'abfs-cache', flags: flags.flag }),
      ...flags.rclone
        .split(',')
        .map((mode) => rcloneDrive(server, { directory, name: `rclone ${mode}`, mode })),
      ...peerDrives(server, { directory, peers: flags.peers && resolve(flags.peers) }),
    ]
    const local = localDirectory(source)
    // The kernel reads by itself what such a drive has whole on the disk.
    const readOnly = abfsDrive(server, {
      directory,
      name: 'abfs ro',
      cache: 'abfs-cache',
      flags: [...flags.flag, '--read-only'],
    })
    // As rclone's: calls do not wait for the service.
    const writeBack = abfsDrive(server, {
      directory,
      name: 'abfs w-back',
      cache: 'abfs-cache',
      flags: [...flags.flag, '--write-back'],
    })
    const columns = [
      'done',
      'stored',
      'ops/s',
      'requests',
      'MiB up',
      'MiB down',
      'down/asked',
      'RSS MiB',
      'x done',
      'x stored',
    ]
    console.log(
      ['work'.padEnd(46), 'who'.padEnd(12), ...columns.map((name) => name.padStart(9))].join(' '),
    )
    const report = []
    for (const row of rows) {
      const others = [
        ...(row.writesBack ? [writeBack] : []),
        ...(row.passthrough ? [readOnly] : []),
        ...(row.local ? [local] : []),
      ]
      const contenders = [...drives, ...others]
      const results = await measureRow(server, row, contenders, input)
      print(row.title, results)
      report.push({ title: row.title, results })
    }
    if (flags.json) writeFileSync(flags.json, `${JSON.stringify(report, undefined, 2)}\n`)
  } finally {
    detachBelow(directory)
    await server.close()
  }
}

await main()
