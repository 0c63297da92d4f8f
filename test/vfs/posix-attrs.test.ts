/** What a mount makes of the metadata of modes, owners and times. */
import { constants } from 'node:fs'
import t from 'tap'
import { MemoryHierarchicalStore } from '../../src/blob/memory-hierarchical-blobs.ts'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { rootIno } from '../../src/vfs/operations.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { caller, newHierarchicalAccount, VfsMount } from '../support/vfs-mount.ts'

const timeNs = 1_700_000_000_123_456_789n
/** A file of an owner's, with something of a program's beside it. */
const known = {
  permissions: '33256',
  posix_owner: '7',
  posix_group: '8',
  modtime: `${timeNs}`,
  colour: 'blue',
}

const storeKnown = async (mount: VfsMount, name: string): Promise<void> => {
  await mount.account.put({ container: 'box', name }, Buffer.from('old'), { metadata: known })
}

const metadataOf = async (mount: VfsMount, name: string) =>
  (await mount.account.head({ container: 'box', name })).metadata

const rewrite = async (mount: VfsMount, name: string): Promise<void> => {
  const handle = await mount.open(name, constants.O_WRONLY)
  await mount.write(handle, 0, 'new')
  await mount.close(handle)
}

const setAll = async (mount: VfsMount, name: string): Promise<void> => {
  const ino = await mount.ino(name)
  await mount.vfs.setattr(ino, { mode: 0o700 }, caller)
  await mount.vfs.setattr(ino, { uid: 1, gid: 2 }, caller)
  await mount.vfs.setattr(ino, { mtimeNs: 5n, atimeNs: 'now' }, caller)
}

const { S_IFREG, S_IFDIR } = constants

t.test('a mount that only reads them shows them', async (t) => {
  const mount = await VfsMount.make(t, { posixAttrs: 'read' })
  await storeKnown(mount, 'f')

  const seen = await mount.stat('f')

  t.match(seen, { mode: S_IFREG | 0o750, uid: 7, gid: 8, mtimeNs: timeNs })
})

t.test('a mount that has nothing to do with them shows its own', async (t) => {
  const mount = await VfsMount.make(t, { posixAttrs: 'off', fileMode: 0o604, dirMode: 0o705 })
  await storeKnown(mount, 'd/f')

  const seen = await mount.stat('d/f')

  t.match(seen, { mode: S_IFREG | 0o604, uid: 500, gid: 501, sizeBytes: 3 })
  t.not(seen.mtimeNs, timeNs)
  t.match(await mount.stat('d'), { mode: S_IFDIR | 0o705, uid: 500, gid: 501 })
  const { handle } = await mount.vfs.opendir(await mount.ino('d'), caller)
  const listed = [...(await mount.vfs.readdir(handle, 0, caller))]
  t.strictSame(
    listed.filter(({ name }) => name === 'f').map(({ mode }) => mode),
    [S_IFREG],
  )
  await mount.vfs.releasedir(handle, caller)
})

