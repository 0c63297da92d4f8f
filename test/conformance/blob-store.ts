import type { Test } from 'tap'
import {
  type BlobProperties,
  type BlobStore,
  type ListEntry,
  type ListOptions,
  listAll,
} from '../../src/blob/store.ts'
import { type ErrnoCode, FileSystemError } from '../../src/errors.ts'
import type { BlobPath } from '../../src/path.ts'

/** Every name that a blob may have and a URL or an XML document might hurt. */
const awkwardNames: readonly string[] = [
  'with space and  two',
  ' leading and trailing ',
  'percent % and %20 and %2F',
  'hash # plus + question ? ampersand & equals =',
  'brackets []{}()<>',
  'quotes "double" and \'single\'',
  'entities &amp; &lt; &#65;',
  'colon: semicolon; comma, at@ dollar$ bang! tilde~ star* caret^ pipe| backtick`',
  'unicode é ü ß 漢字 кириллица ע',
  'combining e\u0301 beside é',
  'emoji 😀 👩‍👩‍👧',
  'trailing dot.',
  '...',
  '.hidden',
  'dir.with.dots./x.',
  'a//b',
  'slash/at/end/',
  `deep/${'d/'.repeat(50)}end`,
  `long-${'x'.repeat(250)}`,
]

/**
 * What every `BlobStore` does. `makeStore` gives a store that this suite may fill. `isAzurite`: leaves out what Azurite
 * does otherwise than Azure, as `blob-semantics-differences.ts` lists it.
 */
export function blobStoreConformance(
  t: Test,
  makeStore: () => Promise<BlobStore>,
  { isAzurite = false }: { readonly isAzurite?: boolean } = {},
): void {
  const conformance: Conformance = { t, store: makeStore() }
  describeReading(conformance)
  describeWriting(conformance)
  describeConditions(conformance)
  describeBlocks(conformance)
  describeAppends(conformance)
  if (!isAzurite) describeTypes(conformance)
  describeListing(conformance)
  describeNames(conformance)
  describeMetadata(conformance)
  describeCopy(conformance)
  describeContainers(conformance)
  describeRefusals(conformance)
}

interface Conformance {
  readonly t: Test
  readonly store: Promise<BlobStore>
}

let containers = 0

async function freshContainer(store: BlobStore): Promise<string> {
  const container = `conformance-${process.pid}-${++containers}`
  await store.createContainer(container)
  return container
}

/** One test with a container of its own. */
function behaviour(
  { t, store }: Conformance,
  title: string,
  body: (t: Test, store: BlobStore, container: string) => Promise<void>,
): void {
  void t.test(title, async (child) => {
    const made = await store
    await body(child, made, await freshContainer(made))
  })
}

async function rejectsWith(
  t: Test,
  promise: Promise<unknown>,
  code: ErrnoCode,
): Promise<FileSystemError> {
  try {
    await promise
  } catch (error) {
    if (!(error instanceof FileSystemError)) throw error
    t.equal(error.code, code, error.message)
    return error
  }
  throw new Error(`expected ${code}, but the call succeeded`)
}

function bytes(text: string): Buffer {
  return Buffer.from(text)
}

function text(data: Uint8Array): string {
  return Buffer.from(data).toString()
}

async function read(store: BlobStore, path: BlobPath): Promise<string> {
  return text((await store.get(path)).data)
}

async function list(
  store: BlobStore,
  prefix: BlobPath,
  options: ListOptions = {},
): Promise<ListEntry[]> {
  const entries: ListEntry[] = []
  for await (const entry of listAll(store, prefix, options)) entries.push(entry)
  return entries
}

function namesOf(entries: readonly ListEntry[]): string[] {
  return entries.map(({ kind, name }) => (kind === 'prefix' ? `${name} (prefix)` : name)).sort()
}

function blockId(index: number, writer = 'writer'): string {
  return Buffer.from(`${writer}-${String(index).padStart(6, '0')}`).toString('base64')
}

