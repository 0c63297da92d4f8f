/**
 * One of several processes that read the same blobs through one directory with little room: exits with
 * 1 when any byte is wrong.
 */
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { KiB, MiB } from '../../src/byte-range.ts'
import { BlobReader } from '../../src/transfer/blob-reader.ts'
import { ChunkCache } from '../../src/transfer/chunk-cache.ts'
import { DiskCache } from '../../src/transfer/disk-cache.ts'
import { patternOf } from './pattern.ts'

const [directory = '', seedText = '1'] = process.argv.slice(2)
let state = Number(seedText)
const random = (limit: number) => {
  state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
  return Math.floor((state / 2 ** 32) * limit)
}

const names = ['a', 'b', 'c', 'd']
const store = Object.assign(new MemoryBlobStore(), {})
// The same account in each process: the same endpoint, names and etags.
Object.defineProperty(store, 'endpoint', { value: 'memory:shared' })
await store.createContainer('data')
const files = new Map<string, { content: Buffer; etag: string }>()
for (const [index, name] of names.entries()) {
  const content = Buffer.from(patternOf(2 * MiB + index * 1000)).fill(index, 5000, 6000)
  const { etag } = await store.put({ container: 'data', name }, content)
  files.set(name, { content, etag })
}

const disk = new DiskCache({ directory, maxBytes: 5 * MiB })
for (let time = 0; time < 300; time += 1) {
  const name = names[random(names.length)] ?? 'a'
  const file = files.get(name)
  if (file === undefined) throw new Error('no such file')
  const { content, etag } = file
  const cache = new ChunkCache({ disk, maxBytes: 256 * KiB })
  const properties = { etag, sizeBytes: content.length }
  const reader = new BlobReader({ store, path: { container: 'data', name }, properties, cache })
  const start = random(content.length)
  const end = start + random(500 * KiB)
  const found = Buffer.concat(await reader.read({ start, end }))
  if (!found.equals(content.subarray(start, end))) {
    process.stderr.write(`wrong bytes of ${name} at ${start}\n`)
    process.exit(1)
  }
  reader.close()
}
await disk.close()
