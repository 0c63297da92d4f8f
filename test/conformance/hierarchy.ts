import type { Test } from 'tap'
import {
  deleteTree,
  type HierarchyStore,
  listAllPaths,
  type PathProperties,
} from '../../src/blob/hierarchy.ts'
import type { BlobStore } from '../../src/blob/store.ts'
import { type ErrnoCode, FileSystemError } from '../../src/errors.ts'
import type { BlobPath } from '../../src/path.ts'

/** Both faces of one hierarchical account. */
export interface HierarchicalAccount {
  readonly blobs: BlobStore
  readonly hierarchy: HierarchyStore
}

/** What every hierarchical account does. `makeAccount` gives one that this suite may fill. */
export function hierarchyConformance(
  t: Test,
  makeAccount: () => Promise<HierarchicalAccount>,
): void {
  const conformance: Conformance = { t, account: makeAccount() }
  describeDirectories(conformance)
  describeFiles(conformance)
  describeRename(conformance)
  describeRenameConditions(conformance)
  describeDelete(conformance)
  describeListing(conformance)
  describeAccess(conformance)
  describeAccessBelow(conformance)
  describeExpiry(conformance)
  describeBothFaces(conformance)
}

interface Conformance {
  readonly t: Test
  readonly account: Promise<HierarchicalAccount>
}

interface Box extends HierarchicalAccount {
  at(name: string): BlobPath
}

let containers = 0

/** One test with a container of its own. */
function behaviour(
  { t, account }: Conformance,
  title: string,
  body: (t: Test, box: Box) => Promise<void>,
): void {
  void t.test(title, async (child) => {
    const made = await account
    const container = `hierarchy-${process.pid}-${++containers}`
    await made.blobs.createContainer(container)
    await body(child, { ...made, at: (name) => ({ container, name }) })
  })
}

async function rejectsWith(t: Test, promise: Promise<unknown>, ...codes: ErrnoCode[]) {
  try {
    await promise
  } catch (error) {
    if (!(error instanceof FileSystemError)) throw error
    t.ok(codes.includes(error.code), `${error.code} is one of ${codes}: ${error.message}`)
    return
  }
  t.fail(`resolved instead of ${codes}`)
}

async function names(
  { hierarchy, at }: Box,
  directory: string,
  recursive = false,
): Promise<string[]> {
  const found: PathProperties[] = []
  for await (const path of listAllPaths(hierarchy, at(directory), { recursive })) found.push(path)
  return found.map(({ name, isDirectory }) => (isDirectory ? `${name}/` : name)).sort()
}

const text = (value: string): Uint8Array => Buffer.from(value)

async function plant(box: Box, ...files: readonly string[]): Promise<void> {
  for (const name of files) await box.blobs.put(box.at(name), text(name))
}

async function read({ blobs, at }: Box, name: string): Promise<string> {
  return Buffer.from((await blobs.get(at(name))).data).toString()
}

function describeDirectories(conformance: Conformance): void {
  behaviour(conformance, 'a directory exists without anything in it', async (t, box) => {
    await box.hierarchy.createDirectory(box.at('empty'))

    const found = await box.hierarchy.headPath(box.at('empty'))

    t.equal(found.isDirectory, true)
    t.equal(found.sizeBytes, 0)
    t.same(await names(box, 'empty'), [])
    t.same(await names(box, ''), ['empty/'])
  })
  behaviour(conformance, 'a directory brings those above it', async (t, box) => {
    await box.hierarchy.createDirectory(box.at('a/b/c'))

    t.same(await names(box, '', true), ['a/', 'a/b/', 'a/b/c/'])
  })
  behaviour(
    conformance,
    'If-None-Match keeps a directory from being made twice',
    async (t, box) => {
      await box.hierarchy.createDirectory(box.at('one'), { ifNoneMatch: '*' })

      const again = box.hierarchy.createDirectory(box.at('one'), { ifNoneMatch: '*' })

      await rejectsWith(t, again, 'EEXIST')
    },
  )
  behaviour(conformance, 'a directory is not made over or below a file', async (t, box) => {
    await plant(box, 'file')

    await rejectsWith(
      t,
      box.hierarchy.createDirectory(box.at('file'), { ifNoneMatch: '*' }),
      'EEXIST',
    )
    await rejectsWith(t, box.hierarchy.createDirectory(box.at('file/below')), 'ENOTDIR', 'EEXIST')
  })
  behaviour(
    conformance,
    'a directory has the mode and metadata it is made with',
    async (t, box) => {
      const metadata = { posix_owner: '7' }
      await box.hierarchy.createDirectory(box.at('dir'), { mode: 0o1711, metadata })

      const { permissions } = await box.hierarchy.getAccessControl(box.at('dir'))
      const blob = await box.blobs.head(box.at('dir'))

      t.equal(permissions, 'rwx--x--t')
      t.equal(blob.metadata?.['posix_owner'], '7')
    },
  )
  behaviour(conformance, 'a path in a missing container is ENOENT', async (t, box) => {
    const path = { container: 'no-such-container', name: 'dir' }

    await rejectsWith(t, box.hierarchy.createDirectory(path), 'ENOENT')
    await rejectsWith(t, box.hierarchy.listPaths({ ...path, name: '' }), 'ENOENT')
  })
}

