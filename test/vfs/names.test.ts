import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { KiB, MiB } from '../../src/byte-range.ts'
import { type CallContext, rootIno } from '../../src/vfs/operations.ts'
import {
  areAccountsHierarchical,
  caller,
  listingTtlMs,
  newAccount,
  VfsMount,
} from '../support/vfs-mount.ts'

const hierarchical =
  areAccountsHierarchical() && 'a hierarchical account has permissions of its own'

t.test('a listing of a thousand files with their attributes is one request', async (t) => {
  const mount = await VfsMount.make(t)
  for (let at = 0; at < 1000; at++) await mount.storeElsewhere(`d/${at}`, 'x')
  const ino = await mount.ino('d')
  mount.requests()

  const { handle } = await mount.vfs.opendir(ino, caller)
  const entries = [...(await mount.vfs.readdir(handle, 0, caller))]
  const sizes = entries.map((entry) => entry.lookup?.().attributes.sizeBytes)
  for (const { name } of entries.slice(2)) {
    const found = await mount.vfs.lookup(ino, name, caller)
    if (found.kind === 'absent') t.fail(name)
  }

  t.equal(entries.length, 1002)
  t.strictSame(sizes.slice(2), new Array(1000).fill(1))
  t.strictSame(mount.requests(), ['listPage'])
})

t.test('a second lookup in a directory lists it, and the others cost nothing', async (t) => {
  const mount = await VfsMount.make(t)
  for (const name of ['d/a', 'd/b', 'd/c']) await mount.storeElsewhere(name, 'x')
  const ino = await mount.ino('d')
  await mount.vfs.lookup(ino, 'a', caller)
  mount.requests()

  for (const name of ['b', 'c', 'a', 'missing']) await mount.vfs.lookup(ino, name, caller)

  t.strictSame(mount.requests(), ['listPage'])
})

t.test('opening a directory asks for its listing once', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.storeElsewhere('d/f', 'x')
  await mount.list('')
  mount.requests()

  await mount.list('d')
  await mount.list('d')

  t.strictSame(mount.requests(), ['listPage'])
})

t.test(
  'a signal that is made when it is asked for reaches requests, and none is made without',
  async (t) => {
    const mount = await VfsMount.make(t)
    for (const name of ['d/a', 'd/b', 'd/c']) await mount.storeElsewhere(name, 'x')
    const ino = await mount.ino('d')
    mount.requests()

    const calls = [new CallWithLateSignal(), new CallWithLateSignal()]
    for (const call of calls) await mount.vfs.lookup(ino, 'a', call)
    const signals = mount.counting.requests.map(({ signal }) => signal)
    t.ok(signals.length > 0)
    t.ok(signals.every((signal) => calls.some(({ made }) => made !== undefined && made === signal)))

    const quiet = new CallWithLateSignal()
    const { handle } = await mount.vfs.opendir(ino, quiet)
    await mount.vfs.readdir(handle, 0, quiet)
    const found = await mount.vfs.lookup(ino, 'c', quiet)
    if (found.kind === 'entry') await mount.vfs.getattr(found.attributes.ino, undefined, quiet)
    t.equal(quiet.made, undefined)
  },
)

/** As a call of the kernel: its signal is a getter of its class, which a spread leaves out. */
class CallWithLateSignal implements CallContext {
  readonly uid = 0
  readonly gid = 0
  readonly pid = 1
  made: AbortSignal | undefined

  get signal(): AbortSignal {
    this.made ??= new AbortController().signal
    return this.made
  }
}

t.test('missing names in a directory made by this mount cost no request', async (t) => {
  const mount = await VfsMount.make(t)
  const directory = await mount.mkdir('d')
  mount.requests()

  for (let at = 0; at < 100; at++) {
    const found = await mount.vfs.lookup(directory.attributes.ino, `missing-${at}`, caller)
    t.equal(found.kind, 'absent')
  }

  t.strictSame(mount.requests(), [])
})

t.test('what others change is seen when the listing has expired', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.storeElsewhere('f', 'old')
  t.strictSame(await mount.list(''), ['f'])
  await mount.storeElsewhere('f', 'newer')
  await mount.storeElsewhere('g', '')
  t.strictSame(await mount.list(''), ['f'])

  await mount.clock.advance(listingTtlMs + 1)

  t.strictSame(await mount.list(''), ['f', 'g'])
  t.equal((await mount.stat('f')).sizeBytes, 5)
})

t.test('offsets of an open directory stay right while names come and go', async (t) => {
  const mount = await VfsMount.make(t)
  for (const name of ['a', 'b', 'c', 'd']) await mount.save(name, name)
  const { handle } = await mount.vfs.opendir(rootIno, caller)
  const first = [...(await mount.vfs.readdir(handle, 0, caller))].slice(0, 3)
  t.strictSame(
    first.map((entry) => entry.name),
    ['.', '..', 'a'],
  )

  await mount.unlink('a')
  await mount.save('aa', '')
  const rest = [...(await mount.vfs.readdir(handle, first[2]?.nextOffset ?? 0, caller))]

  t.strictSame(
    rest.map((entry) => entry.name),
    ['b', 'c', 'd'],
  )
  t.equal(rest[0]?.lookup, undefined, 'a snapshot that lost a name vouches for none')
})