function describeReading(conformance: Conformance): void {
  behaviour(
    conformance,
    'get returns the bytes and the properties',
    async (t, store, container) => {
      const path = { container, name: 'a.txt' }
      const put = await store.put(path, bytes('hello'), { contentType: 'text/plain' })

      const { data, properties } = await store.get(path)

      t.equal(text(data), 'hello')
      t.equal(properties.sizeBytes, 5)
      t.equal(properties.etag, put.etag)
      t.equal(properties.contentType, 'text/plain')
      t.equal(properties.blobType, 'BlockBlob')
      t.equal(properties.lastModifiedMs % 1000, 0)
    },
  )

  behaviour(
    conformance,
    'get of a range returns those bytes and the full size',
    async (t, store, container) => {
      const path = { container, name: 'digits' }
      await store.put(path, bytes('0123456789'))
      const ranges = [
        [0, 1, '0'],
        [3, 7, '3456'],
        [8, 50, '89'],
        [9, 10, '9'],
        [0, 10, '0123456789'],
      ] as const

      for (const [start, end, expected] of ranges) {
        const { data, properties } = await store.get(path, { range: { start, end } })

        t.equal(text(data), expected)
        t.equal(properties.sizeBytes, 10)
      }
    },
  )

  behaviour(
    conformance,
    'get past the end, or of no bytes, is empty',
    async (t, store, container) => {
      const path = { container, name: 'digits' }
      const { etag } = await store.put(path, bytes('0123456789'))

      for (const range of [
        { start: 10, end: 20 },
        { start: 99, end: 100 },
        { start: 4, end: 4 },
      ]) {
        const { data, properties } = await store.get(path, { range, ifMatch: etag })

        t.equal(data.length, 0)
        t.equal(properties.sizeBytes, 10)
        t.equal(properties.etag, etag)
      }
    },
  )

  behaviour(
    conformance,
    'get of an empty blob is empty, with or without a range',
    async (t, store, container) => {
      const path = { container, name: 'empty' }
      await store.put(path, bytes(''))

      const whole = await store.get(path)
      const ranged = await store.get(path, { range: { start: 0, end: 100 } })

      t.equal(whole.data.length, 0)
      t.equal(ranged.data.length, 0)
      t.equal(ranged.properties.sizeBytes, 0)
    },
  )

  behaviour(
    conformance,
    'get writes into the buffer it is given and returns a view on it',
    async (t, store, container) => {
      const path = { container, name: 'digits' }
      await store.put(path, bytes('0123456789'))
      const into = Buffer.alloc(8, '-')

      const { data } = await store.get(path, { range: { start: 7, end: 12 }, into })

      t.equal(into.toString(), '789-----')
      t.equal(data.buffer, into.buffer)
      t.equal(data.length, 3)
    },
  )

  behaviour(
    conformance,
    'get hands the bytes of a range to a sink, at the pace of the sink',
    async (t, store, container) => {
      const path = { container, name: 'digits' }
      await store.put(path, bytes('0123456789'))
      const begun: number[] = []
      let taken = ''
      let buffer = Buffer.alloc(0)
      let wait = true
      const sink = {
        begin: ({ sizeBytes }: BlobProperties) => void begun.push(sizeBytes),
        next(resume: () => void) {
          wait = !wait
          if (wait) setImmediate(resume)
          buffer = Buffer.alloc(3)
          return wait ? undefined : buffer
        },
        filled(count: number) {
          taken += buffer.toString('latin1', 0, count)
        },
      }

      const { data, properties } = await store.get(path, { range: { start: 2, end: 20 }, sink })

      t.equal(taken, '23456789')
      t.same(begun, [10])
      t.equal(data.length, 0)
      t.equal(properties.sizeBytes, 10)
    },
  )

  behaviour(
    conformance,
    'get into a buffer that the whole blob does not fit in rejects with EFBIG',
    async (t, store, container) => {
      const path = { container, name: 'digits' }
      await store.put(path, bytes('0123456789'))

      await rejectsWith(t, store.get(path, { into: Buffer.alloc(4) }), 'EFBIG')
    },
  )

  behaviour(
    conformance,
    'get with a buffer shorter than the range rejects with a RangeError',
    async (t, store, container) => {
      const path = { container, name: 'digits' }

      await t.rejects(
        store.get(path, { range: { start: 0, end: 9 }, into: Buffer.alloc(4) }),
        RangeError,
      )
      await t.rejects(store.get(path, { range: { start: 5, end: 4 } }), RangeError)
      await t.rejects(store.get(path, { range: { start: -5, end: 4 } }), RangeError)
    },
  )

  behaviour(
    conformance,
    'get with the etag of another version rejects with ESTALE',
    async (t, store, container) => {
      const path = { container, name: 'a' }
      const { etag } = await store.put(path, bytes('one'))
      await store.put(path, bytes('two'))

      await rejectsWith(t, store.get(path, { ifMatch: etag }), 'ESTALE')
      await rejectsWith(
        t,
        store.get(path, { ifMatch: etag, range: { start: 0, end: 2 } }),
        'ESTALE',
      )
      await rejectsWith(
        t,
        store.get(path, { ifMatch: etag, range: { start: 9, end: 12 } }),
        'ESTALE',
      )
    },
  )

  behaviour(conformance, 'head tells what get tells', async (t, store, container) => {
    const path = { container, name: 'a' }
    await store.put(path, bytes('hello'), { metadata: { colour: 'blue' } })

    const head = await store.head(path)

    t.match(head, { sizeBytes: 5, metadata: { colour: 'blue' } })
    t.same((await store.get(path)).properties.etag, head.etag)
  })

  behaviour(
    conformance,
    'a missing blob rejects with ENOENT and its path',
    async (t, store, container) => {
      const path = { container, name: 'no such' }
      const range = { start: 0, end: 4 }

      const error = await rejectsWith(t, store.head(path), 'ENOENT')
      await rejectsWith(t, store.get(path), 'ENOENT')
      await rejectsWith(t, store.get(path, { range }), 'ENOENT')
      await rejectsWith(t, store.delete(path), 'ENOENT')
      await rejectsWith(t, store.setMetadata(path, { a: 'b' }), 'ENOENT')
      await rejectsWith(t, store.copy(path, { container, name: 'b' }), 'ENOENT')

      t.equal(error.path, `abfs://${container}/no such`)
      t.equal(error.syscall, 'blob.head')
    },
  )

  behaviour(
    conformance,
    'an aborted call rejects with the reason of its signal',
    async (t, store, container) => {
      const reason = new Error('enough')
      const signal = AbortSignal.abort(reason)
      const path = { container, name: 'a' }

      const calls: Promise<unknown>[] = [
        store.head(path, { signal }),
        store.get(path, { signal }),
        store.put(path, bytes('x'), { signal }),
        store.listPage(path, { signal }),
        store.headContainer(container, { signal }),
      ]

      for (const call of calls) await t.rejects(call, reason)
    },
  )
}

