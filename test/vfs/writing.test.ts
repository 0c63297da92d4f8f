import { constants } from 'node:fs'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import type { BlobProperties } from '../../src/blob/store.ts'
import { FileSystemError } from '../../src/errors.ts'
import { type FaultEvent, faultChannel } from '../../src/telemetry.ts'
import type { Verb } from '../support/counting-store.ts'
import { settle } from '../support/fake-clock.ts'
import { caller, VfsMount } from '../support/vfs-mount.ts'

const block = 1024

t.test(
  'a small file that is created, written, dated, chmodded and closed costs one request',
  async (t) => {
    const mount = await VfsMount.make(t)
    const directory = await mount.mkdir('fresh')
    mount.requests()

    const created = await mount.vfs.create(
      directory.attributes.ino,
      'f',
      { mode: 0o600, flags: constants.O_WRONLY },
      caller,
    )
    const { ino } = created.entry.attributes
    await mount.write(created.file.handle, 0, 'hello')
    await mount.vfs.setattr(ino, { mtimeNs: 1_234_567_890_123_456_789n }, caller)
    await mount.vfs.setattr(ino, { uid: 7, gid: 8 }, caller)
    await mount.vfs.setattr(ino, { mode: 0o4755 }, caller)
    await mount.close(created.file.handle)

    t.strictSame(mount.requests(), ['put'])
    const other = await VfsMount.make(t, { account: mount.account })
    const seen = await other.stat('fresh/f')
    t.match(seen, { sizeBytes: 5, uid: 7, gid: 8, mtimeNs: 1_234_567_890_123_456_789n })
    t.equal(seen.mode, constants.S_IFREG | 0o4755)
    t.equal(await other.load('fresh/f'), 'hello')
  },
)

t.test('a file created by one who only reads is stored when it is closed', async (t) => {
  const mount = await VfsMount.make(t)
  const handle = await mount.create('lock', constants.O_RDONLY)
  await mount.close(handle)

  t.equal(await mount.stored('lock'), '')
})

t.test('a write after utimens moves the time of modification on', async (t) => {
  const mount = await VfsMount.make(t)
  const handle = await mount.create('f')
  await mount.vfs.setattr(await mount.ino('f'), { mtimeNs: 5n }, caller)

  await mount.write(handle, 0, 'x')
  await mount.close(handle)

  t.equal((await mount.stat('f')).mtimeNs, BigInt(mount.clock.nowMs()) * 1_000_000n)
})

t.test(
  'a file is nowhere in Azure until its first commit, but at once in this mount',
  async (t) => {
    const mount = await VfsMount.make(t)
    const handle = await mount.create('f')
    await mount.write(handle, 0, 'abc')

    t.equal(await mount.stored('f'), undefined)
    t.strictSame(await mount.list(''), ['f'])
    t.equal((await mount.stat('f')).sizeBytes, 3)
    t.equal(await mount.load('f'), 'abc')

    await mount.close(handle)
    t.equal(await mount.stored('f'), 'abc')
  },
)

t.test('a file that was only created is stored when it is released, empty', async (t) => {
  const mount = await VfsMount.make(t)
  const handle = await mount.create('f')

  await mount.vfs.flush(handle, caller)
  t.equal(await mount.stored('f'), undefined)
  await mount.vfs.release(handle, caller)

  t.equal(await mount.stored('f'), '')
})

t.test(
  'flushes between writes each commit what is there, and the handle stays writable',
  async (t) => {
    const mount = await VfsMount.make(t)
    const handle = await mount.create('f')
    await mount.write(handle, 0, 'one')
    await mount.vfs.flush(handle, caller)
    t.equal(await mount.stored('f'), 'one')

    await mount.vfs.flush(handle, caller)
    await mount.write(handle, 3, ' two')
    await mount.close(handle)

    t.equal(await mount.stored('f'), 'one two')
    t.equal(mount.requests().filter((call) => call === 'put').length, 2)
  },
)

t.test('complete blocks of a sequential writer are staged while it writes', async (t) => {
  const mount = await VfsMount.make(t, { blockBytes: block })
  const handle = await mount.create('f')
  for (let at = 0; at < 3 * block; at += block / 2) {
    await mount.write(handle, at, Buffer.alloc(block / 2, at / block))
  }
  await mount.write(handle, 3 * block, 'end')
  t.equal(mount.requests().filter((call) => call === 'stageBlock').length, 3)

  await mount.close(handle)

  t.strictSame(mount.requests(), ['stageBlock', 'commitBlocks'])
  t.equal((await mount.stored('f'))?.length, 3 * block + 3)
})

t.test('a file of exactly one block is put, not staged', async (t) => {
  const mount = await VfsMount.make(t, { blockBytes: block })

  await mount.save('f', Buffer.alloc(block, 'x'))

  t.equal(mount.requests().at(-1), 'put')
  t.notMatch(mount.requests(), ['stageBlock'])
})

