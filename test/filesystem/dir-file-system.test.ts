import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import type { FileChange } from '../../src/filesystem/changes.ts'
import type { ProgressOptions } from '../../src/filesystem/progress.ts'
import { collect } from '../../src/filesystem/walk.ts'
import { keySignatures } from '../../src/given-credential.ts'
import { administered } from '../support/administered.ts'
import { startBlobServer } from '../support/blob-server.ts'
import { CountingStore } from '../support/counting-store.ts'
import { memoryFileSystem, remoteFiles } from '../support/file-system.ts'
import { accountKeys, accountName } from '../support/storage-request.ts'

const names = (entries: readonly { readonly name: string }[]) => entries.map(({ name }) => name)

t.test('paths go in and names come out relative to the directory', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/run/a/f', 'f')
  await fs.writeText('box/run/g', 'gg')
  await fs.writeText('box/running', 'a twin by prefix')
  const sub = fs.sub('abfs://box/run/')

  t.strictSame(names(await sub.ls()), ['a', 'g'])
  t.strictSame(names(await sub.find('/a')), ['a/f'])
  t.strictSame(names(await sub.find('', { prefix: 'a/' })), ['a/f'])
  t.strictSame(names(await collect(sub.findIter('a', { prefix: 'f' }))), ['a/f'])
  t.strictSame(await sub.find('', { prefix: '../running' }), [])
  t.equal(await sub.du('', { prefix: 'g' }), 2)
  t.strictSame(names(await sub.glob('**/f')), ['a/f'])
  t.strictSame(names(await sub.expandPath('*', { recursive: true })), ['a', 'a/f', 'g'])
  t.strictSame(
    (await collect(sub.walk())).map(({ path }) => path),
    ['', 'a'],
  )
  t.strictSame([...(await sub.cat('*')).keys()], ['g'])
  t.equal((await sub.info('g')).name, 'g')
  t.equal(await sub.du(), 3)
  t.equal(await sub.readText('/g'), 'gg')
  t.strictSame(names(await sub.sub('a').ls()), ['f'])
})

t.test('changes stay inside', async (t) => {
  const { fs } = await memoryFileSystem()
  const sub = fs.sub('box/run')

  await sub.writeText('a/f', 'f')
  await sub.copy('a', 'b/', { recursive: true })
  await sub.mv('a/f', 'moved')
  await sub.getMapper('map').set('key', new TextEncoder().encode('value'))
  await using writer = await sub.open('opened', 'w')
  await writer.write('text')
  await writer.close()
  await sub.rm('a', { recursive: true })

  t.strictSame(await remoteFiles(fs, 'box'), {
    'run/b/a/f': 'f',
    'run/map/key': 'value',
    'run/moved': 'f',
    'run/opened': 'text',
  })
})

t.test('a walk goes where its directories say', async (t) => {
  const { fs } = await memoryFileSystem()
  for (const name of ['a/x/f', 'b/f', 'c/f']) await fs.writeText(`box/run/${name}`, '')
  const seen: string[] = []

  for await (const { path, dirs } of fs.sub('box/run').walk()) {
    seen.push(path)
    if (path === '') dirs.splice(0, 2)
  }

  t.strictSame(seen, ['', 'c'])
})

t.test('nothing outside can be named', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/secret', 'x')
  const sub = fs.sub('box/run')

  for (const path of ['..', '../secret', 'a/../../secret', './a', 'abfs://box/secret']) {
    await t.rejects(sub.readText(path), { code: 'EINVAL' }, path)
    await t.rejects(sub.rm(['a', path]), { code: 'EINVAL' }, path)
    await t.rejects(sub.catRanges([{ path, end: 1 }]), { code: 'EINVAL' }, path)
    await t.rejects(sub.pipe({ [path]: new Uint8Array(1) }), { code: 'EINVAL' }, path)
    await t.rejects(collect(sub.findIter(path)), { code: 'EINVAL' }, path)
    await t.rejects(sub.sign(path), { code: 'EINVAL' }, path)
    await t.rejects(
      sub.transaction((tx) => tx.writeText(path, 'x')),
      { code: 'EINVAL' },
      path,
    )
    t.throws(() => sub.createReadStream(path), { code: 'EINVAL' }, path)
    await t.rejects(sub.glob(`${path}/*`), { code: 'EINVAL' }, path)
  }
  t.notOk(await sub.exists('secret'))
  t.strictSame(await remoteFiles(fs, 'box'), { secret: 'x' })
})