function describeFiles(conformance: Conformance): void {
  behaviour(conformance, 'appended bytes show after the flush, and not before', async (t, box) => {
    const path = box.at('log')
    await box.hierarchy.createFile(path)
    await box.hierarchy.append(path, text('one '), { position: 0 })
    await box.hierarchy.append(path, text('two'), { position: 4 })

    const before = await box.hierarchy.headPath(path)
    await box.hierarchy.flush(path, { position: 7 })

    t.equal(before.sizeBytes, 0)
    t.equal((await box.hierarchy.headPath(path)).sizeBytes, 7)
    t.equal(await read(box, 'log'), 'one two')
  })
  behaviour(conformance, 'a flush past a gap is EINVAL', async (t, box) => {
    const path = box.at('log')
    await box.hierarchy.createFile(path)
    await box.hierarchy.append(path, text('one'), { position: 0 })

    await rejectsWith(t, box.hierarchy.flush(path, { position: 9 }), 'EINVAL')
  })
  behaviour(conformance, 'a file made again is empty', async (t, box) => {
    await plant(box, 'dir/file')
    await box.hierarchy.createFile(box.at('dir/file'))

    t.equal((await box.hierarchy.headPath(box.at('dir/file'))).sizeBytes, 0)
  })
  behaviour(conformance, 'a missing path is ENOENT', async (t, box) => {
    await rejectsWith(t, box.hierarchy.headPath(box.at('none')), 'ENOENT')
    await rejectsWith(t, box.hierarchy.getAccessControl(box.at('none')), 'ENOENT')
    await rejectsWith(t, box.hierarchy.deletePath(box.at('none')), 'ENOENT')
    await rejectsWith(t, box.hierarchy.listPaths(box.at('none')), 'ENOENT')
  })
  behaviour(conformance, 'names keep every character that a path may have', async (t, box) => {
    const awkward = ['with space', '100%', 'a+b', 'ü 漢 😀', "it's", 'q?x=1&y', '#5', 'a;b,c']
    for (const name of awkward) await box.hierarchy.createFile(box.at(`dir/${name}`))

    const listed = await names(box, 'dir')
    for (const name of awkward) {
      await box.hierarchy.rename(box.at(`dir/${name}`), box.at(`dir/moved ${name}`))
    }

    t.same(listed, awkward.map((name) => `dir/${name}`).sort())
    t.same(await names(box, 'dir'), awkward.map((name) => `dir/moved ${name}`).sort())
  })
}

function describeRename(conformance: Conformance): void {
  behaviour(conformance, 'a rename moves a tree in one call', async (t, box) => {
    await plant(box, 'old/a', 'old/deep/er/b')
    await box.hierarchy.createDirectory(box.at('old/empty'))

    await box.hierarchy.rename(box.at('old'), box.at('new'))

    const moved = ['new/', 'new/a', 'new/deep/', 'new/deep/er/', 'new/deep/er/b', 'new/empty/']
    t.same(await names(box, '', true), moved)
    t.equal(await read(box, 'new/deep/er/b'), 'old/deep/er/b')
  })
  behaviour(conformance, 'a rename replaces a file, not a directory by a file', async (t, box) => {
    await plant(box, 'a', 'b', 'dir/c')

    await box.hierarchy.rename(box.at('a'), box.at('b'))

    t.equal(await read(box, 'b'), 'a')
    await rejectsWith(t, box.hierarchy.rename(box.at('b'), box.at('dir')), 'EISDIR', 'EEXIST')
    await rejectsWith(t, box.hierarchy.rename(box.at('dir'), box.at('b')), 'EISDIR', 'EEXIST')
    t.equal(await read(box, 'dir/c'), 'dir/c')
  })
  behaviour(conformance, 'a directory replaces an empty one and no other', async (t, box) => {
    await plant(box, 'a/x', 'full/y')
    await box.hierarchy.createDirectory(box.at('empty'))

    await box.hierarchy.rename(box.at('a'), box.at('empty'))

    t.same(await names(box, 'empty'), ['empty/x'])
    await rejectsWith(
      t,
      box.hierarchy.rename(box.at('empty'), box.at('full')),
      'EEXIST',
      'ENOTEMPTY',
    )
    t.same(await names(box, 'full'), ['full/y'])
  })
  behaviour(conformance, 'a rename needs its source and the directory above', async (t, box) => {
    await plant(box, 'a')

    await rejectsWith(t, box.hierarchy.rename(box.at('none'), box.at('b')), 'ENOENT')
    await rejectsWith(t, box.hierarchy.rename(box.at('a'), box.at('no/such/b')), 'ENOENT')
    t.same(await names(box, ''), ['a'])
  })
  behaviour(conformance, 'a directory does not move into itself', async (t, box) => {
    await plant(box, 'a/b/c')

    await rejectsWith(t, box.hierarchy.rename(box.at('a'), box.at('a/b/d')), 'EINVAL')
    t.same(await names(box, '', true), ['a/', 'a/b/', 'a/b/c'])
  })
}

