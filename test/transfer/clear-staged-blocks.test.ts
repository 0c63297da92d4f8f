/** What writers that died have staged for a blob is in the way: too many blocks, or ids of another length. */
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import type { BlobStore } from '../../src/blob/store.ts'
import { KiB } from '../../src/byte-range.ts'
import { FileSystemError } from '../../src/errors.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import type { FaultEffect } from '../../src/storage-server/control/fault-rule.ts'
import { BlobWriter } from '../../src/transfer/blob-writer.ts'
import { ChunkCache } from '../../src/transfer/chunk-cache.ts'
import { clearStagedBlocks, isBarred } from '../../src/transfer/clear-staged-blocks.ts'
import { FileContent } from '../../src/transfer/file-content.ts'
import { StagedBlocks } from '../../src/transfer/staged-blocks.ts'
import { faultyAccount } from '../support/faulty-account.ts'

const path = { container: 'box', name: 'out.bin' }
const maxStagedBlocks = 20
const blockBytes = 64 * KiB
const content = randomBytes(12 * blockBytes)

const account = (t: Test) => faultyAccount(t, { settings: { maxStagedBlocks } })

/** As writers leave behind that died. */
async function stageDead(store: BlobStore, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    const id = Buffer.alloc(16, `dead${String(index).padStart(4)}`).toString('base64')
    await store.stageBlock(path, id, Buffer.from('x'))
  }
}

/** As a client leaves behind whose ids are shorter. */
const stageOther = (store: BlobStore) => store.stageBlock(path, 'AAAAAAAA', Buffer.from('x'))

async function makeBlob(store: BlobStore): Promise<Buffer> {
  const old = randomBytes(3 * 1000)
  const ids = [0, 1, 2].map((index) => Buffer.alloc(16, `old${index}`).toString('base64'))
  for (const [index, id] of ids.entries()) {
    await store.stageBlock(path, id, old.subarray(index * 1000, (index + 1) * 1000))
  }
  await store.commitBlocks(path, ids, {
    metadata: { owner: 'me' },
    contentType: 'text/plain',
    headers: { cacheControl: 'no-store', contentLanguage: 'de' },
    tags: { project: 'a b', state: 'x+y' },
    tier: 'Cool',
  })
  return old
}

/** All that readers are told of the blob but its etag and times. */
async function seen({ store, administration }: Awaited<ReturnType<typeof account>>) {
  const { etag: _, lastModifiedMs, createdMs, ...properties } = await store.head(path)
  const { blocks } = await store.getBlocks(path)
  const { data } = await store.get(path)
  return { properties, blocks, data, tags: await administration.getTags(path) }
}

t.test('a blob that is there stays as it is for its readers, and is then replaced', async (t) => {
  const parts = await account(t)
  const { store, fs } = parts
  await makeBlob(store)
  const before = await seen(parts)
  t.same(before.tags, { project: 'a b', state: 'x+y' })
  t.match(before.properties, { accessTier: 'Cool', isTierChosen: true, tagCount: 2 })
  await stageDead(store, maxStagedBlocks)

  const writer = await fs.open('box/out.bin', 'w')
  await writer.write(content)
  t.same(await seen(parts), before)
  await writer.close()

  t.ok(content.equals(await fs.readBytes('box/out.bin')))
  t.same(await store.getStagedBlocks(path), [])
})

t.test('ids of another length are no obstacle, whoever writes and however', async (t) => {
  const parts = await account(t)
  const { store, fs } = parts
  await stageOther(store)
  const created = await fs.open('box/out.bin', 'x')
  await created.write(content)
  await created.close()
  t.ok(content.equals(await fs.readBytes('box/out.bin')), 'as a stream, where no blob is')

  await makeBlob(store)
  const before = await seen(parts)
  await stageOther(store)
  const writer = await fs.open('box/out.bin', 'w')
  await writer.write(content)
  t.same(await seen(parts), before)
  await writer.close()
  t.ok(content.equals(await fs.readBytes('box/out.bin')), 'as a stream over a blob')

  await stageOther(store)
  const local = join(t.testdir(), 'file')
  const other = randomBytes(content.byteLength)
  await writeFile(local, other)
  await fs.putFile(local, 'box/out.bin')
  t.ok(other.equals(await fs.readBytes('box/out.bin')), 'from a file')
})

t.test('a commit that is refused for what dfs wrote clears nothing', async (t) => {
  const refused = (syscall: string) =>
    isBarred(new FileSystemError('EINVAL', syscall, { serviceCode: 'InvalidBlobOrBlock' }))
  t.equal(refused('blob.commitBlocks'), false)
  t.equal(refused('blob.stageBlock'), true)
})

