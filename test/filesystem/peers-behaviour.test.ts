/**
 * What the peers do wrong, by the rows of the comparison that this library was made against: each test
 * fails on the behaviour that its title denies.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { KiB, MiB } from '../../src/byte-range.ts'
import { AzureBlobFileSystem, type FileInfo } from '../../src/index.ts'
import { CountingStore } from '../support/counting-store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { hierarchicalMemory } from '../support/file-system.ts'
import { mortalStore } from '../support/mortal-store.ts'
import { patternOf } from '../support/pattern.ts'

async function setUp(options: { readonly blockBytes?: number } = {}) {
  const memory = new MemoryBlobStore()
  const store = new CountingStore(memory)
  await store.createContainer('box')
  const { blockBytes = 64 * KiB } = options
  const fs = new AzureBlobFileSystem({ store, blockBytes, clock: new FakeClock() })
  return { fs, memory, store }
}

const names = (files: readonly FileInfo[]) => files.map(({ name }) => name)

t.test(
  'row 1: a transaction is no no-op: nothing shows before its end, nothing after a throw',
  async (t) => {
    const { fs, memory } = await setUp()
    await fs.writeText('box/old', 'old')
    const seen = () => new AzureBlobFileSystem({ store: memory }).find('box')
    await fs.transaction(async (tx) => {
      await tx.pipeFile('box/a', patternOf(200 * KiB))
      await tx.writeText('box/b', 'b')
      await tx.rmFile('box/old')
      t.same(names(await seen()), ['box/old'], 'before the end')
    })
    t.same(names(await seen()), ['box/a', 'box/b'], 'after it')
    await t.rejects(
      fs.transaction(async (tx) => {
        await tx.writeText('box/c', 'c')
        throw new Error('no')
      }),
      /no/,
    )
    t.same(names(await seen()), ['box/a', 'box/b'], 'after a throw')
  },
)

t.test('row 2: a throw between open and close commits no half of a file', async (t) => {
  const { fs } = await setUp()
  await fs.writeText('box/old', 'whole')
  for (const [path, mode] of [
    ['box/new', 'w'],
    ['box/new', 'x'],
    ['box/old', 'w'],
    ['box/old', 'a'],
  ] as const) {
    const work = async () => {
      await using file = await fs.open(path, mode)
      await file.write(patternOf(200 * KiB))
      throw new Error('the producer failed')
    }
    await t.rejects(work(), /producer/)
  }
  t.same(names(await fs.find('box')), ['box/old'])
  t.equal(await fs.readText('box/old'), 'whole')
})

t.test('row 2: a writer that nobody closes is never committed', async (t) => {
  const { fs, memory } = await setUp()
  const controller = new AbortController()
  const file = await fs.open('box/f', 'w', { signal: controller.signal })
  await file.write(patternOf(200 * KiB))
  controller.abort(new Error('stop'))
  await t.rejects(file.close(), /stop/)
  t.same(names(await new AzureBlobFileSystem({ store: memory }).find('box')), [])
})

t.test('row 3: no read mixes two versions: an overwrite in the middle is ESTALE', async (t) => {
  const { fs, memory } = await setUp()
  const path = { container: 'box', name: 'f' }
  await memory.put(path, Buffer.alloc(4 * MiB, 'a'))
  await using file = await fs.open('box/f', 'r', { cacheType: 'none' })
  t.equal((await file.read(1000)).byteLength, 1000)
  await memory.put(path, Buffer.alloc(4 * MiB, 'b'))
  file.seek(3 * MiB)
  await t.rejects(file.read(1000), { code: 'ESTALE' })
  const stream = fs.createReadStream('box/f')
  let first = true
  await t.rejects(
    (async () => {
      for await (const piece of stream) {
        t.ok(
          Buffer.from(piece).every((byte) => byte === 98),
          'one version only',
        )
        if (first) await memory.put(path, Buffer.alloc(4 * MiB, 'c'))
        first = false
      }
    })(),
    { code: 'ESTALE' },
  )
})

t.test('row 3: a file that grew is not cut off at the size that a listing remembers', async (t) => {
  const { fs, memory } = await setUp()
  const path = { container: 'box', name: 'f' }
  await memory.put(path, Buffer.from('short'))
  await fs.ls('box')
  await memory.put(path, Buffer.from('much longer than before'))
  t.equal(await fs.readText('box/f'), 'much longer than before')
  await using file = await fs.open('box/f')
  t.equal(String(await file.readAll()), 'much longer than before')
})

t.test('row 4: of changes made at once none is lost', async (t) => {
  const { memory } = await setUp()
  const clients = [1, 2, 3, 4].map(() => new AzureBlobFileSystem({ store: memory }))
  await Promise.all(
    clients.flatMap((fs) =>
      [1, 2, 3].map(() =>
        fs.update(
          'box/counter',
          (data) => Buffer.from(String(Number(String(Buffer.from(data ?? []))) + 1)),
          {
            retries: 50,
          },
        ),
      ),
    ),
  )
  t.equal(await clients[0]?.readText('box/counter'), '12')
})

t.test('row 4: of many who create one file, one does', async (t) => {
  const { memory } = await setUp()
  const clients = [1, 2, 3, 4, 5].map(() => new AzureBlobFileSystem({ store: memory }))
  const made = await Promise.all(
    clients.map((fs, index) => fs.putIfAbsent('box/leader', Buffer.from(`client ${index}`))),
  )
  t.equal(made.filter((info) => info !== undefined).length, 1)
  const winner = made.findIndex((info) => info !== undefined)
  t.equal(await clients[0]?.readText('box/leader'), `client ${winner}`)
})

t.test(
  'row 5: of two who write one file in blocks the second has lost its blocks, and sends them again',
  async (t) => {
    const { memory, store } = await setUp()
    const contents = [Buffer.alloc(2 * MiB, 'a'), Buffer.alloc(2 * MiB, 'b')]
    const clients = contents.map(() => new AzureBlobFileSystem({ store, blockBytes: 64 * KiB }))
    for (let round = 0; round < 5; round += 1) {
      let commits = 0
      let both: () => void = () => undefined
      const staged = new Promise<void>((resolve) => {
        both = resolve
      })
      store.before = async ({ verb }) => {
        if (verb !== 'commitBlocks') return
        // Neither commits before the other has staged all of its blocks.
        if (++commits === 2) both()
        await staged
      }
      store.take()
      await Promise.all(contents.map((data, index) => clients[index]?.pipeFile('box/f', data)))
      const requests = store.take()
      const count = (verb: string) => requests.filter((line) => line.startsWith(verb)).length
      t.equal(count('commitBlocks'), 3, 'one commit names blocks that are gone')
      const each = count('stageBlock ') / 3
      t.ok(each > 1 && Number.isInteger(each), `${each} blocks, of one writer twice`)
      const found = await new AzureBlobFileSystem({ store: memory }).catFile('box/f')
      t.ok(
        contents.some((content) => content.equals(found)),
        'one of the two, whole',
      )
    }
  },
)

t.test(
  'row 5: blocks that another commit took away, each time by force, are sent again',
  async (t) => {
    const data = patternOf(2 * MiB)
    const local = join(t.testdir(), 'f')
    await writeFile(local, data)
    for (const thefts of [1, 2]) {
      const { fs, memory, store } = await setUp()
      const path = { container: 'box', name: 'f' }
      let left = thefts
      const codes: unknown[] = []
      store.before = async ({ verb }) => {
        if (verb !== 'commitBlocks' || left === 0) return
        left -= 1
        // Whoever commits drops what others have staged: our own commit then names blocks that are gone.
        await memory.put(path, Buffer.from(`thief ${left}`))
      }
      await fs.putFile(local, 'box/f').catch((error) => codes.push(error.serviceCode))
      const found = await new AzureBlobFileSystem({ store: memory }).catFile('box/f')
      const isOurs = Buffer.from(found).equals(data)
      t.ok(isOurs || codes[0] === 'InvalidBlockList', `${thefts} thefts: all of it, or told`)
      if (thefts === 1) t.ok(isOurs, 'one theft is survived')
      t.equal(left, 0, 'it happened')
    }
  },
)

t.test(
  'row 5: a writer whose source is gone says so, and leaves the other writer’s file',
  async (t) => {
    const { fs, memory, store } = await setUp()
    const path = { container: 'box', name: 'f' }
    store.before = async ({ verb }) => {
      if (verb === 'commitBlocks') await memory.put(path, Buffer.from('the other'))
    }
    await using file = await fs.open('box/f', 'w')
    await file.write(patternOf(500 * KiB))
    await t.rejects(file.close(), { code: 'ESTALE', serviceCode: 'InvalidBlockList' })
    t.equal(await new AzureBlobFileSystem({ store: memory }).readText('box/f'), 'the other')
  },
)

t.test('row 6: a hierarchical account renames a directory by itself, at once', async (t) => {
  const account = await hierarchicalMemory(new FakeClock())
  const store = new CountingStore(account.store)
  await store.createContainer('box')
  const fs = new AzureBlobFileSystem({ store, hierarchyOf: account.hierarchyOf })
  for (let index = 0; index < 20; index += 1) await fs.writeText(`box/dir/sub/${index}`, 'x')
  store.take()
  await fs.mv('box/dir', 'box/moved')
  const bytesMoved = store.requests.filter(({ verb }) =>
    ['get', 'put', 'copy', 'delete'].includes(verb),
  )
  t.same(bytesMoved, [], 'no file was touched')
  t.equal((await fs.find('box/moved')).length, 20)
  t.notOk(await fs.exists('box/dir'))
})

t.test('row 7: a rename of a directory leaves one tree, also when its client dies', async (t) => {
  for (let lifetime = 3; lifetime < 60; lifetime += 7) {
    const { fs, memory } = await setUp()
    const content: Record<string, string> = {}
    for (let index = 0; index < 5; index += 1) {
      content[`sub/${index}`] = `text ${index}`
      await fs.writeText(`box/dir/sub/${index}`, `text ${index}`)
    }
    const dying = new AzureBlobFileSystem({ store: mortalStore(memory, lifetime, 'done') })
    const isDone = await dying.mv('box/dir', 'box/moved').then(
      () => true,
      () => false,
    )
    const later = new AzureBlobFileSystem({ store: memory })
    await later.recover('box', { force: true })
    later.invalidateCache()
    const files = await later.find('box')
    const roots = new Set(names(files).map((name) => name.split('/')[1]))
    t.equal(roots.size, 1, `${lifetime} requests: one tree`)
    t.equal(files.length, 5)
    if (isDone) t.same([...roots], ['moved'])
    for (const { name } of files) {
      t.equal(await later.readText(name), content[name.split('/').slice(2).join('/')])
    }
  }
})

t.test('row 8: a pattern lists what can hold a match, not all that is below', async (t) => {
  const { fs, memory, store } = await setUp()
  for (let day = 0; day < 10; day += 1) {
    for (const month of ['m=1', 'm=2']) {
      for (let file = 0; file < 30; file += 1) {
        await memory.put(
          { container: 'box', name: `d${day}/${month}/deep/${file}` },
          Buffer.from('x'),
        )
      }
      await memory.put({ container: 'box', name: `d${day}/${month}/part` }, Buffer.from('x'))
    }
  }
  store.take()
  t.equal((await fs.glob('box/*/m=1/part')).length, 10)
  const listed = store.requests.filter(({ verb }) => verb === 'listPage' || verb === 'head')
  t.ok(listed.length <= 1 + 10, `${listed.length} requests`)
  t.ok(
    listed.every(({ name }) => !name.includes('deep')),
    'nothing below was listed',
  )
})