function describeRenameConditions(conformance: Conformance): void {
  behaviour(conformance, 'If-None-Match keeps a rename from replacing', async (t, box) => {
    await plant(box, 'a', 'b')

    const rename = box.hierarchy.rename(box.at('a'), box.at('b'), { ifNoneMatch: '*' })

    await rejectsWith(t, rename, 'EEXIST')
    t.equal(await read(box, 'b'), 'b')
  })
  behaviour(conformance, 'a rename keeps to versions of source and destination', async (t, box) => {
    await plant(box, 'a', 'b')
    const stale = (await box.blobs.head(box.at('a'))).etag
    await box.blobs.put(box.at('a'), text('newer'))
    const { hierarchy, at } = box

    await rejectsWith(t, hierarchy.rename(at('a'), at('c'), { sourceIfMatch: stale }), 'ESTALE')
    await rejectsWith(t, hierarchy.rename(at('a'), at('b'), { ifMatch: stale }), 'ESTALE')
    const ifMatch = (await box.blobs.head(at('b'))).etag
    const sourceIfMatch = (await box.blobs.head(at('a'))).etag
    await hierarchy.rename(at('a'), at('b'), { ifMatch, sourceIfMatch })

    t.equal(await read(box, 'b'), 'newer')
  })
}

function describeDelete(conformance: Conformance): void {
  behaviour(conformance, 'a directory goes alone when it is empty', async (t, box) => {
    await plant(box, 'dir/file')

    await rejectsWith(t, box.hierarchy.deletePath(box.at('dir')), 'ENOTEMPTY')
    await box.hierarchy.deletePath(box.at('dir/file'))
    await box.hierarchy.deletePath(box.at('dir'))

    t.same(await names(box, '', true), [])
  })
  behaviour(conformance, 'a directory goes with all that is below', async (t, box) => {
    await plant(box, ...Array.from({ length: 12 }, (_, index) => `dir/${index % 3}/${index}`))
    await plant(box, 'dir-not', 'other/file')

    await deleteTree(box.hierarchy, box.at('dir'))

    t.same(await names(box, '', true), ['dir-not', 'other/', 'other/file'])
  })
  behaviour(conformance, 'a delete keeps to a version', async (t, box) => {
    await plant(box, 'file')

    const wrong = box.hierarchy.deletePath(box.at('file'), { ifMatch: '"0x1"' })

    await rejectsWith(t, wrong, 'ESTALE')
    t.same(await names(box, ''), ['file'])
  })
}

function describeListing(conformance: Conformance): void {
  behaviour(conformance, 'a listing tells one level, or all below', async (t, box) => {
    await plant(box, 'top', 'dir/one', 'dir/sub/two')

    t.same(await names(box, ''), ['dir/', 'top'])
    t.same(await names(box, 'dir'), ['dir/one', 'dir/sub/'])
    t.same(await names(box, 'dir', true), ['dir/one', 'dir/sub/', 'dir/sub/two'])
  })
  behaviour(conformance, 'a listing goes on where a page ended', async (t, box) => {
    const files = Array.from({ length: 11 }, (_, index) => `dir/${String(index).padStart(2, '0')}`)
    await plant(box, ...files)

    const first = await box.hierarchy.listPaths(box.at('dir'), { maxResults: 4 })
    const all: string[] = []
    for await (const { name } of listAllPaths(box.hierarchy, box.at('dir'), { maxResults: 4 })) {
      all.push(name)
    }

    t.equal(first.paths.length, 4)
    t.not(first.continuation, undefined)
    t.same(all, files)
  })
  behaviour(conformance, 'a listing tells size, version, time and owner', async (t, box) => {
    await plant(box, 'dir/file')

    const { paths } = await box.hierarchy.listPaths(box.at('dir'))
    const blob = await box.blobs.head(box.at('dir/file'))

    t.equal(paths[0]?.sizeBytes, 8)
    t.equal(paths[0]?.etag, blob.etag)
    t.equal(paths[0]?.lastModifiedMs, blob.lastModifiedMs)
    t.match(paths[0]?.permissions, /^[rwxtT-]{9}\+?$/)
    t.type(paths[0]?.owner, 'string')
    t.type(paths[0]?.group, 'string')
  })
}

