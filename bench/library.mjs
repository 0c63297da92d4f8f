// Compares the library with the Azure SDK, rclone and a bare socket loop; see README.md for how.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
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
    place: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
})
const runs = Number(flags.runs)
const sizeBytes = Number(flags['size-mib']) * 2 ** 20
const files = Number(flags.files)
const blobs = Number(flags.blobs)
const sdkBlobs = Math.min(blobs, Number(flags['sdk-blobs']))
const execute = promisify(execFile)
const memory = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
const directory = mkdtempSync(join(memory, 'abfs-bench-'))
const workerOf = (name) => fileURLToPath(new URL(`workers/${name}.mjs`, import.meta.url))
const cli = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url))
const startTitle = 'start to the end of one line'
const unchecked = 'sv=2025-01-05&ss=b&srt=sco&sp=rwdlac&se=2099-01-01T00:00:00Z&sig=YmVuY2g%3D'

/** What a contender's process is told of the server. */
function environmentOf(server) {
  return {
    PATH: process.env.PATH,
    HOME: directory,
    ABFS_ACCOUNT: server.account ?? 'bench',
    ABFS_BLOB_ENDPOINT: server.endpoint,
    BENCH_SAS: server.signature ?? unchecked,
    ...(flags.place ? { BENCH_CORE: '1' } : {}),
    ...(server.caFile === undefined
      ? {}
      : { ABFS_CA_FILE: server.caFile, NODE_EXTRA_CA_CERTS: server.caFile }),
  }
}

/** A worker of ours, timed by itself after it has warmed up; its process is measured too. */
function worker(server, name, job, options) {
  return {
    name,
    async work() {
      const args = ['--expose-gc', workerOf(name), job, JSON.stringify(options)]
      const env = environmentOf(server)
      const { stdout } = await execute(process.execPath, args, { env, maxBuffer: 2 ** 24 })
      return JSON.parse(stdout)
    },
  }
}

function rclone(server, args) {
  const config = join(directory, 'rclone.conf')
  writeFileSync(config, '')
  const sasUrl = `${server.endpoint}/data?${server.signature ?? unchecked}`
  const env = { ...environmentOf(server), RCLONE_CONFIG: config, RCLONE_AZUREBLOB_SAS_URL: sasUrl }
  if (server.caFile !== undefined) env.RCLONE_CA_CERT = server.caFile
  return { name: 'rclone', work: () => run('rclone', args, { env }) }
}

/** The same work again with a whole process timed, for comparison with other programs. */
function whole(contender) {
  return { name: `${contender.name} (process)`, work: async () => void (await contender.work()) }
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
  return { ...sample, requests: asked, bytesIn, bytesOut }
}

