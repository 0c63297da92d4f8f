import fc from 'fast-check'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import type { BlobStore } from '../../src/blob/store.ts'
import { KiB, MiB } from '../../src/byte-range.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { CountingStore } from '../support/counting-store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { hierarchicalMemory } from '../support/file-system.ts'
import { patternOf } from '../support/pattern.ts'

const seed = Number(process.env['ABFS_TEST_SEED'] ?? Date.now() % 1_000_000)
t.comment(`seed ${seed}`)
const path = { container: 'box', name: 'f' }

async function setUp(options: { readonly blockBytes?: number } = {}) {
  const memory = new MemoryBlobStore()
  const store = new CountingStore(memory)
  await store.createContainer('box')
  const { blockBytes = 64 * KiB } = options
  const fs = new AzureBlobFileSystem({ store, blockBytes, clock: new FakeClock() })
  return { fs, memory, store }
}

/** A blob of blocks of 300 KiB, whose ids are not as long as ours. */
async function putBlocks(store: BlobStore, content: Uint8Array, name = 'f') {
  const ids: string[] = []
  for (let at = 0; at < content.length; at += 300 * KiB) {
    const id = Buffer.from(`block-${String(ids.length).padStart(4, '0')}`).toString('base64')
    await store.stageBlock({ ...path, name }, id, content.subarray(at, at + 300 * KiB))
    ids.push(id)
  }
  await store.commitBlocks({ ...path, name }, ids, { metadata: { k: 'v' }, contentType: 'text/x' })
  return ids
}

t.test('a change in a large file sends what changed and keeps its blocks', async (t) => {
  const { fs, memory, store } = await setUp()
  const content = patternOf(3 * MiB)
  const ids = await putBlocks(memory, content)
  store.take()
  await using file = await fs.open('box/f', 'r+')

  await file.writeAt(700 * KiB, 'changed')
  content.write('changed', 700 * KiB)
  t.equal(String(await file.readAt(700 * KiB, 7)), 'changed', 'seen here before it is stored')
  t.notSame(content, Buffer.from(await fs.catFile('box/f')), 'and nowhere else')
  await file.close()

  t.ok(content.equals(await fs.catFile('box/f')))
  const { blocks } = await memory.getBlocks(path)
  const kept = ids.filter((id) => blocks.some((block) => block.id === id))
  t.equal(kept.length, ids.length - 1)
  t.ok(blocks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) === content.length)
  const info = await fs.info('box/f', { refresh: true })
  t.match(info, { metadata: { k: 'v' }, contentType: 'text/x' })
})

t.test('a file without blocks, of any size, is changed, grown and cut', async (t) => {
  for (const sizeBytes of [0, 10, 64 * KiB, MiB]) {
    const { fs, memory } = await setUp()
    const content = patternOf(sizeBytes)
    await memory.put(path, content, { metadata: { k: 'v' } })
    await using file = await fs.open('box/f', 'r+')
    await file.writeAt(sizeBytes + 100_000, 'end')
    await file.writeAt(0, 'begin')
    await file.truncate(sizeBytes + 100_002)
    await file.close()
    const expected = Buffer.concat([content, Buffer.alloc(100_000), Buffer.from('en')])
    expected.write('begin', 0)
    t.ok(expected.equals(await fs.catFile('box/f')), `${sizeBytes} bytes`)
    t.strictSame(await fs.getMetadata('box/f'), { k: 'v' })
  }
})

t.test('read, write, seek and tell share a position', async (t) => {
  const { fs } = await setUp()
  await fs.writeText('box/f', 'abcdef')
  await using file = await fs.open('box/f', 'r+')
  t.equal(String(await file.read(2)), 'ab')
  await file.write('XY')
  t.equal(file.tell(), 4)
  t.equal(String(await file.read(9)), 'ef')
  file.seek(-1)
  await file.write('Z!')
  t.equal(file.size, 7)
  await file.flush()
  t.equal(await fs.readText('box/f'), 'abXYeZ!')
  await file.write('?')
  await file.close()
  t.equal(await fs.readText('box/f'), 'abXYeZ!?')
  await t.rejects(file.write('late'), { code: 'EBADF' })
})

t.test('who changes what another wrote or deleted meanwhile changes nothing', async (t) => {
  const { fs, memory } = await setUp()
  for (const size of [10, 500 * KiB]) {
    await memory.put(path, patternOf(size))
    const file = await fs.open('box/f', 'r+')
    await file.writeAt(3, 'mine')
    await memory.put(path, Buffer.from('theirs'))
    await t.rejects(file.close(), { code: 'ESTALE' })
    t.equal(await fs.readText('box/f'), 'theirs')
    const deleted = await fs.open('box/f', 'r+')
    await deleted.writeAt(3, 'mine')
    await memory.delete(path)
    await t.rejects(deleted.close(), { code: 'ESTALE' })
    t.notOk(await fs.exists('box/f', { refresh: true }))
  }
})