for (const posixAttrs of ['read', 'off'] as const) {
  const which = posixAttrs === 'read' ? 'only reads them' : 'has nothing to do with them'

  t.test(`a mount that ${which} takes changes and makes none`, async (t) => {
    const mount = await VfsMount.make(t, { posixAttrs })
    await storeKnown(mount, 'f')
    const before = await mount.stat('f')
    await mount.mkdir('d')
    mount.requests()

    await setAll(mount, 'f')
    await setAll(mount, 'd')

    const { mode, uid, gid, mtimeNs } = before
    t.match(await mount.stat('f'), { mode, uid, gid, mtimeNs })
    t.notOk(mount.requests().some((verb) => verb.startsWith('set')))
    t.strictSame(await metadataOf(mount, 'f'), known)
  })

  t.test(`a mount that ${which} writes none of what it makes`, async (t) => {
    const mount = await VfsMount.make(t, { posixAttrs })
    const handle = await mount.create('f')
    await mount.write(handle, 0, 'x')
    await setAll(mount, 'f')
    await mount.close(handle)
    await mount.mkdir('d')
    await setAll(mount, 'd')

    t.strictSame((await metadataOf(mount, 'f')) ?? {}, {})
    t.strictSame(await metadataOf(mount, 'd'), { hdi_isfolder: 'true' })
    t.match(await mount.stat('f'), { mode: S_IFREG | 0o644, uid: 500, gid: 501, sizeBytes: 1 })
    t.match(await mount.stat('d'), { mode: S_IFDIR | 0o755, uid: 500, gid: 501 })
  })

  t.test(`an edit by a mount that ${which} leaves them, with the time of the edit`, async (t) => {
    const mount = await VfsMount.make(t, { posixAttrs })
    await storeKnown(mount, 'f')

    await rewrite(mount, 'f')

    const nowNs = BigInt(mount.clock.nowMs()) * 1_000_000n
    t.strictSame(await metadataOf(mount, 'f'), { ...known, modtime: `${nowNs}` })
    t.equal(await mount.stored('f'), 'new')
    const other = await VfsMount.make(t, { account: mount.account })
    t.match(await other.stat('f'), { mode: S_IFREG | 0o750, uid: 7, gid: 8, mtimeNs: nowNs })
  })

  t.test(`an edit by a mount that ${which} adds no time where none is`, async (t) => {
    const mount = await VfsMount.make(t, { posixAttrs })
    await mount.account.put({ container: 'box', name: 'f' }, Buffer.from('old'), {
      metadata: { colour: 'blue' },
    })

    await rewrite(mount, 'f')

    t.strictSame(await metadataOf(mount, 'f'), { colour: 'blue' })
  })

  t.test(
    `a truncation by a mount that ${which}, to the size that is, stores nothing`,
    async (t) => {
      const mount = await VfsMount.make(t, { posixAttrs })
      await storeKnown(mount, 'f')
      const ino = await mount.ino('f')
      mount.requests()

      await mount.vfs.setattr(ino, { sizeBytes: 3 }, caller)

      t.notOk(mount.requests().some((verb) => verb.startsWith('put') || verb.startsWith('set')))
      t.strictSame(await metadataOf(mount, 'f'), known)
    },
  )

  t.test(`an edit by a mount that ${which} keeps permissions of a hierarchy`, async (t) => {
    const account: MemoryHierarchicalStore = await newHierarchicalAccount()
    const mount = await VfsMount.make(t, { posixAttrs, account })
    await mount.storeElsewhere('f', 'old')
    const path = { container: 'box', name: 'f' }
    await account.hierarchy.setAccessControl(path, { mode: 0o604 })

    await rewrite(mount, 'f')

    t.equal((await account.hierarchy.getAccessControl(path)).permissions, 'rw----r--')
    t.equal((await mount.stat('f')).mode & 0o777, posixAttrs === 'read' ? 0o604 : 0o644)
  })
}

t.test('links and special files of a mount that only reads say what they are', async (t) => {
  const mount = await VfsMount.make(t, { posixAttrs: 'read' })
  await mount.vfs.symlink(rootIno, 'link', 'target', caller)
  await mount.vfs.mknod(rootIno, 'pipe', { mode: constants.S_IFIFO | 0o600, rdev: 0 }, caller)

  t.strictSame(await metadataOf(mount, 'link'), { is_symlink: 'true' })
  t.strictSame(await metadataOf(mount, 'pipe'), { is_fifo: 'true' })
  t.equal(await mount.vfs.readlink(await mount.ino('link'), caller), 'target')
  t.equal((await mount.stat('pipe')).mode & constants.S_IFMT, constants.S_IFIFO)
})

