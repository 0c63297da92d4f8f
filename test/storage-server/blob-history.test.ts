import type { BlobItem, ContainerListBlobsOptions } from '@azure/storage-blob'
import t from 'tap'
import { type BlobServer, refusalOf, startBlobServer } from '../support/blob-server.ts'

const dayMs = 24 * 60 * 60 * 1000

async function listed(
  { container }: BlobServer,
  options: ContainerListBlobsOptions,
): Promise<BlobItem[]> {
  const items: BlobItem[] = []
  for await (const item of container.listBlobsFlat(options)) items.push(item)
  return items
}

t.test('snapshots', async (t) => {
  const server = await startBlobServer(t)
  const { container } = server

  t.test('keep the content of their time, and are read only', async (t) => {
    const blob = container.getBlockBlobClient('kept')
    await blob.upload('one', 3)
    const { snapshot = '' } = await blob.createSnapshot()
    await blob.upload('two', 3)
    const former = blob.withSnapshot(snapshot)

    t.equal((await former.downloadToBuffer()).toString(), 'one')
    t.equal((await blob.downloadToBuffer()).toString(), 'two')
    t.equal(await refusalOf(former.setMetadata({ a: 'b' })), '400 InvalidQueryParameterValue')
  })

  t.test('take metadata of their own', async (t) => {
    const blob = container.getBlockBlobClient('metadata')
    await blob.upload('one', 3, { metadata: { a: '1' } })

    const { snapshot = '' } = await blob.createSnapshot({ metadata: { b: '2' } })
    t.strictSame((await blob.withSnapshot(snapshot).getProperties()).metadata, { b: '2' })
    t.strictSame((await blob.getProperties()).metadata, { a: '1' })
  })

  t.test('keep a blob from being deleted unless they go with it', async (t) => {
    const blob = container.getBlockBlobClient('guarded')
    await blob.upload('one', 3)
    const { snapshot = '' } = await blob.createSnapshot()

    t.equal(await refusalOf(blob.delete()), '409 SnapshotsPresent')
    await blob.delete({ deleteSnapshots: 'only' })
    t.equal(await blob.exists(), true)
    t.equal(await blob.withSnapshot(snapshot).exists(), false)
    await blob.createSnapshot()
    await blob.delete({ deleteSnapshots: 'include' })
    t.equal(await blob.exists(), false)
  })

  t.test('are deleted one by one', async (t) => {
    const blob = container.getBlockBlobClient('single')
    await blob.upload('one', 3)
    const [one, two] = [await blob.createSnapshot(), await blob.createSnapshot()]

    await blob.withSnapshot(one.snapshot ?? '').delete()
    t.equal(await blob.withSnapshot(one.snapshot ?? '').exists(), false)
    t.equal(await blob.withSnapshot(two.snapshot ?? '').exists(), true)
  })

  t.test('are listed before their blob when asked for', async (t) => {
    const blob = container.getBlockBlobClient('z-listed')
    await blob.upload('one', 3)
    const { snapshot } = await blob.createSnapshot()

    const items = await listed(server, { prefix: 'z-', includeSnapshots: true })
    t.strictSame(
      items.map((item) => item.snapshot),
      [snapshot, undefined],
    )
    t.equal((await listed(server, { prefix: 'z-' })).length, 1)
  })

  t.test('are copied back onto their blob', async (t) => {
    const blob = container.getBlockBlobClient('promoted')
    await blob.upload('one', 3)
    const { snapshot = '' } = await blob.createSnapshot()
    await blob.upload('two', 3)

    await (await blob.beginCopyFromURL(blob.withSnapshot(snapshot).url)).pollUntilDone()
    t.equal((await blob.downloadToBuffer()).toString(), 'one')
  })

  t.test('of what is absent, or at no time, are 404 and 400', async (t) => {
    const blob = container.getBlockBlobClient('timeless')
    t.equal(await refusalOf(blob.createSnapshot()), '404 BlobNotFound')
    await blob.upload('one', 3)

    const unknown = blob.withSnapshot('2020-01-01T00:00:00.0000000Z')
    t.equal(await refusalOf(unknown.downloadToBuffer(0, 1)), '404 BlobNotFound')
    t.match(
      await refusalOf(blob.withSnapshot('yesterday').download()),
      /^400 InvalidQueryParameterValue/u,
    )
  })
})