function describeWriting(conformance: Conformance): void {
  behaviour(
    conformance,
    'put replaces the blob with all that belonged to it',
    async (t, store, container) => {
      const path = { container, name: 'a' }
      const first = await store.put(path, bytes('first'), {
        metadata: { colour: 'blue' },
        contentType: 'text/plain',
      })

      const second = await store.put(path, bytes('second one'))
      const head = await store.head(path)

      t.not(first.etag, second.etag)
      t.equal(head.etag, second.etag)
      t.equal(head.sizeBytes, 10)
      t.equal(head.contentType, 'application/octet-stream')
      t.same(head.metadata, {})
    },
  )

  behaviour(
    conformance,
    'put tells the properties that head would',
    async (t, store, container) => {
      const path = { container, name: 'a' }
      const options = { metadata: { colour: 'blue' }, contentType: 'text/css' }

      const put = await store.put(path, bytes('body {}'), options)
      const head = await store.head(path)

      t.same(common(put), common(head))
    },
  )

  behaviour(conformance, "put keeps none of the caller's bytes", async (t, store, container) => {
    const path = { container, name: 'a' }
    const data = bytes('before')
    await store.put(path, data)

    data.fill('x')

    t.equal(await read(store, path), 'before')
  })

  behaviour(
    conformance,
    'a megabyte of every byte value comes back as it went',
    async (t, store, container) => {
      const path = { container, name: 'binary' }
      const data = Buffer.alloc(
        1 << 20,
        Buffer.from(Array.from({ length: 256 }, (_, index) => index)),
      )
      await store.put(path, data)

      const got = await store.get(path)
      const into = new Uint8Array(1000)
      await store.get(path, { range: { start: 500_000, end: 501_000 }, into })

      t.ok(data.equals(got.data))
      t.ok(data.subarray(500_000, 501_000).equals(into))
    },
  )

  behaviour(conformance, 'delete removes the blob', async (t, store, container) => {
    const path = { container, name: 'a' }
    await store.put(path, bytes('x'))

    await store.delete(path)

    await rejectsWith(t, store.head(path), 'ENOENT')
  })
}

/** The part of the properties that a write tells as well as a head does. */
function common(properties: BlobProperties): object {
  const { sizeBytes, etag, lastModifiedMs, contentType, blobType, metadata } = properties
  return { sizeBytes, etag, lastModifiedMs, contentType, blobType, metadata }
}

function describeConditions(conformance: Conformance): void {
  behaviour(
    conformance,
    'put that must not replace rejects with EEXIST and changes nothing',
    async (t, store, container) => {
      const path = { container, name: 'a' }
      await store.put(path, bytes('first'), { ifNoneMatch: '*' })

      await rejectsWith(t, store.put(path, bytes('second'), { ifNoneMatch: '*' }), 'EEXIST')

      t.equal(await read(store, path), 'first')
    },
  )

  behaviour(
    conformance,
    'of ten writers that must not replace, one wins',
    async (t, store, container) => {
      const path = { container, name: 'a' }
      const writers = Array.from({ length: 10 }, (_, index) =>
        store.put(path, bytes(`writer ${index}`), { ifNoneMatch: '*' }),
      )

      const settled = await Promise.allSettled(writers)

      const winner = settled.findIndex(({ status }) => status === 'fulfilled')
      t.equal(settled.filter(({ status }) => status === 'fulfilled').length, 1)
      t.equal(await read(store, path), `writer ${winner}`)
    },
  )

  behaviour(
    conformance,
    "each write with another version's etag rejects with ESTALE and changes nothing",
    async (t, store, container) => {
      const path = { container, name: 'a' }
      const { etag: ifMatch } = await store.put(path, bytes('one'))
      const current = await store.put(path, bytes('two'))
      const id = blockId(0)
      await store.stageBlock(path, id, bytes('three'))

      await rejectsWith(t, store.put(path, bytes('three'), { ifMatch }), 'ESTALE')
      await rejectsWith(t, store.commitBlocks(path, [id], { ifMatch }), 'ESTALE')
      await rejectsWith(t, store.setMetadata(path, { a: 'b' }, { ifMatch }), 'ESTALE')
      await rejectsWith(t, store.delete(path, { ifMatch }), 'ESTALE')

      t.equal((await store.head(path)).etag, current.etag)
    },
  )

  behaviour(
    conformance,
    'each write with the current etag succeeds',
    async (t, store, container) => {
      const path = { container, name: 'a' }
      const one = await store.put(path, bytes('one'))
      const two = await store.put(path, bytes('two'), { ifMatch: one.etag })
      await store.stageBlock(path, blockId(0), bytes('three'))
      const three = await store.commitBlocks(path, [blockId(0)], { ifMatch: two.etag })
      const four = await store.setMetadata(path, { a: 'b' }, { ifMatch: three.etag })

      await store.delete(path, { ifMatch: four.etag })

      await rejectsWith(t, store.head(path), 'ENOENT')
    },
  )

  behaviour(
    conformance,
    'put with an etag where nothing is rejects with ESTALE',
    async (t, store, container) => {
      const other = await store.put({ container, name: 'other' }, bytes('x'))

      const put = store.put({ container, name: 'a' }, bytes('x'), { ifMatch: other.etag })

      await rejectsWith(t, put, 'ESTALE')
    },
  )
}

