import { AnonymousCredential, BlobServiceClient } from '@azure/storage-blob'
import t from 'tap'
import { type BlobServer, refusalOf, startBlobServer } from '../support/blob-server.ts'
import { addContainer } from '../support/storage-request.ts'

const minuteMs = 60_000

async function sourceOf({ container }: BlobServer, name: string) {
  const blob = container.getBlockBlobClient(name)
  await blob.upload('content', 7, {
    metadata: { Made: 'here' },
    tags: { colour: 'red' },
    blobHTTPHeaders: { blobContentType: 'text/plain' },
  })
  return blob
}

t.test('Copy Blob', async (t) => {
  const server = await startBlobServer(t)
  const { container } = server

  t.test('brings content, headers and metadata along, and no tags', async (t) => {
    const source = await sourceOf(server, 'a')
    const copy = container.getBlockBlobClient('b')

    const poller = await copy.beginCopyFromURL(source.url)
    t.equal((await poller.pollUntilDone()).copyStatus, 'success')
    const properties = await copy.getProperties()
    t.equal(properties.contentType, 'text/plain')
    t.strictSame(properties.metadata, { made: 'here' })
    t.equal(properties.tagCount, undefined)
    t.equal(properties.copyProgress, '7/7')
    t.equal((await copy.downloadToBuffer()).toString(), 'content')
  })

  t.test('never shows the signature of the source', async (t) => {
    const source = await sourceOf(server, 'signed')
    const copy = container.getBlockBlobClient('unsigned')

    await (await copy.beginCopyFromURL(source.url)).pollUntilDone()
    const { copySource } = await copy.getProperties()
    t.notMatch(copySource, /sig=/u)
    t.match(copySource, /\/first\/signed$/u)
  })

  t.test('takes metadata of its own in the place of all of the source', async (t) => {
    const source = await sourceOf(server, 'c')
    const copy = container.getBlockBlobClient('d')

    await (await copy.beginCopyFromURL(source.url, { metadata: { own: '1' } })).pollUntilDone()
    t.strictSame((await copy.getProperties()).metadata, { own: '1' })
  })

  t.test('checks conditions on source and destination', async (t) => {
    const source = await sourceOf(server, 'e')
    const copy = await sourceOf(server, 'f')
    const begin = (options: Parameters<typeof copy.beginCopyFromURL>[1]) =>
      refusalOf(copy.beginCopyFromURL(source.url, options))

    const stale = { ifMatch: '"0x0"' }
    t.equal(await begin({ sourceConditions: stale }), '412 SourceConditionNotMet')
    t.equal(await begin({ conditions: stale }), '412 ConditionNotMet')
    t.equal(await begin({ conditions: { ifNoneMatch: '*' } }), '409 BlobAlreadyExists')
  })

  t.test('of what is absent, or of another type, is refused', async (t) => {
    const copy = await sourceOf(server, 'g')
    const absent = container.getBlockBlobClient('absent')
    t.equal(await refusalOf(copy.beginCopyFromURL(absent.url)), '404 CannotVerifyCopySource')

    const pages = container.getPageBlobClient('pages')
    await pages.create(512)
    t.equal(await refusalOf(copy.beginCopyFromURL(pages.url)), '409 InvalidBlobType')
  })

  t.test('of another server is not fetched', async (t) => {
    const copy = container.getBlockBlobClient('far')

    t.equal(
      await refusalOf(copy.beginCopyFromURL('https://example.com/a/b')),
      '404 CannotVerifyCopySource',
    )
  })

  t.test('needs no signature within the account of a key', async (t) => {
    const source = await sourceOf(server, 'keyed')
    const keyed = server.keyService.getContainerClient('first')
    const copy = keyed.getBlockBlobClient('by-key')

    await (await copy.beginCopyFromURL(keyed.getBlobClient(source.name).url)).pollUntilDone()
    t.equal((await copy.downloadToBuffer()).toString(), 'content')
  })
})

