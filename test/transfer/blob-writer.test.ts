import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import type { BlobStore } from '../../src/blob/store.ts'
import { KiB, MiB } from '../../src/byte-range.ts'
import { crc64 } from '../../src/crc64.ts'
import { FileSystemError } from '../../src/errors.ts'
import { BlobWriter, type BlobWriterOptions } from '../../src/transfer/blob-writer.ts'
import { baseBlockBytes, blockBytesAt, maxBlobBytes } from '../../src/transfer/block-size.ts'
import { BlockStager } from '../../src/transfer/block-stager.ts'
import { CountingStore } from '../support/counting-store.ts'

const path = { container: 'data', name: 'out.bin' }
const seed = Number(process.env['ABFS_TEST_SEED'] ?? Date.now() % 1_000_000)
t.comment(`seed ${seed}`)

async function openWriter(options: Partial<BlobWriterOptions> = {}) {
  const memory = new MemoryBlobStore()
  const store = new CountingStore(memory)
  await memory.createContainer(path.container)
  const writer = new BlobWriter({ store, path, ...options })
  const stored = async () => Buffer.from((await memory.get(path)).data)
  return { memory, store, writer, stored }
}

t.test('a blob that fits one block is one Put Blob', async (t) => {
  const { store, writer, stored } = await openWriter({ contentType: 'text/plain' })

  await writer.write(Buffer.from('hello '))
  await writer.write(Buffer.from('world'))
  const properties = await writer.commit({ metadata: { modtime: '1' } })

  t.same(store.take(), ['put out.bin'])
  t.equal((await stored()).toString(), 'hello world')
  t.match(properties, { sizeBytes: 11, metadata: { modtime: '1' } })
  t.equal((await store.head(path)).contentType, 'text/plain')
})

t.test('an empty blob is committed by one empty Put Blob', async (t) => {
  const { store, writer } = await openWriter()

  await writer.commit()

  t.same(store.take(), ['put out.bin'])
  t.equal((await store.head(path)).sizeBytes, 0)
})

t.test('a larger blob is staged in blocks and appears at once', async (t) => {
  const { memory, store, writer, stored } = await openWriter({ blockBytes: MiB })
  const content = randomBytes(3 * MiB + 5)

  await writer.write(content)
  await t.rejects(memory.head(path), { code: 'ENOENT' })
  await writer.commit()

  t.same(store.take(), [...Array(4).fill('stageBlock out.bin'), 'commitBlocks out.bin'])
  t.ok((await stored()).equals(content))
})

t.test('a blob of exactly one block is one Put Blob', async (t) => {
  const { store, writer, stored } = await openWriter({ blockBytes: 64 * KiB })
  const content = randomBytes(64 * KiB)

  await writer.write(content)
  await writer.commit()

  t.same(store.take(), ['put out.bin'])
  t.ok((await stored()).equals(content))
})

t.test('whatever the pieces and commits, the blob is what was written so far', async (t) => {
  const steps = fc.array(
    fc.oneof(
      { weight: 4, arbitrary: fc.nat(9000).map((bytes) => ({ kind: 'write' as const, bytes })) },
      { weight: 1, arbitrary: fc.constant({ kind: 'commit' as const, bytes: 0 }) },
    ),
    { maxLength: 25 },
  )

  await fc.assert(
    fc.asyncProperty(steps, async (plan) => {
      const { writer, stored } = await openWriter({ blockBytes: 4096, concurrency: 3 })
      const written: Buffer[] = []
      for (const step of [...plan, { kind: 'commit' as const, bytes: 0 }]) {
        if (step.kind === 'write') {
          const data = randomBytes(step.bytes)
          written.push(Buffer.from(data))
          await writer.write(data)
          data.fill(0)
          continue
        }
        await writer.commit()
        if (!(await stored()).equals(Buffer.concat(written))) return false
      }
      return writer.sizeBytes === Buffer.concat(written).length
    }),
    { seed, numRuns: 80 },
  )
  t.pass(`seed ${seed}`)
})

t.test('writing goes on after a commit, under our own last etag', async (t) => {
  const { store, writer, stored } = await openWriter({ conditions: { ifNoneMatch: '*' } })

  await writer.write(Buffer.from('one'))
  const first = await writer.commit()
  t.equal(writer.dirty, false)
  t.equal(await writer.commit(), first, 'nothing to commit, nothing asked')
  await writer.write(Buffer.from(' two'))
  await writer.commit()

  t.same(store.take(), ['put out.bin', 'put out.bin'])
  t.equal((await stored()).toString(), 'one two')
})

