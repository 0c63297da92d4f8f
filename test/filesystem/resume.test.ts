import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile, rename, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { KiB } from '../../src/byte-range.ts'
import { FileSystemError } from '../../src/errors.ts'
import { CountingStore } from '../support/counting-store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import {
  memoryFileSystem,
  plantLocal,
  plantRemote,
  temporaryDirectory,
} from '../support/file-system.ts'

const large = 'abcdefghij'.repeat(64 * KiB)

/** A file system whose store stops to answer after `requests.left` requests with content. */
async function mortal() {
  const memory = new MemoryBlobStore({ account: 'acct', clock: new FakeClock() })
  const store = new CountingStore(memory)
  const made = await memoryFileSystem({ store })
  const left = { requests: Number.POSITIVE_INFINITY }
  store.before = ({ verb }) => {
    if (!['put', 'stageBlock', 'get', 'commitBlocks'].includes(verb)) return
    left.requests -= 1
    if (left.requests < 0) throw new FileSystemError('EIO', verb, { detail: 'gone' })
  }
  const sent = () => store.requests.reduce((sum, { sentBytes = 0 }) => sum + sentBytes, 0)
  const read = () =>
    store.requests.reduce((sum, { range }) => sum + (range ? range.end - range.start : 0), 0)
  return { ...made, store, memory, left, sent, read }
}

t.test('an upload goes on with the blocks that are staged, and deletes its journal', async (t) => {
  const { fs, store, left, sent } = await mortal()
  const directory = await temporaryDirectory(t)
  await plantLocal(directory, { 'a/large': large, 'a/small': 'small' })
  const resume = join(directory, 'journal.json')
  const options = { recursive: true, resume }
  left.requests = 6

  await t.rejects(fs.put(join(directory, 'a'), 'box/a', options), { code: 'EIO' })
  t.notOk(await fs.exists('box/a/large'), 'nothing of it is visible')
  left.requests = Number.POSITIVE_INFINITY
  const result = await fs.put(join(directory, 'a'), 'box/a', options)

  t.match(result, { files: 2, bytes: large.length + 5 })
  t.ok(result.resumedBytes >= 64 * KiB, `${result.resumedBytes} resumed`)
  t.ok(sent() - result.resumedBytes <= large.length + 8 * 64 * KiB)
  t.equal(await fs.readText('box/a/large'), large)
  t.notOk(existsSync(resume))
  store.take()
})

t.test('what an earlier run uploaded is left out, unless either side has changed', async (t) => {
  const { fs, store, left } = await mortal()
  const directory = await temporaryDirectory(t)
  const local = join(directory, 'a')
  await plantLocal(local, { '1': 'one', '2': 'two', '3': 'three', '4': 'four' })
  const options = { recursive: true, resume: join(directory, 'j'), concurrency: 1 }
  left.requests = 3
  await t.rejects(fs.put(local, 'box/a', options), { code: 'EIO' })
  await fs.writeText('box/a/1', 'other').catch(() => undefined)
  left.requests = Number.POSITIVE_INFINITY
  await fs.writeText('box/a/1', 'other')
  await writeFile(join(local, '2'), 'TWO')
  await utimes(join(local, '2'), 1, 1)
  store.take()

  t.match(await fs.put(local, 'box/a', options), { files: 4, resumedBytes: 5 })

  t.strictSame(
    store.take().filter((line) => line.startsWith('put')),
    ['put a/1', 'put a/2', 'put a/4'],
  )
  t.strictSame(await Promise.all(['1', '2'].map((name) => fs.readText(`box/a/${name}`))), [
    'one',
    'TWO',
  ])
})

t.test(
  'a block whose source has changed is sent again, though its place is the same',
  async (t) => {
    const { fs, left } = await mortal()
    const directory = await temporaryDirectory(t)
    const local = join(directory, 'large')
    await writeFile(local, large)
    const options = { resume: join(directory, 'j') }
    left.requests = 5
    await t.rejects(fs.put(local, 'box/large', options), { code: 'EIO' })
    left.requests = Number.POSITIVE_INFINITY
    const changed = `X${large.slice(1)}`
    await writeFile(local, changed)

    const { resumedBytes } = await fs.put(local, 'box/large', options)

    t.equal(await fs.readText('box/large'), changed)
    t.ok(resumedBytes > 0 && resumedBytes < large.length, 'the other blocks are still good')
  },
)

