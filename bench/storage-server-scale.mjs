// A million blobs in one container of the local storage server, in memory and on disk: how fast the
// names load in process, how fast they list over HTTP in pages of 5,000 and whether the last pages
// are as fast as the first, what a blob costs in memory, and how long a start from disk takes.
//
//   node --expose-gc bench/storage-server-scale.mjs [--blobs 1000000] [--dist dist] [--disk <directory>]
//
// Prints one line of JSON per measurement. The directory is made anew and removed.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    blobs: { type: 'string', default: '1000000' },
    dist: { type: 'string', default: 'dist' },
    disk: { type: 'string' },
    role: { type: 'string' },
  },
})
const count = Number(values.blobs)
const pageSize = 5000
/** Lets everybody do everything. */
const open = { authenticate: async () => ({ kind: 'sharedKey' }), authorize: () => undefined }

if (values.role === undefined) await runAll()
else await runRole(values.role)

/** Each measurement has a process of its own, so that one heap does not weigh on another. */
async function runAll() {
  const disk = values.disk ?? mkdtempSync(join(tmpdir(), 'abfs-scale-'))
  try {
    await runChild('memory', disk)
    await runChild('disk-load', disk)
    await runChild('disk-start', disk)
    await runChild('disk-snapshot', disk)
    await runChild('disk-start', disk)
  } finally {
    rmSync(disk, { recursive: true, force: true })
  }
}

async function runChild(role, disk) {
  const script = fileURLToPath(import.meta.url)
  const argv = ['--role', role, '--blobs', String(count), '--dist', values.dist, '--disk', disk]
  const child = fork(script, argv, { execArgv: ['--expose-gc', '--max-old-space-size=8192'] })
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`${role} ended with ${code}`)
}

async function runRole(role) {
  const load = (file) => import(pathToFileURL(resolve(values.dist, 'storage-server', file)).href)
  const { accountSettings, createAccount } = await load('model/memory-account.js')
  const { openStorageDirectory } = await load('disk/storage-directory.js')
  const { createStorageServer } = await load('server.js')
  const settings = accountSettings({ name: 'scale', keys: [Buffer.alloc(64).toString('base64')] })
  const before = memory()
  const started = performance.now()
  const storage =
    role === 'memory' ? undefined : await openStorageDirectory(join(values.disk, 'storage'))
  const account = storage?.openAccount(settings) ?? createAccount(settings)
  if (role === 'disk-start') print({ role, startSeconds: seconds(started), diskMiB: diskMiB() })
  if (role === 'memory' || role === 'disk-load') await loadBlobs(account, role)
  if (role === 'disk-snapshot') {
    const began = performance.now()
    let longestMs = 0
    let last = performance.now()
    const watch = setInterval(() => {
      longestMs = Math.max(longestMs, performance.now() - last)
      last = performance.now()
    }, 1)
    await storage.compact()
    clearInterval(watch)
    print({ role, snapshotSeconds: seconds(began), longestPauseMs: Math.round(longestMs) })
  } else {
    print({ role, ...perBlob(before) })
    const server = createStorageServer({ accounts: new Map([['scale', account]]), access: open })
    await list(await server.listen(), role)
    await server.close()
  }
  await storage?.close()
}

async function loadBlobs(account, role) {
  const started = performance.now()
  const container = account.putContainer({
    name: 'many',
    etag: account.nextEtag(),
    lastModifiedMs: account.nowMs(),
    metadata: {},
    policies: new Map(),
  })
  for (let at = 0; at < count; at++) {
    // Three directories deep, names of some 40 characters, one small upload each.
    const number = String(at).padStart(7, '0')
    const name = `data/year-${number.slice(0, 2)}/part-${number.slice(2, 4)}/file-${number}.bin`
    const extent = await account.extents.write(Buffer.from(number))
    const nowMs = account.nowMs()
    container.paths.put({
      name,
      current: {
        kind: 'blob',
        blobType: 'BlockBlob',
        etag: account.nextEtag(),
        createdMs: nowMs,
        lastModifiedMs: nowMs,
        content: { sizeBytes: extent.sizeBytes, extents: [extent] },
        headers: {
          contentType: 'application/octet-stream',
          contentMd5: 'XrY7u+Ae7tCTyyK7j1rNww==',
        },
        metadata: {},
        tags: {},
        tier: { name: 'Hot', inferred: true },
        writtenBy: 'blob',
      },
    })
    if (at % 1000 === 999) await account.settled()
  }
  await account.settled()
  print({ role, loadSeconds: seconds(started), diskMiB: diskMiB() })
}

async function list(url, role) {
  const pages = []
  let entries = 0
  let marker = ''
  for (let round = 0; round < 2; round++) {
    pages.length = 0
    entries = 0
    do {
      const started = performance.now()
      const text = await get(
        `${url}/many?restype=container&comp=list&maxresults=${pageSize}&marker=${encodeURIComponent(marker)}`,
      )
      pages.push(performance.now() - started)
      entries += text.split('<Blob>').length - 1
      marker = /<NextMarker>(.*)<\/NextMarker>/.exec(text)?.[1] ?? ''
    } while (marker !== '')
    if (entries !== count) throw new Error(`listed ${entries} of ${count}`)
  }
  const total = pages.reduce((sum, ms) => sum + ms, 0)
  const tenth = Math.max(1, Math.floor(pages.length / 10))
  print({
    role,
    pages: pages.length,
    entriesPerSecond: Math.round((entries / total) * 1000),
    firstTenthMs: round2(median(pages.slice(0, tenth))),
    lastTenthMs: round2(median(pages.slice(-tenth))),
    slowestMs: round2(Math.max(...pages)),
  })
}

function get(url) {
  return new Promise((resolveText, reject) => {
    const headers = { host: 'scale.blob.localhost', 'x-ms-version': '2023-11-03' }
    request(url, { headers }, (response) => {
      const parts = []
      response.on('data', (part) => parts.push(part))
      response.on('end', () => resolveText(Buffer.concat(parts).toString()))
      response.on('error', reject)
    })
      .on('error', reject)
      .end()
  })
}

function memory() {
  globalThis.gc?.()
  const { heapUsed, external, rss } = process.memoryUsage()
  return { used: heapUsed + external, rss }
}

function perBlob(before) {
  const after = memory()
  return {
    bytesPerBlob: Math.round((after.used - before.used) / count),
    rssMiB: Math.round(after.rss / 1024 / 1024),
  }
}

function diskMiB() {
  const directory = join(values.disk, 'storage')
  const sizes = (path) =>
    readdirSync(path, { withFileTypes: true }).reduce((sum, entry) => {
      const inner = join(path, entry.name)
      return sum + (entry.isDirectory() ? sizes(inner) : statSync(inner).size)
    }, 0)
  return (
    statSync(directory, { throwIfNoEntry: false }) && Math.round(sizes(directory) / 1024 / 1024)
  )
}

function median(list) {
  return [...list].sort((one, other) => one - other)[list.length >> 1] ?? 0
}

function seconds(started) {
  return round2((performance.now() - started) / 1000)
}

function round2(value) {
  return Math.round(value * 100) / 100
}

function print(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}
