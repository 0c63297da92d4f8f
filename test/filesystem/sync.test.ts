import { mkdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { BulkError } from '../../src/bulk.ts'
import type { Progress } from '../../src/filesystem/progress.ts'
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
  const wrong: { compare: 'md5' } = Object.assign({ compare: 'md5' as const }, { compare: 'sha' })

  await t.rejects(sync({ fs, path: 'box' }, { fs, path: 'box' }, wrong), {
    name: 'TypeError',
    message: /expected one of size, mtime, md5, crc64, etag/,
  })
})

t.test('crc64 finds what differs in nothing but its bytes, whoever wrote it', async (t) => {
  const { fs, store } = await memoryFileSystem()
  const local = await temporaryDirectory(t)
  const big = 'b'.repeat(300_000)
  await plantLocal(local, { big, same: 'same', other: 'one', foreign: 'alien' })
  await plantRemote(fs, 'box/to', { big, same: 'same', other: 'two' })
  await store.put({ container: 'box', name: 'to/foreign' }, Buffer.from('alien'), {})
  const future = new Date('2999-01-01')
  for (const name of ['big', 'same', 'foreign']) await utimes(join(local, name), future, future)

  const plan = await sync({ local }, { fs, path: 'box/to' }, { compare: 'crc64' })
  const after = await sync({ fs, path: 'box/to' }, { local }, { compare: 'crc64' })

  t.strictSame(plan.copied, [{ path: 'other', reason: 'changed' }])
  t.strictSame([after.copied, after.unchanged], [[], 4])
  t.equal(await fs.readText('box/to/other'), 'one')
})

t.test('etag copies what either side has changed since, whatever its size and time', async (t) => {
  const [one, other] = [await memoryFileSystem(), await memoryFileSystem()]
  const record = join(await temporaryDirectory(t), 'record.json')
  const sides = [
    { fs: one.fs, path: 'box/from' },
    { fs: other.fs, path: 'box/to' },
  ] as const
  const run = (options: SyncOptions = {}) => sync(...sides, { compare: 'etag', record, ...options })
  await plantRemote(one.fs, 'box/from', { a: '1', b: '2', c: '3', gone: '4' })

  t.equal((await run()).copied.length, 4, 'the first run copies everything')
  t.strictSame((await run()).copied, [], 'the second nothing')
  await one.fs.writeText('box/from/a', '9')
  await other.fs.writeText('box/to/b', '9')
  await one.fs.rmFile('box/from/gone')
  const dry = await run({ dryRun: true, deleteExtra: true })
  const third = await run({ deleteExtra: true })

  t.strictSame(
    third.copied.map(({ path }) => path),
    ['a', 'b'],
  )
  t.strictSame(third.deleted, ['gone'])
  t.strictSame(dry, third)
  t.strictSame(await remoteFiles(other.fs, 'box/to'), { a: '9', b: '2', c: '3' })
  t.equal((await run()).unchanged, 3)
})

t.test('etag works with a local side, both ways', async (t) => {
  const { fs } = await memoryFileSystem()
  const [local, elsewhere] = [await temporaryDirectory(t), await temporaryDirectory(t)]
  await plantLocal(local, { a: 'one', 'd/b': 'two' })
  const up = { compare: 'etag', record: join(elsewhere, 'up') } as const
  const down = { compare: 'etag', record: join(elsewhere, 'down') } as const
  const target = { fs, path: 'box/to' }

  await sync({ local }, target, up)
  await sync(target, { local }, down)
  t.strictSame((await sync(target, { local }, down)).copied, [])
  const again = await sync({ local }, target, up)
  await writeFile(join(local, 'a'), 'own')

  t.equal(again.copied.length, 2, 'the files were written anew, by the other direction')
  t.strictSame((await sync({ local }, target, up)).copied, [{ path: 'a', reason: 'changed' }])
})

t.test('what failed is not recorded, and what was copied before is', async (t) => {
  const { fs } = await memoryFileSystem()
  const [local, elsewhere] = [await temporaryDirectory(t), await temporaryDirectory(t)]
  const record = join(elsewhere, 'record')
  await plantRemote(fs, 'box/from', { good: 'x', 'a/b': 'y' })
  await plantLocal(local, { a: 'a file where a directory is wanted' })
  const run = () => sync({ fs, path: 'box/from' }, { local }, { compare: 'etag', record })

  await t.rejects(run(), { code: 'EEXIST' })
  const { files } = JSON.parse(await readFile(record, 'utf8'))

  t.strictSame(Object.keys(files), ['good'])
})

