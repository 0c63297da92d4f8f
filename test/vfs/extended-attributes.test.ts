import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { MiB } from '../../src/byte-range.ts'
import { userNames, userValue, withUserValue } from '../../src/vfs/extended-attributes.ts'
import type { Ino, XattrChange } from '../../src/vfs/operations.ts'
import { caller, type MountOptions, VfsMount } from '../support/vfs-mount.ts'

function change(value: string | Uint8Array, flags: Partial<XattrChange> = {}): XattrChange {
  return { value: Buffer.from(value), create: false, replace: false, ...flags }
}

async function get(mount: VfsMount, ino: Ino, name: string): Promise<string | undefined> {
  const value = await mount.vfs.getxattr(ino, name, caller)
  return value === undefined ? undefined : Buffer.from(value).toString()
}

t.test('an attribute of the user is plain metadata where that can be', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.save('f', 'x')
  const ino = await mount.ino('f')

  await mount.vfs.setxattr(ino, 'user.colour', change('deep blue'), caller)
  await mount.vfs.setxattr(ino, 'user.Ünïcode', change('\0\u{1f600}'), caller)
  await mount.vfs.setxattr(ino, 'user.permissions', change('777'), caller)

  const path = { container: 'box', name: 'f' }
  const { metadata = {} } = await mount.account.head(path)
  t.equal(metadata['colour'], 'deep blue')
  t.not(metadata['permissions'], '777')
  t.equal(await get(mount, ino, 'user.Ünïcode'), '\0\u{1f600}')
  const other = await VfsMount.make(t, { account: mount.account })
  t.strictSame(
    [...(await other.vfs.listxattr(await other.ino('f'), caller))].sort(),
    ['user.colour', 'user.permissions', 'user.Ünïcode'].sort(),
  )
  t.equal(await get(other, await other.ino('f'), 'user.permissions'), '777')
  t.equal(await mount.load('f'), 'x')
})

t.test('attributes of a file that is being written go with its commit', async (t) => {
  const mount = await VfsMount.make(t)
  const handle = await mount.create('f')
  await mount.write(handle, 0, 'x')
  const ino = await mount.ino('f')
  mount.requests()

  await mount.vfs.setxattr(ino, 'user.a', change('1'), caller)
  await mount.vfs.setxattr(ino, 'user.b', change('2'), caller)
  t.equal(await mount.vfs.removexattr(ino, 'user.b', caller), true)
  t.equal(await get(mount, ino, 'user.a'), '1')
  await mount.close(handle)

  t.strictSame(mount.requests(), ['put'])
  t.equal(await get(mount, ino, 'user.a'), '1')
  t.match((await mount.account.head({ container: 'box', name: 'f' })).metadata, { a: '1' })
})

t.test('create, replace and remove answer as a disk does', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.save('f', 'x')
  const ino = await mount.ino('f')
  const set = (value: string, flags: Partial<XattrChange> = {}) =>
    mount.vfs.setxattr(ino, 'user.a', change(value, flags), caller)

  t.equal(await set('1', { replace: true }), false)
  t.equal(await set('1', { create: true }), true)
  await t.rejects(set('2', { create: true }), { code: 'EEXIST' })
  t.equal(await set('2', { replace: true }), true)
  t.equal(await mount.vfs.removexattr(ino, 'user.a', caller), true)
  t.equal(await mount.vfs.removexattr(ino, 'user.a', caller), false)
  t.equal(await get(mount, ino, 'user.a'), undefined)
})

t.test(
  'namespaces that are not offered are refused to readers too, who then ask no more',
  async (t) => {
    const mount = await VfsMount.make(t)
    await mount.save('f', 'x')
    const ino = await mount.ino('f')

    for (const name of ['security.selinux', 'system.posix_acl_access', 'trusted.a']) {
      await t.rejects(mount.vfs.getxattr(ino, name, caller), { code: 'ENOTSUP' })
      await t.rejects(mount.vfs.setxattr(ino, name, change('1'), caller), { code: 'ENOTSUP' })
      await t.rejects(mount.vfs.removexattr(ino, name, caller), { code: 'ENOTSUP' })
    }
  },
)

t.test('attributes change no content: readers go on', async (t) => {
  const mount = await VfsMount.make(t)
  const bytes = randomBytes(200_000)
  await mount.save('f', bytes)
  const reader = await mount.open('f')
  await mount.read(reader, 0, 10)

  await mount.vfs.setxattr(await mount.ino('f'), 'user.a', change('1'), caller)

  t.ok((await mount.read(reader)).equals(bytes))
  await mount.close(reader)
})