t.test('versions', async (t) => {
  const server = await startBlobServer(t, { versioning: true })
  const { container } = server

  t.test('every write of content and metadata leaves the former one', async (t) => {
    const blob = container.getBlockBlobClient('versioned')
    const one = await blob.upload('one', 3)
    const two = await blob.upload('two', 3)
    const three = await blob.setMetadata({ a: 'b' })

    t.equal(new Set([one.versionId, two.versionId, three.versionId]).size, 3)
    const read = async (version = '') =>
      (await blob.withVersion(version).downloadToBuffer()).toString()
    t.equal(await read(one.versionId), 'one')
    t.equal(await read(two.versionId), 'two')
    t.equal(await read(three.versionId), 'two')
    t.equal((await blob.getProperties()).isCurrentVersion, true)
    t.equal(
      (await blob.withVersion(one.versionId ?? '').getProperties()).isCurrentVersion,
      undefined,
    )
  })

  t.test('a deleted blob is gone, and its versions stay', async (t) => {
    const blob = container.getBlockBlobClient('deleted')
    const { versionId = '' } = await blob.upload('one', 3)
    await blob.delete()

    t.equal(await blob.exists(), false)
    t.equal((await blob.withVersion(versionId).downloadToBuffer()).toString(), 'one')
    const items = await listed(server, { prefix: 'deleted', includeVersions: true })
    t.strictSame(
      items.map((item) => [item.versionId, item.isCurrentVersion]),
      [[versionId, undefined]],
    )
  })

  t.test('a version copied onto the blob is current again', async (t) => {
    const blob = container.getBlockBlobClient('restored')
    const { versionId = '' } = await blob.upload('one', 3)
    await blob.delete()

    await (await blob.beginCopyFromURL(blob.withVersion(versionId).url)).pollUntilDone()
    t.equal((await blob.downloadToBuffer()).toString(), 'one')
    t.not((await blob.getProperties()).versionId, versionId)
  })

  t.test('a former version is deleted by its id; the current one is not', async (t) => {
    const blob = container.getBlockBlobClient('pruned')
    const one = await blob.upload('one', 3)
    const two = await blob.upload('two', 3)

    await blob.withVersion(one.versionId ?? '').delete()
    t.equal(await blob.withVersion(one.versionId ?? '').exists(), false)
    t.match(
      await refusalOf(blob.withVersion(two.versionId ?? '').delete()),
      /OperationNotAllowedOnRootBlob/u,
    )
  })

  t.test('are listed oldest first, the current one marked', async (t) => {
    const blob = container.getBlockBlobClient('y-listed')
    const ids = [await blob.upload('1', 1), await blob.upload('2', 1), await blob.upload('3', 1)]

    const items = await listed(server, { prefix: 'y-', includeVersions: true })
    t.strictSame(
      items.map((item) => [item.versionId, item.isCurrentVersion]),
      ids.map(({ versionId }, at) => [versionId, at === 2 ? true : undefined]),
    )
  })
})

t.test('soft deletion', async (t) => {
  const server = await startBlobServer(t, { softDeleteDays: 7 })
  const { container, clock } = server

  t.test('a deleted blob is undeleted with its snapshots', async (t) => {
    const blob = container.getBlockBlobClient('back')
    await blob.upload('one', 3, { metadata: { a: 'b' } })
    const { snapshot = '' } = await blob.createSnapshot()
    await blob.delete({ deleteSnapshots: 'include' })
    t.equal(await blob.exists(), false)

    await blob.undelete()
    t.equal((await blob.downloadToBuffer()).toString(), 'one')
    t.strictSame((await blob.getProperties()).metadata, { a: 'b' })
    t.equal(await blob.withSnapshot(snapshot).exists(), true)
  })

  t.test('an overwritten blob is kept as a deleted snapshot', async (t) => {
    const blob = container.getBlockBlobClient('over')
    await blob.upload('one', 3)
    await blob.upload('two', 3)

    await blob.undelete()
    const [kept] = await listed(server, { prefix: 'over', includeSnapshots: true })
    t.equal((await blob.withSnapshot(kept?.snapshot ?? '').downloadToBuffer()).toString(), 'one')
    t.equal((await blob.downloadToBuffer()).toString(), 'two')
  })

  t.test('deleted blobs are listed with the days that remain', async (t) => {
    const blob = container.getBlockBlobClient('x-listed')
    await blob.upload('one', 3)
    await blob.delete()
    await clock.advance(2 * dayMs)

    t.equal((await listed(server, { prefix: 'x-' })).length, 0)
    const [item] = await listed(server, { prefix: 'x-', includeDeleted: true })
    t.equal(item?.deleted, true)
    t.equal(item?.properties.remainingRetentionDays, 5)
    t.ok(item?.properties.deletedOn)
  })

  t.test('nothing comes back when the days are over', async (t) => {
    const blob = container.getBlockBlobClient('late')
    await blob.upload('one', 3)
    await blob.delete()
    await clock.advance(8 * dayMs)

    t.equal(await refusalOf(blob.undelete()), '404 BlobNotFound')
  })

  t.test('undelete of what is there changes nothing, of what never was is 404', async (t) => {
    const blob = container.getBlockBlobClient('there')
    await blob.upload('one', 3)
    await blob.undelete()

    t.equal((await blob.downloadToBuffer()).toString(), 'one')
    const never = container.getBlockBlobClient('never')
    t.equal(await refusalOf(never.undelete()), '404 BlobNotFound')
  })
})
