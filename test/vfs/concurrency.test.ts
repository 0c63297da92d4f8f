import { constants } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { FileSystemError } from '../../src/errors.ts'
import { ChunkCache } from '../../src/transfer/chunk-cache.ts'
import { caller, listingTtlMs, VfsMount } from '../support/vfs-mount.ts'

t.test('calls that overlap on one handle leave what they wrote', async (t) => {
  const mount = await VfsMount.make(t, { blockBytes: 32, spoolMemoryBytes: 64 })
  const handle = await mount.create('f')

  const writes = Array.from({ length: 20 }, (_, at) =>
    mount.write(handle, at * 10, String.fromCharCode(97 + at).repeat(10)),
  )
  await Promise.all([
    ...writes,
    mount.vfs.flush(handle, caller),
    mount.vfs.fsync(handle, false, caller),
  ])
  await mount.close(handle)

  const expected = Array.from({ length: 20 }, (_, at) => String.fromCharCode(97 + at).repeat(10))
  t.equal(await mount.stored('f'), expected.join(''))
})

t.test('two opens for writing at once share one file', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.save('f', '....')
  const [first, second] = await Promise.all([
    mount.open('f', constants.O_RDWR),
    mount.open('f', constants.O_RDWR),
  ])

  await Promise.all([mount.write(first, 0, 'a'), mount.write(second, 3, 'b')])
  await Promise.all([mount.close(first), mount.close(second)])

  t.equal(await mount.stored('f'), 'a..b')
})

t.test('a file opened again while its release commits keeps its content', async (t) => {
  const mount = await VfsMount.make(t)
  const handle = await mount.create('f')
  await mount.write(handle, 0, 'abc')
  const ino = await mount.ino('f')

  const releasing = mount.vfs.release(handle, caller)
  const opened = await mount.vfs.open(ino, constants.O_RDWR, caller)
  await releasing
  await mount.write(opened.handle, 3, 'def')
  await mount.close(opened.handle)

  t.equal(await mount.stored('f'), 'abcdef')
})

t.test('attributes set while a release commits are stored', async (t) => {
  const mount = await VfsMount.make(t)
  const handle = await mount.create('f')
  await mount.write(handle, 0, 'abc')
  const ino = await mount.ino('f')

  await Promise.all([
    mount.vfs.release(handle, caller),
    mount.vfs.setattr(ino, { mode: 0o4711 }, caller),
  ])

  const other = await VfsMount.make(t, { account: mount.account })
  t.equal((await other.stat('f')).mode & 0o7777, 0o4711)
})

t.test('a read that overlaps the last close gets the bytes', async (t) => {
  const mount = await VfsMount.make(t, { spoolMemoryBytes: 4 })
  const writer = await mount.create('f')
  await mount.write(writer, 0, 'in the spool file')
  const reader = await mount.open('f')

  const [read] = await Promise.all([mount.read(reader), mount.close(writer)])

  t.equal(read.toString(), 'in the spool file')
  t.equal((await mount.read(reader)).toString(), 'in the spool file')
})

t.test('an unlink waits for the commit under way, and then nothing is left', async (t) => {
  const mount = await VfsMount.make(t)
  const handle = await mount.create('f')
  await mount.write(handle, 0, 'x')

  await Promise.all([mount.vfs.flush(handle, caller), mount.unlink('f')])
  await mount.vfs.release(handle, caller)

  t.equal(await mount.stored('f'), undefined)
  t.strictSame(await mount.list(''), [])
})

const blockBytes = 1024

/** Closes a file of 1,000 blocks, and begins `act` while the first of them is staged. */
async function whileStoring(mount: VfsMount, act: () => Promise<void>) {
  const handle = await mount.open('f', constants.O_RDWR)
  await mount.vfs.setattr(await mount.ino('f'), { sizeBytes: 1000 * blockBytes, handle }, caller)
  mount.requests()
  let closed = Promise.resolve()
  const acted = new Promise<void>((resolve, reject) => {
    // The first block waits until all that goes by turns alone has waited for it.
    mount.before('stageBlock', async () => {
      mount.counting.before = () => undefined
      act().then(resolve, reject)
      await setImmediate()
    })
    closed = mount.close(handle)
  })
  const [closing, acting] = await Promise.allSettled([closed, acted])
  const staged = mount.requests().filter((verb) => verb === 'stageBlock').length
  return { closing, acting, staged }
}

t.test('an unlink does not wait until a large file is stored', async (t) => {
  const mount = await VfsMount.make(t, { blockBytes })
  await mount.save('f', 'before')

  const { closing, acting, staged } = await whileStoring(mount, () => mount.unlink('f'))

  t.strictSame([closing.status, acting.status], ['fulfilled', 'fulfilled'])
  t.ok(staged < 20, `${staged} blocks were staged`)
  t.equal(await mount.stored('f'), undefined)
  t.strictSame(await mount.list(''), [])
})

