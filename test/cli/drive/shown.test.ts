import { constants } from 'node:fs'
import t, { type Test } from 'tap'
import { reachedBy, shownBy } from '../../../src/cli/drive/shown.ts'
import { entryFromBlob, impliedDirectory } from '../../../src/namespace/blob-entry.ts'
import { rootIno } from '../../../src/vfs/operations.ts'
import { caller, type MountOptions, VfsMount } from '../../support/vfs-mount.ts'

const none = { include: [], exclude: [] }

/** Which of `paths` are shown; one that ends in a slash is a directory. */
function shownOf(hiding: Partial<Parameters<typeof shownBy>[0]>, ...paths: readonly string[]) {
  const isShown = shownBy({ ...none, ...hiding })
  return paths.filter((path) => {
    const directory = path.endsWith('/') ? impliedDirectory(path.slice(0, -1)) : undefined
    const entry = directory ?? entryFromBlob(path, properties)
    return isShown === undefined || isShown(entry.name, entry)
  })
}

const properties = {
  sizeBytes: 1000,
  etag: '"1"',
  lastModifiedMs: Date.parse('2026-08-01T12:00:00Z'),
} as Parameters<typeof entryFromBlob>[1]

t.test('patterns are of a name, of a whole path, or of directories', (t) => {
  const paths = ['tmp/', 'a.csv', 'tmp/b.csv', 'x/tmp/', 'x/tmp/c.csv', 'x/tmp']
  const left = (exclude: string) => shownOf({ exclude: [exclude] }, ...paths)

  t.strictSame(left('*.csv'), ['tmp/', 'x/tmp/', 'x/tmp'])
  t.strictSame(left('/*.csv'), paths.slice(0, 1).concat(paths.slice(2)), 'of the top alone')
  t.strictSame(left('tmp'), ['a.csv', 'tmp/b.csv', 'x/tmp/c.csv'])
  t.strictSame(left('tmp/'), ['a.csv', 'tmp/b.csv', 'x/tmp/c.csv', 'x/tmp'])
  t.strictSame(left('x/tmp/'), ['tmp/', 'a.csv', 'tmp/b.csv', 'x/tmp/c.csv', 'x/tmp'])
  t.strictSame(left('x/**'), ['tmp/', 'a.csv', 'tmp/b.csv'])
  t.strictSame(shownOf({ include: ['x/**', 'a.*'] }, ...paths), [
    ...['tmp/', 'a.csv', 'x/tmp/', 'x/tmp/c.csv', 'x/tmp'],
  ])
  t.strictSame(shownOf({ include: ['*.csv'], exclude: ['a*'] }, ...paths), [
    ...['tmp/', 'tmp/b.csv', 'x/tmp/', 'x/tmp/c.csv'],
  ])
  t.end()
})

t.test('a directory that is hidden hides what is in it from who goes by whole paths', (t) => {
  const isShown = shownBy({ ...none, exclude: ['tmp/', '*.bak'] })
  const reached = isShown && reachedBy(isShown)
  const reaches = (path: string) => reached?.(path, entryFromBlob(path, properties))
  t.strictSame(['a', 'x/y/a', 'x/tmp'].map(reaches), [true, true, true])
  t.strictSame(['tmp/a', 'x/tmp/y/a', 'x/a.bak'].map(reaches), [false, false, false])
  const all = shownBy({ ...none, exclude: ['*'] })
  t.equal(all && reachedBy(all)('', impliedDirectory('')), true, 'the top is there')
  t.end()
})

t.test('conditions are those of blobfuse2', (t) => {
  const isMet = (filter: string, path = 'd/a.tar.gz') => shownOf({ filter }, path).length === 1
  const met = [
    ...['size=1000', ' size  >=  1000 ', 'SIZE<1001', 'size!=0', 'size<1 || size>999'],
    ...['format=gz', 'format = GZ', 'format!=tar', 'size>1 && format=gz', 'format=x || format=gz'],
    'modtime>Sat, 01 Aug 2026 11:59:59 GMT',
    'modtime=2026-08-01T12:00:00Z',
    'modtime<=2026-08-01T14:00+02:00 && modtime>=2026-08-01',
  ]
  const unmet = ['size>1000', 'size=1', 'format=tar', 'format!=gz', 'size>1 && format=x']
  for (const filter of met) t.ok(isMet(filter), filter)
  for (const filter of [...unmet, 'modtime<2026-08-01', 'size>1000 || size<1000 && format=gz']) {
    t.notOk(isMet(filter), filter)
  }
  t.ok(isMet('format=GZ', 'A.gz') && isMet('format=env', '.env') && !isMet('format=d', 'a.d/b'))
  t.ok(isMet('size>5000', 'directory/'), 'which directories need not meet')
  t.end()
})