function describeBlocks(conformance: Conformance): void {
  behaviour(
    conformance,
    'staged blocks are invisible until they are committed',
    async (t, store, container) => {
      const path = { container, name: 'a' }
      await store.stageBlock(path, blockId(0), bytes('zero '))
      await store.stageBlock(path, blockId(1), bytes('one '))

      await rejectsWith(t, store.head(path), 'ENOENT')
      t.same(await list(store, { container, name: '' }), [])
      const committed = await store.commitBlocks(path, [blockId(1), blockId(0), blockId(1)])

      t.equal(await read(store, path), 'one zero one ')
      t.equal(committed.sizeBytes, 13)
      t.equal(committed.etag, (await store.head(path)).etag)
    },
  )

  behaviour(conformance, 'a commit sets content type and metadata', async (t, store, container) => {
    const path = { container, name: 'a' }
    await store.stageBlock(path, blockId(0), bytes('x'))
    const options = { contentType: 'text/html', metadata: { colour: 'red' }, sizeBytes: 1 }

    const committed = await store.commitBlocks(path, [blockId(0)], options)

    t.same(common(committed), common(await store.head(path)))
    t.match(committed, { contentType: 'text/html', metadata: { colour: 'red' }, sizeBytes: 1 })
  })

  behaviour(
    conformance,
    'the blocks of a version are told in order with their sizes, and none of one put',
    async (t, store, container) => {
      const path = { container, name: 'a' }
      await store.stageBlock(path, blockId(0), bytes('zero'))
      await store.stageBlock(path, blockId(1), bytes('one'))
      const { etag } = await store.commitBlocks(path, [blockId(1), blockId(0)])

      t.same(await store.getBlocks(path), {
        etag,
        blocks: [
          { id: blockId(1), sizeBytes: 3 },
          { id: blockId(0), sizeBytes: 4 },
        ],
      })
      await store.put(path, bytes('x'))
      t.same((await store.getBlocks(path)).blocks, [])
      await rejectsWith(t, store.getBlocks({ container, name: 'none' }), 'ENOENT')
    },
  )

  behaviour(
    conformance,
    'what is staged is told until somebody commits, also of a blob that does not exist yet',
    async (t, store, container) => {
      const path = { container, name: 'a' }
      t.same(await store.getStagedBlocks(path), [])
      await store.stageBlock(path, blockId(0), bytes('zero'))
      await store.stageBlock(path, blockId(1), bytes('one'))
      const staged = [...(await store.getStagedBlocks(path))].sort((a, b) => (a.id < b.id ? -1 : 1))
      t.same(staged, [
        { id: blockId(0), sizeBytes: 4 },
        { id: blockId(1), sizeBytes: 3 },
      ])
      await store.commitBlocks(path, [blockId(1)])
      t.same(await store.getStagedBlocks(path), [])
    },
  )

  behaviour(
    conformance,
    'a block is made of a part of another version on the service, where it can do that',
    async (t, store, container) => {
      const path = { container, name: 'a' }
      const { etag } = await store.put(path, bytes('0123456789'))
      const source = { path, range: { start: 2, end: 5 }, ifMatch: etag }
      try {
        await store.stageBlockFrom(path, blockId(0), source)
      } catch (error) {
        t.equal((error as FileSystemError).code, 'ENOTSUP')
        return
      }
      await store.commitBlocks(path, [blockId(0)], { ifMatch: etag })

      t.equal(await read(store, path), '234')
      await rejectsWith(t, store.stageBlockFrom(path, blockId(0), source), 'ESTALE')
    },
  )

  behaviour(
    conformance,
    'headers, tier and the number of tags are those that a put or commit gives',
    async (t, store, container) => {
      const path = { container, name: 'a' }
      const headers = {
        contentEncoding: 'gzip',
        contentLanguage: 'de',
        contentDisposition: 'attachment; filename=a',
        cacheControl: 'no-store',
      }
      const options = { headers, tier: 'Cool', tags: { 'a key': 'a=b' } }
      await store.put(path, bytes('x'), options)
      t.match(await store.head(path), {
        headers,
        accessTier: 'Cool',
        isTierChosen: true,
        tagCount: 1,
      })

      await store.stageBlock(path, blockId(0), bytes('x'))
      await store.commitBlocks(path, [blockId(0)], options)
      t.match(await store.head(path), {
        headers,
        accessTier: 'Cool',
        isTierChosen: true,
        tagCount: 1,
      })

      await store.put(path, bytes('y'))
      const plain = await store.head(path)
      t.match(plain, { isTierChosen: false, tagCount: undefined })
      t.same(
        Object.values(plain.headers ?? {}).filter((value) => value !== undefined),
        [],
      )
    },
  )

  behaviour(
    conformance,
    'a commit keeps blocks committed before and drops the others',
    async (t, store, container) => {
      const path = { container, name: 'a' }
      for (const index of [0, 1, 2]) await store.stageBlock(path, blockId(index), bytes(`${index}`))
      await store.commitBlocks(path, [blockId(0), blockId(1), blockId(2)])
      await store.stageBlock(path, blockId(3), bytes('3'))
      await store.stageBlock(path, blockId(1), bytes('one'))

      await store.commitBlocks(path, [blockId(3), blockId(1), blockId(0)])

      t.equal(await read(store, path), '3one0')
      await rejectsWith(t, store.commitBlocks(path, [blockId(2)]), 'ESTALE')
    },
  )

  behaviour(
    conformance,
    'a list names a block several times, and so do the lists of later versions',
    async (t, store, container) => {
      const path = { container, name: 'a' }
      const [zero, one, two] = [blockId(0), blockId(1), blockId(2)]
      await store.stageBlock(path, zero, bytes('-'))
      await store.stageBlock(path, one, bytes('one'))
      await store.commitBlocks(path, [zero, zero, one, zero], { sizeBytes: 6 })

      const { blocks } = await store.getBlocks(path)
      t.same(
        blocks.map(({ id, sizeBytes }) => [id, sizeBytes]),
        [
          [zero, 1],
          [zero, 1],
          [one, 3],
          [zero, 1],
        ],
      )
      await store.stageBlock(path, two, bytes('two'))
      await store.commitBlocks(path, [zero, two, zero, zero])

      t.equal(await read(store, path), '-two--')
    },
  )

  behaviour(
    conformance,
    'a commit of no blocks makes an empty blob',
    async (t, store, container) => {
      const path = { container, name: 'a' }

      const committed = await store.commitBlocks(path, [])

      t.equal(committed.sizeBytes, 0)
      t.equal((await store.head(path)).contentType, 'application/octet-stream')
    },
  )

  behaviour(
    conformance,
    'a commit that must not replace rejects with EEXIST',
    async (t, store, container) => {
      const path = { container, name: 'a' }
      await store.put(path, bytes('first'))
      await store.stageBlock(path, blockId(0), bytes('second'))

      await rejectsWith(t, store.commitBlocks(path, [blockId(0)], { ifNoneMatch: '*' }), 'EEXIST')

      t.equal(await read(store, path), 'first')
    },
  )

  behaviour(
    conformance,
    'the writer that commits second has lost its blocks: ESTALE, InvalidBlockList',
    async (t, store, container) => {
      const path = { container, name: 'a' }
      await store.stageBlock(path, blockId(0, 'ann'), bytes('ann'))
      await store.stageBlock(path, blockId(0, 'bob'), bytes('bob'))
      await store.commitBlocks(path, [blockId(0, 'ann')])

      const error = await rejectsWith(t, store.commitBlocks(path, [blockId(0, 'bob')]), 'ESTALE')

      t.equal(error.serviceCode, 'InvalidBlockList')
      t.equal(await read(store, path), 'ann')
    },
  )

  behaviour(
    conformance,
    'a block id of another length than the others rejects with EINVAL',
    async (t, store, container) => {
      const path = { container, name: 'a' }
      await store.stageBlock(path, blockId(0), bytes('x'))

      await rejectsWith(
        t,
        store.stageBlock(path, blockId(0, 'longer-writer'), bytes('y')),
        'EINVAL',
      )
    },
  )

  behaviour(
    conformance,
    'a block without bytes, or with an id that is not base64, rejects with EINVAL',
    async (t, store, container) => {
      const path = { container, name: 'a' }

      await rejectsWith(t, store.stageBlock(path, blockId(0), bytes('')), 'EINVAL')
      await rejectsWith(t, store.stageBlock(path, 'not base64!', bytes('x')), 'EINVAL')
      await rejectsWith(t, store.stageBlock(path, '', bytes('x')), 'EINVAL')
    },
  )

  behaviour(
    conformance,
    'more blocks than a blob can have reject with EFBIG',
    async (t, store, container) => {
      const ids = new Array<string>(50_001).fill(blockId(0))

      await rejectsWith(t, store.commitBlocks({ container, name: 'a' }, ids), 'EFBIG')
    },
  )
}

