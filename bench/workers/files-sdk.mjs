// One job of files-sdk: node files-sdk.mjs JOB JSON, with ABFS_BLOB_ENDPOINT, BENCH_SAS and BENCH_PEERS, the
// directory that it is installed in.
import { createReadStream, readdirSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { Readable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import { inFlight, measured, offsets, rangesToWarmUp } from './measured.mjs'

const [job, text = '{}'] = process.argv.slice(2)
const options = JSON.parse(text)
const load = (entry) =>
  import(pathToFileURL(join(process.env.BENCH_PEERS, 'node_modules/files-sdk/dist', entry)).href)
const { Files } = await load('index.js')
const { azure } = await load('azure/index.js')
const [container] = options.path.split('/')
const nameOf = (path) => path.slice(path.indexOf('/') + 1)
const name = nameOf(options.path)
const files = new Files({
  adapter: azure({
    container,
    accountName: process.env.ABFS_ACCOUNT,
    endpoint: process.env.ABFS_BLOB_ENDPOINT,
    sasToken: process.env.BENCH_SAS,
  }),
})

/** As a stream, whose parts are dropped: all else holds the whole blob. */
async function readAll(path) {
  const file = await files.download(nameOf(path), { as: 'stream' })
  let bytes = 0
  for await (const part of file.stream()) bytes += part.length
  return bytes
}

async function readRange(start) {
  const file = await files.download(name, { range: { start, end: start + 4095 } })
  const { byteLength } = await file.arrayBuffer()
  if (byteLength !== 4096) throw new Error(`4096 bytes expected, ${byteLength} read`)
}

async function put() {
  const paths = readdirSync(options.directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
  await inFlight(paths.length, 32, async (index) => {
    const key = `${name}/${relative(options.directory, paths[index])}`
    await files.upload(key, await readFile(paths[index]))
  })
}

async function get() {
  const keys = []
  for await (const { key } of files.listAll({ prefix: `${name}/` })) keys.push(key)
  await inFlight(keys.length, 32, async (index) => {
    const target = join(options.directory, relative(name, keys[index]))
    await mkdir(dirname(target), { recursive: true })
    const file = await files.download(keys[index])
    await writeFile(target, new Uint8Array(await file.arrayBuffer()))
  })
  return keys.length
}

async function list() {
  let count = 0
  for await (const _ of files.listAll({ prefix: `${name}/` })) count++
  return count
}

const jobs = {
  read: () =>
    measured(
      () => readAll(options.warm),
      () => readAll(options.path),
    ),
  ranges() {
    const next = offsets(options.sizeBytes, 4096)
    const one = () => readRange(next())
    return measured(
      () => inFlight(Math.min(rangesToWarmUp, options.count), options.width, one),
      () => inFlight(options.count, options.width, one),
    )
  },
  upload() {
    const multipart = { partSize: 8 * 2 ** 20, concurrency: 5 }
    const body = () => Readable.toWeb(createReadStream(options.file))
    return measured(undefined, () => files.upload(name, body(), { multipart }))
  },
  put: () => measured(undefined, put),
  get: () => measured(undefined, get),
  list: () => measured(undefined, list),
}

await jobs[job]()
