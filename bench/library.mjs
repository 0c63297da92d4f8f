// Compares the library with the Azure SDK, rclone, other libraries and a bare socket loop; see README.md for how.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { environmentOf, workerOf } from './library/contenders.mjs'
import { peersIn } from './library/peers.mjs'
import { rowsOf, startTitle } from './library/rows.mjs'
import { childCpu, median, run } from './measure.mjs'
import { buildBlobServer, startBlobServer } from './server/blob-server.mjs'
import { startLatentSandbox } from './server/latent-sandbox.mjs'

const { values: flags } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    'size-mib': { type: 'string', default: '1024' },
    files: { type: 'string', default: '5000' },
    blobs: { type: 'string', default: '1000000' },
    'sdk-blobs': { type: 'string', default: '100000' },
    'latency-ms': { type: 'string' },
    only: { type: 'string', default: '' },
    peers: { type: 'string' },
    place: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
})
const runs = Number(flags.runs)
const sizeBytes = Number(flags['size-mib']) * 2 ** 20
const files = Number(flags.files)
const blobs = Number(flags.blobs)
// The sandbox takes long to be filled twice.
const sdkBlobs =
  flags['latency-ms'] === undefined ? Math.min(blobs, Number(flags['sdk-blobs'])) : blobs
const execute = promisify(execFile)
const memory = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
const directory = mkdtempSync(join(memory, 'abfs-bench-'))
const setup = {
  directory,
  sizeMiB: flags['size-mib'],
  sizeBytes,
  files,
  blobs,
  // Where all is few, one set is enough.
  fewBlobs: sdkBlobs,
  few: sdkBlobs === blobs ? 'many' : 'few',
  place: flags.place,
  peers: flags.peers === undefined ? undefined : resolve(flags.peers),
}

async function measureOnce(server, contender) {
  await contender.prepare?.()
  await server.reset()
  const cpu = childCpu()
  const start = process.hrtime.bigint()
  const told = await contender.work()
  const seconds = Number(process.hrtime.bigint() - start) / 1e9
  const sample = { seconds, cpuSeconds: childCpu() - cpu, ...told }
  const { requests, bytesIn, bytesOut } = await server.counts()
  const asked = Object.values(requests).reduce((sum, count) => sum + count, 0)
  return { ...sample, requests: asked, verbs: requests, bytesIn, bytesOut }
}

async function measureRow(server, contenders) {
  const samples = new Map(contenders.map(({ name }) => [name, []]))
  for (let i = 0; i < runs; i++) {
    for (const contender of contenders) {
      const sample = await unlessPeerFails(contender, () => measureOnce(server, contender))
      if (sample !== undefined) samples.get(contender.name).push(sample)
    }
  }
  return contenders
    .filter(({ name }) => samples.get(name).length > 0)
    .map(({ name, scale = 1 }) => summarize(name, samples.get(name), scale))
}

/** What a peer cannot do is told, and ends nothing. */
async function unlessPeerFails({ name, isPeer }, work) {
  try {
    return await work()
  } catch (error) {
    if (!isPeer) throw error
    const reason = String(error.stderr).trim().split('\n').at(-1)
    console.log(`${name} failed: ${reason || error.signal}`)
    return undefined
  }
}

/** Medians; `scale` stands for work that was done in part. */
function summarize(name, samples, scale) {
  const of = (field) => median(samples.map((sample) => sample[field] ?? Number.NaN))
  return {
    name: scale === 1 ? name : `${name} (x${scale})`,
    seconds: of('seconds') * scale,
    cpuSeconds: of('cpuSeconds') * scale,
    requests: of('requests') * scale,
    mibIn: (of('bytesIn') * scale) / 2 ** 20,
    mibOut: (of('bytesOut') * scale) / 2 ** 20,
    peakMiB: of('peakMiB'),
    stallMs: of('stallMs'),
    yields: of('yields'),
    samples,
  }
}