t.test('a directory that is rewound shows what is there then', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.save('a', '')
  const { handle } = await mount.vfs.opendir(rootIno, caller)
  t.equal([...(await mount.vfs.readdir(handle, 0, caller))].length, 3)
  await mount.save('b', '')

  t.equal([...(await mount.vfs.readdir(handle, 0, caller))].length, 4)
})

t.test('inodes are dropped when the kernel forgets them and nothing is open', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.mkdir('d')
  const handle = await mount.create('d/f')
  const found = await mount.lookup('d/f')
  const directory = await mount.lookup('d')

  mount.vfs.forget(directory.attributes.ino, 1000)
  mount.vfs.forget(found.attributes.ino, 1000)
  t.ok(await mount.vfs.getattr(found.attributes.ino, handle, caller))
  await mount.close(handle)

  await t.rejects(mount.vfs.getattr(found.attributes.ino, undefined, caller), { code: 'ESTALE' })
  await t.rejects(mount.vfs.getattr(directory.attributes.ino, undefined, caller), {
    code: 'ESTALE',
  })
})

t.test('a renamed directory keeps its inode numbers and those below', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.mkdir('a')
  await mount.mkdir('a/b')
  await mount.save('a/b/f', 'content')
  const before = [await mount.ino('a'), await mount.ino('a/b'), await mount.ino('a/b/f')]

  await mount.rename('a', 'z')

  t.strictSame([await mount.ino('z'), await mount.ino('z/b'), await mount.ino('z/b/f')], before)
  t.equal(await mount.load('z/b/f'), 'content')
  await t.rejects(mount.lookup('a'), { code: 'ENOENT' })
})

t.test('a file that was never stored is renamed without a request', async (t) => {
  const mount = await VfsMount.make(t, { blockBytes: 16 })
  await mount.list('')
  const handle = await mount.create('tmp')
  await mount.write(handle, 0, 'more than one block of content')
  mount.requests()

  await mount.rename('tmp', 'final')
  t.strictSame(mount.requests(), [])
  await mount.close(handle)

  t.equal(await mount.stored('final'), 'more than one block of content')
  t.equal(await mount.stored('tmp'), undefined)
})

t.test(
  'a file that was never stored takes the place of a stored one when it is committed',
  async (t) => {
    const mount = await VfsMount.make(t)
    await mount.save('final', 'old')
    const handle = await mount.create('tmp')
    await mount.write(handle, 0, 'new')

    await mount.rename('tmp', 'final')
    t.equal(await mount.stored('final'), 'old')
    t.strictSame(await mount.list(''), ['final'])
    t.equal(await mount.load('final'), 'new')
    await mount.close(handle)

    t.equal(await mount.stored('final'), 'new')
  },
)

t.test('a stored file with unsaved writes is committed before it is renamed', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.save('a', 'old')
  const handle = await mount.open('a', constants.O_RDWR)
  await mount.write(handle, 0, 'new')

  await mount.rename('a', 'b')
  t.equal(await mount.stored('b'), 'new')
  await mount.write(handle, 3, '!')
  await mount.close(handle)

  t.equal(await mount.stored('b'), 'new!')
  t.equal(await mount.stored('a'), undefined)
})

t.test('files that are open below a renamed directory go on at the new place', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.mkdir('d')
  await mount.save('d/read', 'to be read')
  await mount.save('d/stored', 'stored')
  const reader = await mount.open('d/read')
  const writer = await mount.open('d/stored', constants.O_RDWR)
  await mount.write(writer, 0, 'STORED')
  const unborn = await mount.create('d/unborn')
  await mount.write(unborn, 0, 'unborn')

  await mount.rename('d', 'e')

  t.equal((await mount.read(reader)).toString(), 'to be read')
  await mount.write(writer, 6, '!')
  await mount.close(writer)
  await mount.close(unborn)
  t.equal(await mount.stored('e/stored'), 'STORED!')
  t.equal(await mount.stored('e/unborn'), 'unborn')
  t.equal(await mount.stored('d/unborn'), undefined)
})

for (const [name, flags] of [
  ['reads', constants.O_RDONLY],
  ['reads and writes', constants.O_RDWR],
] as const) {
  for (const firstBytes of [0, 5]) {
    t.test(
      `who ${name} a file goes on after it is renamed, ${firstBytes} bytes read`,
      async (t) => {
        const mount = await VfsMount.make(t, { blockBytes: 512 * KiB })
        const bytes = randomBytes(3 * MiB)
        await mount.account.put({ container: 'box', name: 'd/a' }, bytes)
        const handle = await mount.open('d/a', flags)
        await mount.read(handle, 0, firstBytes)

        for (const [from, to] of [
          ['d/a', 'd/b'],
          ['d', 'e'],
        ] as const) {
          await mount.rename(from, to)
          t.ok(bytes.equals(await mount.read(handle)), `${from} to ${to}`)
        }
        await mount.close(handle)
      },
    )
  }
}