t.test('what a retry copies is recorded', async (t) => {
  const { fs } = await memoryFileSystem()
  const local = await temporaryDirectory(t)
  const elsewhere = await temporaryDirectory(t)
  const record = join(elsewhere, 'record')
  await plantRemote(fs, 'box/from', { a: '1', b: '2', c: '3' })
  for (const name of ['b', 'c']) await mkdir(join(local, name, 'in the way'), { recursive: true })
  const run = () => sync({ fs, path: 'box/from' }, { local }, { compare: 'etag', record })

  const error = await run().catch((thrown: unknown) => thrown)
  if (!(error instanceof BulkError)) throw new Error('expected a BulkError')
  for (const name of ['b', 'c']) await rm(join(local, name), { recursive: true })
  t.match(await error.retry(), { failed: [], waiting: 0 })

  const { files } = JSON.parse(await readFile(record, 'utf8'))
  t.same(Object.keys(files).sort(), ['a', 'b', 'c'])
  t.match(await run(), { copied: [], unchanged: 3 })
})

t.test('a record that cannot be meant is refused, and nothing is copied', async (t) => {
  const { fs } = await memoryFileSystem()
  const local = await temporaryDirectory(t)
  const elsewhere = await temporaryDirectory(t)
  const record = join(elsewhere, 'record')
  await plantLocal(local, { a: 'one' })
  const target = { fs, path: 'box/to' }
  const run = (options: SyncOptions, path = 'box/to') => sync({ local }, { fs, path }, options)

  await t.rejects(run({ compare: 'etag' }), { name: 'TypeError', message: /^record: / })
  await t.rejects(run({ compare: 'size', record }), { name: 'TypeError', message: /^record: / })
  await t.rejects(run({ compare: 'etag', record: join(local, 'r') }), /lies in/)
  for (const text of ['', 'null', '[]', '{"format":"abfs-sync-1","files":{"a":[1]}}']) {
    await writeFile(record, text)
    await t.rejects(run({ compare: 'etag', record }), { code: 'EINVAL', path: record })
  }
  t.equal(await fs.exists('box/to/a'), false)
  await sync({ local }, target, { compare: 'etag', record: join(elsewhere, 'good') })
  await t.rejects(run({ compare: 'etag', record: join(elsewhere, 'good') }, 'box/elsewhere'), {
    code: 'EINVAL',
    message: /each pair of trees/,
  })
})

t.test('progress tells bytes and files of all that is copied, on every way', async (t) => {
  const { fs } = await memoryFileSystem()
  const local = await temporaryDirectory(t)
  await plantLocal(local, { a: 'one', 'd/b': 'x'.repeat(200_000) })
  const ways = [
    [{ local }, { fs, path: 'box/one' }],
    [
      { fs, path: 'box/one' },
      { fs, path: 'box/two' },
    ],
    [{ fs, path: 'box/two' }, { local: join(local, 'out') }],
  ] as const

  for (const [source, target] of ways) {
    const seen: Progress[] = []
    await sync(source, target, { exclude: ['out/**'], onProgress: (done) => seen.push(done) })

    t.ok(seen.every(({ totalBytes, totalFiles }) => totalBytes === 200_003 && totalFiles === 2))
    t.match(seen.at(-1), { bytes: 200_003, files: 2 })
    t.strictSame([...new Set(seen.map(({ path }) => path))].sort(), ['a', 'd/b'])
    t.strictSame(
      seen.map(({ bytes }) => bytes),
      seen.map(({ bytes }) => bytes).sort((one, other) => one - other),
    )
  }
})

t.test('a directory in the way is told of its file alone, and the others are copied', async (t) => {
  const { fs } = await memoryFileSystem()
  const local = await temporaryDirectory(t)
  await plantLocal(local, { a: 'a file where a directory is', 'd/b': 'two' })
  await plantRemote(fs, 'box/to', { 'a/inner': 'x' })

  await t.rejects(sync({ local }, { fs, path: 'box/to' }), {
    code: 'EISDIR',
    path: 'abfs://box/to/a',
  })

  t.strictSame(await remoteFiles(fs, 'box/to'), { 'a/inner': 'x', 'd/b': 'two' })
})

t.test('what is deleted is told after what is copied', async (t) => {
  const { fs } = await memoryFileSystem()
  await plantRemote(fs, 'box/one', { a: 'aaa' })
  await plantRemote(fs, 'box/two', { b: 'bbbb', c: 'c' })
  const seen: Progress[] = []

  const [source, target] = [
    { fs, path: 'box/one' },
    { fs, path: 'box/two' },
  ]
  await sync(source, target, { deleteExtra: true, onProgress: (done) => seen.push(done) })

  const phases = seen.map(({ phase }) => phase)
  t.strictSame(phases, [...phases].sort().reverse())
  t.match(seen.filter(({ phase }) => phase === 'transferring').at(-1), {
    files: 1,
    totalFiles: 1,
    bytes: 3,
    totalBytes: 3,
  })
  t.match(seen.at(-1), { phase: 'deleting', files: 2, totalFiles: 2, bytes: 5, totalBytes: 5 })
})