t.test('small commits of a large blob do not add a block each', async (t) => {
  const { memory, writer, stored } = await openWriter({ blockBytes: 4096 })
  const counts: number[] = []
  const commitBlocks = memory.commitBlocks.bind(memory)
  memory.commitBlocks = (at, ids, options) => {
    counts.push(ids.length)
    return commitBlocks(at, ids, options)
  }

  await writer.write(randomBytes(5000))
  for (let commit = 0; commit < 5; commit++) {
    await writer.write(Buffer.from('tail'))
    await writer.commit()
  }

  t.same(counts, [2, 2, 2, 2, 2])
  t.equal((await stored()).length, 5020)
})

t.test('of two writers that create one blob the second to commit gets EEXIST', async (t) => {
  for (const size of [10, 3000]) {
    const { store, writer, stored } = await openWriter({
      conditions: { ifNoneMatch: '*' },
      blockBytes: 1024,
    })
    const other = new BlobWriter({
      store,
      path,
      conditions: { ifNoneMatch: '*' },
      blockBytes: 1024,
    })

    await Promise.all([writer.write(Buffer.alloc(size, 1)), other.write(Buffer.alloc(size, 2))])
    await writer.commit()
    await t.rejects(other.commit(), { code: 'EEXIST' })

    t.ok((await stored()).equals(Buffer.alloc(size, 1)))
  }
})

t.test('a blob that somebody replaced since is ESTALE and keeps their content', async (t) => {
  const { memory, writer, stored } = await openWriter({ blockBytes: 1024 })
  await writer.write(Buffer.alloc(3000, 1))
  await writer.commit()
  await memory.put(path, Buffer.from('theirs'))

  await writer.write(Buffer.alloc(3000, 1))
  await t.rejects(writer.commit(), { code: 'ESTALE' })

  t.equal((await stored()).toString(), 'theirs')
})

t.test('a lost block of a new blob is EEXIST: another writer created it', async (t) => {
  const { memory, writer } = await openWriter({
    conditions: { ifNoneMatch: '*' },
    blockBytes: 1024,
  })
  memory.commitBlocks = async () => {
    await memory.put(path, Buffer.from('theirs'))
    throw new FileSystemError('ESTALE', 'blob.commitBlocks', { serviceCode: 'InvalidBlockList' })
  }
  await writer.write(Buffer.alloc(3000))

  await t.rejects(writer.commit(), { code: 'EEXIST', cause: { serviceCode: 'InvalidBlockList' } })
})

t.test('an aborted writer leaves nothing visible and refuses to go on', async (t) => {
  const { memory, writer } = await openWriter({ blockBytes: 1024 })
  await writer.write(Buffer.alloc(5000))

  await writer.abort()
  await writer.abort()

  await t.rejects(memory.head(path), { code: 'ENOENT' })
  await t.rejects(writer.write(Buffer.alloc(1)), { code: 'EBADF' })
  await t.rejects(writer.commit(), { code: 'EBADF' })
})

t.test('leaving the scope of a writer without a commit leaves nothing', async (t) => {
  const { memory, store } = await openWriter()

  const failing = async () => {
    await using writer = new BlobWriter({ store, path })
    await writer.write(Buffer.from('half'))
    throw new Error('midway')
  }
  await t.rejects(failing(), { message: 'midway' })

  await t.rejects(memory.head(path), { code: 'ENOENT' })
})

t.test('the failure of a block is reported by every later write and by the commit', async (t) => {
  const { memory, store, writer } = await openWriter({ blockBytes: 1024, concurrency: 1 })
  store.before = ({ verb }) => {
    if (verb === 'stageBlock') throw new FileSystemError('EIO', 'blob.stageBlock')
  }

  await t.rejects(writer.write(Buffer.alloc(5000)), { code: 'EIO' })
  store.before = () => undefined

  await t.rejects(writer.write(Buffer.alloc(1)), { code: 'EIO' })
  await t.rejects(writer.commit(), { code: 'EIO' })
  await t.rejects(memory.head(path), { code: 'ENOENT' })
})

