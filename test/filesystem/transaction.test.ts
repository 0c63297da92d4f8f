import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { KiB } from '../../src/byte-range.ts'
import type { Transaction } from '../../src/filesystem/transaction.ts'
import { memoryFileSystem, remoteFiles } from '../support/file-system.ts'

t.test('nothing is visible before the end, and all of it after', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/old', 'goes')
  await fs.writeText('box/kept', 'before')
  const local = join(t.testdir(), 'file')
  await writeFile(local, 'x'.repeat(200 * KiB))

  await fs.transaction(async (tx) => {
    await tx.writeText('box/a', 'one')
    await tx.writeText('box/kept', 'after')
    await tx.putFile(local, 'box/large')
    await tx.rmFile('box/old')
    fs.invalidateCache()
    t.strictSame(await remoteFiles(fs, 'box'), { kept: 'before', old: 'goes' })
  })

  t.strictSame(await remoteFiles(fs, 'box'), {
    a: 'one',
    kept: 'after',
    large: 'x'.repeat(200 * KiB),
  })
})

t.test('an error in between leaves everything as it was', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/kept', 'before')
  const reason = new Error('no')

  const work = fs.transaction(async (tx) => {
    await tx.writeText('box/kept', 'after')
    await tx.pipeFile('box/large', new Uint8Array(300 * KiB))
    await tx.rmFile('box/kept').catch(() => undefined)
    throw reason
  })

  await t.rejects(work, reason)
  fs.invalidateCache()
  t.strictSame(await remoteFiles(fs, 'box'), { kept: 'before' })
})

t.test('a writer that was not closed gives all of it up', async (t) => {
  const { fs } = await memoryFileSystem()

  const work = fs.transaction(async (tx) => {
    await tx.writeText('box/a', 'one')
    await (await tx.open('box/b')).write('half')
  })

  await t.rejects(work, { code: 'EBUSY', path: 'abfs://box/b' })
  t.strictSame(await remoteFiles(fs, 'box'), {})
})

t.test('what is created by somebody else meanwhile is not replaced', async (t) => {
  const { fs, store } = await memoryFileSystem()
  await fs.writeText('box/old', 'stays')
  const tx = fs.startTransaction()
  await tx.pipeFile('box/a', 'mine', { mode: 'create' })
  await tx.writeText('box/b', 'mine')
  await tx.rmFile('box/old')
  await store.put({ container: 'box', name: 'a' }, new TextEncoder().encode('theirs'))

  await t.rejects(tx.commit(), { code: 'EEXIST', path: 'abfs://box/a' })

  fs.invalidateCache()
  t.strictSame(await remoteFiles(fs, 'box'), { a: 'theirs', b: 'mine', old: 'stays' })
})

t.test('a transaction that is left by await using commits nothing', async (t) => {
  const { fs } = await memoryFileSystem()
  {
    await using tx = fs.startTransaction()
    await tx.writeText('box/a', 'one')
  }
  t.notOk(await fs.exists('box/a', { refresh: true }))
})

t.test('a transaction changes a file once and ends once', async (t) => {
  const { fs } = await memoryFileSystem()
  const tx = fs.startTransaction()
  await tx.writeText('box/a', 'one')

  await t.rejects(tx.writeText('box/a', 'two'), { code: 'EBUSY' })
  await t.rejects(tx.rmFile('box/missing'), { code: 'ENOENT' })
  t.match(await tx.commit(), { written: [{ name: 'box/a', size: 3 }], removed: [] })

  await t.rejects(tx.commit(), { code: 'EBADF' })
  await t.rejects(tx.writeText('box/b', ''), { code: 'EBADF' })
  await tx.discard()
  t.equal(await fs.readText('box/a'), 'one')
})

t.test('however many files fail, every other one is committed', async (t) => {
  const { fs } = await memoryFileSystem()
  const failing = Array.from({ length: 30 }, (_, index) => `box/failing-${index}`)
  const fine = Array.from({ length: 5 }, (_, index) => `box/fine-${index}`)
  const transaction = fs.startTransaction()
  for (const name of [...failing, ...fine])
    await transaction.pipeFile(name, Buffer.from('new'), { mode: 'create' })
  for (const name of failing) await fs.writeText(name, 'in the way')

  const commit = transaction.commit()

  await t.rejects(commit, { code: 'EEXIST', message: /30 of 35 paths failed/ })
  for (const name of fine) t.equal(await fs.readText(name), 'new')
  for (const name of failing) t.equal(await fs.readText(name), 'in the way')
})

