// The same jobs with @azure/storage-blob, as its users write them: node sdk.mjs JOB JSON.
import { readdirSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { ContainerClient } from '@azure/storage-blob'
import { inFlight, measured, offsets, rangesToWarmUp } from './measured.mjs'

const [job, text = '{}'] = process.argv.slice(2)
const options = JSON.parse(text)
const { BENCH_SAS, ABFS_BLOB_ENDPOINT } = process.env
const container = new ContainerClient(`${ABFS_BLOB_ENDPOINT}/data?${BENCH_SAS}`)
const nameOf = (path) => path.slice(path.indexOf('/') + 1)
const blockSize = 8 * 1024 * 1024

const buffer = Buffer.allocUnsafeSlow(64 * 1024 * 1024)

async function readAll(path, bytes) {
  const blob = container.getBlobClient(nameOf(path))
  for (let at = 0; at < bytes; at += buffer.length) {
    const length = Math.min(buffer.length, bytes - at)
    await blob.downloadToBuffer(buffer, at, length, { blockSize, concurrency: 8 })
  }
  return bytes
}

async function list(keep) {
  const kept = []
  let count = 0
  for await (const page of container.listBlobsFlat({ prefix: options.prefix }).byPage()) {
    count += page.segment.blobItems.length
    if (keep) kept.push(...page.segment.blobItems)
  }
  globalThis.kept = kept
  return count
}

const filesBelow = (directory) =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))

const jobs = {
  read() {
    const { path, warm, sizeBytes, warmBytes } = options
    return measured(
      () => readAll(warm, warmBytes),
      () => readAll(path, sizeBytes),
    )
  },
  ranges() {
    const { path, sizeBytes, count, width } = options
    const blob = container.getBlobClient(nameOf(path))
    const next = offsets(sizeBytes, 4096)
    const one = () => blob.downloadToBuffer(next(), 4096)
    return measured(
      () => inFlight(rangesToWarmUp, width, one),
      () => inFlight(count, width, one),
    )
  },
  upload() {
    const blob = container.getBlockBlobClient(nameOf(options.path))
    const transfer = { blockSize, concurrency: 5, maxSingleShotSize: blockSize }
    return measured(undefined, () => blob.uploadFile(options.file, transfer))
  },
  put() {
    const files = filesBelow(options.directory)
    return measured(undefined, () =>
      inFlight(files.length, 32, (index) => {
        const name = relative(options.directory, files[index])
        return container
          .getBlockBlobClient(`${nameOf(options.path)}/${name}`)
          .uploadFile(files[index])
      }),
    )
  },
  get() {
    return measured(undefined, async () => {
      const prefix = `${nameOf(options.path)}/`
      const names = []
      for await (const { name } of container.listBlobsFlat({ prefix })) names.push(name)
      await inFlight(names.length, 32, async (index) => {
        const file = join(options.directory, names[index].slice(prefix.length))
        await mkdir(dirname(file), { recursive: true })
        await container.getBlobClient(names[index]).downloadToFile(file)
      })
      return names.length
    })
  },
  stream: () => measured(undefined, () => list(false)),
  keep: () => measured(undefined, () => list(true)),
}

await jobs[job]()