t.test('a block that was staged and then rewritten is staged again', async (t) => {
  const mount = await VfsMount.make(t, { blockBytes: block })
  const handle = await mount.create('f')
  await mount.write(handle, 0, Buffer.alloc(2 * block + 1, 'a'))
  await mount.write(handle, 10, 'changed')

  await mount.close(handle)

  const stored = await mount.stored('f')
  t.equal(stored?.slice(8, 19), 'aachangedaa')
  t.equal(stored?.length, 2 * block + 1)
  t.equal(mount.requests().filter((call) => call === 'stageBlock').length, 4)
})

t.test(
  'an existing file is downloaded at the first write and replaced conditionally',
  async (t) => {
    const mount = await VfsMount.make(t)
    await mount.storeElsewhere('f', 'hello world')
    const handle = await mount.open('f', constants.O_RDWR)
    mount.requests()

    await mount.write(handle, 6, 'WORLD!')
    await mount.close(handle)

    t.strictSame(mount.requests(), ['get', 'put'])
    t.equal(await mount.stored('f'), 'hello WORLD!')
  },
)

t.test('a file opened with O_TRUNC is not downloaded', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.save('f', 'long old content')
  const handle = await mount.open('f', constants.O_WRONLY | constants.O_TRUNC)

  await mount.write(handle, 0, 'new')
  await mount.close(handle)

  t.equal(await mount.stored('f'), 'new')
  t.notOk(mount.requests().includes('get'))
})

t.test('O_APPEND writes at the end, whatever offset the kernel says', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.save('f', 'abc')
  const handle = await mount.open('f', constants.O_WRONLY | constants.O_APPEND)

  await mount.write(handle, 0, 'def')
  await mount.close(handle)

  t.equal(await mount.stored('f'), 'abcdef')
})

t.test('truncate by path cuts, extends with zeros, and is stored when it returns', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.save('f', 'abcdef')
  const ino = await mount.ino('f')

  await mount.vfs.setattr(ino, { sizeBytes: 3 }, caller)
  t.equal(await mount.stored('f'), 'abc')
  await mount.vfs.setattr(ino, { sizeBytes: 5 }, caller)

  t.equal(await mount.stored('f'), 'abc\0\0')
})

t.test('two handles of one file share what is written', async (t) => {
  const mount = await VfsMount.make(t)
  const first = await mount.create('f')
  const second = await mount.open('f', constants.O_RDWR)
  await mount.write(first, 0, 'aaaa')
  await mount.write(second, 2, 'bb')

  t.equal((await mount.read(first)).toString(), 'aabb')
  await mount.close(first)
  await mount.close(second)

  t.equal(await mount.stored('f'), 'aabb')
})

t.test('a reader in this mount goes on with what a writer in this mount stored', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.save('f', 'old')
  const reader = await mount.open('f')
  t.equal((await mount.read(reader)).toString(), 'old')

  await mount.save('f', 'newer')

  t.equal((await mount.read(reader)).toString(), 'newer')
})

t.test('close reports ESTALE when somebody else wrote meanwhile, and stores nothing', async (t) => {
  const mount = await VfsMount.make(t)
  const faults = collectFaults(t)
  await mount.save('f', 'base')
  const handle = await mount.open('f', constants.O_RDWR)
  await mount.write(handle, 0, 'mine')
  await mount.storeElsewhere('f', 'theirs')

  await t.rejects(mount.vfs.flush(handle, caller), { code: 'ESTALE' })
  await mount.vfs.release(handle, caller)

  t.equal(await mount.stored('f'), 'theirs')
  t.match(faults[0], { operation: 'flush', path: 'abfs://box/f', error: { code: 'ESTALE' } })
  t.equal(await mount.load('f'), 'theirs')
})

t.test('close reports ESTALE when somebody else made the file that was created here', async (t) => {
  const mount = await VfsMount.make(t)
  const handle = await mount.create('f')
  await mount.write(handle, 0, 'mine')
  await mount.storeElsewhere('f', 'theirs')

  await t.rejects(mount.close(handle), { code: 'ESTALE' })

  t.equal(await mount.stored('f'), 'theirs')
  t.equal(await mount.load('f'), 'theirs')
})

t.test('a commit whose answer was lost and that was sent again is no conflict', async (t) => {
  const account = new ForgetfulStore()
  await account.createContainer('box')
  const mount = await VfsMount.make(t, { account })

  await mount.save('f', 'mine')

  t.equal(await mount.stored('f'), 'mine')
})

t.test('a failed upload is reported by close, and the file then does not exist', async (t) => {
  const mount = await VfsMount.make(t)
  const handle = await mount.create('f')
  await mount.write(handle, 0, 'x')
  failOn(mount, 'put', 'EACCES')

  await t.rejects(mount.close(handle), { code: 'EACCES' })

  t.equal(mount.requests().filter((call) => call === 'put').length, 1)
  await t.rejects(mount.lookup('f'), { code: 'ENOENT' })
})

