import { mkdir, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { type SyncOptions, sync } from '../../src/filesystem/sync.ts'
import {
  localFiles,
  memoryFileSystem,
  plantLocal,
  plantRemote,
  remoteFiles,
  temporaryDirectory,
} from '../support/file-system.ts'

const past = new Date('2001-01-01')

t.test('a local tree goes to an account, and only what differs a second time', async (t) => {
  const { fs } = await memoryFileSystem()
  const local = await temporaryDirectory(t)
  await plantLocal(local, { a: 'one', 'd/b': 'two', 'd/c': 'three' })
  for (const name of ['a', 'd/b', 'd/c']) await utimes(join(local, name), past, past)
  const target = { fs, path: 'abfs://box/tree/' }

  const first = await sync({ local }, target)
  await plantLocal(local, { 'd/b': 'other' })
  const second = await sync({ local }, target)

  t.strictSame(
    first.copied.map(({ path }) => path),
    ['a', 'd/b', 'd/c'],
  )
  t.equal(first.bytes, 11)
  t.strictSame(second, {
    copied: [{ path: 'd/b', reason: 'changed' }],
    deleted: [],
    unchanged: 2,
    bytes: 5,
  })
  t.strictSame(await remoteFiles(fs, 'box/tree'), await localFiles(local))
})

t.test('a dry run says what would be done and does nothing', async (t) => {
  const { fs } = await memoryFileSystem()
  await plantRemote(fs, 'box/to', { extra: 'x', same: 'same' })
  await plantRemote(fs, 'box/from', { same: 'same', more: 'more' })
  const sides = [
    { fs, path: 'box/from' },
    { fs, path: 'box/to' },
  ] as const

  const plan = await sync(...sides, { dryRun: true, deleteExtra: true, compare: 'size' })

  t.strictSame(plan.copied, [{ path: 'more', reason: 'new' }])
  t.strictSame(plan.deleted, ['extra'])
  t.strictSame(await remoteFiles(fs, 'box/to'), { extra: 'x', same: 'same' })
  t.strictSame(await sync(...sides, { deleteExtra: true, compare: 'size' }), plan)
  t.strictSame(await remoteFiles(fs, 'box/to'), { same: 'same', more: 'more' })
})

t.test('an account goes to a disk, and to another account', async (t) => {
  const one = await memoryFileSystem()
  const other = await memoryFileSystem()
  await plantRemote(one.fs, 'box/from', { 'd/a': 'a', b: 'b'.repeat(100_000) })
  const local = await temporaryDirectory(t)
  await mkdir(join(local, 'to'))

  await sync({ fs: one.fs, path: 'box/from' }, { local: join(local, 'to') })
  await sync({ fs: one.fs, path: 'box/from' }, { fs: other.fs, path: 'box' })

  const expected = await remoteFiles(one.fs, 'box/from')
  t.strictSame(await localFiles(join(local, 'to')), expected)
  t.strictSame(await remoteFiles(other.fs, 'box'), expected)
})

const compares: readonly [string, SyncOptions['compare'], readonly string[]][] = [
  ['size', 'size', ['longer']],
  ['a function', (source) => source.path !== 'equal', ['equal']],
  ['an absent MD5', 'md5', ['equal', 'longer']],
]

for (const [title, compare, expected] of compares) {
  t.test(`files are compared by ${title}`, async (t) => {
    const { fs } = await memoryFileSystem()
    await plantRemote(fs, 'box/from', { equal: 'one', longer: 'longer' })
    await plantRemote(fs, 'box/to', { equal: 'two', longer: 'long' })

    const plan = await sync(
      { fs, path: 'box/from' },
      { fs, path: 'box/to' },
      { compare, dryRun: true },
    )

    t.strictSame(
      plan.copied.map(({ path }) => path),
      expected,
    )
  })
}

t.test('what takes no part is neither copied nor deleted', async (t) => {
  const { fs } = await memoryFileSystem()
  await plantRemote(fs, 'box/from', { 'a.txt': 'a', 'b.log': 'b', 'd/c.txt': 'c', 'tmp/x.txt': '' })
  await plantRemote(fs, 'box/to', { 'old.txt': '', 'old.log': '', 'tmp/old.txt': '' })

  await sync(
    { fs, path: 'box/from' },
    { fs, path: 'box/to' },
    { include: ['**/*.txt'], exclude: ['tmp/**'], deleteExtra: true },
  )

  t.strictSame(Object.keys(await remoteFiles(fs, 'box/to')), [
    'a.txt',
    'd/c.txt',
    'old.log',
    'tmp/old.txt',
  ])
})

t.test('a source that is missing deletes nothing', async (t) => {
  const { fs } = await memoryFileSystem()
  await plantRemote(fs, 'box/to', { kept: 'x' })
  const target = { fs, path: 'box/to' }

  await t.rejects(sync({ fs, path: 'box/typo' }, target, { deleteExtra: true }), { code: 'ENOENT' })
  await t.rejects(sync({ local: '/nowhere/at/all' }, target, { deleteExtra: true }), {
    code: 'ENOENT',
  })
  await t.rejects(sync({ local: '/tmp' }, { local: '/tmp' }), TypeError)
  await t.rejects(sync({ fs, path: 'box/to/kept' }, target), { code: 'ENOTDIR' })

  t.strictSame(await remoteFiles(fs, 'box/to'), { kept: 'x' })
})

t.test('a comparison that is not known is refused before anything is listed', async (t) => {
  const { fs } = await memoryFileSystem()
  const wrong: { compare: 'md5' } = Object.assign({ compare: 'md5' as const }, { compare: 'etag' })

  await t.rejects(sync({ fs, path: 'box' }, { fs, path: 'box' }, wrong), {
    name: 'TypeError',
    message: /expected one of size, mtime, md5/,
  })
})
