import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { ChangeFeed } from '../../src/change-feed/change-feed.ts'
import { fastavroFile, whyNoFastavro } from '../support/avro-files.ts'

const container = '$blobchangefeed'
const hour = '2026/03/04/0500'
const segment = `idx/segments/${hour}/meta.json`
const shard = `log/00/${hour}/`

/** A feed of one segment in memory, in files of another hand. */
async function newFeed(): Promise<{
  store: MemoryBlobStore
  feed: ChangeFeed
  put: (name: string, data: Uint8Array | string) => Promise<unknown>
  manifest: (at: string, status: string, shards: readonly string[]) => Promise<unknown>
  consumable: (time: string) => Promise<unknown>
}> {
  const store = new MemoryBlobStore()
  await store.createContainer(container)
  const put = (name: string, data: Uint8Array | string) =>
    store.put({ container, name }, Buffer.from(data))
  const manifest = (at: string, status: string, shards: readonly string[]) =>
    put(
      `idx/segments/${at}/meta.json`,
      JSON.stringify({ status, chunkFilePaths: shards.map((each) => `${container}/${each}`) }),
    )
  const consumable = (time: string) =>
    put('meta/segments.json', JSON.stringify({ lastConsumable: time }))
  await manifest(hour, 'Publishing', [shard])
  await consumable('2026-03-04T05:00:00.000Z')
  return { store, feed: new ChangeFeed(store), put, manifest, consumable }
}

const schema = {
  type: 'record',
  name: 'BlobChangeEvent',
  fields: [
    { name: 'schemaVersion', type: 'int' },
    { name: 'subject', type: 'string' },
    { name: 'ofLaterVersions', type: { type: 'map', values: 'long' } },
    { name: 'eventType', type: 'string' },
    { name: 'eventTime', type: 'string' },
    {
      name: 'data',
      type: {
        type: 'record',
        name: 'BlobChangeEventData',
        fields: [
          { name: 'api', type: 'string' },
          { name: 'etag', type: 'string' },
        ],
      },
    },
  ],
}
const eventOf = (name: string, eventType = 'BlobCreated') => ({
  schemaVersion: 9,
  subject: `/blobServices/default/containers/data/blobs/${name}`,
  ofLaterVersions: { one: 1 },
  eventType,
  eventTime: '2026-03-04T05:06:07.1234567Z',
  data: { api: 'PutBlob', etag: '0x8D1' },
})