t.test('a flush that failed may be tried again and then stores everything', async (t) => {
  const mount = await VfsMount.make(t)
  const handle = await mount.create('f')
  await mount.write(handle, 0, 'kept')
  failOn(mount, 'put', 'EIO')
  await t.rejects(mount.vfs.fsync(handle, false, caller), { code: 'EIO' })
  mount.counting.before = () => undefined

  await mount.vfs.fsync(handle, false, caller)

  t.equal(await mount.stored('f'), 'kept')
})

t.test(
  'a failure of background staging is reported by a later write and by every close',
  async (t) => {
    const mount = await VfsMount.make(t, { blockBytes: block })
    const handle = await mount.create('f')
    failOn(mount, 'stageBlock', 'EIO')

    await t.rejects(
      async () => {
        for (let at = 0; at < 20 * block; at += block) {
          await mount.write(handle, at, Buffer.alloc(block))
          await new Promise((resolve) => setImmediate(resolve))
        }
      },
      { code: 'EIO' },
    )
    mount.counting.before = () => undefined

    await t.rejects(mount.write(handle, 0, 'x'), { code: 'EIO' })
    await t.rejects(mount.vfs.flush(handle, caller), { code: 'EIO' })
    await t.rejects(mount.close(handle), { code: 'EIO' })
    t.equal(await mount.stored('f'), undefined)
  },
)

t.test('a failed commit at release goes to the fault channel', async (t) => {
  const mount = await VfsMount.make(t)
  const faults = collectFaults(t)
  const handle = await mount.create('f')
  failOn(mount, 'put', 'EACCES')

  await mount.close(handle)

  t.match(faults, [{ operation: 'release', path: 'abfs://box/f', error: { code: 'EACCES' } }])
})

t.test(
  'with disk and memory full a write fails with ENOSPC, tells what to do, stores nothing',
  async (t) => {
    const faults = collectFaults(t)
    const mount = await VfsMount.make(t, {
      spoolDirectory: '/var/spool/full',
      spoolMemoryBytes: 4,
      spoolOverflowBytes: 0,
      openSpoolFile: async () => fullDisk,
    })
    await mount.save('f', 'old')
    const handle = await mount.open('f', constants.O_RDWR | constants.O_TRUNC)

    await t.rejects(mount.write(handle, 0, 'too long'), { code: 'ENOSPC' })
    await t.rejects(mount.close(handle), { code: 'ENOSPC' })

    t.equal(await mount.stored('f'), 'old')
    t.match(faults[0]?.error.message, /spool directory.*\/var\/spool\/full/)
    t.equal(await mount.load('f'), 'old')
  },
)

t.test('what nobody changed is not stored again', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.storeElsewhere('f', 'same')
  const handle = await mount.open('f', constants.O_RDWR)
  mount.requests()

  t.equal((await mount.read(handle)).toString(), 'same')
  await mount.close(handle)

  t.strictSame(mount.requests(), ['get'])
})

t.test('metadata and content type of others survive a rewrite', async (t) => {
  const mount = await VfsMount.make(t)
  const path = { container: 'box', name: 'f' }
  await mount.account.put(path, Buffer.from('old'), {
    contentType: 'text/plain',
    metadata: { project: 'x' },
  })

  await mount.save('f', 'new')

  const head = await mount.account.head(path)
  t.equal(head.contentType, 'text/plain')
  t.equal(head.metadata?.['project'], 'x')
})

t.test('a mount that is closed stores what open files hold', async (t) => {
  const mount = await VfsMount.make(t)
  const handle = await mount.create('f')
  await mount.write(handle, 0, 'left open')

  await mount.vfs.close()

  t.equal(await mount.stored('f'), 'left open')
})

for (const call of ['flush', 'fsync'] as const) {
  t.test(`a signal does not end the wait of ${call}: it tells how the commit went`, async (t) => {
    for (const fails of [false, true]) {
      const mount = await VfsMount.make(t)
      const handle = await mount.create('f')
      await mount.write(handle, 0, 'x')
      let answer = (): void => undefined
      const held = new Promise<void>((resolve) => {
        answer = resolve
      })
      mount.before('put', async () => {
        await held
        if (fails) throw new FileSystemError('EACCES', 'blob.put')
      })
      const controller = new AbortController()
      const context = { ...caller, signal: controller.signal }
      let isOver = false
      const saving =
        call === 'flush'
          ? mount.vfs.flush(handle, context)
          : mount.vfs.fsync(handle, false, context)
      const end = saving.finally(() => {
        isOver = true
      })

      controller.abort(new Error('interrupted'))
      await settle()

      t.equal(isOver, false)
      answer()
      if (fails) await t.rejects(end, { code: 'EACCES' })
      else await end
      t.equal(await mount.stored('f'), fails ? undefined : 'x')
    }
  })
}

