import { constants as fileConstants } from 'node:fs'
import { constants } from 'node:os'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { FileSystemError } from '../../src/errors.ts'
import { initFlags, opcodes, structs } from '../../src/fuse/abi.ts'
import { Session } from '../../src/fuse/session.ts'
import { type FaultEvent, faultChannel, heldChannel, httpChannel } from '../../src/telemetry.ts'
import { type Ino, rootIno, toIno } from '../../src/vfs/operations.ts'
import { bodyOf, FakeChannel, frameOf } from '../support/fake-channel.ts'
import { MemoryOperations } from '../support/memory-operations.ts'
import { caller, VfsMount } from '../support/vfs-mount.ts'

const { errno } = constants

interface Served {
  readonly kernel: FakeChannel
  readonly operations: MemoryOperations
  readonly session: Session
  readonly faults: FaultEvent[]
}

async function serve(t: Test, operations = new MemoryOperations()): Promise<Served> {
  const kernel = new FakeChannel()
  const session = new Session(kernel, operations)
  const faults: FaultEvent[] = []
  const onFault = (event: unknown): void => void faults.push(event as FaultEvent)
  faultChannel.subscribe(onFault)
  t.teardown(() => faultChannel.unsubscribe(onFault))
  session.start()
  await kernel.initialize()
  await session.ready
  return { kernel, operations, session, faults }
}

async function open(kernel: FakeChannel, ino: number): Promise<number> {
  const reply = await kernel.ask(opcodes.open, bodyOf(structs.openIn), { nodeid: ino })
  return Number(reply.body.readBigUInt64LE(0))
}

function readBody(handle: number, offset: number, size: number): Buffer {
  return bodyOf(structs.readIn, { fh: handle, offset, size })
}

t.test('INIT settles the smaller minor version and 1 MiB requests', async (t) => {
  const kernel = new FakeChannel()
  new Session(kernel, new MemoryOperations(), { maxReadAheadBytes: 4096 }).start()

  const { body } = await kernel.initialize(38)

  const at = structs.initOut
  t.equal(body.readUInt32LE(at.major), 7)
  t.equal(body.readUInt32LE(at.minor), 38)
  t.equal(body.readUInt32LE(at.maxReadahead), 4096)
  t.equal(body.readUInt32LE(at.maxWrite), 2 ** 20)
  t.equal(body.readUInt16LE(at.maxPages), 256)
})

t.test(
  'INIT takes no flag that the kernel did not offer, and never the write-back cache',
  async (t) => {
    const kernel = new FakeChannel()
    new Session(kernel, new MemoryOperations()).start()
    const offered = initFlags.FUSE_ASYNC_READ | (1 << 16)

    const body = bodyOf(structs.initIn, { major: 7, minor: 41, flags: offered })
    const reply = await kernel.ask(opcodes.init, body)

    t.equal(reply.body.readUInt32LE(structs.initOut.flags), initFlags.FUSE_ASYNC_READ)
  },
)

t.test('a kernel of a later major version is asked to come back with 7', async (t) => {
  const kernel = new FakeChannel()
  const session = new Session(kernel, new MemoryOperations())
  session.start()

  const first = await kernel.ask(opcodes.init, bodyOf(structs.initIn, { major: 8 }))
  await kernel.initialize()

  t.equal(first.body.readUInt32LE(0), 7)
  await t.resolves(session.ready)
})

t.test('a kernel that is too old gets EPROTO and the mount ENOTSUP', async (t) => {
  const kernel = new FakeChannel()
  const session = new Session(kernel, new MemoryOperations())
  session.start()

  const reply = await kernel.initialize(23)

  t.equal(reply.errno, errno.EPROTO)
  await t.rejects(session.ready, { code: 'ENOTSUP', message: /Linux 5\.4/ })
})

t.test('a connection that ends before INIT rejects ready with EIO', async (t) => {
  const kernel = new FakeChannel()
  const session = new Session(kernel, new MemoryOperations())
  session.start()

  kernel.end()

  await t.rejects(session.ready, { code: 'EIO' })
  await t.resolves(session.closed)
})

