// The storage server against Azurite: the same client, the same signature, one run, both in memory.
//   node bench/storage-server.mjs [--dist dist] [--seconds 3] [--blobs 20000]
import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import {
  AccountSASPermissions,
  AccountSASResourceTypes,
  AccountSASServices,
  generateAccountSASQueryParameters,
  SASProtocol,
  StorageSharedKeyCredential,
} from '@azure/storage-blob'
import { Pool } from 'undici'

const { values } = parseArgs({
  options: {
    dist: { type: 'string', default: 'dist' },
    seconds: { type: 'string', default: '3' },
    blobs: { type: 'string', default: '20000' },
  },
})
const windowMs = Number(values.seconds) * 1000
const blobCount = Number(values.blobs)
const account = 'benchmark'
const key = randomBytes(64).toString('base64')
const version = { 'x-ms-version': '2025-05-05' }
const putHeaders = { ...version, 'x-ms-blob-type': 'BlockBlob' }
const small = randomBytes(4096)
const large = randomBytes(8 * 1024 * 1024)

async function startOurs() {
  const worker = new URL('storage-server-worker.mjs', import.meta.url).pathname
  const child = spawn(process.execPath, [worker, resolve(values.dist), account, key], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = await once(createInterface(child.stdout), 'line')
  return { name: 'abfs', child, origin: line }
}

async function startAzurite() {
  const main = createRequire(import.meta.url).resolve('azurite/dist/src/blob/main.js')
  const options = ['--blobPort', '0', '--inMemoryPersistence', '--silent', '--disableTelemetry']
  const child = spawn(process.execPath, [main, ...options, '--skipApiVersionCheck'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, AZURITE_ACCOUNTS: `${account}:${key}` },
  })
  for await (const line of createInterface(child.stdout)) {
    const match = /listens on (http:\/\/[^\s]+)/.exec(line)
    if (match !== null) return { name: 'azurite', child, origin: match[1] }
  }
  throw new Error('azurite ended before it listened')
}

