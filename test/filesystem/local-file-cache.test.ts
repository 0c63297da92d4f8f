import { execFile } from 'node:child_process'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { KiB } from '../../src/byte-range.ts'
import { LocalFileCache } from '../../src/filesystem/local-file-cache.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { memoryFileSystem } from '../support/file-system.ts'

t.test('a copy is downloaded once for each version, whoever asks', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/dir/f', 'one')
  const directory = join(t.testdir(), 'made')
  const first = new LocalFileCache({ fs, directory })
  const second = new LocalFileCache({ fs, directory })

  const local = await first.localPath('box/dir/f')
  t.equal(await second.localPath('abfs://box/dir/f'), local)
  await fs.writeText('box/dir/f', 'two')

  t.equal(await second.readText('box/dir/f'), 'two')
  t.not(await first.localPath('box/dir/f'), local)
  t.equal(await first.sizeBytes(), 6)
})

t.test('a name is believed as long as it was said, and no longer', async (t) => {
  const { fs } = await memoryFileSystem()
  const clock = new FakeClock()
  await fs.writeText('box/f', 'one')
  const cache = new LocalFileCache({ fs, directory: t.testdir(), expiryMs: 1000, clock })
  t.equal(await cache.readText('box/f'), 'one')
  await fs.writeText('box/f', 'two')

  await clock.advance(1000)
  t.equal(await cache.readText('box/f'), 'one')
  await clock.advance(1)
  t.equal(await cache.readText('box/f'), 'two')
  await fs.writeText('box/f', 'three')
  await cache.forget('box/f')
  t.equal(await cache.readText('box/f'), 'three')
})

t.test('what is believed for ever survives the file', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/f', 'one')
  const expiryMs = Number.POSITIVE_INFINITY
  const cache = new LocalFileCache({ fs, directory: t.testdir(), expiryMs })
  await cache.readText('box/f')

  await fs.rm('box/f')

  t.equal(await cache.readText('box/f'), 'one')
  const asking = new LocalFileCache({ fs, directory: cache.directory })
  await t.rejects(asking.readText('box/f'), { code: 'ENOENT' })
})

t.test('the longest unread copies make room, and strangers’ files stay', async (t) => {
  const { fs } = await memoryFileSystem()
  const clock = new FakeClock()
  const directory = t.testdir({ 'notes.txt': 'kept' })
  const cache = new LocalFileCache({ fs, directory, maxBytes: 250 * KiB, clock })
  for (const name of ['a', 'b', 'c']) await fs.pipeFile(`box/${name}`, new Uint8Array(100 * KiB))
  const a = await cache.localPath('box/a')
  await clock.advance(1000)
  const b = await cache.localPath('box/b')
  await clock.advance(1000)
  await using handle = await cache.open('box/a')
  await clock.advance(1000)

  await cache.localPath('box/c')

  const names = await readdir(directory)
  t.ok(names.includes(a.slice(directory.length + 1)))
  t.notOk(names.includes(b.slice(directory.length + 1)))
  t.equal(await cache.sizeBytes(), 200 * KiB)
  await cache.clear()
  t.strictSame(await readdir(directory), ['notes.txt'])
  t.equal((await handle.readFile()).length, 100 * KiB)
})

t.test('a file larger than the limit is still read', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.pipeFile('box/large', new Uint8Array(300 * KiB).fill(7))
  const cache = new LocalFileCache({ fs, directory: t.testdir(), maxBytes: 1 })

  t.strictSame(await cache.readBytes('box/large'), Buffer.alloc(300 * KiB, 7))
})

t.test('a download that fails leaves nothing, and what a killed process left goes', async (t) => {
  const { fs } = await memoryFileSystem()
  const clock = new FakeClock(Date.now() + 25 * 60 * 60 * 1000)
  const directory = t.testdir()
  const cache = new LocalFileCache({ fs, directory, clock })
  await writeFile(join(directory, `${crypto.randomUUID()}.part`), 'half')
  await fs.writeText('box/f', 'text')
  const signal = AbortSignal.abort(new Error('enough'))

  await t.rejects(cache.localPath('box/f', { signal }), { message: 'enough' })
  t.equal((await readdir(directory)).length, 1)
  await cache.localPath('box/f')

  t.strictSame(
    (await readdir(directory)).filter((name) => name.endsWith('.part')),
    [],
  )
})

t.test('what a power cut left of a name is asked for again', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/f', 'one')
  const directory = t.testdir()
  const cache = new LocalFileCache({ fs, directory, expiryMs: Number.POSITIVE_INFINITY })
  await cache.readText('box/f')
  const names = (await readdir(directory)).filter((name) => name.endsWith('.json'))
  t.equal(names.length, 1)
  for (const name of names) await writeFile(join(directory, name), '')
  await fs.writeText('box/f', 'two')

  t.equal(await cache.readText('box/f'), 'two')
})

const reader = `
  const [, directory, index] = process.argv
  const { LocalFileCache } = await import(process.env.CACHE_MODULE)
  const info = { etag: '"1"' }
  const pieces = async function* () {
    for (let piece = 0; piece < 64; piece++) yield new Uint8Array(1024).fill(piece)
  }
  const fs = {
    account: 'acct',
    nameOf: String,
    open: async () => ({
      info, [Symbol.asyncIterator]: pieces, async [Symbol.asyncDispose]() {} }),
  }
  const cache = new LocalFileCache({ fs, directory })
  for (let round = 0; round < 40; round++) {
    const bytes = await cache.readBytes('box/f')
    if (bytes.length !== 64 * 1024 || bytes[1024 * 63] !== 63) throw new Error('torn')
    if ((round + Number(index)) % 2 === 0) await cache.clear()
  }
  console.log('whole')
`

t.test('processes that read, and clear, side by side never see a part of a file', async (t) => {
  const directory = t.testdir()
  const source = new URL('../../src/filesystem/local-file-cache.ts', import.meta.url).href
  const env = { ...process.env, CACHE_MODULE: source }
  const run = (index: number) =>
    promisify(execFile)(
      process.execPath,
      [...process.execArgv, '--input-type=module', '-e', reader, '--', directory, String(index)],
      { env },
    )

  const ends = await Promise.all([0, 1, 2].map(run))

  for (const { stdout } of ends) t.equal(stdout.trim(), 'whole')
})

t.test('what is expired is cleared, and what a name still stands for is not', async (t) => {
  const { fs } = await memoryFileSystem()
  const clock = new FakeClock()
  const directory = t.testdir()
  const cache = new LocalFileCache({ fs, directory, expiryMs: 1000, clock })
  await fs.writeText('box/old', 'old')
  await fs.writeText('box/new', 'new!')
  const old = await cache.localPath('box/old')
  await using handle = await cache.open('box/old')
  await clock.advance(800)
  await cache.readText('box/new')
  await cache.clearExpired()
  t.equal(await cache.sizeBytes(), 7, 'both are believed')
  await clock.advance(600)

  await cache.clearExpired()

  const names = await readdir(directory)
  t.notOk(names.includes(old.slice(directory.length + 1)))
  t.equal(names.length, 2, 'a copy and its name')
  t.equal(await cache.sizeBytes(), 4)
  t.equal(await handle.readFile('utf8'), 'old')
  t.equal(await cache.readText('box/old'), 'old')
  const asking = new LocalFileCache({ fs, directory, clock })
  await clock.advance(1_000_000)
  await asking.clearExpired()
  t.equal(await cache.sizeBytes(), 7, 'what is asked for each time does not expire')
  await asking.clearExpired({ expiryMs: 5 })
  t.strictSame(await readdir(directory), [])
})