t.test('azure attributes tell what the service knows, and change tags and tier', async (t) => {
  const tags: Record<string, string> = { project: 'blue moon' }
  const tiers: string[] = []
  const administration: MountOptions['administration'] = {
    getTags: async () => tags,
    setTags: async (_path, changed) => void Object.assign(tags, changed),
    setTier: async (_path, tier) => void tiers.push(tier),
  }
  const mount = await VfsMount.make(t, { administration })
  await mount.save('f', 'x')
  const ino = await mount.ino('f')
  const { etag } = await mount.account.head({ container: 'box', name: 'f' })

  t.equal(await get(mount, ino, 'azure.etag'), etag)
  t.equal(await get(mount, ino, 'azure.tier'), 'Hot')
  t.equal(await get(mount, ino, 'azure.tags'), 'project=blue+moon')
  t.equal(await get(mount, ino, 'azure.nothing'), undefined)
  await mount.vfs.setxattr(ino, 'azure.tags', change('project=red&more=1'), caller)
  await mount.vfs.setxattr(ino, 'azure.tier', change('cool'), caller)
  t.strictSame(tags, { project: 'red', more: '1' })
  t.strictSame(tiers, ['Cool'])
  const set = (name: string, value: string) => mount.vfs.setxattr(ino, name, change(value), caller)
  await t.rejects(set('azure.etag', 'x'), { code: 'EPERM' })
  await t.rejects(set('azure.tier', 'lukewarm'), { code: 'EINVAL' })
  await t.rejects(mount.vfs.removexattr(ino, 'azure.tier', caller), { code: 'EPERM' })
  t.strictSame(await mount.vfs.listxattr(ino, caller), [])
})

t.test('all tags are taken away by removing the attribute, once', async (t) => {
  let tags: Record<string, string> = { project: 'blue', colour: 'red' }
  const administration: MountOptions['administration'] = {
    getTags: async () => tags,
    setTags: async (_path, changed) => {
      tags = { ...changed }
    },
    setTier: async () => undefined,
  }
  const mount = await VfsMount.make(t, { administration })
  await mount.save('f', 'x')
  const ino = await mount.ino('f')

  t.equal(await mount.vfs.removexattr(ino, 'azure.tags', caller), true)
  t.strictSame(tags, {})
  t.equal(await mount.vfs.removexattr(ino, 'azure.tags', caller), false, 'ENODATA')
  for (const name of ['azure.etag', 'azure.nothing']) {
    await t.rejects(mount.vfs.removexattr(ino, name, caller), { code: 'EPERM' })
  }
})

t.test('tags and tier that are set while a file is open outlive its next version', async (t) => {
  const administration: MountOptions['administration'] = {
    getTags: async () => ({ project: 'blue' }),
    setTags: async () => undefined,
    setTier: async () => undefined,
  }
  const mount = await VfsMount.make(t, { administration })
  await mount.save('f', 'one')
  const handle = await mount.open('f', constants.O_WRONLY)
  const ino = await mount.ino('f')

  await mount.vfs.setxattr(ino, 'azure.tags', change('project=blue'), caller)
  await mount.vfs.setxattr(ino, 'azure.tier', change('cool'), caller)
  await mount.write(handle, 0, 'two')
  await mount.close(handle)

  const stored = await mount.account.head({ container: 'box', name: 'f' })
  t.match(stored, { tagCount: 1, accessTier: 'Cool' })
  t.equal(await mount.stored('f'), 'two')
})

t.test('tags and tier that were set go along when the file is renamed', async (t) => {
  const administration = {
    getTags: async () => ({ project: 'blue' }),
    setTags: async () => undefined,
    setTier: async () => undefined,
  }
  const mount = await VfsMount.make(t, { administration, tagsOf: administration.getTags })
  await mount.save('f', 'one')
  await mount.list('')
  const ino = await mount.ino('f')

  await mount.vfs.setxattr(ino, 'azure.tags', change('project=blue'), caller)
  await mount.vfs.setxattr(ino, 'azure.tier', change('cool'), caller)
  await mount.rename('f', 'g')

  const stored = await mount.account.head({ container: 'box', name: 'g' })
  t.match(stored, { tagCount: 1, accessTier: 'Cool' })
})

t.test('tags and tier of a file that the journal has are set once it is stored', async (t) => {
  const found: unknown[] = []
  const note = async () => void found.push(await mount.stored('f'))
  const administration = { getTags: async () => ({ a: '1' }), setTags: note, setTier: note }
  const options = { administration, writeBack: true, writeBackQuietMs: 100 }
  const mount: VfsMount = await VfsMount.make(t, options)
  for (const set of [
    (ino: Ino) => mount.vfs.setxattr(ino, 'azure.tags', change('a=1'), caller),
    (ino: Ino) => mount.vfs.setxattr(ino, 'azure.tier', change('Cool'), caller),
    (ino: Ino) => mount.vfs.removexattr(ino, 'azure.tags', caller),
  ]) {
    await mount.save('f', 'x')
    await set(await mount.ino('f'))
    await mount.unlink('f')
  }

  t.strictSame(found, ['x', 'x', 'x'])
})

