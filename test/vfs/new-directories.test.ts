import { constants, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { BlobStore } from '../../src/blob/store.ts'
import { FileSystemError } from '../../src/errors.ts'
import { type FaultEvent, faultChannel } from '../../src/telemetry.ts'
import { Journals } from '../../src/vfs/journals.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { caller, newAccount, newHierarchicalAccount, VfsMount } from '../support/vfs-mount.ts'

interface Given {
  readonly mount: VfsMount
  readonly directory: string
  readonly account: BlobStore
}

/** A mount that writes back and has listed its top, so that no name there is asked for. */
async function mountWith(t: Test, account?: BlobStore): Promise<Given> {
  const directory = scratch(t)
  const store = account ?? (await newAccount())
  const journals = new Journals({ directory, clock: new FakeClock(), owner: 'dead' })
  const options = { account: store, journals, writeBack: true, writeBackQuietMs: 100 }
  const mount = await VfsMount.make(t, options)
  await mount.list('')
  mount.requests()
  return { mount, directory, account: store }
}

function scratch(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'abfs-new-directories-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

function records(directory: string): number {
  return readdirSync(join(directory, 'dead')).length
}

function faults(t: Test): FaultEvent[] {
  const seen: FaultEvent[] = []
  const note = (event: unknown) => void seen.push(event as FaultEvent)
  faultChannel.subscribe(note)
  t.teardown(() => void faultChannel.unsubscribe(note))
  return seen
}

/** A look at what others see. */
async function elsewhere(t: Test, account: BlobStore): Promise<VfsMount> {
  return VfsMount.make(t, { account, journalDirectory: scratch(t) })
}

async function rmdir(mount: VfsMount, path: string): Promise<void> {
  const [parent, name] = await mount.split(path)
  await mount.vfs.rmdir(parent, name, caller)
}

/** The next mount, after the process of `directory`'s journal has died. */
async function next(t: Test, { directory, account }: Given): Promise<VfsMount> {
  const clock = new FakeClock()
  const journals = new Journals({ directory, clock, owner: 'next', isAlive: () => false })
  return VfsMount.make(t, { account, journals })
}

t.test('directories are made, filled, changed and removed without a request', async (t) => {
  const given = await mountWith(t)
  const { mount, directory } = given
  await mount.mkdir('a')
  await mount.mkdir('a/b')
  await mount.mkdir('a/gone')
  await mount.save('a/f', 'x')
  await mount.rename('a/f', 'a/b/g')
  await mount.vfs.setattr(await mount.ino('a/b'), { mode: 0o711, mtimeNs: 5n }, caller)
  await t.rejects(rmdir(mount, 'a'), { code: 'ENOTEMPTY' })
  await rmdir(mount, 'a/gone')
  await t.rejects(mount.mkdir('a/b'), { code: 'EEXIST' })

  t.strictSame(await mount.list('a'), ['b'])
  t.strictSame(await mount.list('a/b'), ['g'])
  t.match(await mount.stat('a/b'), { mode: constants.S_IFDIR | 0o711, mtimeNs: 5n, uid: 1000 })
  await t.rejects(mount.stat('a/gone'), { code: 'ENOENT' })
  t.strictSame(mount.requests(), [])
  t.equal(records(directory), 3)

  await mount.vfs.close()
  t.equal(records(directory), 0)
  const other = await elsewhere(t, given.account)
  t.match(await other.stat('a/b'), { mode: constants.S_IFDIR | 0o711, mtimeNs: 5n, uid: 1000 })
  t.equal(await other.load('a/b/g'), 'x')
})

t.test('a directory is stored after a pause, with the mode and time that it had', async (t) => {
  const { mount, account } = await mountWith(t)
  await mount.mkdir('a')
  const before = await mount.stat('a')

  await mount.clock.advance(100)
  for (let i = 0; i < 1000 && (await mount.stored('a')) === undefined; i++) {
    await new Promise((resolve) => setImmediate(resolve))
  }

  const [here, there] = [await mount.stat('a'), await (await elsewhere(t, account)).stat('a')]
  for (const after of [here, there]) {
    t.match(after, { mode: before.mode, mtimeNs: before.mtimeNs, uid: before.uid })
  }
  await mount.vfs.close()
})

for (const newStore of [newAccount, newHierarchicalAccount]) {
  t.test('what is stored in a directory waits for it', async (t) => {
    const { mount, account } = await mountWith(t, await newStore())
    await mount.mkdir('a')
    await mount.mkdir('a/b')
    await mount.vfs.symlink(await mount.ino('a/b'), 'link', 'target', caller)

    const other = await elsewhere(t, account)
    t.equal((await other.stat('a')).mode, constants.S_IFDIR | 0o750)
    t.equal((await other.stat('a/b')).mode, constants.S_IFDIR | 0o750)
    await mount.mkdir('a/b/c')
    await mount.save('a/b/c/f', 'x')
    await mount.vfs.close()
    t.equal((await other.stat('a/b/c')).mode, constants.S_IFDIR | 0o750)
    t.equal(await other.load('a/b/c/f'), 'x')
  })

  t.test('a directory that is renamed takes what only the journal has along', async (t) => {
    const { mount, account } = await mountWith(t, await newStore())
    await mount.mkdir('a')
    await mount.mkdir('a/b')
    await mount.save('a/b/f', 'x')
    await mount.mkdir('new')
    await mount.rename('a', 'new/a')
    await mount.mkdir('new/a/c')
    t.strictSame(await mount.list('new/a'), ['b', 'c'])
    t.equal(await mount.load('new/a/b/f'), 'x')
    await mount.vfs.close()

    const other = await elsewhere(t, account)
    t.strictSame(await other.list(''), ['new'])
    t.strictSame(await other.list('new/a'), ['b', 'c'])
    t.equal(await other.load('new/a/b/f'), 'x')
  })

  t.test(
    'a directory that somebody else has made too is theirs, and the log says so',
    async (t) => {
      const { mount, account } = await mountWith(t, await newStore())
      const seen = faults(t)
      await mount.mkdir('a')
      await mount.save('a/f', 'ours')
      const other = await elsewhere(t, account)
      await other.vfs.mkdir(1 as never, 'a', 0o700, caller)
      await other.save('a/g', 'theirs')

      await mount.vfs.close()

      t.match(seen, [{ operation: 'mkdir', path: 'abfs://box/a', error: { code: 'EEXIST' } }])
      t.strictSame(mount.vfs.unsaved, [])
      const third = await elsewhere(t, account)
      t.strictSame(await third.list('a'), ['f', 'g'])
      t.equal((await third.stat('a')).mode, constants.S_IFDIR | 0o700)
    },
  )
}

t.test('a file that has the name meanwhile keeps all back, until it goes', async (t) => {
  const given = await mountWith(t)
  const { mount, account, directory } = given
  await mount.mkdir('a')
  await mount.save('a/f', 'ours')
  await mount.storeElsewhere('a', 'theirs')

  await mount.vfs.close()

  const place = join(directory, 'dead')
  t.match(mount.vfs.unsaved, [
    { path: 'abfs://box/a/f', error: { code: 'EEXIST' }, place },
    { path: 'abfs://box/a', error: { code: 'EEXIST', message: /has made a file/ }, place },
  ])
  t.equal(await mount.stored('a'), 'theirs')
  t.equal(await mount.stored('a/f'), undefined)
  const failed = { outcome: 'failed', error: { code: 'EEXIST' } }
  t.match(await (await next(t, given)).vfs.replay(), [
    { path: { name: 'a' }, ...failed },
    { path: { name: 'a/f' }, ...failed },
  ])
  t.equal(records(directory), 2)

  await account.delete({ container: 'box', name: 'a' })
  const last = await next(t, given)
  t.match(await last.vfs.replay(), [{ outcome: 'stored' }, { outcome: 'stored' }])
  t.equal(await last.load('a/f'), 'ours')
})

t.test('a directory that is refused is tried again, and known as not saved', async (t) => {
  const { mount, account } = await mountWith(t)
  let refusals = 2
  mount.before('put', () => {
    if (refusals-- > 0) throw new FileSystemError('EACCES', 'blob.put')
  })
  await mount.mkdir('a')
  const until = async (isSo: () => boolean) => {
    for (let i = 0; i < 10_000 && !isSo(); i++) {
      if (i % 100 === 0) await mount.clock.advance(1000)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  await until(() => mount.vfs.unsaved.length > 0)
  t.match(mount.vfs.unsaved, [{ path: 'abfs://box/a', error: { code: 'EACCES' }, isPending: true }])
  t.ok(await mount.stat('a'))
  await until(() => mount.vfs.unsaved.length === 0)

  t.strictSame(mount.vfs.unsaved, [])
  t.ok(await (await elsewhere(t, account)).stat('a'))
  await mount.vfs.close()
})

t.test('where the journal takes nothing, a directory is made at once', async (t) => {
  let written = 0
  const onStep = (step: string) => {
    if (step !== 'record' || ++written === 1) return
    throw Object.assign(new Error('disk'), { code: 'ENOSPC' })
  }
  const journals = new Journals({ directory: scratch(t), clock: new FakeClock(), onStep })
  const mount = await VfsMount.make(t, { journals, writeBack: true, writeBackQuietMs: 100 })
  await mount.mkdir('a')
  t.equal(await mount.stored('a'), undefined)

  await mount.mkdir('a/b')

  t.equal(await mount.stored('a/b'), '')
  t.ok(await mount.stat('a/b'))
  await mount.vfs.setattr(await mount.ino('a/b'), { mode: 0o700 }, caller)
  await mount.vfs.close()
})

t.test('fsync of a directory has it and the directories in it on the disk', async (t) => {
  const directory = scratch(t)
  let syncs = 0
  const onStep = (step: string) => {
    if (step === 'sync record') syncs++
    if (step === 'sync record' && syncs > 3) throw Object.assign(new Error('disk'), { code: 'EIO' })
  }
  const journals = new Journals({ directory, clock: new FakeClock(), onStep, owner: 'dead' })
  const mount = await VfsMount.make(t, { journals, writeBack: true, writeBackQuietMs: 100 })
  const sync = async (path: string) => {
    const { handle } = await mount.vfs.opendir(await mount.ino(path), caller)
    await mount.vfs.fsyncdir(handle, caller)
    await mount.vfs.releasedir(handle, caller)
  }
  for (const name of ['a', 'a/b', 'a/b/c', 'a/b/c/d']) await mount.mkdir(name)
  await sync('a/b')
  t.equal(syncs, 3)
  t.equal(await mount.stored('a/b/c'), undefined)
  await sync('a/b/c')
  t.equal(await mount.stored('a/b/c/d'), '', 'what the disk refuses is stored')
  await mount.vfs.close()
})