t.test(
  'a read while a rename takes a name waits for its end',
  { skip: hierarchical },
  async (t) => {
    const mount = await VfsMount.make(t)
    const bytes = randomBytes(3 * MiB)
    await mount.account.put({ container: 'box', name: 'a' }, bytes)
    const handle = await mount.open('a')
    await mount.read(handle, 0, 5)
    let reading: Promise<Buffer> | undefined
    mount.counting.after = async ({ verb }) => {
      if (verb !== 'delete') return
      reading = mount.read(handle)
      reading.catch(() => undefined)
      await setTimeout(20)
    }

    await mount.rename('a', 'b')

    t.ok(reading, 'the name was gone, and its reader not told')
    t.ok(bytes.equals((await reading) ?? Buffer.alloc(0)))
    await mount.close(handle)
  },
)

for (const [from, to, moved] of [
  ['d/f', 'd/g', 'd/g'],
  ['d', 'e', 'e/f'],
] as const) {
  t.test(`a rename of ${from} takes what others stored, and mixes it with nothing`, async (t) => {
    const mount = await VfsMount.make(t, { prefetchFiles: false })
    await mount.account.put({ container: 'box', name: 'd/f' }, randomBytes(9 * MiB))
    const [reader, writer] = [await mount.open('d/f'), await mount.open('d/f', constants.O_RDWR)]
    await mount.read(reader, 0, 5)
    await mount.write(writer, 8 * MiB, 'edited')
    await mount.vfs.fsync(writer, false, caller)
    await mount.storeElsewhere('d/f', 'another')

    await mount.rename(from, to)

    await mount.write(writer, 0, 'lost').catch(({ code }) => t.equal(code, 'ESTALE'))
    await t.rejects(mount.read(reader, MiB, MiB + 10), { code: 'ESTALE' })
    await t.rejects(mount.close(writer), { code: 'ESTALE' })
    await mount.close(reader)
    t.equal(await mount.stored(moved), 'another')
    t.equal(await mount.load(moved), 'another')
  })

  t.test(
    `who opened what others replaced has no part of it after a rename of ${from}`,
    async (t) => {
      const mount = await VfsMount.make(t)
      await mount.storeElsewhere('d/f', 'first')
      const [reader, writer] = [
        await mount.open('d/f'),
        await mount.open('d/f', constants.O_WRONLY),
      ]
      t.equal((await mount.read(reader)).toString(), 'first')
      await mount.storeElsewhere('d/f', 'another')

      await mount.rename(from, to)

      await t.rejects(mount.write(writer, 0, 'FI'), { code: 'ESTALE' })
      await t.rejects(mount.close(writer), { code: 'ESTALE' })
      await mount.close(reader)
      t.equal(await mount.stored(moved), 'another')
      t.equal(await mount.load(moved), 'another')
    },
  )

  t.test(`who opened it and writes nothing closes it after a rename of ${from}`, async (t) => {
    const mount = await VfsMount.make(t)
    await mount.storeElsewhere('d/f', 'first')
    const writer = await mount.open('d/f', constants.O_RDWR)
    await mount.storeElsewhere('d/f', 'another')

    await mount.rename(from, to)
    await mount.close(writer)

    t.equal(await mount.load(moved), 'another')
  })

  t.test(`who reads a file that others replaced keeps it when ${from} is renamed`, async (t) => {
    const mount = await VfsMount.make(t)
    await mount.storeElsewhere('d/f', 'first')
    const [reader, idle] = [await mount.open('d/f'), await mount.open('d/f')]
    const ino = await mount.ino('d/f')
    t.equal((await mount.read(reader)).toString(), 'first')
    await mount.storeElsewhere('d/f', 'another')

    await mount.rename(from, to)

    t.equal((await mount.read(reader)).toString(), 'first')
    await t.rejects(mount.vfs.open(ino, constants.O_RDONLY, caller), { code: 'ESTALE' })
    t.equal((await mount.vfs.getattr(ino, reader, caller)).sizeBytes, 5)
    t.not(await mount.ino(moved), ino)
    t.equal(await mount.load(moved), 'another')
    for (const handle of [reader, idle]) await mount.close(handle)
  })

  t.test(`the kernel keeps the bytes of a file when ${from} is renamed`, async (t) => {
    const mount = await VfsMount.make(t)
    await mount.storeElsewhere('d/f', 'first')
    await mount.load('d/f')

    await mount.rename(from, to)

    const { handle, keepCache } = await mount.vfs.open(await mount.ino(moved), 0, caller)
    t.ok(keepCache)
    await mount.close(handle)
    await mount.storeElsewhere(moved, 'another')
    await mount.clock.advance(listingTtlMs + 1)
    t.notOk((await mount.vfs.open(await mount.ino(moved), 0, caller)).keepCache)
  })
}

for (const change of ['mode', 'metadata'] as const) {
  t.test(`a change of ${change} makes nobody's version of what others stored`, async (t) => {
    const mount = await VfsMount.make(t)
    await mount.storeElsewhere('f', 'first')
    const ino = await mount.ino('f')
    const handle = await mount.open('f', constants.O_RDWR)
    await mount.write(handle, 0, 'FI')
    await mount.vfs.fsync(handle, false, caller)
    await mount.storeElsewhere('f', 'another')

    if (change === 'mode') await mount.vfs.setattr(ino, { handle, mode: 0o600 }, caller)
    else
      await mount.vfs.setxattr(
        ino,
        'user.blue',
        { value: Buffer.from('moon'), create: false, replace: false },
        caller,
      )
    await mount.vfs.fsync(handle, false, caller)
    t.equal((await mount.vfs.getattr(ino, handle, caller)).sizeBytes, 5)
    await mount.write(handle, 2, 'RST')
    await t.rejects(mount.close(handle), { code: 'ESTALE' })

    t.equal(await mount.stored('f'), 'another')
  })
}

