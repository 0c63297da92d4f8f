import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import type { BlobStore } from '../../src/blob/store.ts'
import { KiB, MiB } from '../../src/byte-range.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'

/** A store where somebody else writes the blob just before the first `times` commits. */
async function contested(times: number) {
  const memory = new MemoryBlobStore()
  await memory.createContainer('data')
  let left = times
  let commits = 0
  const store = new Proxy<BlobStore>(memory, {
    get(target, name) {
      if (name === 'commitBlocks') {
        return async (...[path, ids, options]: Parameters<BlobStore['commitBlocks']>) => {
          commits += 1
          if (left-- > 0) await target.put(path, Buffer.from('theirs'))
          return target.commitBlocks(path, ids, options)
        }
      }
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const fs = new AzureBlobFileSystem({ store, blockBytes: 64 * KiB, listingTtlMs: 0 })
  return { fs, commits: () => commits }
}

const content = randomBytes(3 * MiB)

t.test(
  'an upload whose blocks were taken away is sent again from its source, and wins',
  async (t) => {
    const { fs, commits } = await contested(2)
    const local = join(t.testdir(), 'file')
    await writeFile(local, content)
    await fs.putFile(local, 'data/a')
    t.ok(content.equals(await fs.readBytes('data/a')))
    t.equal(commits(), 3)
  },
)

t.test('so is what a program gives whole', async (t) => {
  const { fs } = await contested(1)
  await fs.pipeFile('data/a', content)
  t.ok(content.equals(await fs.readBytes('data/a')))
})

t.test('against somebody who never stops it gives up with the reason', async (t) => {
  const { fs, commits } = await contested(100)
  await t.rejects(fs.pipeFile('data/a', content), {
    code: 'ESTALE',
    serviceCode: 'InvalidBlockList',
  })
  t.equal(commits(), 3)
})

t.test('under a condition it has lost, once', async (t) => {
  const { fs, commits } = await contested(1)
  await t.rejects(fs.pipeFile('data/a', content, { mode: 'create' }), { code: 'EEXIST' })
  t.equal(commits(), 1)
  t.equal(Buffer.from(await fs.readBytes('data/a')).toString(), 'theirs')
})

t.test('a stream whose source is gone says so when it is closed', async (t) => {
  const { fs } = await contested(1)
  const writer = await fs.open('data/a', 'w')
  await writer.write(content)
  await t.rejects(writer.close(), { code: 'ESTALE', serviceCode: 'InvalidBlockList' })
  t.equal(Buffer.from(await fs.readBytes('data/a')).toString(), 'theirs')
})