t.test('an edit that is left changes nothing, and what is missing cannot be edited', async (t) => {
  const { fs } = await setUp()
  await fs.writeText('box/f', 'before')
  await t.rejects(
    (async () => {
      await using file = await fs.open('box/f', 'r+')
      await file.write('lost')
      throw new Error('left')
    })(),
    /left/,
  )
  t.equal(await fs.readText('box/f'), 'before')
  await t.rejects(fs.open('box/none', 'r+'), { code: 'ENOENT' })
  await fs.mkdir('box/dir')
  await t.rejects(fs.open('box/dir', 'r+'), { code: 'EISDIR' })
  await t.rejects(fs.open('box/f', 'r+', { ifMatch: '"other"' }), { code: 'ESTALE' })
})

t.test('an append keeps the blocks that are there, and sends only what is new', async (t) => {
  const { fs, memory, store } = await setUp()
  const content = patternOf(900 * KiB)
  const ids = await putBlocks(memory, content)
  store.take()
  const file = await fs.open('box/f', 'a')
  await file.write('tail')
  await file.close()

  t.ok(Buffer.concat([content, Buffer.from('tail')]).equals(await fs.catFile('box/f')))
  const { blocks } = await memory.getBlocks(path)
  t.strictSame(
    blocks.slice(0, -1).map(({ id }) => id),
    ids,
  )
  t.match(await fs.info('box/f', { refresh: true }), {
    metadata: { k: 'v' },
    contentType: 'text/x',
  })
})

t.test('many small appends do not leave a block each', async (t) => {
  const { fs, memory } = await setUp()
  await memory.put(path, patternOf(200 * KiB))
  for (let time = 0; time < 60; time += 1) {
    const file = await fs.open('box/f', 'a')
    await file.write(`line ${time}\n`.repeat(100))
    await file.close()
  }
  const { blocks } = await memory.getBlocks(path)
  t.ok(blocks.length < 10, `${blocks.length} blocks`)
  t.match(await fs.readText('box/f'), /line 58\nline 59\n(line 59\n)*$/)
})

/** Random edits, against a buffer, with others' writes in between. */
function editing(open: () => Promise<{ fs: AzureBlobFileSystem; store: BlobStore }>) {
  const size = fc.nat(400_000)
  const step = fc.oneof(
    fc.record({ write: size, length: fc.nat(200_000), fill: fc.integer({ min: 1, max: 255 }) }),
    fc.record({ truncate: size }),
    fc.record({ append: fc.integer({ min: 1, max: 100_000 }) }),
    fc.record({ read: size, length: fc.nat(100_000) }),
    fc.constant('flush' as const),
    fc.constant('elsewhere' as const),
  )
  return fc.assert(
    fc.asyncProperty(
      size,
      fc.boolean(),
      fc.array(step, { maxLength: 8 }),
      async (first, blocks, steps) => {
        const { fs, store } = await open()
        let expected: Buffer = patternOf(first)
        if (blocks && first > 0) await putBlocks(store, expected)
        else await store.put(path, expected)
        for (const each of steps) {
          if (each === 'elsewhere') {
            expected = Buffer.from(expected).fill(1, 0, Math.min(10, expected.length))
            if (expected.length === 0) expected = Buffer.from('x')
            await putBlocks(store, expected)
          } else if (each !== 'flush' && 'append' in each) {
            const file = await fs.open('box/f', 'a')
            const data = Buffer.alloc(each.append, 7)
            await file.write(data)
            await file.close()
            expected = Buffer.concat([expected, data])
          } else {
            await using file = await fs.open('box/f', 'r+')
            if (each === 'flush') await file.flush()
            else if ('truncate' in each) {
              await file.truncate(each.truncate)
              const grown = Buffer.alloc(each.truncate)
              expected.copy(grown)
              expected = grown
            } else if ('read' in each) {
              const found = await file.readAt(each.read, each.length)
              if (!expected.subarray(each.read, each.read + each.length).equals(found)) return false
            } else if (each.length > 0) {
              const data = Buffer.alloc(each.length, each.fill)
              await file.writeAt(each.write, data)
              const grown = Buffer.alloc(Math.max(expected.length, each.write + data.length))
              expected.copy(grown)
              data.copy(grown, each.write)
              expected = grown
            }
            await file.close()
          }
          if (!expected.equals(await fs.catFile('box/f'))) return false
        }
        return true
      },
    ),
    { seed, numRuns: process.env['ABFS_LONG_TESTS'] === '1' ? 300 : 30 },
  )
}

t.test('random edits give what they give on a buffer', async (t) => {
  await t.resolves(editing(() => setUp()))
})

t.test('random edits on a hierarchical account too', async (t) => {
  const open = async () => {
    const account = await hierarchicalMemory(new FakeClock())
    await account.store.createContainer('box')
    return {
      fs: new AzureBlobFileSystem({ ...account, blockBytes: 64 * KiB }),
      store: account.store,
    }
  }
  await t.resolves(editing(open))
})
