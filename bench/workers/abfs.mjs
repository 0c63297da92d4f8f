// One job of the library: node abfs.mjs JOB JSON, with ABFS_* naming a server.
import { createFileSystem } from '../../dist/index.js'
import { inFlight, measured, offsets, rangesToWarmUp } from './measured.mjs'

const [job, text = '{}'] = process.argv.slice(2)
const options = JSON.parse(text)
// The server checks nothing; the signature stands for one of the real service.
const signature = {
  kind: 'sas',
  query: process.env.BENCH_SAS,
  expiresAtMs: Date.now() + 86_400_000,
}
const credential = { getCredential: async () => signature }
const { integrity, concurrency } = options
const fs = await createFileSystem({ credential, hns: false, integrity, concurrency })

/** Filled once while it warms up, as the buffers of the bare loop: pages of fresh memory are no work of a reader's. */
const buffer = Buffer.allocUnsafeSlow(64 * 1024 * 1024)

async function readAll(path) {
  const reader = await fs.open(path, 'r')
  let bytes = 0
  for (let count = -1; count !== 0; bytes += count) count = await reader.readInto(buffer)
  await reader.close()
  return bytes
}

const jobs = {
  read: () =>
    measured(
      () => readAll(options.warm),
      () => readAll(options.path),
    ),
  ranges() {
    const { path, sizeBytes, count, width } = options
    const next = offsets(sizeBytes, 4096)
    const one = async () => {
      const start = next()
      const data = await fs.catFile(path, { start, end: start + 4096 })
      if (data.length !== 4096) throw new Error(`4096 bytes expected, ${data.length} read`)
    }
    return measured(
      () => inFlight(rangesToWarmUp, width, one),
      () => inFlight(count, width, one),
    )
  },
  upload: () => measured(undefined, () => fs.putFile(options.file, options.path)),
  put: () =>
    measured(undefined, () => fs.put(options.directory, options.path, { recursive: true })),
  get: () =>
    measured(undefined, () => fs.get(options.path, options.directory, { recursive: true })),
  stream() {
    return measured(undefined, async () => {
      let count = 0
      for await (const _ of fs.findIter(options.path)) count++
      return count
    })
  },
  keep() {
    return measured(undefined, async () => {
      globalThis.kept = await fs.find(options.path)
      return globalThis.kept.length
    })
  },
}

await jobs[job]()
await fs.close()
