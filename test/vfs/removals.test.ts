import { constants, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { BlobStore } from '../../src/blob/store.ts'
import { type ErrnoCode, FileSystemError } from '../../src/errors.ts'
import { type FaultEvent, faultChannel } from '../../src/telemetry.ts'
import { Journals } from '../../src/vfs/journals.ts'
import type { ChangeListener } from '../../src/vfs/operations.ts'
import { batchingStore } from '../support/batching-store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { caller, newAccount, newHierarchicalAccount, VfsMount } from '../support/vfs-mount.ts'

interface Given {
  readonly mount: VfsMount
  readonly directory: string
  /** What others have. */
  readonly account: BlobStore
}

type Options = Parameters<typeof VfsMount.make>[1]

/** A mount that writes back, of an account with these files, each of which has its name for content. */
async function mountWith(t: Test, names: readonly string[], options: Options = {}): Promise<Given> {
  const directory = scratch(t)
  const account = batchingStore(options.account ?? (await newAccount()))
  for (const name of names) await account.put({ container: 'box', name }, Buffer.from(name))
  const journals = new Journals({ directory, clock: new FakeClock(), owner: 'dead' })
  const writing = { journals, writeBack: true, writeBackQuietMs: 100 }
  const mount = await VfsMount.make(t, { ...writing, ...options, account })
  for (const name of new Set(['', ...names.map(parentOf)])) await mount.list(name)
  mount.requests()
  return { mount, directory, account }
}

function parentOf(name: string): string {
  return name.includes('/') ? name.slice(0, name.lastIndexOf('/')) : ''
}

function scratch(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'abfs-removals-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

function records(directory: string): number {
  return readdirSync(directory).includes('dead') ? readdirSync(join(directory, 'dead')).length : 0
}

function faults(t: Test): FaultEvent[] {
  const seen: FaultEvent[] = []
  const note = (event: unknown) => void seen.push(event as FaultEvent)
  faultChannel.subscribe(note)
  t.teardown(() => void faultChannel.unsubscribe(note))
  return seen
}

/** The next mount, after the process of `directory`'s journal has died. */
async function nextMount(t: Test, { account, directory }: Given): Promise<VfsMount> {
  const clock = new FakeClock()
  const journals = new Journals({ directory, clock, owner: 'next', isAlive: () => false })
  return VfsMount.make(t, { account, journals })
}

async function rmdir(mount: VfsMount, path: string): Promise<void> {
  const [parent, name] = await mount.split(path)
  await mount.vfs.rmdir(parent, name, caller)
}

/** Lets the pause pass, and waits until `isDone`. */
async function pause(mount: VfsMount, isDone: () => boolean | Promise<boolean>): Promise<void> {
  await mount.clock.advance(100)
  for (let i = 0; i < 1000 && !(await isDone()); i++) {
    await new Promise((resolve) => setImmediate(resolve))
  }
}

function manyNames(directory: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${directory}/f${index}`)
}

t.test('what is removed is absent at once, and there for others until a pause', async (t) => {
  const given = await mountWith(t, ['d/a', 'd/b', 'd/c'])
  const { mount, directory } = given
  await mount.unlink('d/a')
  await mount.unlink('d/b')

  t.strictSame(mount.requests(), [])
  t.equal(records(directory), 2)
  await t.rejects(mount.stat('d/a'), { code: 'ENOENT' })
  await t.rejects(mount.open('d/a'), { code: 'ENOENT' })
  await t.rejects(mount.unlink('d/a'), { code: 'ENOENT' })
  t.strictSame(await mount.list('d'), ['c'])
  mount.namespace.invalidate()
  t.strictSame(await mount.list('d'), ['c'], 'in a listing that is loaded anew, too')
  mount.namespace.invalidate()
  await t.rejects(mount.stat('d/a'), { code: 'ENOENT' })
  t.equal(await mount.stored('d/a'), 'd/a')
  mount.requests()

  await pause(mount, () => records(directory) === 0)

  t.strictSame(mount.requests(), ['deleteMany'])
  t.strictSame(await mount.list('d'), ['c'])
  for (const name of ['d/a', 'd/b']) t.equal(await mount.stored(name), undefined)
  t.strictSame(mount.vfs.unsaved, [])
})

t.test('a directory of 300 files is removed in a handful of requests', async (t) => {
  const given = await mountWith(t, manyNames('d', 300))
  const { mount, directory } = given
  for (const name of manyNames('d', 300)) await mount.unlink(name)
  t.strictSame(mount.requests(), ['put'], 'the mark that keeps the directory')
  await rmdir(mount, 'd')

  t.strictSame(mount.requests().sort(), ['delete', ...Array(4).fill('deleteMany')])
  t.equal(records(directory), 0)
  await t.rejects(mount.stat('d'), { code: 'ENOENT' })
  t.strictSame((await given.account.listPage({ container: 'box', name: '' })).entries, [])
})

t.test('no more than a thousand wait: who removes one more waits for some of them', async (t) => {
  const { mount, directory } = await mountWith(t, manyNames('d', 1100))
  let most = 0
  for (const name of manyNames('d', 1100)) {
    await mount.unlink(name)
    most = Math.max(most, records(directory))
  }

  t.equal(most, 1000)
  t.strictSame(new Set(mount.requests()), new Set(['deleteMany', 'put']))
  await mount.vfs.close()
  t.equal(records(directory), 0)
  t.equal(await mount.stored('d/f1099'), undefined)
})

t.test('fsync of the directory and the end of the mount store what waits', async (t) => {
  const { mount, directory } = await mountWith(t, ['d/a', 'd/b', 'd/e/f', 'g'])
  for (const name of ['d/a', 'd/e/f', 'g']) await mount.unlink(name)
  const { handle } = await mount.vfs.opendir(await mount.ino('d'), caller)

  await mount.vfs.fsyncdir(handle, caller)
  await mount.vfs.releasedir(handle, caller)

  t.equal(await mount.stored('d/a'), undefined)
  t.equal(await mount.stored('g'), 'g')
  await mount.vfs.close()
  for (const name of ['d/e/f', 'g']) t.equal(await mount.stored(name), undefined)
  t.equal(records(directory), 0)
})

t.test('a version that somebody else wrote stays, comes back and is told', async (t) => {
  const { mount, directory } = await mountWith(t, ['f', 'g'])
  const seen = faults(t)
  const told: string[] = []
  const listener: Partial<ChangeListener> = { nameChanged: (_, name) => void told.push(name) }
  mount.vfs.watchChanges(
    new Proxy(listener, {
      get: (of, key) => Reflect.get(of, key) ?? (() => undefined),
    }) as ChangeListener,
  )
  await mount.unlink('f')
  await mount.storeElsewhere('f', 'theirs')
  t.strictSame(await mount.list(''), ['g'])

  await pause(mount, () => mount.vfs.unsaved.length > 0)

  t.match(mount.vfs.unsaved, [{ path: 'abfs://box/f', error: { code: 'ESTALE' }, isRemoval: true }])
  t.strictSame(
    seen.map(({ operation, path }) => [operation, path]),
    [['unlink', 'abfs://box/f']],
  )
  t.strictSame(told, ['f'])
  t.equal(await mount.load('f'), 'theirs')
  t.strictSame(await mount.list(''), ['f', 'g'])
  t.equal(records(directory), 0)
  await mount.vfs.close()
  t.equal(await mount.stored('f'), 'theirs')
})

t.test('a version of somebody else is seen before the removal meets it', async (t) => {
  const { mount } = await mountWith(t, ['f'])
  await mount.unlink('f')
  await mount.storeElsewhere('f', 'theirs')
  mount.namespace.invalidate()

  t.equal(await mount.load('f'), 'theirs')
  await mount.unlink('f')
  await mount.vfs.close()
  t.equal(await mount.stored('f'), undefined, 'and is removed as any other')
})

for (const code of ['EACCES', 'EBUSY', 'EPERM'] satisfies ErrnoCode[]) {
  t.test(
    `what Azure refuses to remove (${code}) stays absent, is told and tried again`,
    async (t) => {
      const given = await mountWith(t, ['d/a', 'd/b'])
      const { mount, directory } = given
      const seen = faults(t)
      const refuse = () => {
        throw new FileSystemError(code, 'blob.delete', { path: 'abfs://box/d/a' })
      }
      mount.before('deleteMany', refuse)
      await mount.unlink('d/a')

      await pause(mount, () => mount.vfs.unsaved.length > 0)
      const unsaved = { path: 'abfs://box/d/a', error: { code }, isRemoval: true }
      t.match(mount.vfs.unsaved, [{ ...unsaved, isPending: true }])
      t.strictSame(await mount.list('d'), ['b'])
      await t.rejects(rmdir(mount, 'd'), { code }, 'nothing above it is removed')
      await t.rejects(mount.rename('d', 'e'), { code }, 'or moved')
      t.equal(await mount.stored('d/b'), 'd/b')
      t.equal(records(directory), 1)
      t.equal(seen.length, 1)

      await mount.vfs.close()
      const [left] = mount.vfs.unsaved
      t.match(left, { ...unsaved, place: join(directory, 'dead') })
      t.equal(left?.isPending, undefined)
      t.equal(await mount.stored('d/a'), 'd/a')
      const next = await nextMount(t, given)
      t.match(await next.vfs.replay(), [{ outcome: 'removed', path: { name: 'd/a' } }])
      t.strictSame(await next.list('d'), ['b'])
    },
  )
}

t.test('a removal that failed for a passing reason is done later', async (t) => {
  const { mount, directory } = await mountWith(t, ['a', 'b'])
  let failures = 2
  mount.before('deleteMany', () => {
    if (failures-- > 0) throw new FileSystemError('EIO', 'blob.deleteMany', { retryable: true })
  })
  await mount.unlink('a')
  await pause(mount, () => mount.vfs.unsaved.length > 0)
  for (let round = 0; round < 50 && records(directory) > 0; round++) {
    await new Promise((resolve) => setImmediate(resolve))
    await mount.clock.advance(60_000)
  }

  t.strictSame(mount.vfs.unsaved, [])
  t.equal(await mount.stored('a'), undefined)
})

t.test('what is made at the name comes after the removal, whatever it is', async (t) => {
  const names = [
    'file',
    'empty',
    'folder',
    'link',
    'fifo',
    'target',
    'new-target',
    'source',
    'keep',
  ]
  const { mount, directory } = await mountWith(t, names)
  for (const name of names.slice(0, 7)) await mount.unlink(name)

  await mount.save('file', 'new')
  await mount.close(await mount.create('empty'))
  await mount.mkdir('folder')
  await mount.vfs.symlink((await mount.split('link'))[0], 'link', 'file', caller)
  const fifo = { mode: constants.S_IFIFO | 0o600, rdev: 0 }
  await mount.vfs.mknod((await mount.split('fifo'))[0], 'fifo', fifo, caller)
  await mount.rename('source', 'target')
  await mount.save('lock', 'locked')
  await mount.rename('lock', 'new-target')
  await mount.vfs.close()

  t.strictSame(mount.vfs.unsaved, [])
  t.equal(records(directory), 0)
  const stored = { file: 'new', empty: '', folder: '', target: 'source', 'new-target': 'locked' }
  for (const [name, content] of Object.entries(stored))
    t.equal(await mount.stored(name), content, name)
  t.match(await mount.stat('folder'), { mode: constants.S_IFDIR | 0o750 })
  t.match(await mount.stat('fifo'), { mode: constants.S_IFIFO | 0o600 })
  t.equal(await mount.stored('link'), 'file')
  t.equal(await mount.stored('source'), undefined)
})

t.test('a file that is removed, made, stored and removed again is gone', async (t) => {
  const { mount } = await mountWith(t, ['f', 'keep'])
  await mount.unlink('f')
  await mount.save('f', 'second')
  await pause(mount, async () => (await mount.stored('f')) === 'second')
  t.equal(await mount.stored('f'), 'second')
  await mount.unlink('f')
  t.strictSame(await mount.list(''), ['keep'])
  await mount.vfs.close()

  t.equal(await mount.stored('f'), undefined)
  t.strictSame(mount.vfs.unsaved, [])
})

t.test('a version that is not stored yet goes with its file, by a request', async (t) => {
  const { mount, directory } = await mountWith(t, ['f', 'keep'])
  const handle = await mount.open('f', constants.O_WRONLY)
  await mount.write(handle, 0, 'edited')
  await mount.close(handle)
  t.equal(records(directory), 1)
  mount.requests()

  await mount.unlink('f')

  t.strictSame(mount.requests(), ['delete'])
  t.equal(records(directory), 0)
})

t.test('who has the file open reads on', async (t) => {
  const { mount } = await mountWith(t, ['f', 'keep'])
  const handle = await mount.open('f')
  await mount.unlink('f')
  t.equal((await mount.read(handle)).toString(), 'f')
  await mount.vfs.close()
  t.equal(await mount.stored('f'), undefined)
  t.equal((await mount.read(handle)).toString(), 'f')
  await mount.close(handle)
})

t.test('a directory that is renamed leaves what was removed in it behind', async (t) => {
  const { mount } = await mountWith(t, ['d/a', 'd/b', 'd/e/c'])
  await mount.unlink('d/a')
  await mount.unlink('d/e/c')
  await mount.rename('d', 'moved')

  t.strictSame(await mount.list('moved'), ['b', 'e'])
  t.strictSame(await mount.list('moved/e'), [])
  for (const name of ['d/a', 'd/b', 'd/e/c', 'moved/a', 'moved/e/c'])
    t.equal(await mount.stored(name), undefined, name)
})

t.test('what has gone already has been removed', async (t) => {
  const given = await mountWith(t, ['f', 'keep'])
  await given.mount.unlink('f')
  await given.account.delete({ container: 'box', name: 'f' })
  await given.mount.vfs.close()

  t.strictSame(given.mount.vfs.unsaved, [])
  t.equal(records(given.directory), 0)
})

t.test('after a crash the next mount removes, and leaves what somebody else wrote', async (t) => {
  const given = await mountWith(t, ['f', 'theirs', 'again', 'keep'])
  const { mount } = given
  for (const name of ['f', 'theirs', 'again']) await mount.unlink(name)
  await mount.storeElsewhere('theirs', 'theirs now')
  await mount.save('again', 'new')

  const next = await nextMount(t, given)
  const outcomes = (await next.vfs.replay()).map(({ path, outcome }) => [path.name, outcome])

  t.strictSame(outcomes, [
    ['f', 'removed'],
    ['theirs', 'conflict'],
    ['again', 'removed'],
    ['again', 'stored'],
  ])
  t.equal(await mount.stored('f'), undefined)
  t.equal(await mount.stored('theirs'), 'theirs now')
  t.equal(await mount.stored('again'), 'new')
  t.equal(records(given.directory), 0)
})

t.test('a version waits in the journal while the removal before it is refused', async (t) => {
  const given = await mountWith(t, ['f', 'keep'])
  await given.mount.unlink('f')
  await given.mount.save('f', 'new')
  const next = await nextMount(t, given)
  const refuse = () => {
    throw new FileSystemError('EACCES', 'blob.delete')
  }
  next.before('deleteMany', refuse)

  t.match(await next.vfs.replay(), [
    { outcome: 'failed', error: { code: 'EACCES' } },
    { outcome: 'failed', error: { code: 'EACCES' } },
  ])
  t.equal(await next.stored('f'), 'f')
  t.equal(records(given.directory), 2)
  next.before('deleteMany', () => undefined)
  t.match(await next.vfs.replay(), [{ outcome: 'removed' }, { outcome: 'stored' }])
  t.equal(await next.stored('f'), 'new')
})

const asBefore: Record<string, () => Promise<Options>> = {
  'without write-back': async () => ({ writeBack: false }),
  'without a pause': async () => ({ writeBackQuietMs: 0 }),
  'without a journal': async () => ({ journals: undefined, journalDirectory: undefined }),
  'on a hierarchical account': async () => ({ account: await newHierarchicalAccount() }),
}

for (const [title, options] of Object.entries(asBefore)) {
  t.test(`${title} unlink is the request that it was`, async (t) => {
    const { mount } = await mountWith(t, ['f', 'keep'], await options())
    await mount.unlink('f')
    t.strictSame(mount.requests(), ['delete'])
    t.equal(await mount.stored('f'), undefined)
    await mount.vfs.close()
  })
}