t.test('a blob that one request made keeps its bytes', async (t) => {
  const { store } = await account(t)
  const { etag } = await store.put(path, Buffer.from('whole'), { metadata: { a: 'b' } })
  await stageDead(store, 5)

  const remade = await clearStagedBlocks(store, path)

  t.same(remade, { from: etag, to: (await store.head(path)).etag })
  t.equal(Buffer.from((await store.get(path)).data).toString(), 'whole')
  t.same((await store.head(path)).metadata, { a: 'b' })
  t.same(await store.getStagedBlocks(path), [])
})

t.test('where none is, none stays, and one is made under the condition that none is', async (t) => {
  const { store, fs } = await account(t)
  await stageDead(store, maxStagedBlocks)

  const writer = await fs.open('box/out.bin', 'x')
  await writer.write(content)
  await t.rejects(store.head(path), { code: 'ENOENT' })
  await writer.close()

  t.ok(content.equals(await fs.readBytes('box/out.bin')))
})

t.test('a writer whose condition is the version that was there still meets it', async (t) => {
  const { store } = await account(t)
  await makeBlob(store)
  const { etag } = await store.head(path)
  await stageDead(store, maxStagedBlocks)
  const writer = new BlobWriter({ store, path, blockBytes, conditions: { ifMatch: etag } })

  await writer.write(content)
  await writer.commit()

  t.ok(content.equals((await store.get(path)).data))
})

t.test('a version that somebody else wrote meanwhile is not taken for it', async (t) => {
  const { store } = await account(t)
  await makeBlob(store)
  const { etag } = await store.head(path)
  await store.setMetadata(path, { owner: 'other' })
  await stageDead(store, maxStagedBlocks)
  const writer = new BlobWriter({ store, path, blockBytes, conditions: { ifMatch: etag } })

  await writer.write(content)
  await t.rejects(writer.commit(), { code: 'ESTALE' })
  await writer.abort()
})

t.test('in the middle, what has its source is sent again from its beginning', async (t) => {
  const { store, fs } = await account(t)
  await stageDead(store, 15)
  await fs.pipeFile('box/out.bin', content)
  t.ok(content.equals(await fs.readBytes('box/out.bin')))

  await stageDead(store, 15)
  const local = join(t.testdir(), 'file')
  const other = randomBytes(content.byteLength)
  await writeFile(local, other)
  await fs.putFile(local, 'box/out.bin')
  t.ok(other.equals(await fs.readBytes('box/out.bin')))
})

t.test('a stream whose source is gone says so, and its next attempt succeeds', async (t) => {
  const { store, fs } = await account(t)
  const old = await makeBlob(store)
  await stageDead(store, 15)

  const writer = await fs.open('box/out.bin', 'w')
  const failed = (async () => {
    await writer.write(content)
    await writer.close()
  })()
  await t.rejects(failed, {
    code: 'EAGAIN',
    serviceCode: 'BlockCountExceedsLimit',
    retryable: true,
    message: /write it again from its beginning/,
  })
  await writer.abort()
  t.ok(old.equals(await fs.readBytes('box/out.bin')))

  const again = await fs.open('box/out.bin', 'w')
  await again.write(content)
  await again.close()
  t.ok(content.equals(await fs.readBytes('box/out.bin')))
})

t.test('a second writer loses its blocks and says so; none mixes with the other', async (t) => {
  const { store, fs } = await account(t)
  const slow = new BlobWriter({ store, path, blockBytes, conditions: { ifNoneMatch: '*' } })
  const half = content.subarray(0, 4 * blockBytes)
  await slow.write(half)
  await slow.write(content.subarray(0, 1))
  const own = await staged(store, 4)
  await stageDead(store, maxStagedBlocks - own)

  const fast = await fs.open('box/out.bin', 'x')
  await fast.write(content)
  await t.rejects(slow.commit(), { code: 'ESTALE', serviceCode: 'InvalidBlockList' })
  await slow.abort()
  await fast.close()

  t.ok(content.equals(await fs.readBytes('box/out.bin')))
})

/** Waits until so many blocks have arrived. */
async function staged(store: BlobStore, count: number): Promise<number> {
  for (let turn = 0; turn < 500; turn++) {
    const { length } = await store.getStagedBlocks(path)
    if (length >= count) return length
    await new Promise((resolve) => setImmediate(resolve))
  }
  throw new Error('the blocks never arrived')
}