t.test('lookup gives the entry, and ENOENT for an absent name', async (t) => {
  const { kernel, operations } = await serve(t)
  const ino = operations.addFile('a', Buffer.from('abc'))

  const found = await kernel.ask(opcodes.lookup, Buffer.from('a\0'))
  const absent = await kernel.ask(opcodes.lookup, Buffer.from('b\0'))

  const at = structs.entryOut
  t.equal(found.body.readBigUInt64LE(at.nodeid), BigInt(ino))
  t.equal(found.body.readBigUInt64LE(at.attr + structs.attr.size), 3n)
  t.equal(absent.errno, errno.ENOENT)
})

t.test('an absent entry is answered with inode 0 and its TTL', async (t) => {
  const operations = new MemoryOperations()
  Object.assign(operations, { lookup: async () => ({ kind: 'absent', entryTtlMs: 1500 }) })
  const { kernel } = await serve(t, operations)

  const { errno: code, body } = await kernel.ask(opcodes.lookup, Buffer.from('a\0'))

  t.equal(code, 0)
  t.equal(body.readBigUInt64LE(structs.entryOut.nodeid), 0n)
  t.equal(body.readBigUInt64LE(structs.entryOut.entryValid), 1n)
  t.equal(body.readUInt32LE(structs.entryOut.entryValidNsec), 500_000_000)
})

t.test('times before the epoch keep their nanoseconds', async (t) => {
  const { kernel } = await serve(t)
  const fields = { valid: 32, mtime: -2n, mtimensec: 250_000_000 }

  const { body } = await kernel.ask(opcodes.setattr, bodyOf(structs.setattrIn, fields))

  const start = structs.attrOut.attr
  t.equal(body.readBigInt64LE(start + structs.attr.mtime), -2n)
  t.equal(body.readUInt32LE(start + structs.attr.mtimensec), 250_000_000)
})

t.test('a read is answered with the pieces in order', async (t) => {
  const { kernel, operations } = await serve(t)
  const handle = await open(kernel, operations.addFile('a', Buffer.from('0123456789')))

  const inside = await kernel.ask(opcodes.read, readBody(handle, 2, 5))
  const past = await kernel.ask(opcodes.read, readBody(handle, 10, 5))

  t.equal(inside.body.toString(), '23456')
  t.equal(past.errno, 0)
  t.equal(past.body.length, 0)
})

t.test('a read in more pieces than one message holds arrives whole', async (t) => {
  const operations = new MemoryOperations()
  const pieces = Array.from({ length: 1000 }, (_, index) => Buffer.from([index % 256]))
  Object.assign(operations, { read: async () => pieces })
  const { kernel, operations: served } = await serve(t, operations)
  const handle = await open(kernel, served.addFile('a', Buffer.alloc(1000)))

  const { body } = await kernel.ask(opcodes.read, readBody(handle, 0, 1000))

  t.ok(body.equals(Buffer.concat(pieces)))
})

t.test('a read that gives more than was asked for is EIO and a fault', async (t) => {
  const operations = new MemoryOperations()
  Object.assign(operations, { read: async () => [Buffer.alloc(11)] })
  const { kernel, faults } = await serve(t, operations)

  const reply = await kernel.ask(opcodes.read, readBody(1, 0, 10))

  t.equal(reply.errno, errno.EIO)
  t.match(faults, [{ operation: 'fuse.read' }])
})

t.test('a write holds its frame until it is answered', async (t) => {
  const { kernel, operations } = await serve(t)
  const ino = operations.addFile('a', Buffer.alloc(0))
  const handle = await open(kernel, ino)

  const unique = kernel.post(opcodes.write, bodyOf(structs.writeIn, { fh: handle, size: 3 }, 'abc'))
  const heldMeanwhile = kernel.heldFrames
  const { body } = await kernel.reply(unique)

  t.equal(heldMeanwhile, 1)
  t.equal(kernel.heldFrames, 0)
  t.equal(body.readUInt32LE(0), 3)
  const read = await kernel.ask(opcodes.read, readBody(handle, 0, 10))
  t.equal(read.body.toString(), 'abc')
})

t.test('a reply goes to the queue that its request came from', async (t) => {
  const { kernel } = await serve(t)

  kernel.deliver(frameOf(opcodes.statfs, Buffer.alloc(0), { unique: 100n }), 1)

  t.equal((await kernel.reply(100n)).source, 1)
})