function describeAppends(conformance: Conformance): void {
  behaviour(conformance, 'an append blob grows at its end', async (t, store, container) => {
    const path = { container, name: 'log' }
    const metadata = { k: 'v' }
    const made = await store.put(path, bytes(''), { appendable: true, metadata })
    const first = await store.appendBlock(path, bytes('one '), { position: 0 })
    const second = await store.appendBlock(path, bytes('two'), { position: 4 })

    t.equal(await read(store, path), 'one two')
    t.match(await store.head(path), { sizeBytes: 7, blobType: 'AppendBlob', metadata })
    t.match([first.sizeBytes, second.sizeBytes], [4, 7])
    t.equal(new Set([made.etag, first.etag, second.etag]).size, 3)
    t.equal((await store.head(path)).etag, second.etag)
    t.match(await list(store, path), [{ properties: { blobType: 'AppendBlob', sizeBytes: 7 } }])
  })

  behaviour(conformance, 'blocks do not replace an append blob', async (t, store, container) => {
    const path = { container, name: 'log' }
    await store.put(path, bytes(''), { appendable: true })
    await store.appendBlock(path, bytes('old'), { position: 0 })
    const id = Buffer.from('block').toString('base64')

    const staged = await rejectsWith(t, store.stageBlock(path, id, bytes('new')), 'EINVAL')
    t.equal(staged.serviceCode, 'InvalidBlobType')
    await rejectsWith(t, store.commitBlocks(path, []), 'EINVAL')
    t.equal(await read(store, path), 'old')
    await store.delete(path)
    await store.put(path, bytes('new'))
    t.equal(await read(store, path), 'new')
  })

  behaviour(
    conformance,
    'an append elsewhere than at the end is ESTALE',
    async (t, store, container) => {
      const path = { container, name: 'log' }
      await store.put(path, bytes(''), { appendable: true, ifNoneMatch: '*' })
      await store.appendBlock(path, bytes('mine'), { position: 0 })

      await rejectsWith(t, store.appendBlock(path, bytes('theirs'), { position: 0 }), 'ESTALE')
      await rejectsWith(t, store.appendBlock(path, bytes('theirs'), { position: 5 }), 'ESTALE')
      const again = store.put(path, bytes(''), { appendable: true, ifNoneMatch: '*' })
      await rejectsWith(t, again, 'EEXIST')
      t.equal(await read(store, path), 'mine')
    },
  )

  behaviour(conformance, 'only append blobs are appended to', async (t, store, container) => {
    const path = { container, name: 'block' }
    await store.put(path, bytes('blocks'))
    const log = { container, name: 'log' }
    await store.put(log, bytes(''), { appendable: true })

    await rejectsWith(t, store.appendBlock(path, bytes('x'), { position: 6 }), 'EINVAL')
    const missing = { container, name: 'none' }
    await rejectsWith(t, store.appendBlock(missing, bytes('x'), { position: 0 }), 'ENOENT')
    await rejectsWith(t, store.getBlocks(log), 'EINVAL')
    await t.rejects(store.appendBlock(log, bytes(''), { position: 0 }), RangeError)
  })
}