t.test('writers of one file at once: each ends, and the file is one of theirs', async (t) => {
  const { store, fs } = await account(t)
  const contents = [0, 1].map(() => randomBytes(5 * blockBytes))
  await stageDead(store, maxStagedBlocks)

  const ends = await Promise.allSettled(contents.map((data) => fs.pipeFile('box/out.bin', data)))

  t.ok(ends.some(({ status }) => status === 'fulfilled'))
  const found = await fs.readBytes('box/out.bin')
  t.ok(contents.some((data) => data.equals(found)))
})

t.test('a copy from another account, whose blocks the service makes, clears too', async (t) => {
  const { store, fs, box } = await account(t)
  const lendRead = async ({ name }: { readonly name: string }) => ({
    url: new URL(`${box.url}/${name}`),
  })
  const from = new AzureBlobFileSystem({ store, lendRead })
  await from.pipeFile('box/source', content)
  await stageDead(store, maxStagedBlocks)

  await fs.cpFile('box/source', 'box/out.bin', { from })

  t.ok(content.equals(await fs.readBytes('box/out.bin')))
  t.match((await store.getBlocks(path)).blocks, [{ sizeBytes: content.byteLength }])
})

const lasting: FaultEffect = {
  kind: 'status',
  status: 403,
  code: 'AuthorizationPermissionMismatch',
}

for (const { verb, exists } of [
  { verb: 'GetBlobProperties', exists: true },
  { verb: 'ListBlobs', exists: true },
  { verb: 'CopyBlob', exists: true },
  { verb: 'PutBlob', exists: false },
  { verb: 'DeleteBlob', exists: false },
]) {
  t.test(`${verb} that is refused fails the writer, and nothing is lost`, async (t) => {
    const parts = await account(t)
    const { store, control } = parts
    if (exists) await makeBlob(store)
    const before = exists ? await seen(parts) : undefined
    await stageDead(store, maxStagedBlocks)
    control.replaceFaults([{ verb, effect: lasting }])
    const writer = new BlobWriter({ store, path, blockBytes })

    await t.rejects(
      writer.write(content).then(() => writer.commit()),
      { code: 'EACCES' },
    )
    await writer.abort()

    control.replaceFaults([])
    if (exists) t.same(await seen(parts), before)
    else if (verb === 'PutBlob') await t.rejects(store.head(path), { code: 'ENOENT' })
    else t.equal((await store.head(path)).sizeBytes, 0)
  })

  t.test(`${verb} whose answer is lost is no obstacle`, async (t) => {
    const { store, fs, control } = await account(t)
    if (exists) await makeBlob(store)
    await stageDead(store, maxStagedBlocks)
    control.replaceFaults([{ verb, count: 1, runsVerb: true, effect: { kind: 'reset' } }])

    const writer = new BlobWriter({ store, path, blockBytes })
    await writer.write(content)
    if (!exists) await t.rejects(store.head(path), { code: 'ENOENT' })
    await writer.commit()

    t.ok(content.equals(await fs.readBytes('box/out.bin')))
  })
}

t.test('a file that is put together from a spool clears for new content only', async (t) => {
  const { store } = await account(t)
  const { etag, sizeBytes } = await store.put(path, content)
  await stageDead(store, maxStagedBlocks)
  const chunkCache = new ChunkCache()
  const spool = { directory: tmpdir() }

  const edited = new FileContent({ store, chunkCache, spool, base: { path, etag, sizeBytes } })
  await edited.write(0, content.subarray(0, 3 * blockBytes))
  const blocks = new StagedBlocks({ store, content: edited, blockBytes })
  await t.rejects(blocks.complete(path), { code: 'EAGAIN' })
  await blocks.reset()
  await edited.close()
  t.equal((await store.head(path)).etag, etag)

  const anew = new FileContent({ store, chunkCache, spool, base: undefined })
  await anew.write(0, content)
  const fresh = new StagedBlocks({ store, content: anew, blockBytes })
  const ids = await fresh.complete(path)
  t.not(fresh.currentEtag(etag), etag)
  await store.commitBlocks(path, ids, { ifMatch: fresh.currentEtag(etag) })
  await anew.close()
  t.ok(content.equals((await store.get(path)).data))
})

t.test('in memory a copy onto itself clears as well', async (t) => {
  const store = new MemoryBlobStore()
  await store.createContainer('box')
  await makeBlob(store)
  const { blocks } = await store.getBlocks(path)
  await stageDead(store, 3)

  await clearStagedBlocks(store, path)

  t.same(await store.getStagedBlocks(path), [])
  t.same((await store.getBlocks(path)).blocks, blocks)
  t.match(await store.head(path), { metadata: { owner: 'me' }, accessTier: 'Cool' })
  const { entries } = await store.listPage(path, { tags: true })
  t.match(entries, [{ tags: { project: 'a b', state: 'x+y' } }])
})