t.test('uploads, copies, renames and removals appear at the end, together', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.pipe({
    'box/copied': Buffer.from('c'.repeat(300 * KiB)),
    'box/moved': Buffer.from('m'),
    'box/gone/a': Buffer.from('a'),
    'box/gone/deep/b': Buffer.from('b'),
    'box/x1': Buffer.from('1'),
    'box/x2': Buffer.from('2'),
  })
  await fs.setMetadata('box/copied', { kind: 'large' })
  const before = await remoteFiles(fs, 'box')
  const local = t.testdir({ tree: { f: 'f', sub: { g: 'gg' } } })
  const changes = async (tx: Transaction) => {
    await tx.put(join(local, 'tree'), 'box/tree', { recursive: true })
    await tx.pipe({ 'box/p': Buffer.from('p'), 'box/q': Buffer.from('q') })
    await tx.cpFile('box/copied', 'box/copy')
    await tx.mv('box/moved', 'box/new')
    await tx.rm(['box/gone', 'box/x*'], { recursive: true })
    fs.invalidateCache()
    t.strictSame(await remoteFiles(fs, 'box'), before, 'nothing shows before the end')
  }

  await t.rejects(
    fs.transaction(async (tx) => {
      await changes(tx)
      throw new Error('no')
    }),
    /no/,
  )
  fs.invalidateCache()
  t.strictSame(await remoteFiles(fs, 'box'), before, 'nothing after a throw')
  await fs.transaction(changes)

  fs.invalidateCache()
  t.strictSame(await remoteFiles(fs, 'box'), {
    copied: 'c'.repeat(300 * KiB),
    copy: 'c'.repeat(300 * KiB),
    new: 'm',
    p: 'p',
    q: 'q',
    'tree/f': 'f',
    'tree/sub/g': 'gg',
  })
  t.strictSame(await fs.getMetadata('box/copy'), { kind: 'large' })
  t.notOk(await fs.exists('box/gone'))
})

t.test(
  'what is renamed in a transaction and written by somebody else meanwhile stays',
  async (t) => {
    const { fs, store } = await memoryFileSystem()
    await fs.writeText('box/f', 'old')
    const tx = fs.startTransaction()
    await tx.mv('box/f', 'box/g')
    await store.put({ container: 'box', name: 'f' }, Buffer.from('theirs'))

    await t.rejects(tx.commit(), { code: 'ESTALE', path: 'abfs://box/f' })

    fs.invalidateCache()
    t.strictSame(await remoteFiles(fs, 'box'), { f: 'theirs', g: 'old' })
  },
)

t.test(
  'a transaction does not write what it deletes, nor refuses half of what it is asked',
  async (t) => {
    const { fs } = await memoryFileSystem()
    await fs.writeText('box/dir/f', 'f')
    await fs.writeText('box/h', 'h')
    await using tx = fs.startTransaction()
    await tx.writeText('box/dir/new', 'n')
    await t.rejects(tx.rm(['box/h', 'box/dir'], { recursive: true }), {
      code: 'EBUSY',
      path: 'abfs://box/dir/new',
    })
    await tx.mv('box/h', 'box/moved')
    await t.rejects(tx.cpFile('box/dir/f', 'box/h'), { code: 'EBUSY' })
    await t.rejects(tx.rm('box/dir'), { code: 'EISDIR' })
    await t.rejects(tx.rm('box'), { code: 'EPERM' })
    await t.rejects(tx.mv('box/dir', 'box/d'), { code: 'EISDIR' })
    await t.rejects(tx.cpFile('box/none', 'box/d'), { code: 'ENOENT' })
    await using other = fs.startTransaction()
    await other.rm('box/dir', { recursive: true })
    await t.rejects(other.writeText('box/dir/x', 'x'), { code: 'EBUSY' })
  },
)

t.test('a transaction that deletes a directory tells of the file that it hid', async (t) => {
  for (const more of [[], ['box/new']]) {
    const { fs, store } = await memoryFileSystem()
    // There a directory has its name to itself.
    if (await fs.isHierarchical('box')) {
      t.pass('a hierarchical account hides no file')
      return
    }
    await fs.pipe({ 'box/d/child': Buffer.from('c'), 'box/e/child': Buffer.from('c') })
    await store.put({ container: 'box', name: 'd' }, Buffer.from('hidden'))
    const tx = fs.startTransaction()
    for (const name of more) await tx.writeText(name, 'n')
    await tx.rm(more.length === 0 ? 'box/d' : ['box/d', 'box/e'], { recursive: true })

    await t.rejects(tx.commit(), { code: 'EEXIST', path: 'abfs://box/d', message: /hid/ })

    const left = more.length === 0 ? { 'e/child': 'c' } : { new: 'n' }
    fs.invalidateCache()
    t.strictSame(await remoteFiles(fs, 'box'), { d: 'hidden', ...left })
    t.strictSame(await fs.recover('abfs://box', { force: true }), [], 'and nothing is left to do')
  }
})
