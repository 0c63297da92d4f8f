import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import t from 'tap'
import { KiB, MiB } from '../../src/byte-range.ts'
import { ChunkCache } from '../../src/transfer/chunk-cache.ts'
import { MemoryBudget } from '../../src/transfer/memory-budget.ts'
import { caller, VfsMount } from '../support/vfs-mount.ts'

const fileBytes = 3 * MiB
const files = 8

t.test('what is read, read ahead and written together stays within one budget', async (t) => {
  const memory = new MemoryBudget({ maxBytes: 2 * MiB })
  const spoolMemory = new MemoryBudget({ maxBytes: MiB })
  const chunkCache = new ChunkCache({ reusesMemory: true, maxBytes: MiB, memory })
  const blockBytes = 512 * KiB
  const mount = await VfsMount.make(t, { memory, spoolMemory, chunkCache, blockBytes })
  const contents = Array.from({ length: files }, () => randomBytes(fileBytes))
  for (const [index, content] of contents.entries()) {
    await mount.account.put({ container: 'box', name: `r${index}` }, content)
  }
  const readAll = async (name: string, content: Buffer) => {
    const { handle } = await mount.vfs.open(await mount.ino(name), constants.O_RDONLY, caller)
    const found: Buffer[] = []
    for (let at = 0; at < fileBytes; at += 128 * KiB) {
      found.push(await mount.read(handle, at, at + 128 * KiB))
    }
    await mount.vfs.release(handle, caller)
    t.ok(Buffer.concat(found).equals(content), name)
  }
  const writeAll = async (name: string, content: Buffer) => {
    const handle = await mount.create(name)
    for (let at = 0; at < fileBytes; at += 128 * KiB) {
      await mount.write(handle, at, content.subarray(at, at + 128 * KiB))
    }
    await mount.close(handle)
    const { data } = await mount.account.get({ container: 'box', name })
    t.ok(content.equals(data), name)
  }

  await Promise.all(
    contents.flatMap((content, index) => [
      readAll(`r${index}`, content),
      writeAll(`w${index}`, content),
    ]),
  )

  t.ok(memory.peakBytes <= 2 * MiB, `${memory.peakBytes} bytes at most`)
  t.ok(memory.peakBytes > MiB, 'which was used')
  t.equal(memory.heldBytes, chunkCache.sizeBytes, 'only what was read is held')
  t.ok(spoolMemory.peakBytes <= MiB)
  t.ok(spoolMemory.peakBytes > 0)
  t.equal(spoolMemory.heldBytes, 0)
})

t.test('who reads has what was read before let go, however full the memory is', async (t) => {
  const memory = new MemoryBudget({ maxBytes: 512 * KiB })
  const chunkCache = new ChunkCache({ maxBytes: MiB, memory })
  const mount = await VfsMount.make(t, { memory, chunkCache })
  const contents = Array.from({ length: 12 }, () => randomBytes(100 * KiB))
  for (const [index, content] of contents.entries()) {
    await mount.account.put({ container: 'box', name: `f${index}` }, content)
  }

  for (const [index, content] of contents.entries()) {
    const { handle } = await mount.vfs.open(
      await mount.ino(`f${index}`),
      constants.O_RDONLY,
      caller,
    )
    t.ok((await mount.read(handle, 0, 100 * KiB)).equals(content))
    await mount.vfs.release(handle, caller)
  }

  t.ok(memory.heldBytes <= 512 * KiB)
  t.ok(memory.heldBytes >= 400 * KiB, 'no more than was needed')
})

t.test('a file that memory has no room for goes to the disk at once', async (t) => {
  const spoolMemory = new MemoryBudget({ maxBytes: 256 * KiB })
  const mount = await VfsMount.make(t, { spoolMemory })
  const contents = Array.from({ length: 20 }, () => randomBytes(50 * KiB))
  const handles = await Promise.all(contents.map((_, index) => mount.create(`f${index}`)))
  for (const [index, handle] of handles.entries()) {
    await mount.write(handle, 0, contents[index] ?? '')
  }

  t.ok(spoolMemory.heldBytes > 0)
  t.ok(spoolMemory.peakBytes <= 256 * KiB)
  for (const handle of handles) await mount.close(handle)
  for (const [index, content] of contents.entries()) {
    const { data } = await mount.account.get({ container: 'box', name: `f${index}` })
    t.ok(content.equals(data))
  }
  t.equal(spoolMemory.heldBytes, 0)
})
