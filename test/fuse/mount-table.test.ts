import { mkdir, realpath, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { canonicalMountpoint, findMount, parseMountInfo } from '../../src/fuse/mount-table.ts'

t.test('a line of mountinfo gives place, type, source and device', async (t) => {
  const text =
    '22 27 0:21 / /proc rw,relatime - proc proc rw\n' +
    '60 27 0:60 / /mnt/a\\040b rw shared:1 master:2 - fuse.abfs abfs://c\\134d rw,user_id=0\n' +
    'nonsense\n'

  t.strictSame(parseMountInfo(text), [
    { mountpoint: '/proc', type: 'proc', source: 'proc', device: '0:21' },
    { mountpoint: '/mnt/a b', type: 'fuse.abfs', source: 'abfs://c\\d', device: '0:60' },
  ])
})

t.test('the running system has a mount at its root', async (t) => {
  t.match(await findMount('/'), { mountpoint: '/' })
})

t.test('a path through symbolic links is found at its real place', async (t) => {
  const directory = await realpath(t.testdir({}))
  await mkdir(join(directory, 'real'))
  await symlink('real', join(directory, 'link'))
  await symlink('link', join(directory, 'link-to-link'))

  const place = await canonicalMountpoint(join(directory, 'link-to-link'))

  t.equal(place, join(directory, 'real'))
})

t.test('a path that does not exist rejects with ENOENT', async (t) => {
  await t.rejects(canonicalMountpoint(join(t.testdir({}), 'none', 'deeper')), { code: 'ENOENT' })
})
