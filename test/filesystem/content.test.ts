import fc from 'fast-check'
import t from 'tap'
import type { FileInfo } from '../../src/filesystem/file-info.ts'
import { memoryFileSystem, plantRemote, remoteFiles } from '../support/file-system.ts'

const decode = (bytes: Uint8Array | Error | undefined) =>
  bytes instanceof Uint8Array ? new TextDecoder().decode(bytes) : bytes
const bytes = (text: string) => new TextEncoder().encode(text)

t.test('cat gives the files of names, patterns and directories by name', async (t) => {
  const { fs } = await memoryFileSystem()
  await plantRemote(fs, 'box', { a: 'A', 'd/b': 'B', 'd/e/c': 'C' })

  const texts = async (found: Promise<Map<string, Uint8Array>>) =>
    [...(await found)].map(([name, content]) => [name, decode(content)])

  t.strictSame(await texts(fs.cat('box/a')), [['box/a', 'A']])
  t.strictSame(await texts(fs.cat(['box/a', 'box/d/*'])), [
    ['box/a', 'A'],
    ['box/d/b', 'B'],
  ])
  t.strictSame(await texts(fs.cat('box/d', { recursive: true })), [
    ['box/d/b', 'B'],
    ['box/d/e/c', 'C'],
  ])
  await t.rejects(fs.cat('box/d'), { code: 'EISDIR', path: 'abfs://box/d' })
  await t.rejects(fs.cat(['box/a', 'box/missing']), { code: 'ENOENT' })
})

t.test('cat omits or returns what cannot be read', async (t) => {
  const { fs, store } = await memoryFileSystem()
  await plantRemote(fs, 'box', { a: 'A', b: 'B' })
  await fs.ls('box')
  await store.delete({ container: 'box', name: 'b' })

  await t.rejects(fs.cat('box/*'), { code: 'ENOENT' })
  t.strictSame([...(await fs.cat('box/*', { onError: 'omit' })).keys()], ['box/a'])
  const returned = await fs.cat('box/*', { onError: 'return' })
  t.equal(decode(returned.get('box/a')), 'A')
  t.match(returned.get('box/b'), { code: 'ENOENT' })
})

t.test('pipe writes many files, tries all, and tells the one that failed', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/taken/f', '')

  const files = { 'box/a': bytes('A'), 'box/taken': bytes('no'), 'box/b': bytes('B') }
  await t.rejects(fs.pipe(files), { code: 'EISDIR', path: 'abfs://box/taken' })
  const written = await fs.pipe(new Map([['abfs://box/c', bytes('C')]]))

  t.strictSame(
    written.map(({ name }) => name),
    ['box/c'],
  )
  t.strictSame(await remoteFiles(fs, 'box'), { a: 'A', b: 'B', c: 'C', 'taken/f': '' })
})

t.test('blocks that follow each other hold every record once', async (t) => {
  const { fs } = await memoryFileSystem()
  const text = fc
    .array(fc.string({ maxLength: 12 }), { maxLength: 12 })
    .map((all) => all.join('\n'))

  const run = await fc.check(
    fc.asyncProperty(text, fc.integer({ min: 1, max: 20 }), async (content, length) => {
      await fs.writeText('box/f', content)
      const whole = bytes(content)
      let joined = ''
      for (let offset = 0; offset < whole.byteLength; offset += length) {
        joined += decode(await fs.readBlock('box/f', { offset, length, delimiter: '\n' }))
      }
      return joined === content
    }),
    { numRuns: 200 },
  )

  t.notOk(run.failed, `seed ${run.seed}: ${JSON.stringify(run.counterexample)}`)
})

t.test('a block begins and ends just after a delimiter', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/f', 'one\ntwo\nthree\nfour')

  const block = async (offset?: number, length?: number, delimiter?: string) =>
    decode(await fs.readBlock('box/f', { offset, length, delimiter }))

  t.equal(await block(2, 5), 'e\ntwo')
  t.equal(await block(2, 5, '\n'), 'two\n')
  t.equal(await block(0, 5, '\n'), 'one\ntwo\n')
  t.equal(await block(5, 100, '\n'), 'three\nfour')
  t.equal(await block(5, undefined, '\n'), 'three\nfour')
  t.equal(await block(15, 2, '\n'), '')
  t.equal(await block(100, 5), '')
  await t.rejects(fs.readBlock('box/f', { offset: -1 }), RangeError)
})

t.test('a delimiter is found across the pieces that are searched', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/f', `${'x'.repeat(64 * 1024)}<>after`)

  t.equal(decode(await fs.readBlock('box/f', { offset: 1, delimiter: '<>' })), 'after')
})

t.test('size, times and keys of a file', async (t) => {
  const { fs } = await memoryFileSystem()
  const info: FileInfo = await fs.writeText('box/d/f', 'text')
  await fs.writeText('box/d/g', 'text')

  t.equal(await fs.size('box/d/f'), 4)
  t.strictSame(await fs.sizes(['box/d/g', 'box/d', 'box/d/f']), [4, 0, 4])
  t.strictSame(await fs.modified('box/d/f'), info.lastModified)
  t.ok((await fs.created('box/d/f')) instanceof Date)
  await t.rejects(fs.modified('box/d'), { code: 'ENOTSUP' })
  t.ok(await fs.isSameFile('box/d/f', 'abfs://box/d/f'))
  t.notOk(await fs.isSameFile('box/d/f', 'box/d/g'))
  await t.rejects(fs.isSameFile('box/d/f', 'box/d/h'), { code: 'ENOENT' })
  t.strictSame(
    [...(await fs.diskUsage('box/d'))],
    [
      ['box/d/f', 4],
      ['box/d/g', 4],
    ],
  )
})