t.test('a mount without attributes says so, so that the kernel asks no more', async (t) => {
  const mount = await VfsMount.make(t, { xattrs: false })
  await mount.save('f', 'x')
  const ino = await mount.ino('f')

  await t.rejects(mount.vfs.getxattr(ino, 'user.a', caller), { code: 'ENOSYS' })
  await t.rejects(mount.vfs.setxattr(ino, 'user.a', change('1'), caller), { code: 'ENOSYS' })
})

t.test('any name and value come back as they went', (t) => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
  t.comment(`SEED=${seed}`)
  const name = fc.oneof(
    fc.string({ minLength: 1 }),
    fc.string({ minLength: 1, unit: 'binary' }),
    fc.constantFrom(
      'permissions',
      'posix_owner',
      'is_symlink',
      'abfs_xattr_61',
      'constructor',
      '__proto__',
      'a_1',
    ),
  )
  const values = fc.dictionary(name, fc.oneof(fc.uint8Array(), fc.string().map(Buffer.from)))
  fc.assert(
    fc.property(values, (all) => {
      let metadata: Readonly<Record<string, string>> = { permissions: '33188' }
      const named = Object.entries(all).filter(([key]) => Buffer.from(key).toString() === key)
      for (const [key, value] of named) {
        metadata = withUserValue(metadata, `user.${key}`, change(value)) ?? {}
      }
      const found = userNames(metadata).sort()
      const expected = named.map(([key]) => `user.${key}`).sort()
      if (JSON.stringify(found) !== JSON.stringify(expected)) throw new Error('names differ')
      for (const [key, value] of named) {
        const read = userValue(metadata, `user.${key}`)
        if (read === undefined || !Buffer.from(read).equals(Buffer.from(value))) {
          throw new Error('values differ')
        }
      }
      if (metadata['permissions'] !== '33188') throw new Error('a POSIX key was changed')
    }),
    { seed, numRuns: 500 },
  )
  t.end()
})

t.test(
  'a large file is copied by the service, and may be changed before it is stored',
  async (t) => {
    const mount = await VfsMount.make(t)
    const bytes = randomBytes(9 * MiB)
    await mount.save('a', bytes)
    const from = await mount.open('a')
    const to = await mount.create('b')
    mount.requests()

    const range = { start: 0, end: 2 ** 32 }
    const copied = await mount.vfs.copyRange(from, range, { handle: to, offsetBytes: 0 }, caller)
    await mount.write(to, 5, 'changed')
    bytes.write('changed', 5)
    const copy = Buffer.from(await mount.read(to))
    await mount.close(to)

    t.equal(copied, 9 * MiB)
    t.ok(copy.equals(bytes))
    const sent = mount.counting.requests.reduce((sum, { sentBytes = 0 }) => sum + sentBytes, 0)
    t.equal(sent, 12, 'what comes before the change is too little to be copied apart')
    t.ok(Buffer.from((await mount.account.get({ container: 'box', name: 'b' })).data).equals(bytes))
    await mount.close(from)
  },
)

t.test('parts of files are copied at any place, up to their end', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.save('a', '0123456789')
  await mount.save('b', 'abcdefgh')
  const from = await mount.open('a')
  const to = await mount.open('b', constants.O_WRONLY)
  const copy = (start: number, end: number, offsetBytes: number) =>
    mount.vfs.copyRange(from, { start, end }, { handle: to, offsetBytes }, caller)

  t.equal(await copy(2, 5, 1), 3)
  t.equal(await copy(8, 100, 7), 2)
  t.equal(await copy(10, 100, 0), 0)
  await mount.close(to)
  t.equal(await mount.stored('b'), 'a234efg89')
  await t.rejects(
    mount.vfs.copyRange(to, { start: 0, end: 1 }, { handle: from, offsetBytes: 0 }, caller),
    {
      code: 'EBADF',
    },
  )
  await mount.close(from)
})

t.test('data and holes of a file that is being written are told apart', async (t) => {
  const mount = await VfsMount.make(t)
  const handle = await mount.create('f')
  await mount.write(handle, 100, 'data')
  await mount.vfs.fallocate(
    handle,
    { range: { start: 0, end: 500 }, zero: false, keepSize: false },
    caller,
  )
  const seek = (offset: number, what: 'data' | 'hole') =>
    mount.vfs.seek(handle, offset, what, caller)

  t.equal(await seek(0, 'data'), 100)
  t.equal(await seek(0, 'hole'), 0)
  t.equal(await seek(101, 'data'), 101)
  t.equal(await seek(100, 'hole'), 104)
  t.equal(await seek(104, 'data'), undefined)
  t.equal(await seek(200, 'hole'), 200)
  t.equal(await seek(500, 'hole'), undefined)
  await mount.close(handle)
  const reader = await mount.open('f')
  t.equal(await mount.vfs.seek(reader, 3, 'data', caller), 3)
  t.equal(await mount.vfs.seek(reader, 3, 'hole', caller), 500)
  await mount.close(reader)
})