function describeTypes(conformance: Conformance): void {
  behaviour(
    conformance,
    'a blob keeps its type: nothing of another takes its place',
    async (t, store, container) => {
      const log = { container, name: 'log' }
      const block = { container, name: 'block' }
      const { etag } = await store.put(log, bytes(''), { appendable: true })
      await store.put(block, bytes('block'))

      const refused = await Promise.all([
        rejectsWith(t, store.put(log, bytes('new')), 'EINVAL'),
        rejectsWith(t, store.put(log, bytes('new'), { ifMatch: etag }), 'EINVAL'),
        rejectsWith(t, store.put(block, bytes(''), { appendable: true }), 'EINVAL'),
        rejectsWith(t, store.copy(block, log), 'EINVAL'),
        rejectsWith(t, store.copy(log, block), 'EINVAL'),
      ])
      t.same(new Set(refused.map(({ serviceCode }) => serviceCode)), new Set(['InvalidBlobType']))
      t.match(await store.head(log), { etag, blobType: 'AppendBlob' })
      t.equal(await read(store, block), 'block')
    },
  )

  behaviour(
    conformance,
    'a condition that fails is told before another type',
    async (t, store, container) => {
      const log = { container, name: 'log' }
      await store.put(log, bytes(''), { appendable: true })

      await rejectsWith(t, store.put(log, bytes('new'), { ifNoneMatch: '*' }), 'EEXIST')
      await rejectsWith(t, store.put(log, bytes('new'), { ifMatch: '"0x1"' }), 'ESTALE')
    },
  )

  behaviour(conformance, 'a copy has the type of its source', async (t, store, container) => {
    const [from, to] = [
      { container, name: 'log' },
      { container, name: 'copy' },
    ]
    await store.put(from, bytes(''), { appendable: true })
    await store.appendBlock(from, bytes('one'), { position: 0 })
    await store.copy(from, to)
    await store.appendBlock(to, bytes(' two'), { position: 3 })
    await store.copy(from, to)

    t.equal(await read(store, to), 'one')
    t.match(await store.head(to), { blobType: 'AppendBlob' })
  })
}

function describeListing(conformance: Conformance): void {
  const tree = ['a/1', 'a/2', 'a/b/3', 'a/b/4', 'a.txt', 'ab', 'b/5', 'c']

  behaviour(
    conformance,
    'a listing gives every blob below the prefix, in order',
    async (t, store, container) => {
      for (const name of tree) await store.put({ container, name }, bytes(name))

      const all = await list(store, { container, name: '' })
      const below = await list(store, { container, name: 'a' })

      t.same(
        all.map(({ name }) => name),
        [...tree].sort(),
      )
      t.same(
        below.map(({ name }) => name),
        ['a.txt', 'a/1', 'a/2', 'a/b/3', 'a/b/4', 'ab'],
      )
      t.same(await list(store, { container, name: 'nothing' }), [])
    },
  )

  behaviour(conformance, 'a delimiter lists one level', async (t, store, container) => {
    for (const name of tree) await store.put({ container, name }, bytes(name))

    const root = await list(store, { container, name: '' }, { delimiter: '/' })
    const below = await list(store, { container, name: 'a/' }, { delimiter: '/' })

    t.same(namesOf(root), ['a.txt', 'a/ (prefix)', 'ab', 'b/ (prefix)', 'c'])
    t.same(namesOf(below), ['a/1', 'a/2', 'a/b/ (prefix)'])
  })

  behaviour(
    conformance,
    'pages join to the same listing, whatever their size',
    async (t, store, container) => {
      for (const name of tree) await store.put({ container, name }, bytes(name))
      const prefix = { container, name: '' }
      const flat = namesOf(await list(store, prefix))
      const level = namesOf(await list(store, prefix, { delimiter: '/' }))

      for (const maxResults of [1, 2, 3, 5, 8, 9]) {
        const page = await store.listPage(prefix, { maxResults })

        t.ok(page.entries.length <= maxResults)
        t.same(namesOf(await list(store, prefix, { maxResults })), flat)
        t.same(namesOf(await list(store, prefix, { maxResults, delimiter: '/' })), level)
      }
    },
  )

  behaviour(
    conformance,
    'an entry tells what head tells, its etag included',
    async (t, store, container) => {
      const path = { container, name: 'a' }
      await store.put(path, bytes('hello'), {
        contentType: 'text/plain',
        metadata: { colour: 'blue' },
      })

      const [entry] = await list(store, { container, name: '' })

      t.equal(entry?.kind, 'blob')
      if (entry?.kind === 'blob') t.same(common(entry.properties), common(await store.head(path)))
    },
  )

  behaviour(conformance, 'a listing without metadata has none', async (t, store, container) => {
    await store.put({ container, name: 'a' }, bytes('x'), { metadata: { colour: 'blue' } })

    const [entry] = await list(store, { container, name: '' }, { metadata: false })

    t.equal(entry?.kind === 'blob' ? entry.properties.metadata : 'no blob', undefined)
  })
}