/** What is of the whole account, and of its lifetime. */
const ofTheWhole = ['close', 'toJSON', 'stats', 'nameOf', 'account', 'recover', 'registerCache']
const places = ['place', 'filePlace', 'namePlace', 'names']
const inner = ['remote', 'admin', 'administration', ...places]

/** The names of what an object of a class does. */
function verbsOf(object: object): Set<string> {
  const verbs = new Set<string>()
  for (let at = Object.getPrototypeOf(object); at !== Object.prototype; ) {
    for (const name of Object.getOwnPropertyNames(at)) verbs.add(name)
    at = Object.getPrototypeOf(at)
  }
  return verbs
}

t.test('every verb of the account is one of a directory', async (t) => {
  const { fs } = await memoryFileSystem()
  const verbs = verbsOf(fs.sub('box'))
  const missing = [...verbsOf(fs)].filter((verb) => !verbs.has(verb))
  t.strictSame(missing.sort(), [...ofTheWhole, ...inner].sort())
})

/** An account of the local storage server with a container `first`. */
async function serverFileSystem(t: Parameters<typeof startBlobServer>[0]) {
  const server = await startBlobServer(t)
  const { clock } = server
  const provider = keySignatures(accountName, accountKeys[0], clock)
  return administered(t, {
    account: accountName,
    endpoint: new URL(server.endpoint),
    provider,
    clock,
  })
}

t.test('changes of a directory are asked for below it and told by names from it', async (t) => {
  const { fs } = await memoryFileSystem()
  const asked: unknown[] = []
  async function* rows(): AsyncGenerator<FileChange, void> {
    const kind = 'removed'
    for (const name of ['box/run/a/f', 'box/run/a/g']) yield { name, kind } as FileChange
  }
  fs.changes = (...args) => {
    asked.push(args)
    return Object.assign(rows(), { checkpoint: () => ({ continuation: 'here' }) })
  }
  const changes = fs.sub('box/run').changes('a', { prefix: 'f' })

  t.strictSame(names(await collect(changes)), ['a/f', 'a/g'])
  t.strictSame(asked, [['box/run/a', { prefix: 'f' }]])
  t.strictSame(changes.checkpoint(), { continuation: 'here' })
  t.throws(() => fs.sub('box/run').changes('../other'), { code: 'EINVAL' })
})

t.test('searches of a directory tell names from it', async (t) => {
  const { fs } = await memoryFileSystem()
  for (const name of ['run/a/f', 'run/a/g', 'run/h', 'running'])
    await fs.writeText(`box/${name}`, name)
  const sub = fs.sub('box/run')

  t.strictSame(names(await collect(sub.findIter())).sort(), ['a/f', 'a/g', 'h'])
  t.strictSame(names(await collect(sub.globIter('*/f'))), ['a/f'])
  const listing = sub.list('', { pageSize: 1 })
  const pages = await collect(listing)
  const filesOf = (of: typeof pages) => of.flatMap(({ files }) => names(files))
  t.strictSame(filesOf(pages), ['a/f', 'a/g', 'h'])
  t.strictSame(listing.checkpoint(), { continuation: undefined, isDone: true, files: 3 })
  const first = pages.find(({ files }) => files.length > 0)
  const later = await collect(sub.list('', { continuation: first?.continuation }))
  t.strictSame(filesOf(later), ['a/g', 'h'])
  t.match(await sub.explainGlob('*/f'), { listed: [''], asked: ['a/f'], matches: 1 })
  t.strictSame(
    [...(await sub.diskUsage('a'))],
    [
      ['a/f', 7],
      ['a/g', 7],
    ],
  )
  t.strictSame(await collect(sub.tree()), ['/', '├── a/', '│   ├── f', '│   └── g', '└── h'])
  t.strictSame(await sub.sizes(['h', 'a/f']), [5, 7])
  t.ok(await sub.lexists('h'))
  t.ok(await sub.isSameFile('h', '/h'))
  t.ok((await sub.created('h')) <= (await sub.modified('h')))
  t.equal(await sub.isHierarchical(), await fs.isHierarchical('box'))
})