t.test('a copy that takes time', async (t) => {
  const server = await startBlobServer(t, { copyDelayMs: minuteMs })
  const { container, clock } = server
  const source = await sourceOf(server, 'source')

  t.test('is pending without content until its time has come', async (t) => {
    const copy = container.getBlockBlobClient('slow')
    await copy.beginCopyFromURL(source.url)

    const before = await copy.getProperties()
    t.strictSame(
      [before.copyStatus, before.copyProgress, before.contentLength],
      ['pending', '0/7', 0],
    )
    t.equal(await refusalOf(copy.upload('x', 1)), '409 PendingCopyOperation')
    await clock.advance(minuteMs)
    const after = await copy.getProperties()
    t.strictSame([after.copyStatus, after.contentLength], ['success', 7])
    t.equal((await copy.downloadToBuffer()).toString(), 'content')
  })

  t.test('keeps the content that the source had when it began', async (t) => {
    const changing = await sourceOf(server, 'changing')
    const copy = container.getBlockBlobClient('of-changing')
    await copy.beginCopyFromURL(changing.url)
    await changing.upload('later', 5)

    await clock.advance(minuteMs)
    t.equal((await copy.downloadToBuffer()).toString(), 'content')
  })

  t.test('is aborted by its id, and leaves an empty blob', async (t) => {
    const copy = container.getBlockBlobClient('aborted')
    await copy.beginCopyFromURL(source.url)
    const { copyId = '' } = await copy.getProperties()

    t.equal(await refusalOf(copy.abortCopyFromURL('other')), '409 CopyIdMismatch')
    await copy.abortCopyFromURL(copyId)
    const { copyStatus, contentLength } = await copy.getProperties()
    t.strictSame([copyStatus, contentLength], ['aborted', 0])
    t.equal(await refusalOf(copy.abortCopyFromURL(copyId)), '409 NoPendingCopyOperation')
  })
})

t.test('copies from a URL', async (t) => {
  const server = await startBlobServer(t)
  const { container, endpoint, account } = server
  const source = await sourceOf(server, 'source')
  const unsigned = `${endpoint}/first/source`

  t.test('Copy Blob From URL is done when it is answered', async (t) => {
    const copy = container.getBlockBlobClient('sync')

    const { copyStatus } = await copy.syncCopyFromURL(source.url)
    t.equal(copyStatus, 'success')
    t.equal((await copy.downloadToBuffer()).toString(), 'content')
  })

  t.test('tags come along when asked for', async (t) => {
    const copy = container.getBlockBlobClient('tagged')

    await copy.syncCopyFromURL(source.url, { copySourceTags: 'COPY' })
    t.strictSame((await copy.getTags()).tags, { colour: 'red' })
    t.equal(
      await refusalOf(
        copy.syncCopyFromURL(source.url, { copySourceTags: 'COPY', tags: { a: 'b' } }),
      ),
      '400 BothUserTagsAndSourceTagsCopyPresentException',
    )
  })

  t.test('a source is read with a signature of its own or not at all', async (t) => {
    const copy = server.keyService.getContainerClient('first').getBlockBlobClient('unsigned')

    t.match(await refusalOf(copy.syncCopyFromURL(unsigned)), /^40\d CannotVerifyCopySource$/u)
    t.match(await refusalOf(copy.syncUploadFromURL(unsigned)), /^40\d CannotVerifyCopySource$/u)
    await copy.syncUploadFromURL(`${unsigned}?${server.sas}`)
  })

  t.test('a source that is public needs none', async (t) => {
    addContainer(account, 'public', { publicAccess: 'blob' })
    await server.service.getContainerClient('public').getBlockBlobClient('open').upload('open', 4)
    const copy = container.getBlockBlobClient('from-public')

    await copy.syncUploadFromURL(`${endpoint}/public/open`)
    t.equal((await copy.downloadToBuffer()).toString(), 'open')
  })

  t.test('Put Blob From URL takes the headers and not the metadata', async (t) => {
    const copy = container.getBlockBlobClient('put')

    await copy.syncUploadFromURL(source.url)
    const { contentType, metadata, copyId } = await copy.getProperties()
    t.equal(contentType, 'text/plain')
    t.strictSame(metadata, {})
    t.equal(copyId, undefined)
  })

  t.test('Put Block From URL stages a range of the source', async (t) => {
    const copy = container.getBlockBlobClient('blocks')
    const ids = ['one', 'two'].map((id) => Buffer.from(id).toString('base64'))

    await copy.stageBlockFromURL(ids[0] ?? '', source.url, 0, 3)
    await copy.stageBlockFromURL(ids[1] ?? '', source.url, 3, 4)
    await copy.commitBlockList([...ids].reverse())
    t.equal((await copy.downloadToBuffer()).toString(), 'tentcon')
  })

  t.test('another MD5 than the source has is refused', async (t) => {
    const copy = container.getBlockBlobClient('md5')
    const sourceContentMD5 = Buffer.alloc(16)

    t.equal(
      await refusalOf(copy.syncUploadFromURL(source.url, { sourceContentMD5 })),
      '400 Md5Mismatch',
    )
  })

  t.test('who may not write may not copy', async (t) => {
    const anonymous = new BlobServiceClient(endpoint, new AnonymousCredential(), {
      retryOptions: { maxTries: 1 },
    })
    const copy = anonymous.getContainerClient('first').getBlockBlobClient('stolen')

    t.match(await refusalOf(copy.syncCopyFromURL(source.url)), /^40[1349] /u)
  })
})