t.test('row 9: a listing that was interrupted goes on, in another process too', async (t) => {
  const { fs, memory } = await setUp()
  for (let index = 0; index < 25; index += 1) await fs.writeText(`box/f${index}`, 'x')
  const seen: string[] = []
  let continuation: string | undefined
  for await (const page of fs.list('box', { pageSize: 10 })) {
    seen.push(...names(page.files))
    continuation = page.continuation
    break
  }
  const other = new AzureBlobFileSystem({ store: memory })
  for await (const page of other.list('box', { pageSize: 10, continuation })) {
    seen.push(...names(page.files))
  }
  t.equal(seen.length, 25)
  t.equal(new Set(seen).size, 25)
})

t.test('row 12: many files at once are not as many requests at once', async (t) => {
  const { fs, store } = await setUp()
  const files = Object.fromEntries(
    Array.from({ length: 200 }, (_, index) => [`box/f${index}`, patternOf(100 * KiB)]),
  )
  store.before = () => new Promise((resolve) => setImmediate(resolve))
  await fs.pipe(files)
  await fs.cat('box/*')
  await fs.rm('box/*')
  t.ok(store.maxInFlight <= 16, `${store.maxInFlight} at once`)
  t.same(names(await fs.find('box')), [])
})

t.test(
  'row 13: blocks grow, so that a file of unknown length does not run out of them',
  async (t) => {
    const memory = new MemoryBlobStore()
    await memory.createContainer('box')
    let blocks = 0
    let bytes = 0
    const store = new CountingStore(
      new Proxy(memory, {
        get(target, key) {
          if (key === 'stageBlock') {
            return async (_path: unknown, _id: string, data: Uint8Array) => {
              blocks += 1
              bytes += data.byteLength
            }
          }
          if (key === 'commitBlocks')
            return async () => target.put({ container: 'box', name: 'f' }, Buffer.alloc(0))
          const value: unknown = Reflect.get(target, key)
          return typeof value === 'function' ? value.bind(target) : value
        },
      }),
    )
    const fs = new AzureBlobFileSystem({ store, blockBytes: KiB })
    await using file = await fs.open('box/f', 'w')
    const piece = Buffer.alloc(MiB)
    // 150 MiB in blocks of 1 KiB would be three times as many as a blob may have.
    for (let written = 0; written < 150; written += 1) await file.write(piece)
    await file.close()
    t.equal(bytes, 150 * MiB)
    t.ok(blocks <= 50_000, `${blocks} blocks`)
  },
)

