import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { KiB, MiB } from '../../src/byte-range.ts'
import { BlobWriter } from '../../src/transfer/blob-writer.ts'
import { MemoryBudget } from '../../src/transfer/memory-budget.ts'
import { settle } from '../support/fake-clock.ts'

const seed = Number(process.env['ABFS_TEST_SEED'] ?? Date.now() % 1_000_000)
t.comment(`seed ${seed}`)

t.test(
  'bytes are given in the order they were asked for: no small claim passes a large one',
  async (t) => {
    const budget = new MemoryBudget({ maxBytes: 100 })
    const first = await budget.claim(80)
    const order: string[] = []
    const claimed = async (bytes: number, name: string) => {
      const claim = await budget.claim(bytes)
      order.push(name)
      return claim
    }
    const large = claimed(60, 'large')
    const small = claimed(10, 'small')
    await settle()
    t.same(order, [])
    t.equal(budget.tryClaim(1), undefined)
    first.release()
    const [one, two] = await Promise.all([large, small])
    t.same(order, ['large', 'small'])
    one.release()
    two.release()
    two.release()
    t.equal(budget.heldBytes, 0)
  },
)

t.test('a claim for more than there are waits until it is alone', async (t) => {
  const budget = new MemoryBudget({ maxBytes: 100 })
  const small = await budget.claim(1)
  const huge = budget.claim(1000)
  await settle()
  t.equal(budget.waiting, 1)
  small.release()
  t.equal((await huge).bytes, 100)
})

t.test('an aborted claim takes nothing and lets the next one pass', async (t) => {
  const budget = new MemoryBudget({ maxBytes: 100 })
  const held = await budget.claim(50)
  const abort = new AbortController()
  const large = budget.claim(90, abort.signal)
  const small = budget.claim(50)
  abort.abort(new Error('enough'))
  await t.rejects(large, { message: 'enough' })
  t.equal((await small).bytes, 50)
  held.release()
  t.equal(budget.heldBytes, 50)
})

t.test(
  'whatever is claimed, grown, shrunk, aborted and released, the sum stays within the budget',
  async (t) => {
    const step = fc.record({ bytes: fc.nat(150), kind: fc.constantFrom('claim', 'try', 'abort') })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const budget = new MemoryBudget({ maxBytes: 100 })
        const work = steps.map(async ({ bytes, kind }, index) => {
          const abort = new AbortController()
          if (kind === 'abort') setImmediate(() => abort.abort(new Error('enough')))
          const claim =
            kind === 'try' ? budget.tryClaim(bytes) : await budget.claim(bytes, abort.signal)
          claim?.tryGrow(bytes + index)
          for (let turn = 0; turn < index % 4; turn++) await settle()
          claim?.shrink(bytes / 2)
          await settle()
          claim?.release()
        })
        await Promise.allSettled(work)
        return budget.heldBytes === 0 && budget.waiting === 0 && budget.peakBytes <= 100
      }),
      { seed, numRuns: 100 },
    )
    t.pass('100 runs')
  },
)

/** Writers whose callers take turns: none can be waited for while another one is. */
t.test('more open writers than the budget has room for all get on, within it', async (t) => {
  const store = new MemoryBlobStore()
  await store.createContainer('data')
  const memory = new MemoryBudget({ maxBytes: 2 * MiB })
  const contents = Array.from({ length: 12 }, () => randomBytes(900 * KiB))
  const writers = contents.map(
    (_content, index) =>
      new BlobWriter({
        store,
        path: { container: 'data', name: `w${index}` },
        blockBytes: MiB,
        memory,
      }),
  )
  for (let at = 0; at < 900 * KiB; at += 100 * KiB) {
    for (const [index, writer] of writers.entries()) {
      await writer.write(contents[index]?.subarray(at, at + 100 * KiB) ?? Buffer.alloc(0))
    }
  }
  for (const writer of writers) {
    await writer.commit()
    await writer[Symbol.asyncDispose]()
  }
  t.ok(memory.peakBytes <= memory.maxBytes, `${memory.peakBytes} bytes at most`)
  t.equal(memory.heldBytes, 0)
  for (const [index, content] of contents.entries()) {
    const { data } = await store.get({ container: 'data', name: `w${index}` })
    t.ok(content.equals(data), `w${index}`)
  }
})

t.test('a writer and a reader that feed each other share a budget of one block', async (t) => {
  const store = new MemoryBlobStore()
  await store.createContainer('data')
  const memory = new MemoryBudget({ maxBytes: MiB })
  const content = randomBytes(5 * MiB)
  await using writer = new BlobWriter({
    store,
    path: { container: 'data', name: 'copy' },
    blockBytes: MiB,
    memory,
  })
  for (let at = 0; at < content.length; at += 300 * KiB) {
    const piece = await memory.run(512 * KiB, async () => content.subarray(at, at + 300 * KiB))
    await writer.write(piece)
  }
  await writer.commit()
  const { data } = await store.get({ container: 'data', name: 'copy' })
  t.ok(content.equals(data))
  t.ok(memory.peakBytes <= MiB)
})

t.test('a writer that is aborted gives everything back', async (t) => {
  const store = new MemoryBlobStore()
  await store.createContainer('data')
  const memory = new MemoryBudget({ maxBytes: 4 * MiB })
  const path = { container: 'data', name: 'gone' }
  const writer = new BlobWriter({ store, path, blockBytes: MiB, memory })
  await writer.write(randomBytes(3 * MiB + 7))
  await writer.abort()
  t.equal(memory.heldBytes, 0)
})
