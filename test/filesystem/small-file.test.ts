import { chmod, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { sync } from '../../src/filesystem/sync.ts'
import { NearDisk } from '../../src/transfer/near-disk.ts'
import { CountingStore } from '../support/counting-store.ts'
import { FakeClock } from '../support/fake-clock.ts'

const files = 60

async function counted() {
  const memory = new MemoryBlobStore()
  await memory.createContainer('box')
  const store = new CountingStore(memory)
  return { store, memory, fs: new AzureBlobFileSystem({ store, clock: new FakeClock() }) }
}

/** `files` files in ten directories. */
async function makeTree(directory: string): Promise<void> {
  for (let index = 0; index < files; index++) {
    const parent = join(directory, `d${index % 10}`)
    await mkdir(parent, { recursive: true })
    await writeFile(join(parent, `f${index}`), `content ${index}`)
  }
}

t.test('a tree of small files goes up with one request a file, and few beside', async (t) => {
  const { store, fs } = await counted()
  const tree = join(t.testdir(), 'tree')
  await makeTree(tree)

  const { files: put } = await fs.put(tree, 'box/tree', { recursive: true })

  const requests = store.take()
  t.equal(put, files)
  t.equal(requests.filter((request) => request.startsWith('put ')).length, files)
  t.ok(requests.length <= files + 6, `${requests.length} requests for ${files} files`)
  t.equal(await fs.readText('box/tree/d3/f13'), 'content 13')
})

t.test('a tree of small files comes down with one request a file, whole', async (t) => {
  const { store, fs } = await counted()
  const directory = t.testdir()
  await makeTree(join(directory, 'tree'))
  await fs.put(join(directory, 'tree'), 'box/tree', { recursive: true })
  store.take()

  await fs.get('box/tree', join(directory, 'down'), { recursive: true })

  const requests = store.take()
  t.equal(requests.filter((request) => request.startsWith('get ')).length, files)
  t.ok(requests.length <= files + 6, `${requests.length} requests for ${files} files`)
  const names = await readdir(join(directory, 'down', 'd7'))
  t.same(names.sort(), ['f17', 'f27', 'f37', 'f47', 'f57', 'f7'])
  t.equal(await readFile(join(directory, 'down', 'd7', 'f57'), 'utf8'), 'content 57')
})

t.test(
  'a directory in the way of a file deep in the tree is refused before anything is sent',
  async (t) => {
    const { store, fs } = await counted()
    const tree = join(t.testdir(), 'tree')
    await makeTree(tree)
    await fs.pipeFile('box/tree/d3/f13/inside', new Uint8Array(1))
    store.take()

    await t.rejects(fs.put(`${tree}/`, 'box/tree', { recursive: true }), { code: 'EISDIR' })
    t.equal(store.take().filter((request) => request.startsWith('put ')).length, 0)
  },
)

t.test(
  'a file that cannot be read, or replaced, fails with its name and leaves no part',
  async (t) => {
    const { fs } = await counted()
    const directory = t.testdir({ up: { a: 'a', b: 'b' }, down: {} })
    const up = join(directory, 'up')
    await chmod(join(up, 'b'), 0)
    await fs.pipeFile('box/get/a', new Uint8Array([1]))
    await mkdir(join(directory, 'down', 'a'))

    if (process.getuid?.() !== 0) {
      await t.rejects(fs.put(`${up}/`, 'box/up', { recursive: true }), { code: 'EACCES' })
    }
    await t.rejects(fs.get('box/get/', join(directory, 'down'), { recursive: true }), {
      code: 'EISDIR',
      path: join(directory, 'down', 'a'),
    })
    t.same(await readdir(join(directory, 'down')), ['a'])
  },
)

t.test(
  'a disk that keeps being slow, and one that is not in this machine, is not near',
  async (t) => {
    const clock = new FakeClock()
    const disk = new NearDisk(clock)
    const directory = t.testdir()

    t.equal(await disk.isNear('/proc'), false)
    t.equal(await disk.isNear(join(directory, 'missing')), false)
    await symlink('/proc', join(directory, 'link'))
    t.equal(await disk.isNear(join(directory, 'link')), false)
    const near = await disk.isNear(directory)
    for (let call = 0; call < 2; call++) disk.run(() => clock.advance(30))
    t.equal(await disk.isNear(directory), near)
    disk.run(() => clock.advance(30))
    t.equal(await disk.isNear(directory), false)
  },
)

t.test(
  'a tree of small files is synchronized with one request a file, and few beside',
  async (t) => {
    const { store, fs } = await counted()
    const directory = t.testdir()
    await makeTree(join(directory, 'tree'))

    await sync({ local: join(directory, 'tree') }, { fs, path: 'box/tree' })
    const up = store.take()
    await sync({ fs, path: 'box/tree' }, { local: join(directory, 'down') })
    const down = store.take()

    t.equal(up.filter((request) => request.startsWith('put ')).length, files)
    t.ok(up.length <= files + 8, `${up.length} requests for ${files} files up`)
    t.equal(down.filter((request) => request.startsWith('get ')).length, files)
    t.ok(down.length <= files + 8, `${down.length} requests for ${files} files down`)
    t.equal(await readFile(join(directory, 'down', 'd7', 'f57'), 'utf8'), 'content 57')
  },
)

/** Knows how many uploads were under way at once. */
class CrowdedStore extends MemoryBlobStore {
  most = 0
  #active = 0

  override async put(...args: Parameters<MemoryBlobStore['put']>) {
    this.#active += 1
    this.most = Math.max(this.most, this.#active)
    try {
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
      return await super.put(...args)
    } finally {
      this.#active -= 1
    }
  }
}

async function makeFiles(directory: string, count: number, content: string): Promise<void> {
  await mkdir(directory)
  for (let index = 0; index < count; index++) {
    await writeFile(join(directory, `f${index}`), content)
  }
}

t.test('twice as many small files as others are under way, and as many as is said', async (t) => {
  const local = t.testdir()
  await makeFiles(join(local, 'small'), 80, 'small')
  await makeFiles(join(local, 'large'), 40, 'large'.repeat(20_000))
  const isNear = await new NearDisk(new FakeClock()).isNear(local)
  const most = async (tree: string, concurrency?: number) => {
    const store = new CrowdedStore()
    await store.createContainer('box')
    const fs = new AzureBlobFileSystem({ store, concurrency })
    await fs.put(join(local, tree), 'box/tree', { recursive: true })
    return store.most
  }

  t.equal(await most('small'), isNear ? 32 : 16)
  t.ok((await most('large')) <= 16)
  t.equal(await most('small', 4), 4)
})
