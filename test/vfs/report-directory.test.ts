import { constants } from 'node:fs'
import t from 'tap'
import {
  type FileOperations,
  type HandleId,
  type Ino,
  type RenameTarget,
  rootIno,
} from '../../src/vfs/operations.ts'
import { withReportDirectory } from '../../src/vfs/report-directory.ts'
import { caller, type Teardown, VfsMount } from '../support/vfs-mount.ts'

const name = 'reports'
const everything = { start: 0, end: 2 ** 20 }

/** A mount with a file in it, and two reports: one that counts its openings, one that is empty. */
async function reported(t: Teardown) {
  const mount = await VfsMount.make(t)
  await mount.save('file', 'x')
  let openings = 0
  const hidden: string[] = []
  const operations = withReportDirectory(mount.vfs, {
    ...{ name, uid: 500, gid: 501, clock: mount.clock },
    files: { count: () => `${++openings} ${'.'.repeat(openings)}`, empty: () => '' },
    onHidden: () => hidden.push(name),
  })
  const inoOf = async (parent: Ino, child: string): Promise<Ino> => {
    const found = await operations.lookup(parent, child, caller)
    if (found.kind === 'absent') throw new Error(`no ${child}`)
    return found.attributes.ino
  }
  const directory = await inoOf(rootIno, name)
  const read = async (handle: HandleId): Promise<string> =>
    Buffer.concat([...(await operations.read(handle, everything, caller))]).toString()
  return { mount, operations, hidden, directory, inoOf, read }
}

async function namesIn(operations: FileOperations, ino: Ino): Promise<string[]> {
  const { handle } = await operations.opendir(ino, caller)
  const names = [...(await operations.readdir(handle, 0, caller))].map((entry) => entry.name)
  await operations.releasedir(handle, caller)
  return names
}

t.test('reports are found by name and shown in no listing', async (t) => {
  const { operations, directory } = await reported(t)

  t.strictSame(await namesIn(operations, rootIno), ['.', '..', 'file'])
  t.strictSame(await namesIn(operations, directory), ['.', '..', 'count', 'empty'])
  const names = operations.namesNow?.(rootIno)?.names ?? []
  t.strictSame([...new Set(names)], ['file', name], 'it is no name that is known to be absent')
  t.equal(operations.namesNow?.(directory), undefined)
})

t.test('each open has a text of its own, which stays', async (t) => {
  const { operations, directory, inoOf, read } = await reported(t)
  const ino = await inoOf(directory, 'count')
  const first = await operations.open(ino, constants.O_RDONLY, caller)
  const second = await operations.open(ino, constants.O_RDONLY, caller)

  t.equal(await read(first.handle), '1 .')
  t.equal(await read(second.handle), '2 ..')
  t.equal(await read(first.handle), '1 .')
  t.equal(first.directIo, true, 'as no size is known')
  const [middle] = await operations.read(second.handle, { start: 2, end: 3 }, caller)
  t.equal(Buffer.from(middle ?? []).toString(), '.')
  await operations.release(first.handle, caller)
  await t.rejects(operations.read(first.handle, everything, caller), { code: 'EBADF' })
})

t.test('they are their owner’s alone to read', async (t) => {
  const { operations, directory, inoOf } = await reported(t)
  const ino = await inoOf(directory, 'count')

  const of = (each: Ino) => operations.getattr(each, undefined, caller)
  t.match(await of(directory), { mode: constants.S_IFDIR | 0o500, uid: 500, gid: 501 })
  t.match(await of(ino), { mode: constants.S_IFREG | 0o400, uid: 500, gid: 501, sizeBytes: 0 })
})

t.test('nothing of them is changed, and no request is sent', async (t) => {
  const { mount, operations, directory, inoOf } = await reported(t)
  const ino = await inoOf(directory, 'count')
  const file = await mount.ino('file')
  const made = { mode: 0o644, flags: constants.O_WRONLY }
  const place = { noReplace: false, exchange: false }
  const over: RenameTarget = { parent: rootIno, name, ...place }
  const into: RenameTarget = { parent: directory, name: 'new', ...place }
  const out: RenameTarget = { parent: rootIno, name: 'new', ...place }
  mount.requests()
  const changes: Record<string, Promise<unknown>> = {
    open: operations.open(ino, constants.O_WRONLY, caller),
    truncate: operations.open(ino, constants.O_RDONLY | constants.O_TRUNC, caller),
    chmod: operations.setattr(ino, { mode: 0o777 }, caller),
    create: operations.create(directory, 'new', made, caller),
    mkdir: operations.mkdir(rootIno, name, 0o755, caller),
    symlink: operations.symlink(directory, 'new', 'target', caller),
    unlink: operations.unlink(directory, 'count', caller),
    rmdir: operations.rmdir(rootIno, name, caller),
    'rename over': operations.rename(rootIno, 'file', over, caller),
    'rename into': operations.rename(rootIno, 'file', into, caller),
    'rename from': operations.rename(directory, 'count', out, caller),
    'rename away': operations.rename(rootIno, name, out, caller),
  }
  for (const [what, change] of Object.entries(changes)) {
    await t.rejects(change, { code: 'EROFS' }, what)
  }
  t.strictSame(mount.requests(), [])
  t.equal(await mount.ino('file'), file)
})

t.test('what has their name in the top directory is hidden, and that is told once', async (t) => {
  const { mount, operations, directory, hidden } = await reported(t)
  await mount.account.put({ container: 'box', name: `${name}/blob` }, Buffer.from('x'))
  await mount.clock.advance(60_000)

  t.strictSame(await namesIn(operations, rootIno), ['.', '..', 'file'])
  t.strictSame(await namesIn(operations, rootIno), ['.', '..', 'file'])
  t.strictSame(hidden, [name])
  t.strictSame(await namesIn(operations, directory), ['.', '..', 'count', 'empty'])
})

t.test('the same name elsewhere is any other', async (t) => {
  const { mount, operations } = await reported(t)
  await mount.mkdir('d')
  const d = await mount.ino('d')

  await operations.mkdir(d, name, 0o755, caller)

  t.strictSame(await namesIn(operations, d), ['.', '..', name])
  t.equal((await operations.statfs(rootIno, caller)).maxNameBytes, 255)
})
