import t, { type Test } from 'tap'
import type { BlobHistory } from '../../src/blob/administration.ts'
import type { KeptStates } from '../../src/blob/memory-account.ts'
import { idOfMs } from '../../src/blob/past-names.ts'
import { PastBlobStore } from '../../src/blob/past-store.ts'
import { type BlobStore, type ListEntry, type ListOptions, listAll } from '../../src/blob/store.ts'
import type { FakeClock } from '../support/fake-clock.ts'

/** An account with an empty container `first`, and its history. */
export interface KeptAccount {
  readonly store: BlobStore
  readonly history: BlobHistory
  /** The account's. */
  readonly clock: FakeClock
}

/** Opens an account that keeps such states. */
export type OpenKept = (t: Test, kept: KeptStates) => Promise<KeptAccount>

const container = 'first'

/** What every hierarchical account does with what was written over or deleted: it keeps no versions. */
export function hierarchicalHistoryConformance(open: OpenKept): void {
  describeSnapshots(open)
  describeDeleted(open)
  describeDeletedBelowDirectories(open)
}

/** What every flat account does with it. */
export function blobHistoryConformance(open: OpenKept): void {
  describeSnapshots(open)
  describeVersions(open)
  describeOverwritten(open)
  describeDeleted(open)
  describeListing(open)
}

function describeSnapshots(open: OpenKept): void {
  t.test('a snapshot keeps content and metadata of its time', async (t) => {
    const { store, history } = await open(t, {})
    const path = { container, name: 'kept' }
    await store.put(path, Buffer.from('one'), { metadata: { a: '1' } })
    const snapshot = await history.createSnapshot(path)
    const other = await history.createSnapshot(path, { metadata: { b: '2' } })
    await store.put(path, Buffer.from('second'))

    t.not(snapshot, other)
    t.equal(await textOf(store, path, { snapshot }), 'one')
    t.match(await store.head(path, { former: { snapshot } }), {
      sizeBytes: 3,
      metadata: { a: '1' },
    })
    t.strictSame((await store.head(path, { former: { snapshot: other } })).metadata, { b: '2' })
    t.equal(await textOf(store, path), 'second')
    await history.restore(path, { snapshot })
    t.equal(await textOf(store, path), 'one')
  })

  t.test('snapshots go one by one, or with their blob', async (t) => {
    const { store, history } = await open(t, {})
    const path = { container, name: 'gone' }
    await store.put(path, Buffer.from('one'))
    const [one, two] = [await history.createSnapshot(path), await history.createSnapshot(path)]

    await history.deleteFormer(path, { snapshot: one })
    await t.rejects(store.get(path, { former: { snapshot: one } }), { code: 'ENOENT' })
    t.equal(await textOf(store, path, { snapshot: two }), 'one')
    await store.delete(path)
    await t.rejects(store.head(path, { former: { snapshot: two } }), { code: 'ENOENT' })
    t.strictSame(await rowsOf(store, { snapshots: true }), [])
  })

  t.test('a snapshot of what is not there, or is another version, is none', async (t) => {
    const { store, history } = await open(t, {})
    const path = { container, name: 'absent' }
    await t.rejects(history.createSnapshot(path), { code: 'ENOENT' })
    await store.put(path, Buffer.from('one'))

    await t.rejects(history.createSnapshot(path, { ifMatch: '"0x1"' }), { code: 'ESTALE' })
    const former = { snapshot: '2020-01-01T00:00:00.0000000Z' }
    await t.rejects(history.deleteFormer(path, former), { code: 'ENOENT' })
    await t.rejects(history.restore(path, former), { code: 'ENOENT' })
    t.strictSame(await rowsOf(store, { snapshots: true }), ['absent current'])
  })
}