t.test('nor does a rename over it', async (t) => {
  const mount = await VfsMount.make(t, { blockBytes })
  await mount.save('f', 'before')
  await mount.save('new', 'new')

  const { closing, acting, staged } = await whileStoring(mount, () => mount.rename('new', 'f'))

  t.strictSame([closing.status, acting.status], ['fulfilled', 'fulfilled'])
  t.ok(staged < 20, `${staged} blocks were staged`)
  t.equal(await mount.stored('f'), 'new')
})

for (const [what, blocks] of [
  ['small', 0.5],
  ['large', 10],
] as const) {
  const changes: readonly (readonly [string, (mount: VfsMount) => Promise<void>])[] = [
    ['removed', (mount) => mount.unlink('f')],
    ['replaced', (mount) => mount.rename('new', 'f')],
  ]
  for (const [how, act] of changes) {
    t.test(
      `a reader keeps a ${what} file that is ${how} while its last writer stores it`,
      async (t) => {
        const mount = await VfsMount.make(t, {
          blockBytes,
          chunkCache: new ChunkCache({ maxBytes: 1 }),
        })
        const content = Buffer.alloc(blocks * blockBytes, 'x')
        await mount.account.put({ container: 'box', name: 'f' }, content)
        await mount.save('new', 'new')
        const reader = await mount.open('f')
        const writer = await mount.open('f', constants.O_RDWR)
        await mount.write(writer, 0, 'edit')
        let acting: Promise<void> | undefined
        mount.counting.before = async ({ verb }) => {
          if (verb === 'put' || verb === 'commitBlocks') acting ??= act(mount)
          // Whatever needs no request is done before.
          await setImmediate()
        }
        await mount.vfs.release(writer, caller)
        await acting

        t.ok(acting)
        const expected = Buffer.concat([Buffer.from('edit'), content.subarray(4)])
        t.ok((await mount.read(reader)).equals(expected))
        t.equal(await mount.stored('f'), how === 'removed' ? undefined : 'new')
        await mount.vfs.release(reader, caller)
      },
    )
  }
}

t.test('a file that could not be removed is no longer kept', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.storeElsewhere('f', 'before')
  const reader = await mount.open('f')
  const remove = mount.account.delete
  mount.account.delete = () => Promise.reject(new FileSystemError('EACCES', 'unlink', {}))
  await t.rejects(mount.unlink('f'), { code: 'EACCES' })
  mount.account.delete = remove
  await mount.vfs.release(reader, caller)

  await mount.storeElsewhere('f', 'of another')
  await mount.clock.advance(listingTtlMs + 1)
  t.equal(await mount.load('f'), 'of another')
})

t.test('a file that could not be removed is stored before its close returns', async (t) => {
  const mount = await VfsMount.make(t, { blockBytes })
  await mount.save('f', 'before')
  mount.account.delete = () => Promise.reject(new FileSystemError('EACCES', 'unlink', {}))

  const { closing, acting } = await whileStoring(mount, () => mount.unlink('f'))

  t.strictSame([closing.status, acting.status], ['fulfilled', 'rejected'])
  t.equal((await mount.stored('f'))?.length, 1000 * blockBytes)
})

t.test('a truncation by path while another writes joins the commit of that one', async (t) => {
  const mount = await VfsMount.make(t)
  const handle = await mount.create('f')
  await mount.write(handle, 0, 'abcdef')

  await mount.vfs.setattr(await mount.ino('f'), { sizeBytes: 2 }, caller)
  t.equal(await mount.stored('f'), undefined)
  await mount.close(handle)

  t.equal(await mount.stored('f'), 'ab')
})

t.test('a file that is emptied starts anew after a failure', async (t) => {
  const mount = await VfsMount.make(t, {
    spoolMemoryBytes: 4,
    spoolOverflowBytes: 0,
    openSpoolFile: async () => broken,
  })
  const handle = await mount.create('f')
  await t.rejects(mount.write(handle, 0, 'too long'), { code: 'EIO' })

  await mount.vfs.setattr(await mount.ino('f'), { sizeBytes: 0, handle }, caller)
  await mount.write(handle, 0, 'ok')
  await mount.close(handle)

  t.equal(await mount.stored('f'), 'ok')
})

const broken = {
  read: async () => ({ bytesRead: 0 }),
  write: async () => {
    throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })
  },
  truncate: async () => undefined,
  close: async () => undefined,
}