t.test('who opens a file to write while it is renamed writes it at its new name', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.storeElsewhere('a', 'first')
  const ino = await mount.ino('a')
  let writing: Promise<void> | undefined
  mount.counting.after = async ({ verb }) => {
    if (verb === 'copy') writing ??= write()
    await setTimeout(20)
  }
  const write = async (): Promise<void> => {
    const { handle } = await mount.vfs.open(ino, constants.O_RDWR, caller)
    await mount.write(handle, 0, 'FIRST')
    await mount.close(handle)
  }

  await mount.rename('a', 'b')
  await (writing ?? write())

  t.strictSame(await mount.list(''), ['b'])
  t.equal(await mount.stored('b'), 'FIRST')
})

for (const [how, flags] of [
  ['read', constants.O_RDONLY],
  ['write', constants.O_RDWR],
] as const) {
  t.test(`who opens to ${how} what others replace just then looks it up again`, async (t) => {
    const mount = await VfsMount.make(t, { attrTtlMs: 0 })
    await mount.storeElsewhere('f', 'first')
    const ino = await mount.ino('f')
    let isAnswered = false
    mount.counting.after = async ({ verb }) => {
      if (isAnswered || verb !== 'head') return
      isAnswered = true
      await mount.storeElsewhere('f', 'another')
      await mount.clock.advance(listingTtlMs + 1)
      t.not(await mount.ino('f'), ino, 'the name stands for the next version')
    }
    await mount.clock.advance(listingTtlMs + 1)

    await t.rejects(mount.vfs.open(ino, flags, caller), { code: 'ESTALE' })

    const handle = await mount.open('f', flags)
    if (how === 'write') await mount.write(handle, 0, 'AN')
    await mount.close(handle)
    t.equal(await mount.stored('f'), how === 'write' ? 'ANother' : 'another')
  })
}

t.test(
  'who asks what a file is, while its name comes to stand for another, is told of theirs',
  async (t) => {
    const mount = await VfsMount.make(t)
    await mount.storeElsewhere('f', 'first')
    const ino = await mount.ino('f')
    const handle = await mount.open('f')
    await mount.read(handle)
    await mount.storeElsewhere('f', 'another')
    await mount.clock.advance(listingTtlMs + 1)
    let isAnswered = false
    mount.counting.after = async () => {
      if (isAnswered) return
      isAnswered = true
      t.not(await mount.ino('f'), ino)
    }

    const { sizeBytes, nlink } = await mount.vfs.getattr(ino, undefined, caller)

    t.ok(isAnswered)
    t.strictSame([sizeBytes, nlink], [5, 0])
    t.equal((await mount.vfs.getattr(ino, handle, caller)).sizeBytes, 5)
    await mount.close(handle)
  },
)

t.test('a mode that was set of an open file shows when it is stored, and after', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.storeElsewhere('f', 'text')
  const ino = await mount.ino('f')
  const handle = await mount.open('f', constants.O_RDWR)
  const modeNow = async () => (await mount.vfs.getattr(ino, handle, caller)).mode & 0o777

  await mount.vfs.setattr(ino, { handle, mode: 0o604 }, caller)
  const modes = [await modeNow()]
  await mount.vfs.fsync(handle, false, caller)
  modes.push(await modeNow())
  await mount.close(handle)
  modes.push((await mount.stat('f')).mode & 0o777)

  t.strictSame(modes, [0o604, 0o604, 0o604])
})

t.test('rename replaces a file, but not with noReplace and not a directory', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.save('a', 'a')
  await mount.save('b', 'b')
  await mount.mkdir('d')

  await t.rejects(mount.rename('a', 'b', true), { code: 'EEXIST' })
  await t.rejects(mount.rename('a', 'd'), { code: 'EISDIR' })
  await t.rejects(mount.rename('d', 'a'), { code: 'ENOTDIR' })
  await t.rejects(mount.rename('missing', 'x'), { code: 'ENOENT' })
  await mount.rename('a', 'b')

  t.equal(await mount.stored('b'), 'a')
  t.strictSame(await mount.list(''), ['b', 'd'])
})

t.test('an exchange of two names is refused', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.save('a', 'a')
  const target = { parent: rootIno, name: 'b', noReplace: false, exchange: true }

  await t.rejects(mount.vfs.rename(rootIno, 'a', target, caller), { code: 'EINVAL' })
})

t.test('an unlinked file that was never stored causes no request, then or later', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.list('')
  const handle = await mount.create('f')
  const ino = await mount.ino('f')
  await mount.write(handle, 0, 'scratch')
  mount.requests()

  await mount.unlink('f')
  await mount.write(handle, 7, ' data')
  t.equal((await mount.read(handle)).toString(), 'scratch data')
  t.equal((await mount.vfs.getattr(ino, handle, caller)).nlink, 0)
  await mount.close(handle)

  t.strictSame(mount.requests(), [])
  t.strictSame(await mount.list(''), [])
})