t.test(
  'another writer that committed meanwhile costs the staged blocks, and no more',
  async (t) => {
    const { fs, memory, left } = await mortal()
    const directory = await temporaryDirectory(t)
    const local = join(directory, 'large')
    await writeFile(local, large)
    const options = { resume: join(directory, 'j') }
    left.requests = 5
    await t.rejects(fs.put(local, 'box/large', options), { code: 'EIO' })
    left.requests = Number.POSITIVE_INFINITY
    const { commitBlocks } = memory
    let races = 0
    memory.commitBlocks = async (...args) => {
      if (races++ === 0) await memory.put({ container: 'box', name: 'large' }, Buffer.from('other'))
      return commitBlocks.apply(memory, args)
    }

    await fs.put(local, 'box/large', options)

    t.equal(races, 2)
    t.equal(await fs.readText('box/large'), large)
  },
)

t.test(
  'what was committed by a process that died before it said so is not sent again',
  async (t) => {
    const { fs, store, left } = await mortal()
    const directory = await temporaryDirectory(t)
    const local = join(directory, 'a')
    await plantLocal(local, { '1': large, '2': 'small' })
    const resume = join(directory, 'j')
    const options = { recursive: true, resume, concurrency: 1 }
    // Ten blocks and their commit.
    left.requests = 11
    await t.rejects(fs.put(local, 'box/a', options), { code: 'EIO' })
    const lines = (await readFile(resume, 'utf8')).trimEnd().split('\n')
    t.match(lines.at(-1), '"kind":"done"')
    await writeFile(resume, `${lines.slice(0, -1).join('\n')}\n`)
    left.requests = Number.POSITIVE_INFINITY
    store.take()

    t.match(await fs.put(local, 'box/a', options), { files: 2, resumedBytes: large.length })

    const sent = store.take().filter((line) => /^(put|stageBlock|commitBlocks) /.test(line))
    t.strictSame(sent, ['commitBlocks a/1', 'put a/2'])
    t.equal(await fs.readText('box/a/1'), large)
  },
)

t.test('a download that was whole but not yet under its name is not read again', async (t) => {
  const { fs, left, read } = await mortal()
  const directory = await temporaryDirectory(t)
  await plantRemote(fs, 'box', { '1': large, '2': 'small' })
  const [resume, target] = [join(directory, 'j'), join(directory, 'to')]
  const options = { recursive: true, resume, concurrency: 1 }
  left.requests = 10
  await t.rejects(fs.get('box/', target, options), { code: 'EIO' })
  const { session } = JSON.parse((await readFile(resume, 'utf8')).split('\n')[0] ?? '')
  const own = createHash('sha256').update('1').digest('hex').slice(0, 8)
  await rename(join(target, '1'), join(target, `.1.${session}-${own}.part`))
  left.requests = Number.POSITIVE_INFINITY
  const before = read()

  t.match(await fs.get('box/', target, options), { files: 2, resumedBytes: large.length })

  t.ok(read() - before <= 64 * KiB, 'only the small file is asked for')
  t.equal(await readFile(join(target, '1'), 'utf8'), large)
})

