import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { KiB, MiB } from '../../src/byte-range.ts'
import { FileSystemError } from '../../src/errors.ts'
import { BlobReader } from '../../src/transfer/blob-reader.ts'
import { ChunkCache } from '../../src/transfer/chunk-cache.ts'
import { DiskCache } from '../../src/transfer/disk-cache.ts'
import { CountingStore } from '../support/counting-store.ts'
import { patternOf as pattern } from '../support/pattern.ts'

const path = { container: 'data', name: 'file.bin' }
const seed = Number(process.env['ABFS_TEST_SEED'] ?? Date.now() % 1_000_000)
t.comment(`seed ${seed}`)

async function storeOf(content: Uint8Array) {
  const memory = new MemoryBlobStore()
  const store = new CountingStore(memory)
  await memory.createContainer(path.container)
  return { store, properties: await memory.put(path, content) }
}

async function openBlob(content: Uint8Array, disk?: DiskCache) {
  const { store, properties } = await storeOf(content)
  const cache = new ChunkCache({ maxBytes: MiB, reusesMemory: true, disk })
  const open = (streamBelowMs: number) =>
    new BlobReader({ store, path, properties, cache, streamBelowMs, maxWindowBytes: 4 * MiB })
  return { store, cache, open }
}

interface Lent {
  readonly parts: readonly Uint8Array[]
  readonly start: number
  readonly giveBack: () => void
}

async function readLent(reader: BlobReader, start: number, length: number): Promise<Lent> {
  let giveBack = (): void => undefined
  const range = { start, end: start + length }
  const parts = await reader.read(range, { onLent: (give) => (giveBack = give) })
  return { parts, start, giveBack }
}

function isRight({ parts, start }: Omit<Lent, 'giveBack'>, content: Buffer): boolean {
  const bytes = Buffer.concat(parts)
  return bytes.equals(content.subarray(start, start + bytes.length))
}

const step = fc.record({
  start: fc.nat(12 * MiB),
  length: fc.integer({ min: 1, max: MiB }),
  /** 0 goes on where the last read ended. */
  jumps: fc.nat(3),
  streams: fc.boolean(),
  fails: fc.nat(9),
  heldFor: fc.nat(6),
})

t.test(
  'what was lent stays as it is until it is given back, whatever happens meanwhile',
  async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'abfs-reused-'))
    t.teardown(() => rmSync(directory, { recursive: true, force: true }))
    const content = pattern(12 * MiB + 777)
    const property = fc.asyncProperty(
      fc.array(step, { minLength: 10, maxLength: 40 }),
      fc.boolean(),
      async (steps, hasDisk) => {
        const place = mkdtempSync(join(directory, 'run-'))
        const disk = hasDisk ? new DiskCache({ directory: place }) : undefined
        const { store, open } = await openBlob(content, disk)
        let failing = 0
        store.before = () => {
          if (failing-- > 0) throw new FileSystemError('EIO', 'read', { retryable: false })
        }
        let readers = [open(0), open(Number.POSITIVE_INFINITY)]
        const held: { lent: Lent; left: number }[] = []
        let isFine = true
        let last = 0
        for (const { start, length, jumps, streams, fails, heldFor } of steps) {
          failing = fails === 0 ? 2 : 0
          const reader = readers[streams ? 1 : 0] ?? open(0)
          const at = jumps > 0 ? last : start
          // Two at once, one of which may be closed under way.
          const reads = [readLent(reader, at, length), readLent(reader, start, length)]
          if (fails === 1) {
            for (const each of readers) each.close()
            readers = [open(0), open(Number.POSITIVE_INFINITY)]
          }
          for (const outcome of await Promise.allSettled(reads)) {
            if (outcome.status === 'fulfilled') held.push({ lent: outcome.value, left: heldFor })
          }
          last = Math.min(at + length, content.length)
          for (const each of held.splice(0)) {
            isFine &&= isRight(each.lent, content)
            if (each.left > 0) held.push({ ...each, left: each.left - 1 })
            else each.lent.giveBack()
          }
        }
        for (const each of readers) each.close()
        await disk?.close()
        return isFine
      },
    )
    await fc.assert(property, { seed, numRuns: 25 })
  },
)

t.test('who does not say when it is done gets copies', async (t) => {
  const content = pattern(8 * MiB)
  const { open } = await openBlob(content)
  const reader = open(0)

  const first = await reader.read({ start: 0, end: 64 * KiB })
  for (let start = 0; start < 8 * MiB; start += MiB) await reader.read({ start, end: start + MiB })

  t.ok(isRight({ parts: first, start: 0 }, content), 'after eight times the cache went by')
  reader.close()
})

t.test('what was read to its end makes room soon', async (t) => {
  const content = pattern(40 * MiB)
  const memory = new MemoryBlobStore()
  await memory.createContainer(path.container)
  const properties = await memory.put(path, content)
  const cache = new ChunkCache({ maxBytes: 64 * MiB, reusesMemory: true })
  const reader = new BlobReader({ store: memory, path, properties, cache, maxWindowBytes: 0 })

  for (let start = 0; start < content.length; start += MiB) {
    await reader.read({ start, end: start + MiB })
  }

  t.ok(cache.sizeBytes <= 16 * MiB, `${cache.sizeBytes} bytes are kept`)
  reader.close()
})

for (const { sizeBytes, keptBytes } of [
  { sizeBytes: 6 * MiB, keptBytes: 6 * MiB },
  { sizeBytes: 24 * MiB, keptBytes: 2 * MiB },
]) {
  t.test(
    `of ${sizeBytes / MiB} MiB that were read to their end ${keptBytes / MiB} stay`,
    async (t) => {
      const content = pattern(sizeBytes)
      const { store, properties } = await storeOf(content)
      const cache = new ChunkCache({ maxBytes: 64 * MiB, reusesMemory: true })
      const reader = new BlobReader({ store, path, properties, cache, streamBelowMs: 0 })

      for (let start = 0; start < sizeBytes; start += MiB) {
        const lent = await readLent(reader, start, MiB)
        t.ok(isRight(lent, content))
        lent.giveBack()
      }

      const { sizeBytes: kept } = cache
      t.ok(kept > keptBytes - MiB && kept <= keptBytes, `${kept} bytes`)
      reader.close()
    },
  )
}