t.test('bytes of a directory go in and out in every way', async (t) => {
  const { fs } = await memoryFileSystem()
  const sub = fs.sub('box/run')
  const text = (bytes: unknown) =>
    bytes instanceof Uint8Array ? String(Buffer.from(bytes)) : String(bytes)

  t.strictSame(names(await sub.pipe({ f: Buffer.from('abcdef'), 'd/g': Buffer.from('x\ny\n') })), [
    'f',
    'd/g',
  ])
  const ranges = await sub.catRanges([
    { path: 'f', start: -2 },
    { path: 'f', end: 2 },
  ])
  t.strictSame(ranges.map(text), ['ef', 'ab'])
  const [range, error] = await sub.catRanges([{ path: 'f', end: 1 }, { path: 'no' }], {
    onError: 'return',
  })
  t.equal(text(range), 'a')
  t.match(error, { code: 'ENOENT', path: 'abfs://box/run/no' })
  t.match(await sub.cat(['f', 'no'], { onError: 'omit' }), new Map([['f', Buffer.from('abcdef')]]))
  t.match((await sub.cat(['no'], { onError: 'return' })).get('no'), { code: 'ENOENT' })
  t.equal(text(await sub.head('f', 2)) + text(await sub.tail('f', 2)), 'abef')
  t.equal(text(await sub.readBytes('f')), 'abcdef')
  t.equal(text(await sub.readBlock('d/g', { offset: 0, length: 1, delimiter: '\n' })), 'x\n')
  t.equal((await sub.writeBytes('w', Buffer.from('w'))).name, 'w')
  t.equal(await sub.putIfAbsent('w', Buffer.from('no')), undefined)
  t.equal((await sub.putIfAbsent('new', Buffer.from('n')))?.name, 'new')
  t.equal(
    (await sub.update('w', (old) => Buffer.concat([old ?? Buffer.of(), old ?? Buffer.of()]))).name,
    'w',
  )
  await pipeline(sub.createReadStream('f', { start: 4 }), sub.createWriteStream('streamed'))
  const opened = await sub.openAs('opened', 'x')
  await opened.close()

  t.strictSame(await remoteFiles(fs, 'box/run'), {
    'd/g': 'x\ny\n',
    f: 'abcdef',
    new: 'n',
    opened: '',
    streamed: 'ef',
    w: 'ww',
  })
})

t.test('transfers of a directory tell names from it, and can be tried again', async (t) => {
  const store = new CountingStore(new MemoryBlobStore())
  await store.createContainer('box')
  const fs = new AzureBlobFileSystem({ store })
  const sub = fs.sub('box/run')
  const local = t.testdir({ tree: { a: 'a', b: 'bb' } })
  const seen: string[] = []
  const onProgress = ({ path }: { readonly path: string }) => seen.push(path)

  const put = await sub.upload(`${local}/tree`, 't', { recursive: true, onProgress })
  t.strictSame([...put.ok].sort(), ['t/a', 't/b'])
  t.strictSame([...new Set(seen)].sort(), [`${local}/tree`, 't/a', 't/b'])
  const told = async (work: (options: ProgressOptions) => Promise<unknown>) => {
    seen.length = 0
    await work({ onProgress })
    return [...new Set(seen)].sort()
  }
  await sub.cp('t', 'told', { recursive: true })
  const out = `${local}/told`
  t.strictSame(await told((how) => sub.du('t', how)), ['t'])
  t.strictSame(await told((how) => sub.get('t', out, { ...how, recursive: true })), [
    `${out}/a`,
    `${out}/b`,
    't',
  ])
  t.strictSame(await told((how) => sub.mv('told', 'moved-on', how)), ['told/a', 'told/b'])
  const gone = await told((how) => sub.rm('moved-on/*', how))
  t.strictSame(gone, ['moved-on/a', 'moved-on/b'])
  await sub.rm('moved-on', { recursive: true })
  const copied = await sub.cp('t', 'u', { recursive: true })
  t.strictSame([...copied.ok].sort(), ['u/a', 'u/b'])
  const plan = await sub.plan('copy', 't', 'v', { recursive: true })
  t.strictSame([...plan.paths].sort(), ['v/a', 'v/b'])
  t.strictSame((await sub.plan('rm', 'u', { recursive: true })).paths, ['u/a', 'u/b'])
  const got = await sub.download('t', `${local}/out`, { recursive: true })
  t.strictSame([...got.ok].sort(), [`${local}/out/a`, `${local}/out/b`])
  await sub.rename('u/a', 'renamed')
  await sub.move('u/b', 'moved')
  store.before = ({ verb, name }) => {
    if (verb === 'delete' && name === 'run/moved') throw new Error('no')
  }
  const removed = await sub.delete(['renamed', 'moved'], { onError: 'return' })
  t.match(removed, { ok: ['renamed'], failed: [{ path: 'moved' }] })
  store.before = () => undefined
  t.strictSame([...(await removed.retry()).ok].sort(), ['moved', 'renamed'])
})