/** A service whose listings are on their way until `held` resolves. */
class HeldListings extends MemoryBlobStore {
  held: Promise<void> = Promise.resolve()

  override async listPage(...args: Parameters<MemoryBlobStore['listPage']>) {
    const page = await super.listPage(...args)
    await this.held
    return page
  }
}

t.test('a file that is stored and closed while its directory is listed is shown', async (t) => {
  const account = new HeldListings()
  await account.createContainer('box')
  const mount = await VfsMount.make(t, { account })
  const [kept, removed] = [await mount.create('kept'), await mount.create('removed')]
  let answer = (): void => undefined
  account.held = new Promise((resolve) => {
    answer = resolve
  })
  await mount.clock.advance(60_000)

  const listing = mount.list('')
  await settle()
  await mount.unlink('removed')
  await mount.close(kept)
  await mount.close(removed)
  t.equal(await mount.stored('kept'), '')
  answer()

  t.strictSame(await listing, ['kept'])
})

const fullDisk = {
  read: async () => ({ bytesRead: 0 }),
  write: async () => {
    throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
  },
  truncate: async () => undefined,
  close: async () => undefined,
}

/** Every put is done twice, as when the first answer is lost on the way and the client repeats it. */
class ForgetfulStore extends MemoryBlobStore {
  override async put(...args: Parameters<MemoryBlobStore['put']>): Promise<BlobProperties> {
    await super.put(...args)
    return super.put(...args)
  }
}

function failOn(mount: VfsMount, verb: Verb, code: 'EACCES' | 'EIO'): void {
  mount.before(verb, () => {
    throw new FileSystemError(code, `blob.${verb}`)
  })
}

function collectFaults(t: { teardown(work: () => void): void }): FaultEvent[] {
  const faults: FaultEvent[] = []
  const listen = (message: unknown) => void faults.push(message as FaultEvent)
  faultChannel.subscribe(listen)
  t.teardown(() => void faultChannel.unsubscribe(listen))
  return faults
}

t.test('O_TRUNC of one who only reads empties the file', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.save('f', 'content')

  const handle = await mount.open('f', constants.O_RDONLY | constants.O_TRUNC)

  t.equal((await mount.read(handle)).length, 0)
  t.equal(await mount.stored('f'), '')
})

t.test('O_TRUNC takes the set-user-id bit away', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.save('f', 'content')
  await mount.vfs.setattr(await mount.ino('f'), { mode: 0o4755 }, caller)

  await mount.close(await mount.open('f', constants.O_WRONLY | constants.O_TRUNC))

  t.equal((await mount.stat('f')).mode & 0o7777, 0o755)
})

t.test('a write takes the set-user-id bit away, unless root writes', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.save('f', 'content')
  for (const [uid, mode] of [
    [0, 0o6755],
    [1000, 0o755],
  ] as const) {
    await mount.vfs.setattr(await mount.ino('f'), { mode: 0o6755 }, caller)
    const handle = await mount.open('f', constants.O_WRONLY)
    await mount.vfs.write(handle, 0, Buffer.from('C'), { ...caller, uid })
    await mount.close(handle)
    t.equal((await mount.stat('f')).mode & 0o7777, mode, `by ${uid}`)
  }
})

t.test('privileges go when the kernel says so, with an owner or a size', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.save('f', 'content')
  for (const change of [{ uid: 7 }, { sizeBytes: 3 }, {}]) {
    await mount.vfs.setattr(await mount.ino('f'), { mode: 0o6744 }, caller)
    const changes = { ...change, dropPrivileges: true }
    const { mode } = await mount.vfs.setattr(await mount.ino('f'), changes, caller)
    t.equal(mode & 0o7777, 0o2744, 'a group that may not execute keeps its bit')
  }
})

t.test('fallocate makes zeros of a range, and room when it may', async (t) => {
  const mount = await VfsMount.make(t, { spoolMemoryBytes: 4, blockBytes: 4 })
  await mount.save('f', 'abcdefghij')
  const handle = await mount.open('f', constants.O_RDWR)
  const range = { start: 8, end: 12 }

  await mount.vfs.fallocate(
    handle,
    { range: { start: 2, end: 4 }, zero: true, keepSize: true },
    caller,
  )
  await mount.vfs.fallocate(handle, { range, zero: true, keepSize: true }, caller)
  t.equal((await mount.read(handle)).toString(), 'ab\0\0efgh\0\0')
  await mount.vfs.fallocate(handle, { range, zero: false, keepSize: false }, caller)
  await mount.close(handle)

  t.equal(await mount.stored('f'), 'ab\0\0efgh\0\0\0\0')
})