t.test('keys change with the file, also when somebody else changes it', async (t) => {
  const { fs, store } = await memoryFileSystem()
  await fs.writeText('box/f', 'text')
  const before = [await fs.ukey('box/f'), await fs.checksum('box/f')]
  await fs.ls('box')

  t.strictSame([await fs.ukey('box/f'), await fs.checksum('box/f')], before)
  await store.put({ container: 'box', name: 'f' }, bytes('other'))

  t.not(await fs.ukey('box/f'), before[0])
  t.not(await fs.checksum('box/f'), before[1])
  await t.rejects(fs.ukey('box'), { code: 'EISDIR' })
})

t.test('rmFile takes a pattern for a name and leaves directories', async (t) => {
  const { fs } = await memoryFileSystem()
  await plantRemote(fs, 'box', { '*': 'star', a: 'A', 'd/f': '' })

  await fs.rmFile('box/*')

  await t.rejects(fs.rmFile('box/d'), { code: 'EISDIR' })
  await t.rejects(fs.rmFile('box/missing'), { code: 'ENOENT' })
  t.strictSame(Object.keys(await remoteFiles(fs, 'box')), ['a', 'd/f'])
})

t.test('what is no bytes is refused, and nothing is written', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/f', 'kept')
  // As programs without types call it.
  const given: readonly (readonly [unknown, RegExp])[] = [
    [new Float32Array(4), /got Float32Array: new Uint8Array\(it.buffer, it.byteOffset/],
    [new ArrayBuffer(4), /got ArrayBuffer: new Uint8Array\(it\)/],
    [{ a: 1 }, /got Object/],
    [5, /got number/],
    [null, /got null/],
    [undefined, /got undefined/],
  ]

  for (const [data, message] of given) {
    const wrong: { data: Uint8Array } = Object.assign({ data: bytes('') }, { data })
    const refusal = { name: 'TypeError', message }
    await t.rejects(fs.pipeFile('box/f', wrong.data), refusal)
    await t.rejects(fs.getMapper('box').set('f', wrong.data), refusal)
    await t.rejects(fs.asNodeFs().writeFile('/box/f', wrong.data), refusal)
    await t.rejects(
      fs.update('box/f', () => wrong.data),
      refusal,
    )
  }
  t.equal(await fs.readText('box/f'), 'kept')
  await fs.pipeFile('box/f', 'text')
  t.equal(await fs.readText('box/f'), 'text')
})

t.test('a mode with a typing error does not overwrite', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/f', 'kept')
  const wrong: { mode: 'create' } = Object.assign({ mode: 'create' as const }, { mode: 'creat' })

  await t.rejects(fs.writeText('box/f', 'new', wrong), {
    message: /overwrite, create, got "creat"/,
  })
  t.equal(await fs.readText('box/f'), 'kept')
})

t.test('names and patterns that stand for nothing are omitted or returned by cat', async (t) => {
  const { fs } = await memoryFileSystem()
  await plantRemote(fs, 'box', { a: 'A' })
  const names = ['box/none', 'box/a', 'box/*.none']

  const kept = await fs.cat(names, { onError: 'omit' })
  t.strictSame([...kept.keys()], ['box/a'])
  const told = await fs.cat(names, { onError: 'return' })
  t.match(told.get('box/none'), { code: 'ENOENT' })
  t.match(told.get('box/*.none'), { code: 'ENOENT' })
  t.equal(decode(told.get('box/a')), 'A')
  t.strictSame((await fs.cat('box/none', { onError: 'omit' })).size, 0)
})

t.test('a text that names no place is EINVAL, as a name that Azure refuses is', async (t) => {
  const { fs } = await memoryFileSystem()

  for (const path of ['../x', 'file:///etc/passwd', 's3://box/x', 'box/../x']) {
    await t.rejects(fs.info(path), { code: 'EINVAL' })
    await t.rejects(fs.exists(path), { code: 'EINVAL' })
  }
  await t.rejects(fs.info('https://acct.blob.core.windows.net/box/x?sv=1&sig=hunter2'), {
    code: 'EINVAL',
    message: /^((?!hunter2).)*$/,
  })
})

t.test('headers, tier and tags are given with the bytes, and update keeps them', async (t) => {
  const { fs, store } = await memoryFileSystem({ blockBytes: 1024 })
  const given = {
    headers: { contentEncoding: 'gzip', cacheControl: 'no-store' },
    tier: 'Cool',
    tags: { project: 'abfs' },
    contentType: 'text/plain',
    metadata: { mine: 'kept' },
  }
  const long = Buffer.alloc(5000, 'x')
  const wanted = { accessTier: 'Cool', isTierChosen: true }

  await fs.pipeFile('box/short', 'text', given)
  await fs.pipeFile('box/long', long, given)
  await using writer = await fs.open('box/written', 'w', given)
  await writer.write(long)
  await writer.close()
  await fs.update('box/short', (data) => Buffer.concat([data ?? long, bytes('!')]))
  await fs.update('box/long', (data) => Buffer.concat([data ?? long, bytes('!')]))

  t.equal(await fs.readText('box/short'), 'text!')
  for (const name of ['short', 'long', 'written']) {
    const found = await store.head({ container: 'box', name })
    t.match(
      found,
      { contentType: 'text/plain', headers: given.headers, metadata: given.metadata },
      name,
    )
    t.match(found, wanted, name)
  }
  t.equal((await store.head({ container: 'box', name: 'written' })).tagCount, 1)
})