t.test('readdir fills its reply with whole entries and goes on where it stopped', async (t) => {
  const { kernel, operations } = await serve(t)
  for (let index = 0; index < 20; index += 1) operations.addFile(`file-${index}`, Buffer.alloc(0))
  const opened = await kernel.ask(opcodes.opendir, bodyOf(structs.openIn))
  const handle = Number(opened.body.readBigUInt64LE(0))
  const names: string[] = []

  let offset = 0
  for (;;) {
    const { body } = await kernel.ask(opcodes.readdir, readBody(handle, offset, 128))
    if (body.length === 0) break
    for (let at = 0; at < body.length; ) {
      const nameBytes = body.readUInt32LE(at + structs.dirent.namelen)
      const start = at + structs.dirent.sizeBytes
      names.push(body.toString('utf8', start, start + nameBytes))
      offset = Number(body.readBigUInt64LE(at + structs.dirent.off))
      at += Math.ceil((structs.dirent.sizeBytes + nameBytes) / 8) * 8
    }
  }

  t.strictSame(names, ['.', '..', ...Array.from({ length: 20 }, (_, index) => `file-${index}`)])
})

t.test('readdirplus counts a lookup for the entries that it sends, and no other', async (t) => {
  const { kernel, operations } = await serve(t)
  const inos = [0, 1, 2].map((index) => operations.addFile(`f${index}`, Buffer.alloc(0)))
  const opened = await kernel.ask(opcodes.opendir, bodyOf(structs.openIn))
  const handle = Number(opened.body.readBigUInt64LE(0))

  // Two dots and one file of 160 bytes each.
  await kernel.ask(opcodes.readdirplus, readBody(handle, 0, 160 * 3 + 100))

  t.strictSame(
    inos.map((ino) => operations.lookups.get(ino)),
    [1, undefined, undefined],
  )
  t.equal(operations.lookups.get(rootIno), undefined)
})

t.test('forget takes lookups back and gets no reply', async (t) => {
  const { kernel, operations } = await serve(t)
  const ino = operations.addFile('a', Buffer.alloc(0))
  await kernel.ask(opcodes.lookup, Buffer.from('a\0'))
  const before = kernel.replies.size

  kernel.post(opcodes.forget, bodyOf(structs.forgetIn, { nlookup: 1 }), { nodeid: ino })

  t.equal(operations.lookups.get(ino), 0)
  t.equal(kernel.replies.size, before)
})

t.test('an interrupt aborts its call, which ends with EINTR', async (t) => {
  const { kernel, operations, faults } = await serve(t)
  const handle = await open(kernel, operations.addFile('stuck', Buffer.from('x')))
  const unique = kernel.post(opcodes.read, readBody(handle, 0, 1))

  kernel.post(opcodes.interrupt, bodyOf(structs.interruptIn, { unique }), { nodeid: 0 })

  t.equal((await kernel.reply(unique)).errno, errno.EINTR)
  t.equal(operations.abortedReads, 1)
  t.strictSame(faults, [])
})

t.test('an interrupt that overtakes its request still aborts it', async (t) => {
  const { kernel, operations } = await serve(t)
  const handle = await open(kernel, operations.addFile('stuck', Buffer.from('x')))
  kernel.post(opcodes.interrupt, bodyOf(structs.interruptIn, { unique: 500n }), { nodeid: 0 })

  const reply = await kernel.ask(opcodes.read, readBody(handle, 0, 1), { unique: 500n })

  t.equal(reply.errno, errno.EINTR)
})

t.test('an error that is no FileSystemError is EIO and a fault', async (t) => {
  const { kernel, operations, faults } = await serve(t)
  const handle = await open(kernel, operations.addFile('broken', Buffer.from('x')))

  const reply = await kernel.ask(opcodes.read, readBody(handle, 0, 1))

  t.equal(reply.errno, errno.EIO)
  t.match(faults, [{ operation: 'fuse.read', error: { message: 'a bug' } }])
})

t.test('what release fails with is published, as nobody waits for it', async (t) => {
  const operations = new MemoryOperations()
  const failure = new FileSystemError('ENOSPC', 'release')
  Object.assign(operations, { release: () => Promise.reject(failure) })
  const { kernel, faults } = await serve(t, operations)

  await kernel.ask(opcodes.release, bodyOf(structs.releaseIn, { fh: 1 }))

  t.match(faults, [{ operation: 'fuse.release', error: failure }])
})