function describeVersions(open: OpenKept): void {
  t.test('every write of content or metadata leaves the version before', async (t) => {
    const { store } = await open(t, { versioning: true })
    const path = { container, name: 'versioned' }
    const first = await store.put(path, Buffer.from('one'))
    const second = await store.put(path, Buffer.from('second'))
    const third = await store.setMetadata(path, { a: 'b' })

    const ids = [first, second, third].map(({ versionId = '' }) => versionId)
    t.strictSame(await rowsOf(store, { versions: true }), [
      `versioned version ${ids[0]}`,
      `versioned version ${ids[1]}`,
      `versioned current ${ids[2]}`,
    ])
    t.equal(await textOf(store, path, { versionId: ids[0] ?? '' }), 'one')
    t.equal(await textOf(store, path, { versionId: ids[1] ?? '' }), 'second')
    t.equal(await textOf(store, path, { versionId: ids[2] ?? '' }), 'second')
    t.equal((await store.head(path)).versionId, ids[2])
  })

  t.test('a block list, a copy and blocks of former versions go on as without', async (t) => {
    const { store } = await open(t, { versioning: true })
    const path = { container, name: 'blocks' }
    const [one = '', two = ''] = ['one', 'two'].map((id) => Buffer.from(id).toString('base64'))
    await store.stageBlock(path, one, Buffer.from('1'))
    const { versionId = '' } = await store.commitBlocks(path, [one])
    await store.stageBlock(path, two, Buffer.from('2'))
    await store.commitBlocks(path, [one, two])
    await store.copy(path, { container, name: 'copied' })

    t.equal(await textOf(store, path), '12')
    t.equal(await textOf(store, path, { versionId }), '1')
    t.equal(await textOf(store, { container, name: 'copied' }), '12')
    t.equal((await rowsOf(store, { versions: true })).length, 3)
  })

  t.test('of a deleted blob the versions stay, and are copied back', async (t) => {
    const { store, history } = await open(t, { versioning: true })
    const path = { container, name: 'deleted' }
    const { versionId = '' } = await store.put(path, Buffer.from('one'), { contentType: 'text/x' })
    await store.delete(path)

    await t.rejects(store.head(path), { code: 'ENOENT' })
    t.strictSame(await rowsOf(store), [])
    t.strictSame(await rowsOf(store, { versions: true }), [`deleted version ${versionId}`])
    await history.restore(path, { versionId })
    t.match(await store.head(path), { contentType: 'text/x', sizeBytes: 3 })
    t.not((await store.head(path)).versionId, versionId)
  })

  t.test('a former version is deleted by its id, the current one is not', async (t) => {
    const { store, history } = await open(t, { versioning: true })
    const path = { container, name: 'pruned' }
    const old = await store.put(path, Buffer.from('one'))
    const young = await store.put(path, Buffer.from('two'))

    await history.deleteFormer(path, { versionId: old.versionId ?? '' })
    await t.rejects(store.get(path, { former: { versionId: old.versionId ?? '' } }), {
      code: 'ENOENT',
    })
    const current = history.deleteFormer(path, { versionId: young.versionId ?? '' })
    await t.rejects(current, { code: 'EACCES' })
    t.equal(await textOf(store, path), 'two')
  })

  t.test('what a container was is read from its versions', async (t) => {
    const { store, clock } = await open(t, { versioning: true })
    await store.put({ container, name: 'a' }, Buffer.from('one'))
    await store.put({ container, name: 'dir/b' }, Buffer.from('first'))
    await clock.advance(2000)
    const at = idOfMs(clock.nowMs())
    await clock.advance(2000)
    await store.put({ container, name: 'a' }, Buffer.from('another'))
    await store.put({ container, name: 'new' }, Buffer.from('new'))
    await store.delete({ container, name: 'dir/b' })

    const moment = { of: 'versions', at } as const
    const past = new PastBlobStore({ store, moment, root: { container, name: '' } })
    t.strictSame(await rowsOf(past), ['a', 'dir/b'])
    t.equal(await textOf(past, { container, name: 'a' }), 'one')
    t.equal(await textOf(past, { container, name: 'dir/b' }), 'first')
  })
}

function describeDeleted(open: OpenKept): void {
  const dayMs = 24 * 60 * 60 * 1000

  t.test('a deleted blob comes back with its snapshots until its days are over', async (t) => {
    const { store, history, clock } = await open(t, { softDeleteDays: 7 })
    const path = { container, name: 'soft' }
    await store.put(path, Buffer.from('one'))
    const snapshot = await history.createSnapshot(path)
    await store.delete(path)

    await t.rejects(store.get(path), { code: 'ENOENT' })
    t.strictSame(await rowsOf(store, { deleted: true }), [
      `soft snapshot ${snapshot} deleted 7`,
      'soft deleted 7',
    ])
    await clock.advance(2 * dayMs + 1000)
    t.match(await rowsOf(store, { deleted: true }), [/deleted 4$/, /deleted 4$/])
    await history.undelete(path)
    t.equal(await textOf(store, path), 'one')
    t.equal(await textOf(store, path, { snapshot }), 'one')
    await store.delete(path)
    await clock.advance(8 * dayMs)
    t.strictSame(await rowsOf(store, { deleted: true }), [])
    await t.rejects(history.undelete({ container, name: 'never' }), { code: 'ENOENT' })
  })
}