t.test('patterns and conditions that are none are refused by name', (t) => {
  t.equal(shownBy(none), undefined)
  for (const pattern of ['', '/', '.', 'a//b', 'a/../b', 'a\\*']) {
    t.throws(() => shownBy({ ...none, exclude: [pattern] }), {
      message: /--exclude '.*' can match/,
    })
  }
  t.throws(() => shownBy({ ...none, include: ['a**b'] }), { message: /--include a\*\*b/ })
  t.throws(() => shownBy({ ...none, include: ['train/'] }), { message: /write train\/\*\* for/ })
  const refused = [
    '',
    'tag=a',
    'tag>a:b',
    'tag=:b',
    'tier=hot',
    'name=^x',
    'size=1k',
    'size>1 &&',
    'format>gz',
  ]
  const times = ['soon', '1', '2026', '2026-08-01T12:00', 'Sat, 01 Aug 2026 12:00:00 IST']
  for (const filter of [
    ...refused,
    ...['format=.gz', 'modtime!=2026-08-01', 'constructor=1'],
    ...times.map((time) => `modtime>${time}`),
  ]) {
    t.throws(() => shownBy({ ...none, filter }), { message: /--filter has/ }, filter)
  }
  t.end()
})

t.test('tags are compared by key and value, and who has none has another', (t) => {
  const tagged = (tags: Record<string, string> | undefined) =>
    entryFromBlob('a', { ...properties, tags })
  const meets = (filter: string, tags?: Record<string, string>) =>
    shownBy({ ...none, filter })?.('a', tagged(tags))
  const tags = { split: 'train', 'a key': 'x:y=z' }

  t.strictSame(
    [
      'tag=split:train',
      'TAG = split:train',
      'tag=a key:x:y=z',
      'tag!=split:test',
      'tag!=other:',
    ].map((filter) => meets(filter, tags)),
    [true, true, true, true, true],
  )
  t.strictSame(
    ['tag=split:test', 'tag=Split:train', 'tag!=split:train', 'tag=split:train && size<9'].map(
      (filter) => meets(filter, tags),
    ),
    [false, false, false, false],
  )
  t.strictSame([meets('tag=split:train'), meets('tag!=split:train', {})], [false, true])
  t.end()
})

async function filled(t: Test): Promise<VfsMount> {
  const writer = await VfsMount.make(t)
  for (const name of ['train', 'train/deep', 'tmp']) await writer.mkdir(name)
  const files = [
    'a.csv',
    'a.txt',
    'train/b.csv',
    'train/large.csv',
    'train/deep/c.csv',
    'tmp/d.csv',
  ]
  for (const name of files) await writer.save(name, name.includes('large') ? 'x'.repeat(100) : 'x')
  return writer
}

const hiding = { include: ['*.csv'], exclude: ['tmp'], filter: 'size<50' }

async function namesIn(mount: VfsMount, path: string): Promise<string[]> {
  const { handle } = await mount.vfs.opendir(await mount.ino(path), caller)
  const names = [...(await mount.vfs.readdir(handle, 0, caller))].map(({ name }) => name).slice(2)
  await mount.vfs.releasedir(handle, caller)
  return names
}

t.test('a mount shows what is left; all else is not there, at no request more', async (t) => {
  const { account } = await filled(t)
  const look = async (options: MountOptions) => {
    const mount = await VfsMount.make(t, { account, readOnly: true, ...options })
    const hidden: string[] = []
    const isMissing = (path: string) =>
      mount.ino(path).then(
        () => {},
        () => void hidden.push(path),
      )
    await isMissing('a.txt')
    const names = [await namesIn(mount, ''), await namesIn(mount, 'train')]
    const read = (await mount.read(await mount.open('a.csv', constants.O_RDONLY))).toString()
    for (const path of ['tmp', 'a.txt', 'train/large.csv', 'train/deep/c.csv']) {
      await isMissing(path)
    }
    return { mount, names, read, hidden, requests: mount.requests() }
  }
  const { mount, names, read, hidden, requests } = await look({ isShown: shownBy(hiding) })
  const all = await look({})

  t.strictSame(names, [
    ['a.csv', 'train'],
    ['b.csv', 'deep'],
  ])
  t.equal(read, 'x')
  t.strictSame(hidden, ['a.txt', 'tmp', 'a.txt', 'train/large.csv'])
  t.strictSame(all.hidden, [])
  t.strictSame(requests, all.requests)
  const { kind, entryTtlMs } = await mount.vfs.lookup(rootIno, 'tmp', caller)
  t.equal(kind, 'absent')
  t.ok(entryTtlMs > 0, 'which the kernel may keep as long as what is not there')
})

t.test('paths are those below the top of the mount', async (t) => {
  const { account } = await filled(t)
  const root = { container: 'box', name: 'train' }
  const isShown = shownBy({ ...none, include: ['deep/*'] })
  const mount = await VfsMount.make(t, { account, readOnly: true, root, isShown })

  t.strictSame(await namesIn(mount, ''), ['deep'])
  t.strictSame(await namesIn(mount, 'deep'), ['c.csv'])
  await t.rejects(mount.ino('b.csv'), { code: 'ENOENT' })
})

t.test('a file that comes to be hidden goes', async (t) => {
  const writer = await filled(t)
  const { account } = writer
  const mount = await VfsMount.make(t, { account, readOnly: true, isShown: shownBy(hiding) })
  t.strictSame(await namesIn(mount, ''), ['a.csv', 'train'])

  await writer.save('a.csv', 'x'.repeat(100))
  await mount.clock.advance(60_000)

  t.strictSame(await namesIn(mount, ''), ['train'])
  await t.rejects(mount.ino('a.csv'), { code: 'ENOENT' })
})