t.test(
  'an unlinked file keeps what was written to it for who has it open, and takes no commit',
  async (t) => {
    const mount = await VfsMount.make(t)
    await mount.save('f', 'stored')
    const reader = await mount.open('f')
    t.equal((await mount.read(reader)).toString(), 'stored')
    const writer = await mount.open('f', constants.O_RDWR)
    await mount.write(writer, 0, 'STORED')

    await mount.unlink('f')
    await mount.close(writer)

    t.equal((await mount.read(reader)).toString(), 'STORED')
    t.equal(await mount.stored('f'), undefined)
  },
)

for (const loss of ['removed', 'replaced'] as const) {
  t.test(`a file that is ${loss} takes any writes, and sends none of them`, async (t) => {
    const mount = await VfsMount.make(t, { blockBytes: 64 * KiB })
    const bytes = randomBytes(200 * KiB)
    await mount.account.put({ container: 'box', name: 'f' }, bytes)
    await mount.save('g', 'another')
    const handle = await mount.open('f', constants.O_RDWR)
    const ino = await mount.ino('f')
    const write = async (length: number): Promise<void> => {
      const piece = randomBytes(length)
      piece.copy(bytes)
      await mount.write(handle, 0, piece)
    }
    await write(10)
    await mount.vfs.fsync(handle, false, caller)

    await (loss === 'removed' ? mount.unlink('f') : mount.rename('g', 'f'))
    mount.requests()
    for (let round = 0; round < 3; round++) await write(150 * KiB)
    t.ok(bytes.equals(await mount.read(handle)))
    await mount.vfs.setattr(ino, { handle, sizeBytes: 0 }, caller)
    await write(150 * KiB)
    t.ok(bytes.subarray(0, 150 * KiB).equals(await mount.read(handle)))
    await mount.close(handle)

    t.strictSame(mount.requests(), [])
    t.equal(await mount.stored('f'), loss === 'removed' ? undefined : 'another')
  })
}

t.test('a reader that had read nothing keeps a file that this mount removes', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.storeElsewhere('f', 'stored')
  const reader = await mount.open('f')

  await mount.unlink('f')

  t.equal((await mount.read(reader)).toString(), 'stored')
  t.equal(await mount.stored('f'), undefined)
  await mount.vfs.release(reader, caller)
})

t.test('a file that is replaced stays as it was for its reader', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.save('f', 'old')
  await mount.save('g', 'new')
  const reader = await mount.open('f')

  await mount.rename('g', 'f')

  t.equal((await mount.read(reader)).toString(), 'old')
  t.equal(await mount.load('f'), 'new')
})

t.test('a reader of a file over 64 MiB gets ESTALE beyond what memory holds', async (t) => {
  const mount = await VfsMount.make(t)
  const sizeBytes = 64 * 2 ** 20 + 1
  await mount.account.put({ container: 'box', name: 'f' }, Buffer.alloc(sizeBytes))
  const reader = await mount.open('f')
  mount.requests()

  await mount.unlink('f')

  t.notOk(mount.requests().includes('get'), 'nothing is fetched')
  await t.rejects(mount.read(reader, 0, 4096), { code: 'ESTALE' })
})

t.test('a name that comes or goes moves the time of its directory', async (t) => {
  const mount = await VfsMount.make(t)
  const { ino } = (await mount.mkdir('d')).attributes
  await mount.vfs.setattr(ino, { mtimeNs: 'now' }, caller)
  const before = await mount.stat('d')
  await mount.clock.advance(5)
  await mount.save('d/f', 'x')

  const made = await mount.stat('d')
  await mount.clock.advance(5)
  await mount.unlink('d/f')
  const gone = await mount.stat('d')

  t.equal(made.mtimeNs - before.mtimeNs, 5_000_000n)
  t.equal(gone.mtimeNs - made.mtimeNs, 5_000_000n)
})

t.test('what is made in a set-group-id directory gets its group', async (t) => {
  const mount = await VfsMount.make(t)
  const { ino } = (await mount.mkdir('d')).attributes
  await mount.vfs.setattr(ino, { gid: 77, mode: 0o2755 }, caller)

  await mount.save('d/f', 'x')
  await mount.mkdir('d/e')

  t.equal((await mount.stat('d/f')).gid, 77)
  t.match(await mount.stat('d/e'), { gid: 77, mode: constants.S_IFDIR | 0o2750 })
})

t.test('a directory with a file that only this mount has is not empty', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.mkdir('d')
  const handle = await mount.create('d/f')

  await t.rejects(mount.vfs.rmdir(rootIno, 'd', caller), { code: 'ENOTEMPTY' })
  await mount.unlink('d/f')
  await mount.vfs.rmdir(rootIno, 'd', caller)
  await mount.close(handle)

  t.strictSame(await mount.list(''), [])
})

