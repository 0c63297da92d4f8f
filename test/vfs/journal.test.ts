import { randomBytes } from 'node:crypto'
import { constants, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { MiB } from '../../src/byte-range.ts'
import { FileSystemError } from '../../src/errors.ts'
import { type FaultEvent, faultChannel } from '../../src/telemetry.ts'
import { Journals } from '../../src/vfs/journals.ts'
import type { HandleId } from '../../src/vfs/operations.ts'
import { FakeClock } from '../support/fake-clock.ts'
import {
  absent,
  big,
  dieAndReplay,
  folder,
  type Life,
  nothing,
  type Program,
  type Promises,
  scratch,
} from '../support/mortal-mount.ts'
import { smallDisk, whyNoSmallDisk } from '../support/small-disk.ts'
import {
  caller,
  newAccount,
  newHierarchicalAccount,
  type Teardown,
  VfsMount,
} from '../support/vfs-mount.ts'

const blockBytes = MiB

function faults(t: Teardown): FaultEvent[] {
  const seen: FaultEvent[] = []
  const note = (event: unknown) => void seen.push(event as FaultEvent)
  faultChannel.subscribe(note)
  t.teardown(() => void faultChannel.unsubscribe(note))
  return seen
}

/** What lies in a journal: reason, size and bytes of each version. */
function kept(directory: string): { readonly reason: string; readonly bytes: Buffer }[] {
  const names = safeList(join(directory, 'kept')).filter((name) => name.endsWith('.json'))
  return names.map((name) => {
    const place = join(directory, 'kept', name)
    const { reason } = JSON.parse(readFileSync(place, 'utf8')) as { reason: string }
    return { reason, bytes: readFileSync(place.replace(/json$/, 'data')) }
  })
}

function safeList(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

function owned(directory: string): string[] {
  return safeList(directory)
    .filter((name) => name !== 'kept')
    .flatMap((name) => safeList(join(directory, name)))
}

async function editWhileOthersDo(mount: VfsMount, size: number): Promise<Buffer> {
  const bytes = randomBytes(size)
  await mount.account.put({ container: 'box', name: 'f' }, bytes)
  const handle = await mount.open('f', constants.O_RDWR)
  // All of it is in memory, so that it can be had when the version is gone.
  await mount.read(handle)
  await mount.write(handle, 2, 'ours')
  bytes.write('ours', 2)
  await mount.storeElsewhere('f', 'theirs')
  try {
    await mount.vfs.flush(handle, caller)
  } finally {
    await mount.vfs.release(handle, caller)
  }
  return bytes
}

for (const size of [10, 3 * MiB]) {
  t.test(`of a conflict the local ${size} bytes are kept, and the error says where`, async (t) => {
    const directory = scratch(t)
    const seen = faults(t)
    const mount = await VfsMount.make(t, { blockBytes, journalDirectory: directory })
    const bytes = randomBytes(size)
    await mount.account.put({ container: 'box', name: 'f' }, bytes)
    const handle = await mount.open('f', constants.O_RDWR)
    await mount.read(handle)
    await mount.write(handle, 2, 'ours')
    bytes.write('ours', 2)
    await mount.storeElsewhere('f', 'theirs')

    const error = await mount.close(handle).catch((each: unknown) => each)

    t.match(error, { code: 'ESTALE' })
    const [version] = kept(directory)
    t.equal(version?.reason, 'conflict')
    t.ok(version?.bytes.equals(bytes))
    t.match((error as Error).message, /is kept in .*\/kept\/.*-f\.data/)
    t.match(seen.at(0)?.error.message, /is kept in /)
    t.equal(await mount.stored('f'), 'theirs')
  })

  t.test(`ours replaces theirs where that is asked for (${size} bytes)`, async (t) => {
    const directory = scratch(t)
    const options = { blockBytes, journalDirectory: directory, onConflict: 'ours' } as const
    const mount = await VfsMount.make(t, options)

    const bytes = await editWhileOthersDo(mount, size)

    t.ok(Buffer.from((await mount.account.get({ container: 'box', name: 'f' })).data).equals(bytes))
    t.strictSame(kept(directory), [])
  })

  t.test(`theirs stays where that is asked for, and ours is kept (${size} bytes)`, async (t) => {
    const directory = scratch(t)
    const options = { blockBytes, journalDirectory: directory, onConflict: 'theirs' } as const
    const mount = await VfsMount.make(t, options)

    const bytes = await editWhileOthersDo(mount, size)

    t.equal(await mount.load('f'), 'theirs')
    t.ok(kept(directory)[0]?.bytes.equals(bytes))
  })

  t.test(`ours is stored beside theirs where that is asked for (${size} bytes)`, async (t) => {
    const directory = scratch(t)
    const seen = faults(t)
    const options = { blockBytes, journalDirectory: directory, onConflict: 'rename' } as const
    const mount = await VfsMount.make(t, options)

    const bytes = await editWhileOthersDo(mount, size)

    const beside = (await mount.list('')).find((name) => name.startsWith('f.conflict-')) ?? ''
    t.equal(await mount.load('f'), 'theirs')
    const stored = await mount.account.get({ container: 'box', name: beside })
    t.ok(Buffer.from(stored.data).equals(bytes))
    t.match(seen.map(({ error }) => error.message).join('\n'), beside)
  })
}

for (const isRemoved of [false, true]) {
  const what = isRemoved ? 'removed' : 'gone'
  t.test(`of a large file whose version is ${what} the written parts are kept`, async (t) => {
    const directory = scratch(t)
    const mount = await VfsMount.make(t, { blockBytes, journalDirectory: directory })
    const path = { container: 'box', name: 'f' }
    await mount.account.put(path, randomBytes(3 * MiB))
    const handle = await mount.open('f', constants.O_RDWR)
    await mount.write(handle, 2 * MiB, 'ours')
    if (isRemoved) await mount.account.delete(path)
    else await mount.storeElsewhere('f', 'theirs')
    await t.rejects(mount.close(handle), { code: 'ESTALE' })

    const [version] = kept(directory)
    t.equal(version?.bytes.length, 3 * MiB)
    t.equal(version?.bytes.subarray(2 * MiB, 2 * MiB + 4).toString(), 'ours')
  })
}

t.test('what a failed close leaves is kept, and known at the end of the mount', async (t) => {
  const directory = scratch(t)
  const mount = await VfsMount.make(t, { journalDirectory: directory })
  mount.before('put', () => {
    throw new FileSystemError('EIO', 'blob.put')
  })
  const handle = await mount.create('f')
  await mount.write(handle, 0, 'precious')

  await t.rejects(mount.close(handle), { code: 'EIO' })
  await mount.vfs.close()

  t.equal(kept(directory)[0]?.bytes.toString(), 'precious')
  const [unsaved] = mount.vfs.unsaved
  t.match(unsaved, { path: 'abfs://box/f', place: directory })
  t.equal(unsaved?.error.syscall, 'blob.put', 'with the failure that close was told')
})

t.test('a failure that nobody was told is what the next open reports, once', async (t) => {
  const mount = await VfsMount.make(t)
  mount.before('put', () => {
    throw new FileSystemError('EACCES', 'blob.put')
  })
  const handle = await mount.create('empty')
  await mount.close(handle)

  t.match(mount.vfs.unsaved, [{ path: 'abfs://box/empty', error: { code: 'EACCES' } }])
  mount.before('put', () => undefined)
  await t.rejects(mount.create('empty'), { code: 'EACCES' })
  await mount.close(await mount.create('empty'))
  t.equal(await mount.stored('empty'), '')
})

t.test(
  'with write-back close sends nothing, and the file is stored after the last one',
  async (t) => {
    const directory = scratch(t)
    const mount = await VfsMount.make(t, { journalDirectory: directory, writeBack: true })
    const handle = await mount.create('f')
    await mount.write(handle, 0, 'later')
    mount.requests()

    await mount.vfs.flush(handle, caller)
    t.strictSame(mount.requests(), [])
    t.equal(owned(directory).length, 1)
    t.equal(await mount.load('f'), 'later')

    await mount.vfs.release(handle, caller)
    t.strictSame(mount.requests(), ['put'])
    t.equal(await mount.stored('f'), 'later')
    t.strictSame(owned(directory), [])
  },
)

t.test('with write-back what was written is kept where somebody else made the file', async (t) => {
  const directory = scratch(t)
  const mount = await VfsMount.make(t, { journalDirectory: directory, writeBack: true })
  const handle = await mount.create('f')
  await mount.write(handle, 0, 'mine')
  await mount.vfs.flush(handle, caller)
  await mount.storeElsewhere('f', 'theirs')

  await mount.vfs.release(handle, caller).catch(() => undefined)

  t.match(mount.vfs.unsaved, [{ path: 'abfs://box/f', error: { code: 'ESTALE' } }])
  t.equal(await mount.stored('f'), 'theirs')
  const kept = readdirSync(join(directory, 'kept')).filter((name) => name.endsWith('.data'))
  t.equal(kept.length, 1)
  t.equal(readFileSync(join(directory, 'kept', String(kept[0])), 'utf8'), 'mine')
})

t.test('what was just closed changes without a request while others are closed', async (t) => {
  const directory = scratch(t)
  const options = { journalDirectory: directory, writeBack: true, writeBackQuietMs: 100 }
  const mount = await VfsMount.make(t, options)
  await mount.save('config', 'one')
  await mount.list('')
  mount.requests()

  await mount.save('f.lock', 'two')
  await mount.vfs.setattr(await mount.ino('f.lock'), { mtimeNs: 5n }, caller)
  await mount.rename('f.lock', 'f')
  await mount.save('gone', 'three')
  await mount.unlink('gone')
  t.strictSame(mount.requests(), [])
  t.equal(owned(directory).length, 2)
  t.equal(await mount.stored('f'), undefined)

  await mount.clock.advance(50)
  const again = await mount.open('config', constants.O_WRONLY)
  await mount.write(again, 0, 'n')
  await mount.clock.advance(100)
  for (let i = 0; i < 1000 && (await mount.stored('f')) === undefined; i++) {
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.strictSame(mount.requests(), ['put'], 'who is in the middle of a file is let finish')
  t.equal(await mount.stored('f'), 'two')
  t.equal((await mount.stat('f')).mtimeNs, 5n)

  await mount.close(again)
  await mount.vfs.close()
  t.equal(await mount.stored('config'), 'nne')
  t.strictSame(owned(directory), [])
})

t.test('an attribute of another kind does not wait for its file', async (t) => {
  const mount = await VfsMount.make(t, { writeBack: true, writeBackQuietMs: 100 })
  await mount.save('f', 'one')
  const value = Buffer.from('blue')
  const change = { value, create: false, replace: false }

  await mount.vfs.setxattr(await mount.ino('f'), 'user.colour', change, caller)

  t.equal(await mount.stored('f'), 'one')
  t.same(await mount.vfs.getxattr(await mount.ino('f'), 'user.colour', caller), value)
})

t.test('with write-back a service that is away is asked again until it is there', async (t) => {
  const mount = await VfsMount.make(t, { writeBack: true })
  let failures = 3
  mount.before('put', () => {
    if (failures-- > 0) throw new FileSystemError('EIO', 'blob.put', { retryable: true })
  })
  const handle = await mount.create('f')
  await mount.write(handle, 0, 'later')
  await mount.vfs.flush(handle, caller)

  const released = mount.vfs.release(handle, caller)
  while (failures > 2) await new Promise((resolve) => setImmediate(resolve))
  await new Promise((resolve) => setImmediate(resolve))
  t.match(mount.vfs.unsaved, [{ path: 'abfs://box/f', error: { code: 'EIO' }, isPending: true }])
  for (let round = 0; round < 50 && failures >= 0; round++) {
    await new Promise((resolve) => setImmediate(resolve))
    await mount.clock.advance(60_000)
  }
  await released

  t.equal(await mount.stored('f'), 'later')
  t.strictSame(mount.vfs.unsaved, [])
})

t.test('without room for the journal close stores the file itself', async (t) => {
  const directory = join(scratch(t), 'file')
  writeFileSync(directory, 'no directory can be made here')
  const mount = await VfsMount.make(t, { journalDirectory: directory, writeBack: true })
  const handle = await mount.create('f')
  await mount.write(handle, 0, 'now')

  await mount.vfs.flush(handle, caller)

  t.equal(await mount.stored('f'), 'now')
  await mount.vfs.release(handle, caller)
})

t.test(
  'a journal whose disk takes only a part promises nothing',
  { skip: whyNoSmallDisk() },
  async (t) => {
    const directory = smallDisk(t, 1_200_000)
    writeFileSync(join(directory, 'filler'), Buffer.alloc(400_000))
    // Others make room before the record is written, which names what was taken.
    const onStep = (step: string) => {
      if (step === 'sync data') rmSync(join(directory, 'filler'))
    }
    const journals = new Journals({ directory, clock: new FakeClock(), onStep })
    const mount = await VfsMount.make(t, { journals, writeBack: true })
    const bytes = randomBytes(MiB - 1)
    const handle = await mount.create('f')
    await mount.write(handle, 0, bytes)

    await mount.vfs.flush(handle, caller)

    t.equal((await mount.account.head({ container: 'box', name: 'f' })).sizeBytes, bytes.length)
    t.strictSame(
      owned(directory).filter((name) => name.endsWith('.json')),
      [],
    )
    await mount.vfs.release(handle, caller)
  },
)

/** Writes files as a program would, and notes what it was promised after each call that returned. */
async function writesFiles(mount: VfsMount, promises: Promises): Promise<void> {
  const sync = (handle: HandleId, name: string, content: Buffer) =>
    promises.change({ [name]: content }, () => mount.vfs.fsync(handle, false, caller))
  promises.promise('new', absent)
  const handle = await mount.create('new')
  await mount.write(handle, 0, 'first')
  await sync(handle, 'new', Buffer.from('first'))
  await mount.write(handle, 5, ' second')
  await sync(handle, 'new', Buffer.from('first second'))
  await mount.close(handle)

  const made = await mount.create('made')
  await promises.change({ made: nothing }, () => mount.vfs.flush(made, caller))
  await mount.close(made)

  const edited = await mount.open('big', constants.O_RDWR)
  const next = Buffer.from(big)
  next.write('edited', MiB + 5)
  await mount.write(edited, MiB + 5, 'edited')
  await sync(edited, 'big', next)
  await mount.close(edited)

  const [one, two, three] = [Buffer.from('one'), Buffer.from('two'), Buffer.from('three')]
  await promises.change({ config: one }, () => mount.save('config', one))
  await promises.change({ 'config.lock': two }, () => mount.save('config.lock', two))
  await promises.change({ config: two, 'config.lock': absent }, () =>
    mount.rename('config.lock', 'config'),
  )
  await mount.vfs.setattr(await mount.ino('config'), { mtimeNs: 5n }, caller)
  await promises.change({ gone: three }, () => mount.save('gone', three))
  await promises.change({ gone: absent }, () => mount.unlink('gone'))
}

/** The same with directories. */
async function makesDirectories(mount: VfsMount, promises: Promises): Promise<void> {
  const mkdir = (name: string) => promises.change({ [name]: folder }, () => mount.mkdir(name))
  for (const name of ['repo', 'repo/objects', 'repo/objects/pack', 'repo/tmp']) await mkdir(name)
  const [lock, head] = ['repo/tmp/lock', 'repo/HEAD'] as const
  const content = Buffer.from('head')
  await promises.change({ [lock]: content }, () => mount.save(lock, content))
  await promises.change({ [lock]: absent, [head]: content }, () => mount.rename(lock, head))
  const repo = await mount.ino('repo')
  await promises.change({ 'repo/tmp': absent }, () => mount.vfs.rmdir(repo, 'tmp', caller))
  await mount.vfs.setattr(await mount.ino('repo/objects'), { mode: 0o700 }, caller)
  const { handle } = await mount.vfs.opendir(await mount.ino('repo/objects'), caller)
  await mount.vfs.fsyncdir(handle, caller)
  await mount.vfs.releasedir(handle, caller)
}

const inBefore = ['d/one', 'd/two', 'again', 'folder', 'over', 'source', 'target'] as const
const beforeRemovals = [...inBefore, 'p/gone', 'p/stays', 'p/below/gone'] as const

/** The same with files that are stored, which it removes. */
async function removesFiles(mount: VfsMount, promises: Promises): Promise<void> {
  const unlink = (name: string) => promises.change({ [name]: absent }, () => mount.unlink(name))
  const save = (name: string, content: Buffer) =>
    promises.change({ [name]: content }, () => mount.save(name, content))
  for (const name of ['', 'd', 'p']) await mount.list(name)
  await unlink('d/one')
  const { handle } = await mount.vfs.opendir(await mount.ino('d'), caller)
  await mount.vfs.fsyncdir(handle, caller)
  await mount.vfs.releasedir(handle, caller)
  await unlink('d/two')

  await unlink('again')
  await save('again', Buffer.from('new'))
  await unlink('folder')
  await promises.change({ folder }, () => mount.mkdir('folder'))
  await save('folder/f', Buffer.from('below'))

  await unlink('over')
  await promises.change({ over: Buffer.from('source'), source: absent }, () =>
    mount.rename('source', 'over'),
  )
  await unlink('target')
  const lock = Buffer.from('lock')
  await save('lock', lock)
  await promises.change({ target: lock, lock: absent }, () => mount.rename('lock', 'target'))

  await unlink('p/gone')
  await unlink('p/below/gone')
  const moved = { 'p/stays': absent, 'q/stays': Buffer.from('p/stays') }
  for (const name of ['q/gone', 'q/below/gone']) promises.promise(name, absent)
  await promises.change(moved, () => mount.rename('p', 'q'))

  promises.all.set('d', [absent, folder])
  const root = await mount.ino('')
  await promises.change({ d: absent }, () => mount.vfs.rmdir(root, 'd', caller))
  await unlink('again')
  await unlink('q/stays')
}

for (const last of ['lost', 'done'] as const) {
  t.test(
    `what was removed is removed by the next mount; the last request is ${last}`,
    async (t) => {
      const life = { last, writeBackQuietMs: 100, before: beforeRemovals }
      t.ok((await deaths(t, removesFiles, life)) > 60)
    },
  )

  for (const writeBackQuietMs of [0, 100]) {
    t.test(
      `what was promised is stored by the next mount; the last request is ${last}; ${writeBackQuietMs} ms`,
      async (t) => {
        t.ok((await deaths(t, writesFiles, { last, writeBackQuietMs })) > 25)
      },
    )
  }

  for (const newStore of [newAccount, newHierarchicalAccount]) {
    t.test(`directories are made by the next mount; the last request is ${last}`, async (t) => {
      const life = { last, newStore, writeBackQuietMs: 100 }
      t.ok((await deaths(t, makesDirectories, life)) > 25)
    })
  }
}

t.test(
  'a file that was emptied and closed is empty after a crash, whatever was promised before',
  async (t) => {
    const directory = scratch(t)
    const account = await newAccount()
    const clock = new FakeClock()
    const own = new Journals({ directory, clock, owner: 'first', isAlive: () => true })
    const options = { account, writeBack: true, writeBackQuietMs: 100 }
    const mount = await VfsMount.make(t, { ...options, journals: own })
    await mount.save('f', 'promised')
    await mount.close(await mount.open('f', constants.O_WRONLY | constants.O_TRUNC))
    t.equal(await mount.stored('f'), undefined)

    const journals = new Journals({ directory, clock, owner: 'next', isAlive: () => false })
    const next = await VfsMount.make(t, { account, journals })
    await next.vfs.replay()

    t.equal(await next.stored('f'), '')
  },
)

/** Lets the program die at each of its steps; how many there were. */
async function deaths(t: Test, program: Program, life: Omit<Life, 'lifetime'>): Promise<number> {
  let lifetime = 1
  while (await dieAndReplay(t, program, { ...life, lifetime })) lifetime += 1
  return lifetime - 1
}

t.test('what the disk has damaged is never stored', async (t) => {
  const directory = scratch(t)
  const account = await newAccount()
  const dead = new Journals({ directory, clock: new FakeClock(), owner: 'dead' })
  const mount = await VfsMount.make(t, { account, journals: dead, writeBack: true })
  const handle = await mount.create('f')
  await mount.write(handle, 0, 'promised')
  await mount.vfs.fsync(handle, false, caller)
  const [name = ''] = owned(directory)
  const place = join(directory, 'dead', name)
  const record = readFileSync(place, 'utf8')
  const bytes = (text: string) => Buffer.from(text).toString('base64')
  writeFileSync(place, record.replace(bytes('promised'), bytes('pr0mised')))

  const journals = new Journals({ directory, clock: new FakeClock(), isAlive: () => false })
  const next = await VfsMount.make(t, { account, journals })

  t.match(await next.vfs.replay(), [{ outcome: 'failed', error: { code: 'EIO' } }])
  t.equal(await next.stored('f'), undefined)
  t.equal(owned(directory).length, 1)
})

t.test('a promise whose place somebody else took is kept for its owner', async (t) => {
  const directory = scratch(t)
  const account = await newAccount()
  const dead = new Journals({ directory, clock: new FakeClock(), owner: 'dead' })
  const mount = await VfsMount.make(t, { account, journals: dead, writeBack: true })
  const handle = await mount.create('f')
  await mount.write(handle, 0, 'promised')
  await mount.vfs.fsync(handle, false, caller)
  await mount.storeElsewhere('f', 'theirs')

  const journals = new Journals({ directory, clock: new FakeClock(), isAlive: () => false })
  const next = await VfsMount.make(t, { account, journals })

  t.match(await next.vfs.replay(), [{ outcome: 'conflict', error: { code: 'ESTALE' } }])
  t.equal(await next.stored('f'), 'theirs')
  t.strictSame(
    kept(directory).map(({ reason, bytes }) => [reason, bytes.toString()]),
    [['conflict', 'promised']],
  )
  t.strictSame(await next.vfs.replay(), [])
})

t.test('the journal of a mount that lives is left alone', async (t) => {
  const directory = scratch(t)
  const account = await newAccount()
  const mount = await VfsMount.make(t, { account, journalDirectory: directory, writeBack: true })
  const handle = await mount.create('f')
  await mount.write(handle, 0, 'mine')
  await mount.vfs.fsync(handle, false, caller)

  const journals = new Journals({ directory, clock: new FakeClock(), owner: 'other' })
  const other = await VfsMount.make(t, { account, journals })

  t.strictSame(await other.vfs.replay(), [])
  t.equal(await other.stored('f'), undefined)
  await mount.close(handle)
})
