import { createHash } from 'node:crypto'
import t from 'tap'
import { refusalOf, startBlobServer } from '../support/blob-server.ts'

t.test('append blobs', async (t) => {
  const { container } = await startBlobServer(t)
  const created = async (name: string) => {
    const blob = container.getAppendBlobClient(name)
    await blob.create()
    return blob
  }

  t.test('append tells the offset and the count of blocks', async (t) => {
    const blob = await created('log')

    t.equal((await blob.appendBlock('abc', 3)).blobAppendOffset, '0')
    const second = await blob.appendBlock('defg', 4)
    t.equal(second.blobAppendOffset, '3')
    t.equal(second.blobCommittedBlockCount, 2)
    t.equal((await blob.downloadToBuffer()).toString(), 'abcdefg')
    const properties = await blob.getProperties()
    t.equal(properties.blobType, 'AppendBlob')
    t.equal(properties.blobCommittedBlockCount, 2)
  })

  t.test('appends under conditions on position and size are refused when they fail', async (t) => {
    const blob = await created('conditions')
    await blob.appendBlock('abc', 3)

    t.equal(
      await refusalOf(blob.appendBlock('d', 1, { conditions: { appendPosition: 2 } })),
      '412 AppendPositionConditionNotMet',
    )
    t.equal(
      await refusalOf(blob.appendBlock('de', 2, { conditions: { maxSize: 4 } })),
      '412 MaxBlobSizeConditionNotMet',
    )
    await blob.appendBlock('d', 1, { conditions: { appendPosition: 3, maxSize: 4 } })
  })

  t.test('racing appends all arrive, whole', async (t) => {
    const blob = await created('race')
    const lines = Array.from({ length: 20 }, (_, n) => `line-${String(n).padStart(3, '0')};`)

    await Promise.all(lines.map((line) => blob.appendBlock(line, line.length)))
    const text = (await blob.downloadToBuffer()).toString()
    t.strictSame(text.match(/line-\d{3};/gu)?.sort(), lines)
    t.equal(text.length, lines.length * 9)
  })

  t.test('a sealed blob takes no more blocks', async (t) => {
    const blob = await created('sealed')
    await blob.seal()

    t.equal(await refusalOf(blob.appendBlock('a', 1)), '409 BlobIsSealed')
    t.equal((await blob.getProperties()).isSealed, true)
  })

  t.test('a block with another MD5 is refused and not kept', async (t) => {
    const blob = await created('md5')
    const transactionalContentMD5 = createHash('md5').update('other').digest()

    t.equal(
      await refusalOf(blob.appendBlock('abc', 3, { transactionalContentMD5 })),
      '400 Md5Mismatch',
    )
    t.equal((await blob.getProperties()).contentLength, 0)
  })

  t.test('blocks of a block blob, or of nothing, are refused', async (t) => {
    await container.getBlockBlobClient('block').upload('x', 1)

    const asAppend = container.getAppendBlobClient('block')
    t.equal(await refusalOf(asAppend.appendBlock('a', 1)), '409 InvalidBlobType')
    const absent = container.getAppendBlobClient('absent')
    t.equal(await refusalOf(absent.appendBlock('a', 1)), '404 BlobNotFound')
  })

  t.test('a range of another blob is appended by its URL', async (t) => {
    const source = container.getBlockBlobClient('source')
    await source.upload('0123456789', 10)
    const blob = await created('from-url')

    await blob.appendBlockFromURL(source.url, 2, 3)
    t.equal((await blob.downloadToBuffer()).toString(), '234')
  })

  t.test('createIfNotExists leaves what is there', async (t) => {
    const blob = await created('once')
    await blob.appendBlock('abc', 3)

    t.equal((await blob.createIfNotExists()).succeeded, false)
    t.equal((await blob.getProperties()).contentLength, 3)
  })
})

t.test('a blob keeps its type', async (t) => {
  const { container } = await startBlobServer(t)
  const log = container.getAppendBlobClient('log')
  await log.create()
  await log.appendBlock('abc', 3)
  const disk = container.getPageBlobClient('disk')
  await disk.create(512)
  const text = container.getBlockBlobClient('text')
  await text.upload('xyz', 3)
  const refused = '409 InvalidBlobType'
  const id = Buffer.from('1').toString('base64')

  t.test('whatever would take its place', async (t) => {
    for (const { name } of [log, disk]) {
      const block = container.getBlockBlobClient(name)
      t.equal(await refusalOf(block.upload('new', 3)), refused, name)
      t.equal(await refusalOf(block.upload('', 0)), refused, name)
      t.equal(await refusalOf(block.stageBlock(id, 'new', 3)), refused, name)
      t.equal(await refusalOf(block.commitBlockList([])), refused, name)
      t.equal(await refusalOf(block.syncUploadFromURL(text.url)), refused, name)
      t.equal(await refusalOf(block.beginCopyFromURL(text.url)), refused, name)
    }
    const folder = { metadata: { hdi_isfolder: 'true' } }
    const marker = container.getBlockBlobClient('log').upload('', 0, folder)
    t.equal(await refusalOf(marker), refused, 'a marker of a directory')
    t.equal(await refusalOf(container.getAppendBlobClient('text').create()), refused)
    t.equal(await refusalOf(container.getAppendBlobClient('disk').create()), refused)
    t.equal(await refusalOf(container.getPageBlobClient('text').create(512)), refused)
    t.equal(await refusalOf(container.getPageBlobClient('log').create(512)), refused)

    t.equal((await log.downloadToBuffer()).toString(), 'abc')
    t.equal((await text.downloadToBuffer()).toString(), 'xyz')
    t.equal((await disk.getProperties()).blobType, 'PageBlob')
  })

  t.test('begins anew in the same type, and in any once the name is free', async (t) => {
    await log.create()
    t.equal((await log.getProperties()).contentLength, 0)
    await log.delete()
    await container.getBlockBlobClient('log').upload('new', 3)
    t.equal((await log.getProperties()).blobType, 'BlockBlob')
  })

  t.test('also where it stands in a hierarchy', async (t) => {
    const settings = { hierarchical: true }
    const { container } = await startBlobServer(t, settings)
    const log = container.getAppendBlobClient('d/log')
    await log.create()

    const block = container.getBlockBlobClient('d/log')
    t.equal(await refusalOf(block.upload('new', 3)), refused)
    t.equal((await log.getProperties()).blobType, 'AppendBlob')
  })
})