t.test('a change feed in files of another hand', { skip: whyNoFastavro() }, async (t) => {
  const names = Array.from({ length: 12 }, (_, index) => `dir/${index} é`)
  const file = fastavroFile(t.testdir(), { schema, values: names.map((name) => eventOf(name)) })
  const told = async (feed: ChangeFeed) => (await feed.poll()).changes.map(({ name }) => name)

  t.test('tells what is appended from the first reading on', async (t) => {
    const { feed, put } = await newFeed()
    t.strictSame(await feed.poll(), { changes: [], missed: undefined })
    await put(`${shard}00000.avro`, file)

    const { changes, missed } = await feed.poll()

    t.equal(missed, undefined)
    t.strictSame(
      changes.map(({ name }) => name),
      names,
    )
    t.match(changes[0], {
      container: 'data',
      kind: 'written',
      etag: '0x8D1',
      timeMs: Date.parse('2026-03-04T05:06:07.123Z'),
      api: 'PutBlob',
    })
    t.strictSame(await told(feed), [])
  })

  t.test('wherever the feed ended at the first reading, and at each further one', async (t) => {
    const first = file.length - 400
    for (let cut = 300; cut < first; cut += 37) {
      const { feed, put } = await newFeed()
      await put(`${shard}00000.avro`, file.subarray(0, cut))
      await feed.poll()
      await put(`${shard}00000.avro`, file.subarray(0, first))
      const some = await told(feed)
      await put(`${shard}00000.avro`, file)
      const all = [...some, ...(await told(feed))]

      t.strictSame(all, names.slice(names.length - all.length), `cut at ${cut}`)
      t.ok(all.includes(names.at(-1) ?? ''))
    }
  })

  t.test('in further chunks, shards and hours', async (t) => {
    const { feed, put, manifest, consumable } = await newFeed()
    await put(`${shard}00000.avro`, file)
    await feed.poll()
    await put(`${shard}00001.avro`, file)
    t.strictSame(await told(feed), names)

    const next = '2026/03/04/0600'
    const shards = [`log/00/${next}/`, `log/01/${next}/`]
    await manifest(next, 'Publishing', shards)
    for (const each of shards) await put(`${each}00000.avro`, file)
    t.strictSame(await told(feed), [], 'not before it may be consumed')
    await manifest(hour, 'Finalized', [shard])
    await consumable('2026-03-04T06:00:00.000Z')
    t.strictSame(await told(feed), [...names, ...names])
    t.strictSame(await told(feed), [])
  })

  t.test('and asks for no more than what it needs when nothing has changed', async (t) => {
    const { store, put } = await newFeed()
    await put(`${shard}00000.avro`, file)
    const asked: string[] = []
    const counted = new Proxy(store, {
      get(target, key) {
        const value = Reflect.get(target, key)
        if (typeof value !== 'function') return value
        return (...given: unknown[]) => {
          asked.push(String(key))
          return value.apply(target, given)
        }
      },
    })
    const feed = new ChangeFeed(counted)
    await feed.poll()
    asked.length = 0

    await feed.poll()

    t.strictSame(asked, ['get', 'get', 'listPage'])
  })

  t.test('what is damaged is passed over, and said to be missed', async (t) => {
    const { feed, put } = await newFeed()
    await feed.poll()
    await put(`${shard}00000.avro`, Buffer.alloc(500, 7))
    t.match(await feed.poll(), { changes: [], missed: /00000\.avro cannot be read.*not Avro/ })

    await put(`${shard}00001.avro`, file)
    t.strictSame(await told(feed), names)
    t.equal((await feed.poll()).missed, undefined)
  })

  t.test(
    'what lies before the damage is told, and what a last block lacks is missed',
    async (t) => {
      const { feed, put, manifest } = await newFeed()
      await feed.poll()
      const wrong = Buffer.from(file)
      wrong[file.length - 1] = (wrong[file.length - 1] ?? 0) ^ 1
      await put(`${shard}00000.avro`, wrong)
      const { changes, missed } = await feed.poll()
      const before = changes.map(({ name }) => name)
      t.ok(before.length > 0 && before.length < names.length)
      t.strictSame(before, names.slice(0, before.length))
      t.match(missed, /00000\.avro cannot be read.*a block without its end/)

      await put(`${shard}00001.avro`, file.subarray(0, file.length - 1))
      t.equal((await feed.poll()).missed, undefined, 'the rest may be yet to come')
      await manifest(hour, 'Finalized', [shard])
      t.match(await feed.poll(), { changes: [], missed: /00001\.avro ends within a block/ })
    },
  )

  t.test(
    'events that change no blob are left out, and unknown ones are taken for changes',
    async (t) => {
      const types = [
        'BlobSnapshotCreated',
        'Control',
        'BlobDeleted',
        'BlobPropertiesUpdated',
        'OfTomorrow',
      ]
      const values = [
        ...types.map((type) => eventOf(type, type)),
        { ...eventOf(''), subject: 'other' },
      ]
      const { feed, put } = await newFeed()
      await feed.poll()
      await put(`${shard}00000.avro`, fastavroFile(t.testdir(), { schema, values }, 'deflate'))

      const { changes } = await feed.poll()

      t.strictSame(
        changes.map(({ name, kind }) => `${name} ${kind}`),
        ['BlobDeleted removed', 'BlobPropertiesUpdated changed', 'OfTomorrow changed'],
      )
    },
  )

  t.test('who has not read for long is told that something was missed', async (t) => {
    const { feed, consumable } = await newFeed()
    await feed.poll()
    await consumable('2026-07-04T05:00:00.000Z')

    t.match(await feed.poll(), { missed: /31 days/ })
  })
})

t.test('an account without a feed', async (t) => {
  await t.rejects(new ChangeFeed(new MemoryBlobStore()).poll(), { code: 'ENOENT' })
})

t.test('manifests that are none', async (t) => {
  for (const json of ['', '7', '{}', '{"lastConsumable":"soon"}']) {
    const { feed, put } = await newFeed()
    await put('meta/segments.json', json)
    await t.rejects(feed.poll(), { code: 'EIO', message: /change feed is damaged/ }, json)
  }
  for (const json of ['[', '{}', '{"chunkFilePaths":["other/log/"]}']) {
    const { feed, put } = await newFeed()
    await put(segment, json)
    await t.rejects(feed.poll(), { code: 'EIO', message: /change feed is damaged/ }, json)
  }
})