t.test('row 14: a tree whose upload was interrupted goes on where it was', async (t) => {
  const { fs, store } = await setUp()
  const content = patternOf(MiB)
  const root = t.testdir({ tree: { a: content.toString('latin1'), b: 'small' } })
  const sizeBytes = (await readFile(join(root, 'tree/a'))).length
  const resume = join(root, 'journal.json')
  let staged = 0
  store.before = ({ verb }) => {
    if (verb === 'stageBlock' && ++staged > 10) throw new Error('cut')
  }
  const put = () => fs.put(join(root, 'tree'), 'box/tree', { recursive: true, resume })
  await t.rejects(put())
  t.notOk(await fs.exists('box/tree/a', { refresh: true }), 'no half of it shows')
  store.before = () => undefined
  const result = await put()
  t.ok(result.resumedBytes >= 512 * KiB, `${result.resumedBytes} bytes were there`)
  t.equal(await fs.size('box/tree/a'), sizeBytes)
  t.ok((await readFile(join(root, 'tree/a'))).equals(await fs.catFile('box/tree/a')))
})

t.test('row 15 and defaults: what is left of a download that failed is not the file', async (t) => {
  const { fs, store } = await setUp()
  await fs.pipeFile('box/f', patternOf(300 * KiB))
  const target = join(t.testdir({ f: 'before' }), 'f')
  let gets = 0
  store.before = ({ verb }) => {
    if (verb === 'get' && ++gets === 3) throw new Error('cut')
  }
  await t.rejects(fs.getFile('box/f', target), /cut/)
  t.equal(await readFile(target, 'utf8'), 'before')
})
