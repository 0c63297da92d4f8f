/** The drive's own tests again, on a hierarchical account. */
import { constants } from 'node:fs'
import t from 'tap'
import type { MemoryHierarchicalStore } from '../../src/blob/memory-hierarchical-blobs.ts'
import { FileSystemError } from '../../src/errors.ts'
import { faultChannel } from '../../src/telemetry.ts'
import { rootIno } from '../../src/vfs/operations.ts'
import { caller, useHierarchicalAccounts, VfsMount } from '../support/vfs-mount.ts'

useHierarchicalAccounts()

await import('./names.test.ts')
await import('./writing.test.ts')
await import('./concurrency.test.ts')
await import('./editing.test.ts')

t.test('a mode goes into access control, owner and time into metadata', async (t) => {
  const mount = await VfsMount.make(t)
  const account = mount.account as MemoryHierarchicalStore
  await mount.mkdir('d')
  await mount.save('d/f', 'x')
  const ino = await mount.ino('d/f')
  const path = { container: 'box', name: 'd/f' }

  await mount.vfs.setattr(ino, { mode: 0o4751 }, caller)
  await mount.vfs.setattr(ino, { uid: 7, gid: 8 }, caller)

  const access = await account.hierarchy.getAccessControl(path)
  const { metadata } = await account.head(path)
  t.equal(access.permissions, 'rwxr-x--x')
  t.match(metadata, { posix_owner: '7', posix_group: '8' })
  const other = await VfsMount.make(t, { account })
  t.match(await other.stat('d/f'), { mode: constants.S_IFREG | 0o4751, uid: 7, gid: 8 })
})

t.test('a file without a mode of its own shows that of its access control', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.storeElsewhere('f', 'x')

  t.equal((await mount.stat('f')).mode, constants.S_IFREG | 0o640)
})

t.test('a new version of a file keeps its access control list', async (t) => {
  const mount = await VfsMount.make(t)
  const account = mount.account as MemoryHierarchicalStore
  const path = { container: 'box', name: 'f' }
  await mount.storeElsewhere('f', 'old')
  const acl = 'user::rw-,user:somebody:r--,group::r--,mask::r--,other::---'
  await account.hierarchy.setAccessControl(path, { acl })

  await mount.save('f', 'new')
  await mount.save('f', 'newer')

  t.equal((await account.hierarchy.getAccessControl(path)).acl, acl)
  t.equal(await mount.load('f'), 'newer')
})

t.test('a credential that may not grant still writes, and says so once', async (t) => {
  const mount = await VfsMount.make(t)
  const account = mount.account as MemoryHierarchicalStore
  const faults: unknown[] = []
  const note = (fault: unknown) => faults.push(fault)
  faultChannel.subscribe(note)
  t.teardown(() => faultChannel.unsubscribe(note))
  account.hierarchy.setAccessControl = async () => {
    throw new FileSystemError('EACCES', 'path.setAccessControl')
  }

  await mount.save('one', 'x')
  await mount.save('two', 'y')

  t.equal(await mount.load('two'), 'y')
  t.match(faults, [{ operation: 'settle', path: 'abfs://box/one' }])
  t.equal(faults.length, 1)
})

t.test('a tree is renamed while files in it are open', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.mkdir('old')
  const handle = await mount.create('old/f')
  await mount.write(handle, 0, 'before ')
  await mount.vfs.rename(rootIno, 'old', renameTo('new'), caller)
  await mount.write(handle, 7, 'after')
  await mount.close(handle)

  t.equal(await mount.load('new/f'), 'before after')
  await t.rejects(mount.stat('old'), { code: 'ENOENT' })
})

function renameTo(name: string) {
  return { parent: rootIno, name, noReplace: false, exchange: false }
}

t.test('RENAME_NOREPLACE replaces nothing, not even what the drive has not seen', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.save('f', 'mine')
  await mount.list('')
  await mount.storeElsewhere('taken', 'theirs')
  const target = { parent: rootIno, name: 'taken', noReplace: true, exchange: false }

  await t.rejects(mount.vfs.rename(rootIno, 'f', target, caller), { code: 'EEXIST' })
  t.equal(await mount.stored('taken'), 'theirs')
  t.equal(await mount.stored('f'), 'mine')
  await mount.vfs.rename(rootIno, 'f', { ...target, name: 'free' }, caller)
  t.equal(await mount.stored('free'), 'mine')
})