t.test('metadata, tags, states and locks of a directory’s files', async (t) => {
  const fs = await serverFileSystem(t)
  const sub = fs.sub('first/run')
  const first = await sub.writeText('f', 'one', { tags: { state: 'done' } })
  await fs.writeText('first/f', 'outside', { tags: { state: 'done' } })
  t.equal(first.name, 'f')

  t.strictSame(await sub.setMetadata('f', { a: '1' }), { a: '1' })
  await sub.setXattrs('f', { b: '2' })
  t.equal(await sub.getXattr('f', 'b'), '2')
  t.strictSame(await sub.getMetadata('f'), { a: '1', b: '2' })
  await sub.setContentSettings('f', { contentType: 'text/x' })
  t.equal((await sub.info('f', { refresh: true })).contentType, 'text/x')
  t.strictSame(await sub.getTags('f'), { state: 'done' })
  t.strictSame(await collect(sub.findByTags(`"state" = 'done'`)), [
    { name: 'f', tags: { state: 'done' } },
  ])
  await sub.setTags('f', {})
  await sub.setTier('f', 'Cool')
  t.equal((await sub.getTier('f')).tier, 'Cool')
  const snapshot = await sub.createSnapshot('f')
  await sub.writeText('f', 'two')
  t.equal(String(Buffer.from(await sub.readVersion('f', { snapshot }))), 'one')
  await using former = await sub.openVersion('f', { snapshot })
  t.equal(String(Buffer.from(await former.read(2))), 'on')
  t.ok((await sub.listVersions('f')).every(({ name }) => name === 'f'))
  await sub.restoreVersion('f', { snapshot })
  t.equal(await sub.readText('f'), 'one')
  await sub.deleteVersion('f', { snapshot })
  await using lock = await sub.lock('f')
  t.equal(lock.path, 'abfs://first/run/f')
  await t.rejects(sub.writeText('f', 'x'), { code: 'EBUSY' })
  t.match(await sub.capabilities(), { canList: true })
})

t.test('a transaction of a directory is of its paths', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/run/old', 'old')
  const sub = fs.sub('box/run')

  const tx = sub.startTransaction()
  await tx.writeText('new', 'n')
  await tx.mv('old', '/moved')
  t.match(await tx.commit(), { written: [{ name: 'new' }, { name: 'moved' }], removed: ['old'] })
  await sub.transaction((inner) => inner.rm('n*'))

  t.strictSame(await remoteFiles(fs, 'box'), { 'run/moved': 'old' })
})

t.test('files below a directory are opened in every way that files are', async (t) => {
  const { fs } = await memoryFileSystem()
  const sub = fs.sub('box/part')
  const gzip = await sub.open('f.gz', 'w', { compression: 'infer', encoding: 'latin1' })
  await gzip.write('é')
  await gzip.close()
  await using decoded = await sub.open('f.gz', 'r', { compression: 'infer', encoding: 'latin1' })
  t.equal(await decoded.readText(), 'é')
  const appended = await sub.open('f', 'a')
  await appended.write('one')
  await appended.close()
  const edited = await sub.open('f', 'r+')
  await edited.writeAt(0, 'O')
  await edited.close()

  t.equal(await fs.readText('box/part/f'), 'One')
  await t.rejects(sub.open('../f', 'a'), { code: 'EINVAL' })
})

t.test('a directory is the root of a node:fs', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.pipe({ 'box/run/a/f': Buffer.from('f'), 'box/outside': Buffer.from('o') })
  const node = fs.sub('box/run').asNodeFs()

  t.strictSame(await node.readdir('/', { recursive: true }), ['a', 'a/f'])
  t.equal(await node.readFile('/a/f', 'utf8'), 'f')
  t.equal(await node.realpath('a/f'), '/a/f')
  t.equal((await node.readdir('/a', { withFileTypes: true }))[0]?.parentPath, '/a')
  await node.mkdir('/b')
  await node.rename('/a/f', '/b/g')
  await node.writeFile('h', 'h')
  t.ok((await node.stat('/')).isDirectory())
  await t.rejects(node.readFile('/../outside'), { code: 'EINVAL' })
  await t.rejects(node.readFile('abfs://box/outside'), { code: 'EINVAL' })
  await t.rejects(node.rename('/h', '../h'), { code: 'EINVAL' })

  const files = await remoteFiles(fs, 'box')
  t.match(files, { outside: 'o', 'run/b/g': 'f', 'run/h': 'h' })
})
