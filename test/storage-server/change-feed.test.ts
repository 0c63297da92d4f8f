import type { Test } from 'tap'
import t from 'tap'
import { openChangeFeed } from '../../src/storage-server/feed/change-feed.ts'
import { readByFastavro, whyNoFastavro } from '../support/avro-files.ts'
import { type BlobServer, refusalOf, startBlobServer } from '../support/blob-server.ts'

/** All events, as fastavro reads them, by chunk. */
async function eventsOf(t: Test, { service }: BlobServer): Promise<Record<string, string[]>> {
  const feed = service.getContainerClient('$blobchangefeed')
  const events: Record<string, string[]> = {}
  for await (const { name, properties } of feed.listBlobsFlat({ prefix: 'log/' })) {
    t.equal(properties.blobType, 'AppendBlob')
    const bytes = await feed.getBlobClient(name).downloadToBuffer()
    const { codec, values } = readByFastavro(t.testdir(), bytes)
    t.equal(codec, 'null')
    events[name] = values.map(({ eventType, subject, data }) => {
      const { api } = data as { api: string }
      return `${eventType} ${api} ${String(subject).replace('/blobServices/default/containers/', '')}`
    })
  }
  return events
}

t.test('a change feed', { skip: whyNoFastavro() }, async (t) => {
  const server = await startBlobServer(t)
  const { account, clock, container, service } = server
  await clock.advance(3_600_000 - (clock.nowMs() % 3_600_000))
  const feed = openChangeFeed({ account, clock, delayMs: 0, chunkBytes: 2500 })
  t.teardown(() => feed.close())
  const blob = container.getBlockBlobClient('dir/é')

  t.test('has what becomes of blobs, in files that fastavro reads', async (t) => {
    await blob.upload('x', 1)
    await blob.stageBlock('AAAA', 'yz', 2)
    await blob.commitBlockList(['AAAA'])
    await blob.setMetadata({ a: 'b' })
    await blob.setTags({ c: 'd' })
    await blob.setAccessTier('Cool')
    await blob.createSnapshot()
    const { etag } = await blob.getProperties()
    await blob.delete({ deleteSnapshots: 'include' })

    const events = Object.values(await eventsOf(t, server)).flat()
    t.strictSame(events, [
      'BlobCreated PutBlob first/blobs/dir/é',
      'BlobCreated PutBlockList first/blobs/dir/é',
      'BlobPropertiesUpdated SetBlobMetadata first/blobs/dir/é',
      'BlobPropertiesUpdated SetBlobTags first/blobs/dir/é',
      'BlobTierChanged SetBlobTier first/blobs/dir/é',
      'BlobSnapshotCreated SnapshotBlob first/blobs/dir/é',
      'BlobDeleted DeleteBlob first/blobs/dir/é',
    ])
    t.ok(etag)
  })

  t.test('has nothing of what is refused, read or staged', async (t) => {
    const before = Object.values(await eventsOf(t, server)).flat().length
    await refusalOf(blob.getProperties())
    await blob.stageBlock('AAAA', 'yz', 2)
    await refusalOf(blob.upload('x', 1, { conditions: { ifMatch: '"none"' } }))

    t.equal(Object.values(await eventsOf(t, server)).flat().length, before)
  })

  t.test('begins another chunk when one is full, and another segment with the hour', async (t) => {
    for (let at = 0; at < 12; at += 1) await container.getBlockBlobClient(`${at}`).upload('x', 1)
    const before = Object.keys(await eventsOf(t, server))
    t.ok(before.some((name) => name.endsWith('/00001.avro')))
    await clock.advance(3_600_000)
    await blob.upload('x', 1)

    const client = service.getContainerClient('$blobchangefeed')
    const json = async (name: string) =>
      JSON.parse((await client.getBlobClient(name).downloadToBuffer()).toString())
    const { lastConsumable } = await json('meta/segments.json')
    const at = (ms: number) =>
      `idx/segments/${new Date(ms).toISOString().slice(0, 13).replace(/[-T]/g, '/')}00/meta.json`
    t.match(await json(at(Date.parse(lastConsumable))), {
      status: 'Publishing',
      intervalSecs: 3600,
    })
    t.match(await json(at(Date.parse(lastConsumable) - 3_600_000)), { status: 'Finalized' })
    t.equal(Object.keys(await eventsOf(t, server)).length, before.length + 1)
  })

  t.test('is for nobody to change, and in no list of containers', async (t) => {
    const client = service.getContainerClient('$blobchangefeed')
    const refused = '403 AuthorizationPermissionMismatch'
    t.equal(await refusalOf(client.getBlockBlobClient('mine').upload('x', 1)), refused)
    t.equal(await refusalOf(client.getBlobClient('meta/segments.json').delete()), refused)
    t.equal(await refusalOf(client.delete()), refused)
    for await (const { name } of service.listContainers()) t.not(name, '$blobchangefeed')
  })
})