function describeNames(conformance: Conformance): void {
  behaviour(
    conformance,
    'every awkward name comes back as it went',
    async (t, store, container) => {
      for (const name of awkwardNames) await store.put({ container, name }, bytes(name))

      for (const name of awkwardNames) t.equal(await read(store, { container, name }), name)
      const listed = (await list(store, { container, name: '' })).map(({ name }) => name)

      t.same([...listed].sort(), [...awkwardNames].sort())
    },
  )

  behaviour(
    conformance,
    'a listing finds every awkward name by its prefix',
    async (t, store, container) => {
      for (const name of awkwardNames) await store.put({ container, name }, bytes(name))

      for (const name of awkwardNames) {
        const found = await list(store, { container, name })

        t.ok(
          found.some((entry) => entry.name === name),
          name,
        )
      }
    },
  )

  behaviour(
    conformance,
    'every awkward name can be copied and deleted',
    async (t, store, container) => {
      for (const name of awkwardNames) {
        await store.put({ container, name }, bytes(name))
        const to = { container, name: `copy of/${name}` }
        await store.copy({ container, name }, to)

        t.equal(await read(store, to), name)
        await store.delete({ container, name })
        await store.delete(to)
      }

      t.same(await list(store, { container, name: '' }), [])
    },
  )

  behaviour(
    conformance,
    'a name that no URL can address rejects with EINVAL',
    async (t, store, container) => {
      for (const name of ['', '.', '..', 'a/./b', 'a/../b', 'a/..', 'nul\0', 'lone \ud800']) {
        const error = await rejectsWith(t, store.put({ container, name }, bytes('x')), 'EINVAL')
        await rejectsWith(t, store.get({ container, name }), 'EINVAL')
        await rejectsWith(t, store.copy({ container, name }, { container, name: 'b' }), 'EINVAL')

        t.equal(error.syscall, 'blob.put')
      }
    },
  )

  behaviour(
    conformance,
    'a name over 1,024 characters rejects with ENAMETOOLONG',
    async (t, store, container) => {
      const name = 'x'.repeat(1025)

      await rejectsWith(t, store.put({ container, name }, bytes('x')), 'ENAMETOOLONG')
    },
  )
}

function describeMetadata(conformance: Conformance): void {
  behaviour(
    conformance,
    'setMetadata replaces all of it, keeps the bytes and changes the etag',
    async (t, store, container) => {
      const path = { container, name: 'a' }
      const before = await store.put(path, bytes('hello'), {
        contentType: 'text/plain',
        metadata: { colour: 'blue', shape: 'round' },
      })

      const after = await store.setMetadata(path, { shape: 'square' })

      const seen = await store.head(path)
      t.same(seen.metadata, { shape: 'square' })
      t.not(after.etag, before.etag)
      t.equal(seen.etag, after.etag)
      t.equal(seen.lastModifiedMs, after.lastModifiedMs)
      t.equal(seen.contentType, 'text/plain')
      t.equal(await read(store, path), 'hello')
    },
  )

  behaviour(
    conformance,
    'metadata values keep inner spaces and every printable ASCII character',
    async (t, store, container) => {
      const path = { container, name: 'a' }
      const metadata = {
        spaces: 'a  b c',
        printable: '!"#$%&\'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~',
        _under_score1: '%C3%A9',
      }

      await store.put(path, bytes('x'), { metadata })
      const [entry] = await list(store, { container, name: '' })

      t.same((await store.head(path)).metadata, metadata)
      t.same(entry?.kind === 'blob' ? entry.properties.metadata : undefined, metadata)
    },
  )

  behaviour(
    conformance,
    'metadata that would not come back as it went rejects with EINVAL',
    async (t, store, container) => {
      const path = { container, name: 'a' }
      await store.put(path, bytes('x'))

      for (const metadata of [
        { Upper: 'case' },
        { 'dash-ed': 'x' },
        { '1st': 'x' },
        { '': 'x' },
        { empty: '' },
        { unicode: 'é' },
        { newline: 'a\nb' },
        { outer: ' space' },
        { large: 'x'.repeat(9000) },
      ]) {
        await rejectsWith(t, store.put(path, bytes('y'), { metadata }), 'EINVAL')
        await rejectsWith(t, store.setMetadata(path, metadata), 'EINVAL')
      }

      t.equal(await read(store, path), 'x')
    },
  )
}