t.test('page blobs', async (t) => {
  const { container } = await startBlobServer(t)
  const page = (fill: string, count = 1) => Buffer.alloc(512 * count, fill)
  const created = async (name: string, pages = 8) => {
    const blob = container.getPageBlobClient(name)
    await blob.create(512 * pages)
    return blob
  }
  // The client's counts are one short of the range's bytes.
  const rangesOf = async (blob: Awaited<ReturnType<typeof created>>) =>
    ((await blob.getPageRanges()).pageRange ?? []).map(({ offset, count = 0 }) => [
      offset,
      count + 1,
    ])

  t.test('are zeros until pages are written, and zeros again once cleared', async (t) => {
    const blob = await created('zeros')
    t.ok((await blob.downloadToBuffer()).equals(Buffer.alloc(4096)))

    await blob.uploadPages(page('a', 2), 512, 1024)
    await blob.clearPages(1024, 512)
    const expected = Buffer.concat([Buffer.alloc(512), page('a'), Buffer.alloc(3072)])
    t.ok((await blob.downloadToBuffer()).equals(expected))
    t.strictSame(await rangesOf(blob), [[512, 512]])
  })

  t.test('neighbouring writes are one range', async (t) => {
    const blob = await created('join')

    await blob.uploadPages(page('a'), 1024, 512)
    await blob.uploadPages(page('b'), 512, 512)
    await blob.uploadPages(page('c'), 3072, 512)
    t.strictSame(await rangesOf(blob), [
      [512, 1024],
      [3072, 512],
    ])
  })

  t.test('ranges that are no whole pages or beyond the size are refused', async (t) => {
    const blob = await created('unaligned')

    t.equal(await refusalOf(blob.uploadPages(Buffer.alloc(100), 0, 100)), '416 InvalidPageRange')
    t.equal(await refusalOf(blob.uploadPages(page('a'), 4096, 512)), '416 InvalidPageRange')
    t.equal(
      await refusalOf(container.getPageBlobClient('odd').create(100)),
      '400 InvalidHeaderValue',
    )
  })

  t.test('differences against a snapshot name written and cleared pages', async (t) => {
    const blob = await created('diff')
    await blob.uploadPages(page('a', 4), 0, 2048)
    const { snapshot = '' } = await blob.createSnapshot()

    await blob.uploadPages(page('b'), 512, 512)
    await blob.clearPages(1536, 512)
    const { pageRange = [], clearRange = [] } = await blob.getPageRangesDiff(0, 4096, snapshot)
    t.strictSame(
      pageRange.map(({ offset, count = 0 }) => [offset, count + 1]),
      [[512, 512]],
    )
    t.strictSame(
      clearRange.map(({ offset, count = 0 }) => [offset, count + 1]),
      [[1536, 512]],
    )
  })

  t.test('grow and shrink', async (t) => {
    const blob = await created('size')
    await blob.uploadPages(page('a', 8), 0, 4096)

    await blob.resize(1024)
    await blob.resize(2048)
    const expected = Buffer.concat([page('a', 2), Buffer.alloc(1024)])
    t.ok((await blob.downloadToBuffer()).equals(expected))
    t.strictSame(await rangesOf(blob), [[0, 1024]])
  })

  t.test('sequence numbers are set, raised and held against conditions', async (t) => {
    const blob = await created('sequence')

    await blob.updateSequenceNumber('update', 7)
    await blob.updateSequenceNumber('max', 5)
    t.equal((await blob.getProperties()).blobSequenceNumber, 7)
    await blob.updateSequenceNumber('increment')
    const write = (conditions: Record<string, number>) =>
      blob.uploadPages(page('a'), 0, 512, { conditions })
    t.equal(
      await refusalOf(write({ ifSequenceNumberEqualTo: 7 })),
      '412 SequenceNumberConditionNotMet',
    )
    t.equal(
      await refusalOf(write({ ifSequenceNumberLessThan: 8 })),
      '412 SequenceNumberConditionNotMet',
    )
    await write({ ifSequenceNumberLessThanOrEqualTo: 8 })
  })

  t.test('pages are taken from the URL of another blob', async (t) => {
    const source = container.getBlockBlobClient('page-source')
    await source.upload(page('s', 2), 1024)
    const blob = await created('page-from-url')

    await blob.uploadPagesFromURL(source.url, 512, 1024, 512)
    t.strictSame(await rangesOf(blob), [[1024, 512]])
    t.ok((await blob.downloadToBuffer(1024, 512)).equals(page('s')))
  })

  t.test('an incremental copy is refused by name', async (t) => {
    const blob = await created('incremental')

    t.equal(await refusalOf(blob.startCopyIncremental(blob.url)), '501 FeatureNotSupported')
  })
})