t.test('links and special files are files to a mount that is off', async (t) => {
  const usual = await VfsMount.make(t)
  await usual.vfs.symlink(rootIno, 'link', 'target', caller)
  await usual.vfs.mknod(rootIno, 'pipe', { mode: constants.S_IFIFO | 0o600, rdev: 0 }, caller)
  const mount = await VfsMount.make(t, { posixAttrs: 'off', account: usual.account })

  t.strictSame(await mount.list(''), ['link', 'pipe'])
  t.match(await mount.stat('link'), { mode: S_IFREG | 0o644, sizeBytes: 6 })
  t.match(await mount.stat('pipe'), { mode: S_IFREG | 0o644, sizeBytes: 0 })
  t.equal(await mount.load('link'), 'target')
  await rewrite(mount, 'link')
  t.equal(await mount.load('link'), 'newget')
  const seen = await VfsMount.make(t, { account: usual.account })
  t.equal(await seen.vfs.readlink(await seen.ino('link'), caller), 'newget')
  const link = mount.vfs.symlink(rootIno, 'another', 'x', caller)
  await t.rejects(link, { code: 'EPERM', syscall: 'symlink' })
  const node = mount.vfs.mknod(rootIno, 'another', { mode: constants.S_IFSOCK, rdev: 0 }, caller)
  await t.rejects(node, { code: 'EPERM', syscall: 'mknod' })
  await mount.vfs.mknod(rootIno, 'another', { mode: S_IFREG | 0o600, rdev: 0 }, caller)
  t.equal(await mount.stored('another'), '')
})

t.test('a link that is renamed while a mount that is off reads it stays readable', async (t) => {
  const usual = await VfsMount.make(t)
  await usual.vfs.symlink(rootIno, 'link', 'target', caller)
  const mount = await VfsMount.make(t, { posixAttrs: 'off', account: usual.account })
  const handle = await mount.open('link')

  await mount.rename('link', 'moved')

  t.equal((await mount.read(handle)).toString(), 'target')
  await mount.close(handle)
  t.match(await mount.stat('moved'), { mode: S_IFREG | 0o644 })
})

t.test('what others write is shown by a mount that is off as any file', async (t) => {
  const mount = await VfsMount.make(t, { posixAttrs: 'off' })
  await mount.save('f', 'one')
  t.match(await mount.stat('f'), { mode: S_IFREG | 0o644 })
  await storeKnown(mount, 'f')
  await mount.clock.advance(11_000)

  t.match(await mount.stat('f'), { mode: S_IFREG | 0o644, uid: 500 })
  const handle = await mount.open('f')
  t.equal((await mount.read(handle)).toString(), 'old')
  await mount.close(handle)
})

for (const kind of ['flat', 'hierarchical']) {
  t.test(`changes leave the time of a file whose metadata tell none, ${kind}`, async (t) => {
    const clock = new FakeClock()
    const account =
      kind === 'flat' ? new MemoryBlobStore({ clock }) : new MemoryHierarchicalStore({ clock })
    await account.createContainer('box')
    for (const name of ['closed', 'open']) {
      const metadata = { colour: 'blue' }
      await account.put({ container: 'box', name }, Buffer.from('old'), { metadata })
    }
    const mount = await VfsMount.make(t, { account, clock })
    const before = (await mount.stat('closed')).mtimeNs
    const handle = await mount.open('open', constants.O_RDWR)

    for (const name of ['closed', 'open']) {
      const ino = await mount.ino(name)
      await clock.advance(60_000)
      for (const change of [{ uid: 7 }, { mode: 0o600 }, { gid: 8 }]) {
        await mount.vfs.setattr(ino, change, caller)
        await clock.advance(60_000)
      }
      const value = { value: Buffer.from('red'), create: false, replace: false }
      await mount.vfs.setxattr(ino, 'user.colour', value, caller)
      t.equal((await mount.stat(name)).mtimeNs, before, name)
    }
    await mount.close(handle)

    for (const name of ['closed', 'open']) {
      t.equal((await mount.stat(name)).mtimeNs, before, name)
      t.match(await metadataOf(mount, name), { modtime: `${before}`, colour: 'red' })
    }
  })
}

t.test('changes leave the time of a directory on a flat account', async (t) => {
  const clock = new FakeClock()
  const mount = await VfsMount.make(t, { clock })
  const { ino } = (await mount.mkdir('made')).attributes
  const before = (await mount.stat('made')).mtimeNs

  for (const change of [{ mode: 0o700 }, { uid: 7 }]) {
    await clock.advance(60_000)
    await mount.vfs.setattr(ino, change, caller)
  }
  const value = { value: Buffer.from('red'), create: false, replace: false }
  await mount.vfs.setxattr(ino, 'user.colour', value, caller)

  t.equal((await mount.stat('made')).mtimeNs, before)
})