function describeAccess(conformance: Conformance): void {
  behaviour(conformance, 'mode, owner and group can be read as they were set', async (t, box) => {
    await plant(box, 'file')

    await box.hierarchy.setAccessControl(box.at('file'), { mode: 0o604 })
    await box.hierarchy.setAccessControl(box.at('file'), { owner: 'an-owner', group: 'a-group' })

    const access = await box.hierarchy.getAccessControl(box.at('file'))
    t.equal(access.permissions, 'rw----r--')
    t.equal(access.owner, 'an-owner')
    t.equal(access.group, 'a-group')
    t.equal(access.acl, 'user::rw-,group::---,other::r--')
  })
  behaviour(conformance, 'a list can be read as it was set', async (t, box) => {
    await plant(box, 'file')
    const acl = 'user::rwx,user:somebody:r-x,group::r--,mask::r-x,other::---'

    await box.hierarchy.setAccessControl(box.at('file'), { acl })

    const access = await box.hierarchy.getAccessControl(box.at('file'))
    t.equal(access.acl, acl)
    t.equal(access.permissions, 'rwxr-x---+')
  })
  behaviour(conformance, 'a change of access keeps to a version', async (t, box) => {
    await plant(box, 'file')
    const { hierarchy, at } = box

    const stale = hierarchy.setAccessControl(at('file'), { mode: 0o600 }, { ifMatch: '"0x1"' })

    await rejectsWith(t, stale, 'ESTALE')
  })
  behaviour(conformance, 'the root of a container has access control too', async (t, box) => {
    await box.hierarchy.setAccessControl(box.at(''), { mode: 0o755 })

    const { permissions } = await box.hierarchy.getAccessControl(box.at(''))

    t.equal(permissions, 'rwxr-xr-x')
  })
  behaviour(conformance, 'what is made in a directory has its default entries', async (t, box) => {
    await box.hierarchy.createDirectory(box.at('dir'))
    const defaults =
      'default:user::rwx,default:group::rw-,default:group:team:rw-,default:mask::rw-,default:other::---'
    const acl = `user::rwx,group::r-x,other::---,${defaults}`
    await box.hierarchy.setAccessControl(box.at('dir'), { acl })
    await plant(box, 'dir/file')

    const access = await box.hierarchy.getAccessControl(box.at('dir/file'))

    t.match(access.acl, /(^|,)group:team:rw-(,|$)/)
    t.notMatch(access.acl, /default:/)
  })
}

function describeAccessBelow(conformance: Conformance): void {
  behaviour(conformance, 'lists change for all that is below, page after page', async (t, box) => {
    await plant(box, 'dir/a', 'dir/b', 'dir/sub/c', 'beside')
    const count = { directories: 0, files: 0, pages: 0 }
    let continuation: string | undefined
    do {
      const acl = 'user:somebody:rwx'
      const options = { mode: 'modify', acl, maxRecords: 2, continuation } as const
      const page = await box.hierarchy.changeAcl(box.at('dir'), options)
      count.directories += page.directories
      count.files += page.files
      count.pages += 1
      t.same(page.failures, [])
      continuation = page.continuation
    } while (continuation !== undefined)

    t.same({ ...count, pages: 0 }, { directories: 2, files: 3, pages: 0 })
    t.ok(count.pages > 1, `${count.pages} pages`)
    for (const name of ['dir', 'dir/a', 'dir/sub/c']) {
      const { acl } = await box.hierarchy.getAccessControl(box.at(name))
      t.match(acl, /user:somebody:rwx/, name)
    }
    const { acl } = await box.hierarchy.getAccessControl(box.at('beside'))
    t.notMatch(acl, /somebody/)
  })
  behaviour(conformance, 'entries can be taken away, and lists replaced', async (t, box) => {
    await plant(box, 'dir/a')
    const { hierarchy, at } = box
    await hierarchy.changeAcl(at('dir'), { mode: 'modify', acl: 'user:x:rwx,user:y:r--' })

    await hierarchy.changeAcl(at('dir'), { mode: 'remove', acl: 'user:x' })
    const removed = (await hierarchy.getAccessControl(at('dir/a'))).acl
    await hierarchy.changeAcl(at('dir'), {
      mode: 'set',
      acl: 'user::rwx,group::---,other::---',
    })
    const replaced = (await hierarchy.getAccessControl(at('dir/a'))).acl

    t.match(removed, /user:y:r--/)
    t.notMatch(removed, /user:x:/)
    t.equal(replaced, 'user::rwx,group::---,other::---')
  })
}