function print(title, results) {
  const [base] = results
  for (const result of results) {
    const cells = [
      result.seconds.toFixed(3),
      result.cpuSeconds.toFixed(2),
      result.requests.toFixed(0),
    ]
    cells.push(result.mibIn.toFixed(0), result.mibOut.toFixed(0))
    cells.push(Number.isNaN(result.peakMiB) ? '' : result.peakMiB.toFixed(0))
    cells.push(Number.isNaN(result.stallMs) ? '' : result.stallMs.toFixed(0))
    cells.push(Number.isNaN(result.yields) ? '' : result.yields.toFixed(0))
    cells.push(
      (result.seconds / base.seconds).toFixed(2),
      (result.cpuSeconds / base.cpuSeconds).toFixed(2),
    )
    console.log(
      [title.padEnd(36), result.name.padEnd(20), ...cells.map((cell) => cell.padStart(9))].join(
        ' ',
      ),
    )
  }
}

async function startServers() {
  if (flags['latency-ms'] !== undefined) {
    return {
      plain: await startLatentSandbox({ directory, latencyMs: Number(flags['latency-ms']) }),
    }
  }
  const binary = buildBlobServer(directory)
  const core = flags.place ? 0 : undefined
  const plain = await startBlobServer(binary, { directory, core })
  const tls = await startBlobServer(binary, { directory, tls: true, core })
  if (!startTitle.includes(flags.only)) return { plain, tls }
  const below = join(directory, 'sandbox')
  mkdirSync(below)
  return { plain, tls, sandbox: await startLatentSandbox({ directory: below, latencyMs: 0 }) }
}

async function makeInput(servers) {
  await run('dd', [
    'if=/dev/urandom',
    `of=${join(directory, 'source')}`,
    'bs=1M',
    `count=${flags['size-mib']}`,
  ])
  for (let i = 0; i < files; i++) {
    const parent = join(directory, 'tree', `d${i % 50}`)
    if (i < 50) mkdirSync(parent, { recursive: true })
    writeFileSync(join(parent, `f${i}`), Buffer.alloc(10_240, i))
  }
  const { sandbox: _, ...filled } = servers
  for (const server of Object.values(filled)) {
    const env = environmentOf(server, setup)
    const put = (job, options) =>
      execute(process.execPath, [workerOf('abfs'), job, JSON.stringify(options)], { env })
    await put('upload', { file: join(directory, 'source'), path: 'data/big' })
    writeFileSync(join(directory, 'warm'), Buffer.alloc(64 * 2 ** 20))
    await put('upload', { file: join(directory, 'warm'), path: 'data/warm' })
    await put('put', { directory: join(directory, 'tree'), path: 'data/tree' })
    const each = { size: 1000, per: 1000 }
    await server.fill({ prefix: 'data/many/', count: blobs, ...each })
    if (setup.few !== 'many')
      await server.fill({ prefix: `data/${setup.few}/`, count: sdkBlobs, ...each })
  }
}

async function main() {
  const libraries = await peersIn(setup.peers)
  const servers = await startServers()
  try {
    await makeInput(servers)
    const columns = [
      'seconds',
      'cpu s',
      'requests',
      'MiB in',
      'MiB out',
      'peak MiB',
      'stall ms',
      'yields',
      'time x',
      'cpu x',
    ]
    console.log(
      ['work'.padEnd(36), 'who'.padEnd(20), ...columns.map((name) => name.padStart(9))].join(' '),
    )
    const report = []
    const rows = rowsOf(servers, { ...setup, libraries })
    for (const { title, server, contenders } of rows) {
      if (!title.includes(flags.only)) continue
      const results = await measureRow(server, contenders)
      print(title, results)
      report.push({ title, results })
    }
    if (flags.json) writeFileSync(flags.json, `${JSON.stringify(report, undefined, 2)}\n`)
  } finally {
    for (const server of Object.values(servers)) await server.close()
    rmSync(directory, { recursive: true, force: true })
  }
}

await main()