async function measureRow(server, contenders) {
  const samples = new Map(contenders.map(({ name }) => [name, []]))
  for (let i = 0; i < runs; i++) {
    for (const contender of contenders) {
      samples.get(contender.name).push(await measureOnce(server, contender))
    }
  }
  return contenders.map(({ name, scale = 1 }) => summarize(name, samples.get(name), scale))
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

function emptied(path, contender) {
  const prepare = () => {
    rmSync(path, { recursive: true, force: true })
    mkdirSync(path, { recursive: true })
  }
  return { ...contender, prepare }
}

function readRow(server, kind) {
  const options = { path: 'data/big', sizeBytes, warm: 'data/warm', warmBytes: 64 * 2 ** 20 }
  const abfs = worker(server, 'abfs', 'read', options)
  return {
    title: `read ${flags['size-mib']} MiB, ${kind}`,
    server,
    contenders: [
      worker(server, 'socket', 'read', options),
      abfs,
      worker(server, 'sdk', 'read', options),
      whole(abfs),
      rclone(server, ['cat', ':azureblob:data/big']),
    ],
  }
}

function rangesRow(server, kind) {
  const options = {
    path: 'data/big',
    sizeBytes,
    count: kind === 'sandbox' ? 1000 : 20_000,
    width: 16,
  }
  return {
    title: `4 KiB ranges, 16 in flight, ${kind}`,
    server,
    contenders: ['socket', 'abfs', 'sdk'].map((name) => worker(server, name, 'ranges', options)),
  }
}

function uploadRow(server) {
  const file = join(directory, 'source')
  const options = { file, path: 'data/up' }
  const abfs = worker(server, 'abfs', 'upload', options)
  const plain = worker(server, 'abfs', 'upload', { ...options, integrity: 'none' })
  return {
    title: `upload ${flags['size-mib']} MiB from a file`,
    server,
    contenders: [
      abfs,
      { ...plain, name: 'abfs, no checksum' },
      worker(server, 'sdk', 'upload', options),
      whole(abfs),
      rclone(server, ['copyto', '--ignore-times', file, ':azureblob:data/up-rclone']),
      {
        ...rclone(server, [
          ...['copyto', '--ignore-times', '--azureblob-disable-checksum'],
          ...[file, ':azureblob:data/up-rclone'],
        ]),
        name: 'rclone, no checksum',
      },
    ],
  }
}

function treeRows(server) {
  const up = join(directory, 'tree')
  const down = join(directory, 'down')
  const put = worker(server, 'abfs', 'put', { directory: up, path: 'data/tree' })
  const get = worker(server, 'abfs', 'get', { path: 'data/tree', directory: down })
  const copy = ['copy', '--ignore-times', '--transfers', '32', '--checkers', '32']
  const title = (way) => `${files} files of 10 KiB ${way}`
  // The bound speaks plain HTTP alone.
  const bound = (job, options) =>
    server.caFile === undefined
      ? [{ ...worker(server, 'small-files', job, options), name: 'socket' }]
      : []
  return [
    {
      title: title('up'),
      server,
      contenders: [
        ...bound('put', { directory: up, path: 'data/tree-socket' }),
        put,
        worker(server, 'sdk', 'put', { directory: up, path: 'data/tree-sdk' }),
        whole(put),
        rclone(server, [...copy, up, ':azureblob:data/tree-rclone']),
      ],
    },
    {
      title: title('down'),
      server,
      contenders: [
        ...bound('get', { source: up, path: 'data/tree', directory: down }),
        get,
        worker(server, 'sdk', 'get', { path: 'data/tree', directory: down }),
        whole(get),
        rclone(server, [...copy, ':azureblob:data/tree', down]),
      ].map((contender) => emptied(down, contender)),
    },
  ]
}

function listRow(server) {
  const sdk = worker(server, 'sdk', 'stream', { prefix: 'many/', limit: sdkBlobs })
  const abfs = worker(server, 'abfs', 'stream', { path: 'data/many' })
  return {
    title: `list ${blobs} blobs`,
    server,
    contenders: [
      abfs,
      { ...worker(server, 'abfs', 'keep', { path: 'data/many' }), name: 'abfs, all kept' },
      { ...sdk, scale: blobs / sdkBlobs },
      whole(abfs),
      rclone(server, ['lsf', '-R', '--files-only', '--fast-list', ':azureblob:data/many']),
    ],
  }
}

/** Commands as a client of a connector runs them, over TLS: the environment is that of a sandbox. */
function startRow(server) {
  const env = { ...server.environment, PATH: process.env.PATH, HOME: directory }
  const command = (name, args) => ({ name, work: () => run(process.execPath, args, { env }) })
  return {
    title: startTitle,
    server,
    contenders: [
      command('node -e 0', ['-e', '0']),
      command('abfs --version', [cli, '--version']),
      command('abfs --help', [cli, '--help']),
      command('abfs ls', [cli, 'ls']),
      command('abfs ls abfs://data', [cli, 'ls', 'abfs://data']),
    ],
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
    const env = environmentOf(server)
    const put = (job, options) =>
      execute(process.execPath, [workerOf('abfs'), job, JSON.stringify(options)], { env })
    await put('upload', { file: join(directory, 'source'), path: 'data/big' })
    writeFileSync(join(directory, 'warm'), Buffer.alloc(64 * 2 ** 20))
    await put('upload', { file: join(directory, 'warm'), path: 'data/warm' })
    await put('put', { directory: join(directory, 'tree'), path: 'data/tree' })
    await server.fill({ prefix: 'data/many/', count: blobs, size: 1000, per: 1000 })
  }
}

function rowsOf({ plain, tls, sandbox = plain }) {
  const kind = tls === undefined ? 'sandbox' : 'plain'
  return [
    readRow(plain, kind),
    ...(tls === undefined ? [] : [readRow(tls, 'TLS')]),
    rangesRow(plain, kind),
    ...(tls === undefined ? [] : [rangesRow(tls, 'TLS')]),
    uploadRow(plain),
    ...treeRows(plain),
    listRow(plain),
    startRow(sandbox),
  ].filter(({ title }) => title.includes(flags.only))
}

async function main() {
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
    for (const { title, server, contenders } of rowsOf(servers)) {
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