function describeExpiry(conformance: Conformance): void {
  behaviour(conformance, 'an expiry shows, and can be taken back', async (t, box) => {
    await plant(box, 'dir/file')
    const { createdMs = 0 } = await box.blobs.head(box.at('dir/file'))
    const hour = 3_600_000
    const epochMs = createdMs + 48 * hour
    const seen = async () => {
      const { paths } = await box.hierarchy.listPaths(box.at('dir'))
      return paths[0]?.expiresMs
    }

    await box.hierarchy.setExpiry(box.at('dir/file'), { kind: 'at', epochMs })
    const absolute = await seen()
    const later = { kind: 'after-creation', durationMs: hour } as const
    await box.hierarchy.setExpiry(box.at('dir/file'), later)
    const relative = await seen()
    await box.hierarchy.setExpiry(box.at('dir/file'), { kind: 'never' })

    t.equal(absolute, epochMs)
    t.ok(Math.abs((relative ?? 0) - createdMs - hour) < 1000, `${relative} is an hour later`)
    t.equal(await seen(), undefined)
  })
}

function describeBothFaces(conformance: Conformance): void {
  behaviour(conformance, 'a blob makes the directories above it', async (t, box) => {
    await plant(box, 'a/b/c')

    t.same(await names(box, '', true), ['a/', 'a/b/', 'a/b/c'])
    const directory = await box.blobs.head(box.at('a/b'))
    t.equal(directory.metadata?.['hdi_isfolder'], 'true')
    t.equal(directory.facts?.isDirectory, true)
  })
  behaviour(conformance, 'no blob is written over a directory or below a file', async (t, box) => {
    await plant(box, 'dir/file')

    await rejectsWith(t, box.blobs.put(box.at('dir'), text('x')), 'EISDIR', 'EEXIST', 'EBUSY')
    await rejectsWith(t, box.blobs.put(box.at('dir/file/x'), text('x')), 'ENOTDIR', 'EBUSY')
    t.same(await names(box, '', true), ['dir/', 'dir/file'])
  })
  behaviour(
    conformance,
    'a put replaces an appended file, a block list does not',
    async (t, box) => {
      const path = box.at('file')
      await box.hierarchy.createFile(path)
      await box.hierarchy.append(path, text('appended'), { position: 0 })
      await box.hierarchy.flush(path, { position: 8 })
      const id = Buffer.from('0001').toString('base64')
      const commit = async () => {
        await box.blobs.stageBlock(path, id, text('blocks'))
        await box.blobs.commitBlocks(path, [id])
      }

      await rejectsWith(t, commit(), 'ENOTSUP', 'EBUSY', 'EINVAL')
      t.equal(await read(box, 'file'), 'appended')
      await box.blobs.put(path, text('put'))

      t.equal(await read(box, 'file'), 'put')
    },
  )
  behaviour(conformance, 'a blob listing shows directories as blobs', async (t, box) => {
    await box.hierarchy.createDirectory(box.at('empty'))
    await plant(box, 'dir/file')

    const flat = await box.blobs.listPage(box.at(''))
    const level = await box.blobs.listPage(box.at(''), { delimiter: '/' })

    const folders = flat.entries.filter(
      (entry) => entry.kind === 'blob' && entry.properties.metadata?.['hdi_isfolder'] === 'true',
    )
    t.same(folders.map(({ name }) => name).sort(), ['dir', 'empty'])
    t.ok(level.entries.some(({ kind, name }) => kind === 'prefix' && name === 'dir/'))
  })
  behaviour(conformance, 'a directory that is not empty is no blob to delete', async (t, box) => {
    await plant(box, 'dir/file')

    await rejectsWith(t, box.blobs.delete(box.at('dir')), 'ENOTEMPTY')
    t.same(await names(box, '', true), ['dir/', 'dir/file'])
  })
}
