import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { ChunkCache } from '../../src/transfer/chunk-cache.ts'
import { FileContent } from '../../src/transfer/file-content.ts'
import { NearDisk } from '../../src/transfer/near-disk.ts'
import { Journal } from '../../src/vfs/journal.ts'
import type { KeptVersion } from '../../src/vfs/journal-record.ts'
import { FakeClock } from '../support/fake-clock.ts'

interface Given {
  readonly journal: Journal
  readonly directory: string
  readonly clock: FakeClock
  /** Keeps five bytes, which no sync has followed yet. */
  readonly keep: () => Promise<KeptVersion>
}

function journalWith(t: Test, onStep: (step: string) => void, clock = new FakeClock()): Given {
  const directory = mkdtempSync(join(tmpdir(), 'abfs-journal-sync-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const journal = new Journal({ directory: join(directory, 'journal'), clock, onStep })
  const keep = async (): Promise<KeptVersion> => {
    const store = new MemoryBlobStore({ account: 'account' })
    const parts = { store, chunkCache: new ChunkCache(), spool: { directory }, base: undefined }
    const content = new FileContent(parts)
    await content.write(0, Buffer.from('12345'))
    const path = { container: 'data', name: 'f' }
    const version = { path, description: {}, reason: 'pending' as const }
    const kept = await journal.keep(version, content, { synced: false })
    await content.close()
    return kept
  }
  return { journal, directory: journal.directory, clock, keep }
}

t.test('what the disk refused in the background, fsync is told each time', async (t) => {
  let syncs = 0
  const onStep = (step: string): void => {
    if (step !== 'sync record') return
    syncs += 1
    if (syncs === 1) throw Object.assign(new Error('disk'), { code: 'EIO' })
  }
  const { journal, clock, keep } = journalWith(t, onStep)
  const kept = await keep()
  await clock.advance(1000)
  while (syncs === 0) await new Promise((resolve) => setImmediate(resolve))

  await t.rejects(journal.sync(kept), { code: 'EIO' })
  await t.rejects(journal.sync(kept), { code: 'EIO' })
  t.equal(syncs, 1, 'a disk that has lost the bytes is not asked again')
})

t.test('two that want the same version on the disk both wait for it', async (t) => {
  let syncs = 0
  const { journal, keep } = journalWith(t, (step) => {
    if (step === 'sync record') syncs += 1
  })
  const kept = await keep()
  await Promise.all([journal.sync(kept), journal.sync(kept)])
  t.equal(syncs, 2)
  await journal.sync(kept)
  t.equal(syncs, 2, 'what is on the disk is not synced again')
})

t.test('a version that is stored meanwhile needs no disk', async (t) => {
  const { journal, keep } = journalWith(t, () => undefined)
  const kept = await keep()
  const synced = journal.sync(kept)
  await journal.remove(kept)
  await t.resolves(synced)
})

t.test('empty records, which a machine leaves that stops, are swept; others stay', async (t) => {
  const { journal, directory, keep } = journalWith(t, () => undefined)
  const kept = await keep()
  writeFileSync(join(directory, 'torn.json'), '')
  writeFileSync(join(directory, 'unknown.json'), '{"of": "another day"}')
  await journal.sweep()
  t.same(readdirSync(directory).sort(), [`${kept.id}.json`, 'unknown.json'])
})

t.test('the disk is left to other threads once it was slow', async (t) => {
  const clock = new StumblingClock()
  let [turns, turnsOfRecord] = [0, 0]
  const { journal, directory, keep } = journalWith(
    t,
    (step) => {
      if (step === 'record') {
        turns = 0
        setImmediate(() => {
          turns += 1
        })
      }
      if (step === 'name record') turnsOfRecord = turns
    },
    clock,
  )
  const first = await keep()
  const isNear = await new NearDisk(clock).isNear(directory)
  const second = await keep()
  t.equal(turnsOfRecord > 0, !isNear, 'a quick disk that is near is not waited for')

  clock.stepMs = 30
  const others = [await keep(), await keep(), await keep()]

  t.ok(turnsOfRecord > 0)
  t.same((await journal.list()).length, 5)
  for (const kept of [first, second, ...others]) await journal.remove(kept)
  t.same(readdirSync(directory), [])
})

/** Each look at it is so much later. */
class StumblingClock extends FakeClock {
  stepMs = 0
  #lateMs = 0

  override nowMs(): number {
    this.#lateMs += this.stepMs
    return super.nowMs() + this.#lateMs
  }
}

t.test(
  'what takes the place of a removed file is not on the disk without the removal',
  async (t) => {
    const steps: string[] = []
    const { journal, keep } = journalWith(t, (step) => void steps.push(step))
    await journal.keepRemoval({ path: { container: 'data', name: 'f' }, etag: '"1"' })
    await journal.keepRemoval({ path: { container: 'data', name: 'other' }, etag: '"1"' })
    const kept = await keep()
    steps.splice(0)

    await journal.sync(kept)

    t.strictSame(steps, ['sync record', 'sync record'])
  },
)

t.test('where the disk refuses the removal, fsync of what takes its place is told', async (t) => {
  const onStep = (step: string): void => {
    if (step === 'sync record') throw Object.assign(new Error('disk'), { code: 'EIO' })
  }
  const { journal, keep } = journalWith(t, onStep)
  const removal = await journal.keepRemoval({ path: { container: 'data', name: 'f' }, etag: '"1"' })
  const kept = await keep()

  await t.rejects(journal.sync(kept), { code: 'EIO' })
  await journal.remove(removal)
  await t.rejects(journal.sync(kept), { code: 'EIO' }, 'by itself')
})

t.test('a clock that is set back does not change the order of what is kept', async (t) => {
  const clock = new FakeClock()
  const { journal, keep } = journalWith(t, () => undefined, clock)
  await clock.advance(5000)
  const first = await keep()
  t.context.now = clock.nowMs()
  clock.nowMs = () => t.context.now - 4000
  const second = await keep()

  t.strictSame(
    (await journal.list()).map(({ id }) => id),
    [first.id, second.id],
  )
})