t.test('what is not offered is ENOSYS, and a hard link EPERM', async (t) => {
  const { kernel } = await serve(t)

  const lseek = await kernel.ask(
    opcodes.lseek,
    bodyOf(structs.lseekIn, { fh: 1, offset: 0, whence: 3 }),
  )
  const getxattr = await kernel.ask(opcodes.getxattr, bodyOf(structs.getxattrIn, {}, 'user.a\0'))
  const link = await kernel.ask(opcodes.link, Buffer.alloc(16))
  const mknod = await kernel.ask(opcodes.mknod, bodyOf(structs.mknodIn, {}, 'a\0'))

  t.equal(lseek.errno, errno.ENOSYS)
  t.equal(getxattr.errno, errno.ENOSYS)
  t.equal(link.errno, errno.EPERM)
  t.equal(mknod.errno, errno.EPERM)
})

t.test('changes of attributes, seeks and copies are passed on as they were asked', async (t) => {
  const operations = new MemoryOperations()
  const calls: unknown[][] = []
  const note =
    (result: unknown) =>
    async (...args: unknown[]) => {
      calls.push(args.slice(0, -1))
      return result
    }
  Object.assign(operations, {
    setxattr: note(true),
    removexattr: note(false),
    seek: note(undefined),
    copyRange: note(7),
  })
  const { kernel } = await serve(t, operations)

  const set = await kernel.ask(
    opcodes.setxattr,
    bodyOf(structs.setxattrIn, { size: 3, flags: 2 }, 'user.a\0a\0b'),
  )
  const remove = await kernel.ask(opcodes.removexattr, Buffer.from('user.b\0'))
  const seek = await kernel.ask(
    opcodes.lseek,
    bodyOf(structs.lseekIn, { fh: 5, offset: 9, whence: 4 }),
  )
  const wrong = await kernel.ask(opcodes.lseek, bodyOf(structs.lseekIn, { fh: 5, whence: 1 }))
  const copy = await kernel.ask(
    opcodes.copyFileRange,
    bodyOf(structs.copyFileRangeIn, {
      fhIn: 1,
      offIn: 2,
      nodeidOut: 9,
      fhOut: 3,
      offOut: 4,
      len: 5,
    }),
  )

  t.equal(set.errno, 0)
  t.equal(remove.errno, errno.ENODATA)
  t.equal(seek.errno, errno.ENXIO)
  t.equal(wrong.errno, errno.EINVAL)
  t.equal(copy.body.readUInt32LE(0), 7)
  t.match(calls, [
    [1, 'user.a', { value: Buffer.from('a\0b'), create: false, replace: true }],
    [1, 'user.b'],
    [5, 9, 'hole'],
    [1, { start: 2, end: 7 }, { handle: 3, offsetBytes: 4 }],
  ])
})

t.test('an extended attribute answers its size, its value, ERANGE and ENODATA', async (t) => {
  const operations = new MemoryOperations()
  const value = Buffer.from('0x8D')
  Object.assign(operations, {
    getxattr: async (_ino: number, name: string) => (name === 'azure.etag' ? value : undefined),
    listxattr: async () => ['azure.etag'],
  })
  const { kernel } = await serve(t, operations)
  const ask = (size: number, name: string) =>
    kernel.ask(opcodes.getxattr, bodyOf(structs.getxattrIn, { size }, `${name}\0`))

  const size = await ask(0, 'azure.etag')
  const whole = await ask(4, 'azure.etag')
  const small = await ask(3, 'azure.etag')
  const absent = await ask(0, 'azure.none')
  const list = await kernel.ask(opcodes.listxattr, bodyOf(structs.getxattrIn, { size: 100 }))

  t.equal(size.body.readUInt32LE(0), 4)
  t.equal(whole.body.toString(), '0x8D')
  t.equal(small.errno, errno.ERANGE)
  t.equal(absent.errno, errno.ENODATA)
  t.equal(list.body.toString(), 'azure.etag\0')
})

