import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { systemClock } from '../../src/clock.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { collect } from '../../src/filesystem/walk.ts'
import { memoryFileSystem } from '../support/file-system.ts'

/** Pauses between attempts are real: all writers run in this process. */
async function contendedFileSystem() {
  const store = new MemoryBlobStore()
  await store.createContainer('box')
  return new AzureBlobFileSystem({ store, clock: systemClock })
}

t.test('a listing goes on where it was interrupted, and tells each file once', async (t) => {
  const { fs } = await memoryFileSystem()
  const names = Array.from({ length: 10 }, (_, index) => `box/dir/f${index}`)
  for (const name of names) await fs.writeText(name, name)
  await fs.mkdir('box/dir/empty')
  await fs.writeText('box/dirx', 'outside')

  const first = await fs.list('box/dir', { pageSize: 4 }).next()
  const continuation = first.done === true ? undefined : first.value.continuation
  const rest = await collect(fs.list('box/dir', { pageSize: 4, continuation }))

  const pages = [...(first.done === true ? [] : [first.value]), ...rest]
  t.ok(pages.length > 2)
  t.strictSame(
    pages.flatMap((page) => page.files.map((file) => file.name)),
    names,
  )
  t.equal(pages.at(-1)?.continuation, undefined)
  await t.rejects(fs.list('box', { pageSize: 0 }).next(), RangeError)
})

t.test('findIter yields what find does', async (t) => {
  const { fs } = await memoryFileSystem()
  for (const name of ['a', 'd/b', 'd/e/c']) await fs.writeText(`box/${name}`, name)
  await fs.mkdir('box/empty')

  for (const path of ['box', 'box/d', 'box/a', 'box/empty', 'box/missing', '']) {
    const found = (await collect(fs.findIter(path))).map((file) => file.name).sort()
    t.strictSame(
      found,
      (await fs.find(path)).map((file) => file.name),
      path,
    )
  }
})

t.test('a search is explained: literal parts cost nothing, ** walks', async (t) => {
  const { fs } = await memoryFileSystem()
  for (const name of ['y/1/a.csv', 'y/2/a.csv', 'y/2/b', 'z/1/a.csv']) {
    await fs.writeText(`box/${name}`, name)
  }

  t.match(await fs.explainGlob('box/y/*/*.csv'), {
    listed: ['box/y', 'box/y/1', 'box/y/2'],
    walked: [],
    asked: [],
    entriesSeen: 5,
    matches: 2,
  })
  t.match(await fs.explainGlob('box/z/**/a.csv'), { listed: [], walked: ['box/z'], matches: 1 })
  t.match(await fs.explainGlob('box/z/1/a.csv'), { listed: [], asked: ['box/z/1/a.csv'] })
})

t.test('of many who update at once, nobody’s change is lost', async (t) => {
  const fs = await contendedFileSystem()
  const increment = (data: Uint8Array | undefined) =>
    Buffer.from(String(Number(Buffer.from(data ?? []).toString()) + 1))

  await Promise.all(Array.from({ length: 8 }, () => fs.update('box/n', increment, { retries: 50 })))

  t.equal(await fs.readText('box/n'), '8')
})

t.test('an update keeps metadata and content type', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/f', 'a', { metadata: { k: 'v' }, contentType: 'text/x' })

  await fs.update('box/f', (data) => Buffer.concat([data ?? Buffer.alloc(0), Buffer.from('b')]))

  t.equal(await fs.readText('box/f'), 'ab')
  t.match(await fs.info('box/f', { refresh: true }), {
    metadata: { k: 'v' },
    contentType: 'text/x',
  })
})

t.test('an update that always meets somebody ends, and the other’s bytes stay', async (t) => {
  const fs = await contendedFileSystem()
  await fs.writeText('box/f', 'start')
  let runs = 0
  const change = async () => {
    runs += 1
    await fs.writeText('box/f', `theirs ${runs}`)
    return Buffer.from('ours')
  }

  await t.rejects(fs.update('box/f', change, { retries: 2 }), {
    code: 'ESTALE',
    message: /3 attempts/,
  })

  t.equal(runs, 3)
  t.equal(await fs.readText('box/f'), 'theirs 3')
  const reason = new Error('no')
  await t.rejects(
    fs.update('box/f', () => Promise.reject(reason)),
    reason,
  )
  await t.rejects(fs.update('box/f', change, { retries: -1 }), RangeError)
})

t.test('a checkpoint tells what a later listing goes on from', async (t) => {
  const { fs } = await memoryFileSystem()
  const names = ['a', 'b', 'c', 'd', 'e'].map((name) => `box/${name}`)
  for (const name of names) await fs.writeText(name, name)
  const namesOf = (page: { files: readonly { name: string }[] }) => page.files.map((f) => f.name)
  const seen: string[] = []
  const listing = fs.list('box', { pageSize: 2 })
  t.strictSame(listing.checkpoint(), { continuation: undefined, isDone: false, files: 0 })

  for await (const page of listing) {
    seen.push(...namesOf(page))
    break
  }
  const kept = JSON.parse(JSON.stringify(listing.checkpoint()))
  t.match(kept, { isDone: false, files: 2 })
  const rest = fs.list('box', { pageSize: 2, continuation: kept.continuation })
  t.equal(rest.checkpoint().continuation, kept.continuation)
  for await (const page of rest) seen.push(...namesOf(page))

  t.strictSame(seen, names)
  t.strictSame(rest.checkpoint(), { continuation: undefined, isDone: true, files: 3 })
})
