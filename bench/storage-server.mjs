// The storage server against Azurite: the same client, the same signature, one run, both in memory.
//   node bench/storage-server.mjs [--dist dist] [--seconds 3] [--blobs 20000]
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
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
  rows['GET 8 MiB c=4, MB/s'] = MB * (await rate(4, () => call('GET', '/bench/large', { ok: 200 })))
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

async function run(start) {
  const server = await start()
  try {
    return await measure(server)
  } finally {
    server.child.kill()
    await once(server.child, 'exit')
  }
}

const azurite = await run(startAzurite)
const ours = await run(startOurs)
const table = Object.keys(ours).map((name) => ({
  measure: name,
  azurite: Math.round(azurite[name]),
  abfs: Math.round(ours[name]),
  ratio: Number((ours[name] / azurite[name]).toFixed(1)),
}))
process.stdout.write(`${JSON.stringify(table, undefined, 2)}\n`)