t.test(
  'a channel hears of what it may answer by itself: never of what is being written',
  async (t) => {
    const mount = await VfsMount.make(t)
    await mount.save('plain', 'x')
    await mount.save('named', 'x')
    await mount.vfs.setxattr(
      await mount.ino('named'),
      'user.a',
      {
        value: Buffer.from('1'),
        create: false,
        replace: false,
      },
      caller,
    )
    const kernel = new FakeChannel()
    new Session(kernel, mount.vfs).start()
    await kernel.initialize()
    const ask = async (name: string): Promise<number> => {
      const { body } = await kernel.ask(opcodes.lookup, Buffer.from(`${name}\0`))
      return Number(body.readBigUInt64LE(structs.entryOut.nodeid))
    }
    const plain = await ask('plain')
    const named = await ask('named')
    const opened = bodyOf(structs.openIn, { flags: 2 })
    await kernel.ask(opcodes.open, opened, { nodeid: plain })
    await kernel.ask(opcodes.getattr, bodyOf(structs.getattrIn), { nodeid: plain })
    await kernel.ask(opcodes.getattr, bodyOf(structs.getattrIn), { nodeid: named })

    t.strictSame(kernel.settled, [
      [{ ino: plain, plain: true }],
      [{ ino: named, plain: false }],
      [{ ino: named, plain: false }],
    ])
    t.strictSame(kernel.xattrPrefixes, ['user.', 'azure.'])
  },
)

t.test(
  'a channel is told of the directories in which a name came or went, with the reply',
  async (t) => {
    const mount = await VfsMount.make(t)
    const kernel = new FakeChannel()
    new Session(kernel, mount.vfs).start()
    await kernel.initialize()
    const make = (name: string) =>
      kernel.ask(opcodes.mkdir, bodyOf(structs.mkdirIn, { mode: 0o755 }, `${name}\0`))
    const made = Number((await make('d')).body.readBigUInt64LE(structs.entryOut.nodeid))
    await kernel.ask(opcodes.rmdir, Buffer.from('none\0'))
    const move = bodyOf(structs.renameIn, { newdir: made }, 'e\0f\0')
    await make('e')
    await kernel.ask(opcodes.rename, move)

    t.strictSame(kernel.told, [[rootIno], [rootIno], [rootIno, made]])
  },
)

t.test('a channel is offered the names of a directory that has few', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.mkdir('few')
  await mount.mkdir('many')
  for (const name of ['few/a', 'few/b']) await mount.save(name, 'x')
  for (let index = 0; index < 17; index += 1) await mount.save(`many/${index}`, 'x')
  const kernel = new FakeChannel()
  new Session(kernel, mount.vfs).start()
  await kernel.initialize()
  const open = async (name: string): Promise<number> => {
    const { body } = await kernel.ask(opcodes.opendir, undefined, { nodeid: await mount.ino(name) })
    return Number(body.readBigUInt64LE(0))
  }
  const few = await open('few')
  const many = await open('many')

  const names = kernel.offered.get(few)
  const read = bodyOf(structs.readIn, { fh: few, offset: names?.end ?? 0, size: 4096 })
  const rest = await kernel.ask(opcodes.readdirplus, read)
  kernel.sendResult = -errno.ENOENT
  await open('few')

  t.notOk(kernel.offered.has(many))
  t.equal(names?.settled.length, 2)
  const told = Buffer.from(names?.message ?? []).toString('latin1')
  for (const name of ['..', 'a', 'b']) t.ok(told.includes(`${name}\0`), `${name} is told`)
  t.equal(rest.body.length, 0, 'nothing comes after them')
  t.strictSame([...kernel.offered.keys()], [few], 'what nobody hears of is withdrawn')
})

t.test(
  'a channel is told the names of a directory, until one came that nobody heard of',
  async (t) => {
    const mount = await VfsMount.make(t)
    const kernel = new FakeChannel()
    new Session(kernel, mount.vfs).start()
    await kernel.initialize()
    const make = (name: string) =>
      kernel.ask(opcodes.mkdir, bodyOf(structs.mkdirIn, { mode: 0o755 }, `${name}\0`))
    const first = Number((await make('first')).body.readBigUInt64LE(structs.entryOut.nodeid))
    await kernel.ask(opcodes.opendir, bodyOf(structs.openIn))
    const before = kernel.known.has(rootIno)
    await kernel.ask(opcodes.lookup, Buffer.from('none\0'))
    const after = kernel.known.get(rootIno)
    kernel.known.delete(rootIno)
    await kernel.ask(opcodes.lookup, Buffer.from('none\0'))
    const again = kernel.known.has(rootIno)
    kernel.sendResult = -errno.ENOENT
    await make('second')
    await tick()

    t.strictSame(kernel.known.get(first), [])
    t.strictSame([before, after?.includes('first'), again], [false, true, false])
    t.notOk(kernel.known.has(rootIno))
  },
)