/** nginx serving one file: what ranges cost a server that knows nothing of blobs. */
async function startNginx() {
  const directory = mkdtempSync(join(tmpdir(), 'abfs-nginx-'))
  const port = await freePort()
  writeFileSync(join(directory, 'large'), large)
  writeFileSync(join(directory, 'nginx.conf'), nginxConfiguration(directory, port))
  const child = spawn('nginx', ['-p', directory, '-c', 'nginx.conf', '-e', 'error.log'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  child.once('exit', () => rmSync(directory, { recursive: true, force: true }))
  const origin = `http://127.0.0.1:${port}`
  for (let i = 0; i < 50; i++) {
    const answer = await fetch(`${origin}/large`, { method: 'HEAD' }).catch(() => undefined)
    if (answer?.ok) return { name: 'nginx', child, origin }
    await delay(100)
  }
  throw new Error('nginx did not start within 5 s')
}

// One process, as the others are; it runs as whoever runs the benchmark.
function nginxConfiguration(directory, port) {
  return `daemon off; master_process off; pid ${directory}/pid; worker_processes 1;
events { worker_connections 128; }
http { access_log off; client_body_temp_path ${directory}/b; proxy_temp_path ${directory}/p;
  fastcgi_temp_path ${directory}/f; uwsgi_temp_path ${directory}/u; scgi_temp_path ${directory}/s;
  sendfile on; keepalive_requests 1000000;
  server { listen 127.0.0.1:${port}; location / { root ${directory}; } } }
`
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

/** Rows that every contender can serve: ranges of one stored object. */
async function measureRanges(get) {
  const range = (sizeBytes) => (at) => {
    const start = sizeBytes === large.length ? 0 : (at % 2000) * sizeBytes
    return get({ range: `bytes=${start}-${start + sizeBytes - 1}` })
  }
  await rate(16, range(4096), 500)
  return {
    'GET range of 4 KiB c=1, ops/s': await rate(1, range(4096)),
    'GET range of 4 KiB c=16, ops/s': await rate(16, range(4096)),
    'GET range of 8 MiB c=4, MB/s': (large.length / 1e6) * (await rate(4, range(large.length))),
  }
}

async function measureNginx({ origin }) {
  const pool = new Pool(origin, { connections: 16 })
  const rows = await measureRanges(async (headers) => {
    const answer = await pool.request({ method: 'GET', path: '/large', headers })
    await answer.body.dump({ limit: Number.MAX_SAFE_INTEGER })
    if (answer.statusCode !== 206) throw new Error(`GET /large: ${answer.statusCode}`)
  })
  await pool.close()
  return rows
}

function signature() {
  return generateAccountSASQueryParameters(
    {
      startsOn: new Date(Date.now() - 3_600_000),
      expiresOn: new Date(Date.now() + 24 * 3_600_000),
      permissions: AccountSASPermissions.parse('rwdlac'),
      services: AccountSASServices.parse('b').toString(),
      resourceTypes: AccountSASResourceTypes.parse('sco').toString(),
      protocol: SASProtocol.HttpsAndHttp,
    },
    new StorageSharedKeyCredential(account, key),
  ).toString()
}

/** Calls with a given concurrency until the window is over; the rate per second. */
async function rate(concurrency, call, window = windowMs) {
  let count = 0
  const begin = performance.now()
  const loop = async () => {
    while (performance.now() - begin < window) {
      await call(count++)
    }
  }
  await Promise.all(Array.from({ length: concurrency }, loop))
  return count / ((performance.now() - begin) / 1000)
}

function client(pool, sas) {
  return async (method, path, { query = '', headers = version, body, keep = false, ok } = {}) => {
    const answer = await pool.request({
      method,
      path: `/${account}${path}?${query === '' ? '' : `${query}&`}${sas}`,
      headers,
      body,
      // undici closes the connection after each HEAD unless told that the server behaves.
      reset: false,
    })
    if (keep) return await answer.body.text()
    await answer.body.dump({ limit: Number.MAX_SAFE_INTEGER })
    if (answer.statusCode !== ok) throw new Error(`${method} ${path}: ${answer.statusCode}`)
    return ''
  }
}

async function walkList(call) {
  let marker = ''
  let entries = 0
  const begin = performance.now()
  do {
    const query = `restype=container&comp=list&maxresults=5000&marker=${encodeURIComponent(marker)}`
    const page = await call('GET', '/bench', { query, keep: true })
    entries += page.split('<Blob>').length - 1
    marker = /<NextMarker>([^<]*)</.exec(page)?.[1] ?? ''
  } while (marker !== '')
  return entries / ((performance.now() - begin) / 1000)
}

async function measure({ name, origin }) {
  const progress = (text) => process.stderr.write(`${name}: ${text}\n`)
  const pool = new Pool(origin, { connections: 16 })
  const call = client(pool, signature())
  const MB = large.length / 1e6
  const block = (at) => Buffer.from(String(at % 64).padStart(6, '0')).toString('base64')
  await call('PUT', '/bench', { query: 'restype=container', ok: 201 })
  await call('PUT', '/bench/large', { headers: putHeaders, body: large, ok: 201 })
  await call('PUT', '/bench/small', { headers: putHeaders, body: small, ok: 201 })
  const get = () => call('GET', '/bench/small', { ok: 200 })
  await rate(16, get, 500)
  progress('small requests')
  const rows = {}
  rows['PUT 4 KiB c=16, ops/s'] = await rate(16, (at) =>
    call('PUT', `/bench/p${at % 1000}`, { headers: putHeaders, body: small, ok: 201 }),
  )
  rows['GET 4 KiB c=1, ops/s'] = await rate(1, get)
  rows['GET 4 KiB c=16, ops/s'] = await rate(16, get)
  rows['HEAD c=16, ops/s'] = await rate(16, () => call('HEAD', '/bench/small', { ok: 200 }))
  progress('large bodies')
  rows['Put Block 8 MiB c=4, MB/s'] =
    MB *
    (await rate(4, (at) => {
      const query = `comp=block&blockid=${encodeURIComponent(block(at))}`
      return call('PUT', '/bench/blocks', { query, body: large, ok: 201 })
    }))
  rows['Put Blob 8 MiB c=4, MB/s'] =
    MB *
    (await rate(4, (at) =>
      call('PUT', `/bench/l${at % 8}`, { headers: putHeaders, body: large, ok: 201 }),
    ))
  Object.assign(
    rows,
    await measureRanges((range) =>
      call('GET', '/bench/large', { headers: { ...version, ...range }, ok: 206 }),
    ),
  )
  progress(`filling with ${blobCount} blobs`)
  const fill = Array.from({ length: 16 }, async (_, lane) => {
    for (let at = lane; at < blobCount; at += 16) {
      const name = `/bench/n${String(at).padStart(8, '0')}`
      await call('PUT', name, { headers: putHeaders, body: 'x', ok: 201 })
    }
  })
  await Promise.all(fill)
  progress('listing')
  rows[`list of ${blobCount} in pages of 5,000, entries/s`] = await walkList(call)
  await pool.close()
  return rows
}

async function run(start, work = measure) {
  const server = await start()
  try {
    return await work(server)
  } finally {
    server.child.kill()
    await once(server.child, 'exit')
  }
}

const hasNginx = spawnSync('nginx', ['-v']).status === 0
const nginx = hasNginx ? await run(startNginx, measureNginx) : {}
const azurite = await run(startAzurite)
const ours = await run(startOurs)
const ratio = (a, b) => (b === undefined ? undefined : Number((a / b).toFixed(2)))
const table = Object.keys(ours).map((name) => ({
  measure: name,
  nginx: nginx[name] === undefined ? undefined : Math.round(nginx[name]),
  azurite: Math.round(azurite[name]),
  abfs: Math.round(ours[name]),
  'to Azurite': ratio(ours[name], azurite[name]),
  'to nginx': ratio(ours[name], nginx[name]),
}))
process.stdout.write(`${JSON.stringify(table, undefined, 2)}\n`)