t.test('a download goes on with what is on the disk, after looking at it', async (t) => {
  const { fs, store, left, read } = await mortal()
  const directory = await temporaryDirectory(t)
  await plantRemote(fs, 'box', { large, small: 'small' })
  const options = { recursive: true, resume: join(directory, 'j') }
  const target = join(directory, 'to')
  left.requests = 6

  await t.rejects(fs.get('box/', target, options), { code: 'EIO' })
  const [part = ''] = (await readdir(target)).filter((name) => name.endsWith('.part'))
  t.notOk(existsSync(join(target, 'large')), 'no half file under the name')
  left.requests = Number.POSITIVE_INFINITY
  store.take()
  const result = await fs.get('box/', target, options)

  t.match(result, { files: 2, bytes: large.length + 5 })
  t.ok(result.resumedBytes >= 64 * KiB, `${result.resumedBytes} resumed`)
  t.ok(read() <= large.length - result.resumedBytes + 2 * 64 * KiB)
  t.equal(await readFile(join(target, 'large'), 'utf8'), large)
  t.strictSame((await readdir(target)).sort(), ['large', 'small'], `${part} took the name`)
})

t.test('a partial file that was damaged, and another version, are not gone on with', async (t) => {
  for (const harm of ['damage', 'replace', 'remove'] as const) {
    const { fs, left } = await mortal()
    const directory = await temporaryDirectory(t)
    await fs.writeText('box/large', large)
    const options = { resume: join(directory, 'j') }
    const target = join(directory, 'large')
    left.requests = 4
    await t.rejects(fs.get('box/large', target, options), { code: 'EIO' })
    left.requests = Number.POSITIVE_INFINITY
    const [part = ''] = (await readdir(directory)).filter((name) => name.endsWith('.part'))
    const now = harm === 'replace' ? large.toUpperCase() : large
    if (harm === 'replace') await fs.writeText('box/large', now)
    if (harm === 'remove') await truncate(join(directory, part), 0)
    if (harm === 'damage') {
      const bytes = await readFile(join(directory, part))
      await writeFile(
        join(directory, part),
        bytes.map((byte, at) => (at < 10 ? 0 : byte)),
      )
    }

    const { resumedBytes } = await fs.get('box/large', target, options)

    t.equal(await readFile(target, 'utf8'), now, harm)
    if (harm !== 'damage') t.equal(resumedBytes, 0, harm)
  }
})

t.test('a local file that changed after it was downloaded is downloaded again', async (t) => {
  const { fs, left } = await mortal()
  const directory = await temporaryDirectory(t)
  await plantRemote(fs, 'box', { '1': 'one', '2': 'two', '3': 'three' })
  const options = { recursive: true, resume: join(directory, 'j'), concurrency: 1 }
  const target = join(directory, 'to')
  left.requests = 2
  await t.rejects(fs.get('box/', target, options), { code: 'EIO' })
  left.requests = Number.POSITIVE_INFINITY
  await writeFile(join(target, '1'), 'mine')

  t.match(await fs.get('box/', target, options), { files: 3, resumedBytes: 3 })

  t.equal(await readFile(join(target, '1'), 'utf8'), 'one')
})

t.test('a torn line of a journal is dropped; one of another transfer is refused', async (t) => {
  const { fs, left } = await mortal()
  const directory = await temporaryDirectory(t)
  const local = join(directory, 'a')
  await plantLocal(local, { '1': 'one', '2': 'two', '3': 'three' })
  const resume = join(directory, 'j')
  const options = { recursive: true, resume, concurrency: 1 }
  left.requests = 2
  await t.rejects(fs.put(local, 'box/a', options), { code: 'EIO' })
  left.requests = Number.POSITIVE_INFINITY
  const whole = await readFile(resume, 'utf8')
  await t.rejects(fs.put(local, 'box/b', options), { code: 'EINVAL', path: resume })
  await t.rejects(fs.get('box/a', local, options), { code: 'EINVAL', path: resume })
  t.equal(await readFile(resume, 'utf8'), whole, 'it stays as it was')
  await writeFile(resume, whole.slice(0, -9))

  t.match(await fs.put(local, 'box/a', options), { files: 3, resumedBytes: 3 })
  await writeFile(resume, '{"kind":"tra')
  t.match(await fs.put(local, 'box/a', options), { files: 3, resumedBytes: 0 })
  await writeFile(resume, 'dear diary\n')
  await t.rejects(fs.put(local, 'box/a', options), { code: 'EINVAL', path: resume })
  t.equal(await readFile(resume, 'utf8'), 'dear diary\n')
})