t.test('a channel is told which open files have nothing to store', async (t) => {
  const mount = await VfsMount.make(t)
  const kernel = new FakeChannel()
  new Session(kernel, mount.vfs).start()
  await kernel.initialize()
  const flags = fileConstants.O_WRONLY
  const created = await kernel.ask(opcodes.create, bodyOf(structs.createIn, { flags }, 'f\0'))
  const nodeid = Number(created.body.readBigUInt64LE(structs.entryOut.nodeid))
  const fh = Number(created.body.readBigUInt64LE(structs.entryOut.sizeBytes))
  const flush = () => kernel.ask(opcodes.flush, bodyOf(structs.flushIn, { fh }), { nodeid })
  await flush()
  const unwritten = [...kernel.idle]
  await kernel.ask(opcodes.write, bodyOf(structs.writeIn, { fh, size: 1 }, 'x'), { nodeid })
  await flush()
  const written = kernel.idle.splice(0)
  const toRead = await kernel.ask(opcodes.open, bodyOf(structs.openIn), { nodeid })
  await kernel.ask(opcodes.open, bodyOf(structs.openIn, { flags }), { nodeid })

  t.strictSame(unwritten, [], 'what was only created is stored by its end')
  t.strictSame(written, [fh])
  t.strictSame(kernel.idle, [Number(toRead.body.readBigUInt64LE(0))])
})

t.test('a malformed request is EINVAL and a fault; one without reply only a fault', async (t) => {
  const { kernel, faults } = await serve(t)
  const before = kernel.replies.size

  const lookup = await kernel.ask(opcodes.lookup, Buffer.from('no end'))
  kernel.post(opcodes.forget)
  kernel.deliver(Buffer.alloc(10))

  t.equal(lookup.errno, errno.EINVAL)
  t.equal(kernel.replies.size, before + 1)
  t.equal(faults.length, 3)
})

t.test(
  'a reply that the kernel refuses is a fault, unless the request was interrupted',
  async (t) => {
    const { kernel, faults } = await serve(t)

    kernel.sendResult = -errno.ENOENT
    await kernel.ask(opcodes.statfs)
    const quiet = faults.length
    kernel.sendResult = -errno.EINVAL
    await kernel.ask(opcodes.statfs)

    t.equal(quiet, 0)
    t.match(faults, [{ operation: 'fuse.statfs' }])
  },
)

t.test('lookups and handles of replies that reach nobody are given back', async (t) => {
  const { kernel, operations, faults } = await serve(t)
  const ino = operations.addFile('a', Buffer.from('x'))

  kernel.sendResult = -errno.ENOENT
  await kernel.ask(opcodes.lookup, Buffer.from('a\0'))
  await kernel.ask(opcodes.open, bodyOf(structs.openIn), { nodeid: ino })
  await kernel.ask(opcodes.opendir, bodyOf(structs.openIn))
  await kernel.ask(opcodes.create, bodyOf(structs.createIn, {}, 'made\0'))
  await tick()

  t.equal(operations.lookups.get(ino), 0)
  t.equal(operations.openHandles.size, 0)
  t.strictSame(faults, [])
})

t.test(
  'a request that the channel has answered is cancelled, and a fault at its deadline',
  async (t) => {
    const { kernel, operations, faults } = await serve(t)
    const handle = await open(kernel, operations.addFile('stuck', Buffer.from('x')))
    const killed = kernel.post(opcodes.read, readBody(handle, 0, 1))
    const late = kernel.post(opcodes.read, readBody(handle, 0, 1))

    kernel.expire(killed, 'EINTR')
    kernel.expire(late, 'ETIMEDOUT')
    await tick()

    t.equal(operations.abortedReads, 2)
    t.match(faults, [{ operation: 'fuse.read', error: { code: 'ETIMEDOUT' } }])
  },
)

