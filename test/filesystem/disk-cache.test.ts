import { join } from 'node:path'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { KiB, MiB } from '../../src/byte-range.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { ChunkCache } from '../../src/transfer/chunk-cache.ts'
import { DiskCache } from '../../src/transfer/disk-cache.ts'
import { CountingStore } from '../support/counting-store.ts'
import { patternOf } from '../support/pattern.ts'

t.test('a file that was read before costs one request, which asks for its version', async (t) => {
  const store = new CountingStore(new MemoryBlobStore())
  await store.createContainer('box')
  const directory = join(t.testdir(), 'cache')
  const content = patternOf(5 * MiB + 1)
  const open = () => {
    const disk = new DiskCache({ directory })
    t.teardown(() => disk.close())
    const chunkCache = new ChunkCache({ disk, maxBytes: MiB })
    return { disk, fs: new AzureBlobFileSystem({ store, chunkCache, blockBytes: 256 * KiB }) }
  }
  const first = open()
  await first.fs.pipeFile('box/file', content)
  t.ok(content.equals(await first.fs.catFile('box/file')))
  await first.disk.close()
  store.take()

  const { fs } = open()
  t.ok(content.equals(await fs.catFile('box/file')))
  t.same(store.take(), ['head file'])
  t.ok(content.subarray(-1000).equals(await fs.tail('box/file', 1000)), 'a part of it')
  await using reader = await fs.open('box/file')
  t.ok(content.equals(await reader.readAll()), 'by a handle')
  const gotten = join(t.testdirName, 'gotten')
  await fs.get('box/file', gotten)
  t.same(
    store.requests.filter(({ verb }) => verb === 'get'),
    [],
    'and by a download',
  )
})

t.test('with blocks on the disk errors and changes are as without', async (t) => {
  const store = new MemoryBlobStore()
  await store.createContainer('box')
  const disk = new DiskCache({ directory: join(t.testdir(), 'cache') })
  t.teardown(() => disk.close())
  const fs = new AzureBlobFileSystem({ store, chunkCache: new ChunkCache({ disk }) })
  await fs.writeText('box/dir/file', 'old')
  t.equal(await fs.readText('box/dir/file'), 'old')
  await store.put({ container: 'box', name: 'dir/file' }, Buffer.from('from elsewhere'))
  t.equal(await fs.readText('box/dir/file'), 'from elsewhere')
  await t.rejects(fs.readText('box/dir'), { code: 'EISDIR' })
  await t.rejects(fs.readText('box/none'), { code: 'ENOENT' })
  await fs.writeText('box/empty', '')
  t.equal(await fs.readText('box/empty'), '')
})
