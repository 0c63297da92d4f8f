import { AnonymousCredential, BlobBatch } from '@azure/storage-blob'
import t from 'tap'
import { refusalOf, startBlobServer } from '../support/blob-server.ts'

const hourMs = 60 * 60 * 1000

t.test('tiers', async (t) => {
  const { container, clock } = await startBlobServer(t)

  t.test('are the default until set, and change at once while online', async (t) => {
    const blob = container.getBlockBlobClient('online')
    await blob.upload('x', 1)
    const before = await blob.getProperties()
    t.strictSame([before.accessTier, before.accessTierInferred], ['Hot', true])

    await blob.setAccessTier('Cool')
    const after = await blob.getProperties()
    t.strictSame([after.accessTier, after.accessTierInferred], ['Cool', undefined])
    t.ok(after.accessTierChangedOn)
    t.equal(after.etag, before.etag)
  })

  t.test('an archived blob is not read, and comes back after its time', async (t) => {
    const blob = container.getBlockBlobClient('archived')
    await blob.upload('x', 1, { tier: 'Archive' })
    t.equal(await refusalOf(blob.download()), '409 BlobArchived')
    t.equal((await blob.getProperties()).accessTier, 'Archive')

    await blob.setAccessTier('Hot')
    t.equal((await blob.getProperties()).archiveStatus, 'rehydrate-pending-to-hot')
    t.equal(await refusalOf(blob.download()), '409 BlobBeingRehydrated')
    t.equal(await refusalOf(blob.setAccessTier('Cool')), '409 BlobBeingRehydrated')
    await clock.advance(15 * hourMs)
    const { accessTier, archiveStatus } = await blob.getProperties()
    t.strictSame([accessTier, archiveStatus], ['Hot', undefined])
    t.equal((await blob.downloadToBuffer()).toString(), 'x')
  })

  t.test('an archived blob is copied to an online tier, which takes the same time', async (t) => {
    const blob = container.getBlockBlobClient('cold-source')
    await blob.upload('x', 1, { tier: 'Archive' })
    const copy = container.getBlockBlobClient('warm-copy')

    t.equal(await refusalOf(copy.beginCopyFromURL(blob.url)), '409 BlobArchived')
    await copy.beginCopyFromURL(blob.url, { tier: 'Cool' })
    t.equal((await copy.getProperties()).archiveStatus, 'rehydrate-pending-to-cool')
    await clock.advance(15 * hourMs)
    t.equal((await copy.downloadToBuffer()).toString(), 'x')
  })

  t.test('unknown tiers, and tiers of other types, are refused', async (t) => {
    const blob = container.getBlockBlobClient('unknown')
    await blob.upload('x', 1)
    const pages = container.getPageBlobClient('pages')
    await pages.create(512)

    t.equal(await refusalOf(blob.setAccessTier('P4')), '400 InvalidHeaderValue')
    t.equal(await refusalOf(pages.setAccessTier('Cool')), '409 InvalidBlobType')
  })
})

t.test('batches', async (t) => {
  const { container, service, keyService } = await startBlobServer(t)
  const uploaded = async (prefix: string, count: number) =>
    Promise.all(
      Array.from({ length: count }, async (_, n) => {
        const blob = container.getBlockBlobClient(`${prefix}-${n}`)
        await blob.upload('x', 1)
        return blob
      }),
    )

  t.test('delete each blob, and tell of each what became of it', async (t) => {
    const blobs = await uploaded('gone', 3)
    const absent = container.getBlockBlobClient('never')

    const answer = await service.getBlobBatchClient().deleteBlobs([...blobs, absent])
    t.equal(answer.subResponsesSucceededCount, 3)
    t.strictSame(
      answer.subResponses.map(({ status, errorCode }) => [status, errorCode]),
      [
        [202, undefined],
        [202, undefined],
        [202, undefined],
        [404, 'BlobNotFound'],
      ],
    )
    t.equal(await blobs[0]?.exists(), false)
  })

  t.test('set tiers, signed item by item with the key', async (t) => {
    const names = (await uploaded('tiered', 2)).map(({ name }) => name)
    const keyed = keyService.getContainerClient('first')
    const blobs = names.map((name) => keyed.getBlobClient(name))

    const answer = await keyService.getBlobBatchClient().setBlobsAccessTier(blobs, 'Cool')
    t.equal(answer.subResponsesSucceededCount, 2)
    t.equal((await keyed.getBlobClient(names[0] ?? '').getProperties()).accessTier, 'Cool')
  })

  t.test('of one container refuse items of another', async (t) => {
    const [blob] = await uploaded('inside', 1)
    const outside = service.getContainerClient('other').getBlobClient('x')

    const batch = container.getBlobBatchClient()
    const answer = await batch.deleteBlobs([outside, ...(blob === undefined ? [] : [blob])])
    t.strictSame(
      answer.subResponses.map(({ status }) => status),
      [400, 202],
    )
  })

  t.test('an item without a right of its own is refused alone', async (t) => {
    const [blob] = await uploaded('unsigned', 1)
    if (blob === undefined) throw new Error('no blob')
    const batch = new BlobBatch()
    await batch.deleteBlob(blob.url.replace(/\?.*$/u, ''), new AnonymousCredential())
    await batch.deleteBlob(blob)

    const answer = await service.getBlobBatchClient().submitBatch(batch)
    const [refused, done] = answer.subResponses.map(({ status }) => status)
    t.ok(refused === 401 || refused === 404, String(refused))
    t.equal(done, 202)
  })

  t.test('what is not built is refused by name', async (t) => {
    const [blob] = await uploaded('query', 1)

    t.equal(
      await refusalOf(blob?.query('SELECT *') ?? Promise.resolve()),
      '501 FeatureNotSupported',
    )
  })
})
