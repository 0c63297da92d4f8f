// Kills a rename of a tree with SIGKILL at random points and finishes it: node kill-rename.mjs
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createFileSystem } from '../dist/index.js'
import { startSandbox } from '../dist/sandbox/sandbox.js'

const { values: flags } = parseArgs({
  options: {
    engine: { type: 'string', default: 'azurite' },
    files: { type: 'string', default: '10000' },
    hns: { type: 'boolean', default: false },
    kills: { type: 'string', default: '5' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    'rename-from': { type: 'string' },
  },
})
const files = Number(flags.files)
if (flags['rename-from'] === undefined) await measure()
else await rename(flags['rename-from'])

/** The process that is killed: says on standard output how often it has made progress. */
async function rename(name) {
  const fs = await createFileSystem({})
  await fs.mv(`bench/${name}`, `bench/${name}-moved`, {
    onProgress: () => process.stdout.write('.'),
  })
  await fs.close()
}

async function measure() {
  const directory = mkdtempSync(join(tmpdir(), 'abfs-kill-'))
  const accessLogFile = join(directory, 'access.log')
  writeFileSync(accessLogFile, '')
  const account = { name: 'devstoreaccount1', hierarchical: flags.hns }
  const engine = flags.hns ? 'abfs' : flags.engine
  const sandbox = await startSandbox({ account, engine, accessLogFile, containers: ['bench'] })
  // Azure's identity library looks at the process's own variables.
  const environment = Object.assign(process.env, sandbox.environment())
  const fs = await createFileSystem({})
  const ledger = sandbox.storageControl?.ledger
  const requests = () =>
    ledger === undefined
      ? linesOf(accessLogFile)
      : sumOf(ledger.counters(), ({ requests }) => requests)
  const bench = { fs, environment, requests, random: mulberry32(Number(flags.seed)) }
  try {
    console.log(`${files} files, seed ${flags.seed}, ${engine}${flags.hns ? ', hierarchical' : ''}`)
    for (let index = -1; index < Number(flags.kills); index++) await oneRename(bench, index)
  } finally {
    await fs.close()
    await sandbox.close()
    rmSync(directory, { recursive: true, force: true })
  }
}

/** The first is not killed, and says what a rename costs. */
async function oneRename({ fs, environment, requests, random }, index) {
  const [name, moved] = [`tree${index + 1}`, `tree${index + 1}-moved`]
  await plant(fs, name)
  const killAt = index < 0 || flags.hns ? undefined : 1 + Math.floor(random() * 2 * files)
  const before = requests()
  const run = await renameInChild(name, { environment, killAt })
  const used = requests() - before
  if (killAt === undefined) return report({ rename: 'whole', requests: used, seconds: run.seconds })
  const left = { old: await count(fs, name), new: await count(fs, moved) }
  const recovery = await timed(requests, () => fs.recover('bench', { force: true }))
  report({
    killedAt: `step ${killAt} of ${2 * files}`,
    requests: used,
    seconds: run.seconds,
    filesLeftAt: left,
    recovery: recovery.result.map(({ outcome, error }) => error?.message ?? outcome).join(),
    recoveryRequests: recovery.requests,
    recoverySeconds: recovery.seconds,
    wrongOrMissing: await wrong(fs, moved),
    stillAtOldName: await count(fs, name),
  })
  await fs.rm(`bench/${moved}`, { recursive: true })
}

function linesOf(file) {
  return readFileSync(file, 'utf8').split('\n').length - 1
}

function sumOf(record, value) {
  return Object.values(record).reduce((sum, each) => sum + value(each), 0)
}

async function plant(fs, name) {
  await inBatches(async (index) =>
    fs.writeText(`bench/${name}/${pathOf(index)}`, `content ${index}`),
  )
}

async function wrong(fs, name) {
  let failures = 0
  await inBatches(async (index) => {
    const text = await fs.readText(`bench/${name}/${pathOf(index)}`).catch((error) => error.code)
    if (text !== `content ${index}`) failures++
  })
  return failures
}

async function inBatches(task) {
  for (let start = 0; start < files; start += 32) {
    const indices = Array.from({ length: Math.min(32, files - start) }, (_, index) => start + index)
    await Promise.all(indices.map(task))
  }
}

function pathOf(index) {
  return `d${index % 10}/file-${index}`
}

async function count(fs, name) {
  fs.invalidateCache()
  return (await fs.find(`bench/${name}`).catch(() => [])).length
}

async function renameInChild(name, { environment, killAt }) {
  const started = performance.now()
  const self = fileURLToPath(import.meta.url)
  const child = spawn(process.execPath, [self, '--rename-from', name], {
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let steps = 0
  child.stdout.on('data', (data) => {
    steps += data.length
    if (killAt !== undefined && steps >= killAt) child.kill('SIGKILL')
  })
  const [code, signal] = await once(child, 'close')
  if (killAt === undefined && code !== 0) throw new Error(`the rename ended with ${code ?? signal}`)
  return { seconds: secondsSince(started), signal }
}

async function timed(requests, task) {
  const [started, before] = [performance.now(), requests()]
  const result = await task()
  return { result, requests: requests() - before, seconds: secondsSince(started) }
}

function secondsSince(started) {
  return Number(((performance.now() - started) / 1000).toFixed(1))
}

function report(row) {
  console.log(JSON.stringify(row))
}

function mulberry32(seed) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}