function describeCopy(conformance: Conformance): void {
  const original = { contentType: 'text/plain', metadata: { colour: 'blue' } }

  behaviour(
    conformance,
    'copy keeps bytes, content type and metadata',
    async (t, store, container) => {
      const from = { container, name: 'from' }
      const to = { container, name: 'to' }
      await store.put(from, bytes('hello'), original)

      const copied = await store.copy(from, to)

      t.equal(await read(store, to), 'hello')
      const found = await store.head(to)
      t.match(found, { ...original, sizeBytes: 5 })
      t.equal(found.etag, copied.etag)
      t.equal(found.lastModifiedMs, copied.lastModifiedMs)
      t.equal(await read(store, from), 'hello')
    },
  )

  behaviour(
    conformance,
    'copy with metadata replaces the metadata',
    async (t, store, container) => {
      const from = { container, name: 'from' }
      await store.put(from, bytes('hello'), original)

      const to = { container, name: 'to' }
      await store.copy(from, to, { metadata: { a: 'b' } })

      t.same((await store.head(to)).metadata, { a: 'b' })
    },
  )

  behaviour(conformance, 'copy reaches another container', async (t, store, container) => {
    const other = await freshContainer(store)
    await store.put({ container, name: 'from' }, bytes('hello'))

    await store.copy({ container, name: 'from' }, { container: other, name: 'to' })

    t.equal(await read(store, { container: other, name: 'to' }), 'hello')
  })

  behaviour(
    conformance,
    'copy that must not replace rejects with EEXIST',
    async (t, store, container) => {
      const from = { container, name: 'from' }
      const to = { container, name: 'to' }
      await store.put(from, bytes('new'))
      await store.put(to, bytes('old'))

      await rejectsWith(t, store.copy(from, to, { ifNoneMatch: '*' }), 'EEXIST')

      t.equal(await read(store, to), 'old')
    },
  )

  behaviour(
    conformance,
    'copy from or onto another version rejects with ESTALE',
    async (t, store, container) => {
      const from = { container, name: 'from' }
      const to = { container, name: 'to' }
      const { etag } = await store.put(from, bytes('one'))
      await store.put(from, bytes('two'))
      await store.put(to, bytes('old'))

      await rejectsWith(t, store.copy(from, to, { sourceIfMatch: etag }), 'ESTALE')
      await rejectsWith(t, store.copy(from, to, { ifMatch: etag }), 'ESTALE')
      const fresh = { container, name: 'fresh' }
      const both = { sourceIfMatch: etag, ifNoneMatch: '*' } as const
      await rejectsWith(t, store.copy(from, fresh, both), 'ESTALE')

      t.equal(await read(store, to), 'old')
    },
  )
}

function describeContainers(conformance: Conformance): void {
  behaviour(
    conformance,
    'a container is there once, until it is deleted with all it holds',
    async (t, store, container) => {
      await store.put({ container, name: 'a' }, bytes('x'))

      await rejectsWith(t, store.createContainer(container), 'EEXIST')
      const properties = await store.headContainer(container)
      await store.deleteContainer(container)

      t.equal(properties.name, container)
      t.ok(properties.lastModifiedMs > 0)
      await rejectsWith(t, store.headContainer(container), 'ENOENT')
    },
  )

  behaviour(conformance, 'listContainers names every container', async (t, store, container) => {
    const other = await freshContainer(store)
    const names: string[] = []

    for await (const { name } of store.listContainers()) names.push(name)

    t.ok(names.includes(container))
    t.ok(names.includes(other))
    t.same(names, [...names].sort())
  })

  behaviour(
    conformance,
    'every call on a missing container rejects with ENOENT',
    async (t, store) => {
      const path = { container: 'no-such-container', name: 'a' }

      const error = await rejectsWith(t, store.put(path, bytes('x')), 'ENOENT')
      await rejectsWith(t, store.get(path), 'ENOENT')
      await rejectsWith(t, store.head(path), 'ENOENT')
      await rejectsWith(t, store.stageBlock(path, blockId(0), bytes('x')), 'ENOENT')
      await rejectsWith(t, store.listPage({ ...path, name: '' }), 'ENOENT')
      await rejectsWith(t, store.headContainer(path.container), 'ENOENT')
      await rejectsWith(t, store.deleteContainer(path.container), 'ENOENT')

      t.equal(error.serviceCode, 'ContainerNotFound')
    },
  )
}

function describeRefusals(conformance: Conformance): void {
  behaviour(
    conformance,
    'a name that no container can have rejects with EINVAL',
    async (t, store) => {
      for (const container of [
        '',
        'ab',
        'Upper',
        'under_score',
        '-first',
        'last-',
        'two--hyphens',
        'x'.repeat(64),
      ]) {
        const path = { container, name: 'a' }

        await rejectsWith(t, store.createContainer(container), 'EINVAL')
        await rejectsWith(t, store.head(path), 'EINVAL')
        await rejectsWith(t, store.listPage(path), 'EINVAL')
      }
    },
  )
}