t.test('links, fifos and devices are kept in metadata', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.vfs.symlink(rootIno, 'link', '../else where', caller)
  const fifo = { mode: constants.S_IFIFO | 0o600, rdev: 0 }
  await mount.vfs.mknod(rootIno, 'fifo', fifo, caller)
  const device = { mode: constants.S_IFCHR | 0o620, rdev: 0x501 }
  await mount.vfs.mknod(rootIno, 'tty', device, caller)

  const other = await VfsMount.make(t, { account: mount.account })
  t.equal(await other.vfs.readlink(await other.ino('link'), caller), '../else where')
  t.match(await other.stat('link'), { mode: constants.S_IFLNK | 0o777, uid: 1000, sizeBytes: 13 })
  t.match(await other.stat('fifo'), { mode: constants.S_IFIFO | 0o600, gid: 1001 })
  t.match(await other.stat('tty'), { mode: constants.S_IFCHR | 0o620, rdev: 0x501 })
})

t.test('a file without metadata shows the defaults', { skip: hierarchical }, async (t) => {
  const mount = await VfsMount.make(t, { fileMode: 0o604, dirMode: 0o705 })
  await mount.storeElsewhere('d/f', 'x')

  const file = await mount.stat('d/f')
  const { lastModifiedMs } = await mount.account.head({ container: 'box', name: 'd/f' })

  t.match(file, { uid: 500, gid: 501, mode: constants.S_IFREG | 0o604, nlink: 1 })
  t.equal(file.mtimeNs, BigInt(lastModifiedMs) * 1_000_000n)
  t.equal((await mount.stat('d')).mode, constants.S_IFDIR | 0o705)
})

t.test(
  'chmod of a closed file is one conditional request, and none when nothing changes',
  { skip: hierarchical },
  async (t) => {
    const mount = await VfsMount.make(t)
    await mount.save('f', 'x')
    const ino = await mount.ino('f')
    mount.requests()

    await mount.vfs.setattr(ino, { mode: 0o600 }, caller)
    t.strictSame(mount.requests(), ['setMetadata'])
    await mount.vfs.setattr(ino, { mode: 0o600, uid: 1000, gid: 1001 }, caller)

    t.strictSame(mount.requests(), [])
    t.equal((await mount.stat('f')).mode, constants.S_IFREG | 0o600)
  },
)

t.test('a reader survives a chmod by this mount', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.storeElsewhere('f', 'x'.repeat(300_000))
  const reader = await mount.open('f')
  await mount.read(reader, 0, 10)

  await mount.vfs.setattr(await mount.ino('f'), { mode: 0o600 }, caller)

  t.equal((await mount.read(reader, 200_000)).length, 100_000)
})

t.test('the pages of the kernel are kept while the version is the same', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.storeElsewhere('f', 'one')
  const open = async () => {
    const ino = await mount.ino('f')
    const { handle, keepCache } = await mount.vfs.open(ino, constants.O_RDONLY, caller)
    await mount.vfs.read(handle, { start: 0, end: 1 }, caller)
    await mount.vfs.release(handle, caller)
    return keepCache
  }

  t.equal(await open(), false)
  t.equal(await open(), true)
  await mount.vfs.setattr(await mount.ino('f'), { mode: 0o600 }, caller)
  t.equal(await open(), true, 'a change of attributes changes no page')
  await mount.storeElsewhere('f', 'two')
  await mount.clock.advance(listingTtlMs + 1)

  t.equal(await open(), false)
})

t.test('the first read of an open file takes the version that is there', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.storeElsewhere('f', 'old')
  const handle = await mount.open('f')
  await mount.storeElsewhere('f', 'newer')

  t.equal((await mount.read(handle)).toString(), 'newer')
})

t.test(
  'nobody is given bytes of a longer version before the kernel asks for its size',
  async (t) => {
    const mount = await VfsMount.make(t)
    let tell = (): void => undefined
    const told = new Promise<void>((resolve) => {
      tell = resolve
    })
    mount.vfs.watchChanges({
      attributesChanged: () => undefined,
      nameChanged: () => undefined,
      inodeChanged: () => undefined,
      contentChanged: async () => undefined,
      sizeChanged: () => told,
    })
    await mount.storeElsewhere('f', 'old')
    const handle = await mount.open('f')
    await mount.storeElsewhere('f', 'newer')
    const answered: string[] = []
    const read = async (end: number): Promise<void> => {
      answered.push((await mount.read(handle, 0, end)).toString())
    }

    const reads = [read(5)]
    await setTimeout(20)
    reads.push(read(3))
    await setTimeout(20)
    t.strictSame(answered, [])
    tell()
    await Promise.all(reads)

    t.strictSame(answered.sort(), ['new', 'newer'])
  },
)

t.test('who begins with a longer version is shown its size at the end of the former', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.storeElsewhere('f', 'old')
  const ino = await mount.ino('f')
  const handle = await mount.open('f')
  await mount.storeElsewhere('f', 'newer')
  await mount.read(handle)
  const sizeOf = async (of?: typeof handle) => {
    const { sizeBytes, attrTtlMs } = await mount.vfs.getattr(ino, of, caller)
    return [sizeBytes, attrTtlMs > 0]
  }

  t.strictSame(await sizeOf(), [3, false], 'the kernel asks again')
  t.strictSame(await sizeOf(handle), [5, true], 'for who reads on')
  t.not(await mount.ino('f'), ino, 'nobody else is given the inode')
})