function describeOverwritten(open: OpenKept): void {
  t.test('what was written over is a deleted snapshot', async (t) => {
    const { store, history } = await open(t, { softDeleteDays: 7 })
    const path = { container, name: 'over' }
    await store.put(path, Buffer.from('one'))
    await store.put(path, Buffer.from('two'))

    const [, ...deleted] = await rowsOf(store, { deleted: true })
    t.match(deleted, [/^over snapshot \S+ deleted 7$/])
    await history.undelete(path)
    const [kept = ''] = await rowsOf(store, { snapshots: true })
    t.equal(await textOf(store, path, { snapshot: kept.split(' ')[2] ?? '' }), 'one')
    t.equal(await textOf(store, path), 'two')
  })

  t.test('a deleted version comes back as a version', async (t) => {
    const { store, history } = await open(t, { softDeleteDays: 7, versioning: true })
    const path = { container, name: 'both' }
    const { versionId = '' } = await store.put(path, Buffer.from('one'))
    await store.put(path, Buffer.from('two'))
    await history.deleteFormer(path, { versionId })

    t.equal((await rowsOf(store, { versions: true })).length, 1)
    await history.undelete(path)
    t.equal(await textOf(store, path, { versionId }), 'one')
    t.equal(await textOf(store, path), 'two')
  })
}

function describeDeletedBelowDirectories(open: OpenKept): void {
  t.test('what is written over is not kept, nor a version of it', async (t) => {
    const { store, history } = await open(t, { softDeleteDays: 7 })
    const path = { container, name: 'over' }
    const written = await store.put(path, Buffer.from('one'))
    await store.put(path, Buffer.from('two'))

    t.equal(written.versionId, undefined)
    t.strictSame(await rowsOf(store, { deleted: true, versions: true }), ['over current'])
    await history.undelete(path)
    t.strictSame(await rowsOf(store, { snapshots: true }), ['over current'])
    t.equal(await textOf(store, path), 'two')
  })

  t.test('a file that comes back has its directories again', async (t) => {
    const { store, history } = await open(t, { softDeleteDays: 7 })
    const path = { container, name: 'dir/sub/file' }
    await store.put(path, Buffer.from('one'))
    for (const name of [path.name, 'dir/sub', 'dir']) await store.delete({ container, name })
    t.strictSame(await rowsOf(store), [])

    await history.undelete(path)
    t.equal(await textOf(store, path), 'one')
    t.strictSame(await rowsOf(store), ['dir', 'dir/sub', 'dir/sub/file'])
  })
}

function describeListing(open: OpenKept): void {
  t.test('pages of any size tell all states of all names, in order', async (t) => {
    const { store, history } = await open(t, { versioning: true, softDeleteDays: 7 })
    for (const name of ['a', 'dir/b', 'dir/c', 'z']) {
      for (const text of ['one', 'two', 'three']) {
        await store.put({ container, name }, Buffer.from(text))
        if (text === 'one') await history.createSnapshot({ container, name })
      }
    }
    await store.delete({ container, name: 'dir/c' })
    const options = { versions: true, snapshots: true, deleted: true }
    const all = await rowsOf(store, options)

    t.equal(all.length, 4 * 4)
    for (const maxResults of [1, 2, 3, 5]) {
      t.strictSame(await rowsOf(store, { ...options, maxResults }), all)
    }
    t.strictSame(await rowsOf(store), ['a', 'dir/b', 'z'])
  })

  t.test(
    'a directory in which only former states are left shows to who asks for them',
    async (t) => {
      const { store } = await open(t, { versioning: true })
      await store.put({ container, name: 'dir/f' }, Buffer.from('one'))
      await store.put({ container, name: 'file' }, Buffer.from('one'))
      await store.delete({ container, name: 'dir/f' })

      t.strictSame(await rowsOf(store, { delimiter: '/' }), ['file'])
      t.match(await rowsOf(store, { delimiter: '/', versions: true }), ['dir/', /^file current/])
    },
  )
}

async function textOf(
  store: BlobStore,
  path: { readonly container: string; readonly name: string },
  former?: Parameters<BlobHistory['deleteFormer']>[1],
): Promise<string> {
  return String(Buffer.from((await store.get(path, { former })).data))
}

/** Each row of a listing of the container in words. */
async function rowsOf(store: BlobStore, options: ListOptions = {}): Promise<string[]> {
  const rows: string[] = []
  for await (const row of listAll(store, { container, name: '' }, options)) rows.push(inWords(row))
  return rows
}

function inWords(row: ListEntry): string {
  if (row.kind === 'prefix' || row.state === undefined) return row.name
  const { versionId, snapshot, isCurrent, isDeleted, daysLeft } = row.state
  const kind = isCurrent ? ['current', versionId] : isDeleted ? [] : ['version', versionId]
  const id = snapshot === undefined ? kind : ['snapshot', snapshot]
  const deleted = isDeleted ? ['deleted', daysLeft] : []
  return [row.name, ...id, ...deleted].filter((word) => word !== undefined).join(' ')
}
