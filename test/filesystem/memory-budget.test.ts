import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import type { BlobStore } from '../../src/blob/store.ts'
import { KiB, MiB } from '../../src/byte-range.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { MemoryBudget } from '../../src/transfer/memory-budget.ts'

/** A store that takes its time and counts the bytes that are on their way, as whoever holds them does. */
function slowStore(): { readonly store: BlobStore; readonly most: () => number } {
  const memory = new MemoryBlobStore()
  let under = 0
  let most = 0
  const carrying = async <T>(bytes: number, work: () => Promise<T>): Promise<T> => {
    under += bytes
    most = Math.max(most, under)
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    try {
      return await work()
    } finally {
      under -= bytes
    }
  }
  const store = new Proxy<BlobStore>(memory, {
    get(target, name) {
      if (name === 'put') {
        return (...[path, data, options]: Parameters<BlobStore['put']>) =>
          carrying(data.byteLength, () => target.put(path, data, options))
      }
      if (name === 'stageBlock') {
        return (...[path, id, data, options]: Parameters<BlobStore['stageBlock']>) =>
          carrying(data.byteLength, () => target.stageBlock(path, id, data, options))
      }
      if (name === 'get') {
        return async (...[path, options]: Parameters<BlobStore['get']>) => {
          const content = await target.get(path, options)
          return carrying(content.data.byteLength, async () => content)
        }
      }
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  return { store, most: () => most }
}

t.test('trees go up and down within one budget of memory, whatever their files are', async (t) => {
  const { store, most } = slowStore()
  await store.createContainer('data')
  const memory = new MemoryBudget({ maxBytes: 3 * MiB })
  const fs = new AzureBlobFileSystem({ store, memory, concurrency: 32, blockBytes: 512 * KiB })
  const directory = t.testdir()
  const sizes = [...Array<number>(60).fill(200 * KiB), 4 * MiB, 5 * MiB + 1, 6 * MiB, 0, 1]
  await mkdir(join(directory, 'up/deep'), { recursive: true })
  for (const [index, size] of sizes.entries()) {
    await writeFile(
      join(directory, 'up', index % 2 === 0 ? '' : 'deep', `${index}`),
      randomBytes(size),
    )
  }

  await fs.put(join(directory, 'up'), 'data/tree', { recursive: true })
  t.ok(most() <= memory.maxBytes, `${most()} bytes of requests at once`)
  t.ok(memory.peakBytes <= memory.maxBytes, `${memory.peakBytes} bytes claimed at once`)
  t.ok(memory.peakBytes > memory.maxBytes / 2, 'and the budget is used')
  t.equal(memory.heldBytes, 0)

  await fs.get('data/tree/', join(directory, 'down'), { recursive: true })
  t.ok(most() <= memory.maxBytes, `${most()} bytes of requests at once`)
  t.equal(memory.heldBytes, 0)
  for (const [index] of sizes.entries()) {
    const name = join(index % 2 === 0 ? '' : 'deep', `${index}`)
    const [up, down] = await Promise.all([
      readFile(join(directory, 'up', name)),
      readFile(join(directory, 'down', name)),
    ])
    t.ok(up.equals(down), name)
  }
})