t.test(
  'a change of attributes of the next version leaves who reads the former one alone',
  { skip: hierarchical },
  async (t) => {
    const mount = await VfsMount.make(t)
    await mount.storeElsewhere('f', 'one')
    const ino = await mount.ino('f')
    const handle = await mount.open('f')
    await mount.read(handle)
    await mount.storeElsewhere('f', 'another')
    let asked = 0
    mount.before('setMetadata', async () => {
      // The first meets the former version, which is gone.
      if (++asked !== 2) return
      await mount.clock.advance(listingTtlMs + 1)
      t.not(await mount.ino('f'), ino, 'somebody looks just then')
    })
    await mount.vfs.setattr(ino, { mode: 0o600 }, caller)

    t.equal(asked, 2)
    t.equal((await mount.vfs.getattr(ino, handle, caller)).sizeBytes, 3)
    t.equal((await mount.stat('f')).sizeBytes, 7)
  },
)

t.test('a directory that others made is seen by who was refused to make it', async (t) => {
  const mount = await VfsMount.make(t)
  t.strictSame(await mount.list(''), [])
  const metadata = { hdi_isfolder: 'true' }
  await mount.account.put({ container: 'box', name: 'd' }, new Uint8Array(0), { metadata })

  await t.rejects(mount.mkdir('d'), { code: 'EEXIST' })
  t.ok(await mount.stat('d'), 'though its listing is believed to have none')
})

t.test('an open file never mixes two versions', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.storeElsewhere('f', 'a'.repeat(8 * 2 ** 20))
  const handle = await mount.open('f')
  await mount.read(handle, 0, 10)
  await mount.storeElsewhere('f', 'b'.repeat(8 * 2 ** 20))

  await t.rejects(mount.read(handle, 7 * 2 ** 20), { code: 'ESTALE' })
})

t.test(
  'what others made shorter before it was read is ESTALE, and opened again it is read',
  async (t) => {
    const mount = await VfsMount.make(t)
    await mount.storeElsewhere('f', 'longer')
    const handle = await mount.open('f')
    await mount.storeElsewhere('f', 'short')

    await t.rejects(mount.read(handle), { code: 'ESTALE', message: /open the file again/ })
    t.equal(await mount.load('f'), 'short')
  },
)

t.test('nor is it given to who opened the file beside one who has read', async (t) => {
  const mount = await VfsMount.make(t)
  const longer = 'a'.repeat(2 ** 21)
  await mount.storeElsewhere('f', longer)
  const [first, second] = [await mount.open('f'), await mount.open('f')]
  await mount.read(first, 0, 10)
  await mount.storeElsewhere('f', `${longer}b`)

  await t.rejects(mount.read(second, 2 ** 21 - 1), { code: 'ESTALE' })
})

t.test('a name whose version others replaced stands for another inode', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.storeElsewhere('f', 'one')
  const former = await mount.ino('f')
  const handle = await mount.open('f')
  await mount.storeElsewhere('f', 'other')
  await mount.clock.advance(listingTtlMs + 1)

  t.not(await mount.ino('f'), former)
  const { sizeBytes, nlink } = await mount.vfs.getattr(former, handle, caller)
  t.strictSame([sizeBytes, nlink], [3, 0], 'who has it open is shown the version that was opened')
  await mount.close(handle)
  await t.rejects(mount.vfs.getattr(former, undefined, caller), { code: 'ESTALE' })
})

t.test('a fifo stays what it is for all who have it open, whoever changes it', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.vfs.mknod(rootIno, 'p', { mode: constants.S_IFIFO | 0o600, rdev: 0 }, caller)
  const ino = await mount.ino('p')
  const path = { container: 'box', name: 'p' }
  const { metadata = {} } = await mount.account.head(path)
  await mount.account.put(path, new Uint8Array(0), { metadata: { ...metadata, user: 'x' } })
  await mount.clock.advance(listingTtlMs + 1)

  t.equal(await mount.ino('p'), ino)
})

t.test('what this mount made of a file is no other version', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.mkdir('d')
  await mount.save('d/f', 'one')
  const ino = await mount.ino('d/f')
  const stays = async (what: string) => t.equal(await mount.ino('d/f'), ino, what)

  await mount.save('d/f', 'other')
  await stays('written')
  await mount.vfs.setattr(ino, { mode: 0o600 }, caller)
  await mount.vfs.setattr(ino, { sizeBytes: 2 }, caller)
  await stays('changed')
  await mount.rename('d/f', 'd/g')
  await mount.rename('d/g', 'd/f')
  await stays('renamed')
  await mount.rename('d', 'e')
  await mount.rename('e', 'd')
  await stays('moved with its directory')
  await mount.clock.advance(listingTtlMs + 1)
  await stays('asked for anew')
})