t.test('a commit that failed for a passing reason can be repeated', async (t) => {
  const { store, writer, stored } = await openWriter({ blockBytes: 1024 })
  const content = randomBytes(3000)
  await writer.write(content)
  store.before = ({ verb }) => {
    if (verb === 'commitBlocks') throw new FileSystemError('EIO', 'blob.commitBlocks')
  }
  await t.rejects(writer.commit(), { code: 'EIO' })
  store.before = () => undefined

  await writer.commit()

  t.ok((await stored()).equals(content))
})

t.test('no more blocks than the bound are under way', async (t) => {
  const { store, writer } = await openWriter({ blockBytes: 1024, concurrency: 3 })
  store.before = () => new Promise((resolve) => setImmediate(resolve))

  await writer.write(Buffer.alloc(64 * KiB))
  await writer.commit()

  t.equal(store.maxInFlight, 3)
})

t.test('block ids have one length and never repeat between writers', async (t) => {
  const { store } = await openWriter()
  const ids: string[] = []
  for (const stager of [new BlockStager({ store, path }), new BlockStager({ store, path })]) {
    for (let block = 0; block < 3; block++)
      ids.push(await stager.stage(async () => Buffer.alloc(1)))
    await stager.drain()
  }

  t.equal(new Set(ids).size, 6)
  t.ok(ids.every((id) => id.length === 24))
})

t.test(
  'blocks grow with the blob: 50,000 reach 130 TiB, and 190 TiB when it is expected',
  async (t) => {
    let offset = 0
    for (let block = 0; block < 50_000; block++) offset += blockBytesAt(offset, 8 * MiB)
    t.ok(offset > 173 * 1024 ** 4, `${offset / 1024 ** 4} TiB`)

    t.equal(blockBytesAt(0, 8 * MiB), 8 * MiB)
    t.equal(blockBytesAt(7 * 1024 * MiB, 8 * MiB), 8 * MiB)
    t.ok(blockBytesAt(100 * 1024 * MiB, 8 * MiB) <= 103 * MiB)
    t.ok(blockBytesAt(255 * 1024 * MiB, 8 * MiB) <= 262 * MiB)
    t.equal(baseBlockBytes(8 * MiB, maxBlobBytes), 4000 * MiB)
    t.equal(baseBlockBytes(8 * MiB, undefined), 8 * MiB)
  },
)

t.test(
  'the 50,001st block is refused by name of the limit, and nothing is committed',
  async (t) => {
    const memory = new MemoryBlobStore()
    await memory.createContainer(path.container)
    let staged = 0
    const store = new Proxy<BlobStore>(memory, {
      get(target, name) {
        // Blocks of one byte: what they hold is not looked at.
        if (name === 'stageBlock') {
          return async () => {
            staged += 1
          }
        }
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const writer = new BlobWriter({ store, path, blockBytes: 1 })
    const failed = writer.write(Buffer.alloc(50_001))
    await t.rejects(failed, { code: 'EFBIG', path: 'abfs://data/out.bin' })
    t.equal(staged, 49_999, 'the last one is for the end')
    await writer.abort()
    await t.rejects(memory.head(path), { code: 'ENOENT' })
  },
)

t.test('two writers of one name: the last to commit wins, and the other one is told', async (t) => {
  const { memory, store, writer } = await openWriter({ blockBytes: 64 * KiB })
  const other = new BlobWriter({ store, path, blockBytes: 64 * KiB })
  await writer.write(Buffer.alloc(150 * KiB, 'a'))
  await other.write(Buffer.alloc(200 * KiB, 'b'))
  await writer.commit()
  await t.rejects(other.commit(), { code: 'ESTALE', serviceCode: 'InvalidBlockList' })
  await other.abort()
  t.equal((await memory.head(path)).sizeBytes, 150 * KiB)
})

t.test('the CRC of the whole is made of those of its blocks', async (t) => {
  const content = randomBytes(300 * KiB + 7)
  const memory = new MemoryBlobStore()
  await memory.createContainer(path.container)
  const store = new Proxy<BlobStore>(memory, {
    get(target, name) {
      if (name === 'integrity') return 'crc64'
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const writer = new BlobWriter({ store, path, blockBytes: 64 * KiB })
  await writer.write(content)
  await writer.commit()
  t.same((await memory.head(path)).written, { sizeBytes: content.length, crc64: crc64(content) })
})