t.test('answers of the service prolong the deadlines of calls that wait for many', async (t) => {
  const operations = new MemoryOperations()
  const saving = deferred()
  Object.assign(operations, { flush: () => saving.promise })
  const { kernel } = await serve(t, operations)
  const handle = await open(kernel, operations.addFile('stuck', Buffer.from('x')))
  kernel.post(opcodes.read, readBody(handle, 0, 1))
  const flush = kernel.post(opcodes.flush, bodyOf(structs.flushIn, { fh: handle }))

  httpChannel.publish({ status: 201 })
  httpChannel.publish({ status: undefined })
  saving.resolve(undefined)

  t.strictSame(kernel.progressed, [flush])
})

t.test('while requests are held to a rate, no call is late', async (t) => {
  const operations = new MemoryOperations()
  const { kernel } = await serve(t, operations)
  const handle = await open(kernel, operations.addFile('stuck', Buffer.from('x')))
  const read = kernel.post(opcodes.read, readBody(handle, 0, 1))

  heldChannel.publish(undefined)

  t.strictSame(kernel.progressed, [read])
})

t.test('the end of the mount aborts reads, awaits what saves, then closes', async (t) => {
  const operations = new MemoryOperations()
  const saving = deferred()
  Object.assign(operations, { flush: () => saving.promise })
  const { kernel, session } = await serve(t, operations)
  const handle = await open(kernel, operations.addFile('stuck', Buffer.from('x')))
  kernel.post(opcodes.read, readBody(handle, 0, 1))
  const flush = kernel.post(opcodes.flush, bodyOf(structs.flushIn, { fh: handle }))

  kernel.end()
  const closedEarly = await Promise.race([session.closed.then(() => true), tick()])
  saving.resolve(undefined)
  await session.closed

  t.equal(operations.abortedReads, 1)
  t.equal(closedEarly, false)
  t.equal((await kernel.reply(flush)).errno, 0)
  t.ok(operations.wasUnmounted)
  t.ok(kernel.isClosed)
})

t.test('a connection that cannot be read rejects closed', async (t) => {
  const { kernel, session } = await serve(t)

  kernel.end(new FileSystemError('EIO', 'mount'))

  await t.rejects(session.closed, { code: 'EIO' })
})

t.test('no frame, whatever its bytes, makes the session throw', async (t) => {
  const { kernel } = await serve(t)
  const opcode = fc.constantFrom(...Object.values(opcodes).filter((code) => code !== opcodes.init))
  const property = fc.asyncProperty(
    opcode,
    fc.uint8Array({ maxLength: 120 }),
    async (code, bytes) => {
      const unique = kernel.post(code, Buffer.from(bytes), { nodeid: toIno(1) })
      const silent = [opcodes.forget, opcodes.batchForget, opcodes.interrupt] as readonly number[]
      if (!silent.includes(code)) await kernel.reply(unique)
    },
  )

  const outcome = await fc.check(property, { numRuns: 1000 })

  t.notOk(outcome.failed, `seed ${outcome.seed}: ${JSON.stringify(outcome.counterexample)}`)
})

function deferred(): { promise: Promise<unknown>; resolve: (value: unknown) => void } {
  let resolve: (value: unknown) => void = () => {}
  const promise = new Promise((onResolve) => {
    resolve = onResolve
  })
  return { promise, resolve }
}

async function tick(): Promise<false> {
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve))
  return false
}

t.test('a paused session begins no call, and goes on with what came meanwhile', async (t) => {
  const { kernel, session, operations } = await serve(t)
  const lookups: string[] = []
  const lookup = operations.lookup.bind(operations)
  operations.lookup = (parent: Ino, name: string) => {
    lookups.push(name)
    return lookup(parent, name)
  }
  await session.pause()
  const asked = kernel.ask(opcodes.lookup, Buffer.from('late\0'), { nodeid: rootIno })
  await new Promise((resolve) => setImmediate(resolve))
  const whilePaused = [...lookups]
  session.resume()
  await asked

  t.strictSame(whilePaused, [])
  t.strictSame(lookups, ['late'])
})