t.test('a read-only mount refuses every change with EROFS', async (t) => {
  const account = await newAccount()
  await account.put({ container: 'box', name: 'f' }, Buffer.from('x'))
  const mount = await VfsMount.make(t, { account, readOnly: true })
  const ino = await mount.ino('f')

  await t.rejects(mount.create('g'), { code: 'EROFS' })
  await t.rejects(mount.mkdir('d'), { code: 'EROFS' })
  await t.rejects(mount.unlink('f'), { code: 'EROFS' })
  await t.rejects(mount.rename('f', 'g'), { code: 'EROFS' })
  await t.rejects(mount.open('f', constants.O_WRONLY), { code: 'EROFS' })
  await t.rejects(mount.vfs.setattr(ino, { mode: 0o600 }, caller), { code: 'EROFS' })
  await t.rejects(mount.vfs.symlink(rootIno, 's', 't', caller), { code: 'EROFS' })
  t.equal(await mount.load('f'), 'x')
})

t.test('a mounted prefix shows what is below it and nothing else', async (t) => {
  const mount = await VfsMount.make(t, { root: { container: 'box', name: 'top/sub/' } })
  await mount.storeElsewhere('top/outside', '')
  await mount.storeElsewhere('top/sub/inside', 'x')

  t.strictSame(await mount.list(''), ['inside'])
  await mount.save('made', 'y')

  t.equal(await mount.stored('top/sub/made'), 'y')
  await t.rejects(mount.create('..'), { code: 'EINVAL' })
})

t.test('names that Azure refuses are refused before anything is written', async (t) => {
  const mount = await VfsMount.make(t)

  await t.rejects(mount.create('x'.repeat(300)), { code: 'ENAMETOOLONG' })
  await t.rejects(mount.mkdir('tab\there'), { code: 'EINVAL' })
  await t.rejects(mount.create('line\nfeed'), { code: 'EINVAL' })
})

t.test('create with O_EXCL refuses a name that exists, and opens it without', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.save('f', 'x')

  await t.rejects(mount.create('f', constants.O_WRONLY | constants.O_EXCL), { code: 'EEXIST' })
  const handle = await mount.create('f', constants.O_RDWR)

  t.equal((await mount.read(handle)).toString(), 'x')
  await mount.close(handle)
})

t.test('statfs shows plenty of room', async (t) => {
  const mount = await VfsMount.make(t)

  const { blockBytes, freeBlocks, maxNameBytes } = await mount.vfs.statfs(rootIno, caller)

  t.equal(blockBytes * freeBlocks, 2 ** 50)
  t.equal(maxNameBytes, 255)
})

t.test('a handle that is not open is EBADF, and so is a write through a reader', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.save('f', 'x')
  const reader = await mount.open('f')

  await t.rejects(mount.write(reader, 0, 'y'), { code: 'EBADF' })
  await mount.close(reader)
  await t.rejects(mount.read(reader), { code: 'EBADF' })
})

t.test('the root of a container takes attributes, for as long as it is mounted', async (t) => {
  const mount = await VfsMount.make(t)

  await mount.vfs.setattr(rootIno, { mode: 0o711, mtimeNs: 12n }, caller)

  const seen = await mount.vfs.getattr(rootIno, undefined, caller)
  t.match(seen, { mode: constants.S_IFDIR | 0o711, mtimeNs: 12n, uid: 500 })
  t.strictSame(mount.requests(), [])
})

t.test('a prefix where nothing is yet is an empty directory that can be filled', async (t) => {
  const mount = await VfsMount.make(t, { root: { container: 'box', name: 'later' } })
  t.strictSame(await mount.list(''), [])

  await mount.mkdir('d')
  await mount.save('d/f', 'x')

  t.equal(await mount.stored('later/d/f'), 'x')
})

for (const marked of [false, true]) {
  t.test(
    `a mounted prefix, ${marked ? 'marked' : 'implied'}, is asked for once in the life of its attributes`,
    { skip: hierarchical },
    async (t) => {
      const mount = await VfsMount.make(t, { root: { container: 'box', name: 'top' } })
      await mount.storeElsewhere('top/a', 'x')
      const mark = (mode: number) =>
        mount.account.put({ container: 'box', name: 'top' }, Buffer.alloc(0), {
          metadata: { hdi_isfolder: 'true', permissions: String(constants.S_IFDIR | mode) },
        })
      if (marked) await mark(0o700)
      await mount.list('')
      const attributes = () => mount.vfs.getattr(rootIno, undefined, caller)
      await attributes()
      mount.requests()

      await mount.mkdir('d')
      await attributes()
      await mount.rename('a', 'b')
      await mount.clock.advance(400)
      const { attrTtlMs } = await attributes()

      t.strictSame(mount.requests(), ['put', 'copy', 'delete'])
      t.equal(attrTtlMs, 600, 'the kernel believes it no longer')
      await mark(0o711)
      await mount.clock.advance(600)
      t.equal((await attributes()).mode & 0o777, 0o711, 'what others change is seen then')
      await mount.vfs.setattr(rootIno, { mode: 0o705 }, caller)
      t.equal((await attributes()).mode & 0o777, 0o705, 'own changes at once')
    },
  )
}

t.test('a container that is missing is ENOENT, not an empty directory', async (t) => {
  const mount = await VfsMount.make(t, { root: { container: 'nowhere', name: '' } })

  await t.rejects(mount.list(''), { code: 'ENOENT' })
})
