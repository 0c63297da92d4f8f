import fc from 'fast-check'
import t from 'tap'
import { runRequest, type ServerParts } from '../../src/storage-server/run-verb.ts'
import { parseRequest } from '../../src/storage-server/wire/parse-request.ts'
import { StorageError } from '../../src/storage-server/wire/storage-error.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { accountName, addContainer, testAccount } from '../support/storage-request.ts'

const runs = 4000

const id = '11111111-1111-1111-1111-111111111111'
const junk = fc.oneof(
  fc.constantFrom('', '0', '-1', '512', '99999999999999999999', 'true', '*', '"0x1"', id, '%zz'),
  fc.constantFrom('bytes=0-511', 'bytes=5-', 'bytes=-5', 'bytes=9-1', 'acquire', 'break', 'update'),
  fc.constantFrom(
    'Archive',
    'Hot',
    'BlockBlob',
    'PageBlob',
    'AppendBlob',
    `a = 'b'`,
    '((((',
    'a=b',
  ),
  fc.constantFrom(
    'http://127.0.0.1/abfstest/first/b',
    'http://127.0.0.1/abfstest/first/p?snapshot=x',
    'http://[::1',
    'ftp://x/',
  ),
  fc.string({ maxLength: 12 }),
)
const names = [
  'x-ms-blob-type',
  'x-ms-lease-action',
  'x-ms-lease-id',
  'x-ms-proposed-lease-id',
  'x-ms-lease-duration',
  'x-ms-lease-break-period',
  'x-ms-copy-source',
  'x-ms-requires-sync',
  'x-ms-copy-action',
  'x-ms-source-range',
  'x-ms-source-if-match',
  'x-ms-copy-source-tag-option',
  'x-ms-range',
  'x-ms-page-write',
  'x-ms-blob-content-length',
  'x-ms-blob-sequence-number',
  'x-ms-sequence-number-action',
  'x-ms-if-sequence-number-le',
  'x-ms-blob-condition-appendpos',
  'x-ms-blob-condition-maxsize',
  'x-ms-access-tier',
  'x-ms-rehydrate-priority',
  'x-ms-tags',
  'x-ms-if-tags',
  'x-ms-delete-snapshots',
  'x-ms-seal-blob',
  'x-ms-meta-a',
  'if-match',
  'if-none-match',
  'if-modified-since',
  'content-md5',
  'content-length',
  'content-type',
] as const
const comps = [
  ...['', 'lease', 'appendblock', 'seal', 'page', 'pagelist', 'snapshot', 'undelete', 'tags'],
  ...['tier', 'copy', 'incrementalcopy', 'block', 'blocklist', 'metadata', 'properties', 'batch'],
  ...['blobs', 'query', 'list'],
]
/** What makes sense by itself, so that not all requests are refused at their first header. */
const plausible: readonly { comp?: string; method?: string; headers: Record<string, string> }[] = [
  { headers: {} },
  { comp: '', method: 'PUT', headers: { 'x-ms-blob-type': 'BlockBlob' } },
  { comp: '', method: 'PUT', headers: { 'x-ms-blob-type': 'AppendBlob' } },
  {
    comp: '',
    method: 'PUT',
    headers: { 'x-ms-blob-type': 'PageBlob', 'x-ms-blob-content-length': '1024' },
  },
  {
    comp: 'page',
    method: 'PUT',
    headers: { 'x-ms-page-write': 'update', 'x-ms-range': 'bytes=0-511' },
  },
  { comp: 'appendblock', method: 'PUT', headers: {} },
  { comp: 'tags', method: 'PUT', headers: {} },
  { comp: 'snapshot', method: 'PUT', headers: {} },
  { comp: 'tier', method: 'PUT', headers: { 'x-ms-access-tier': 'Cool' } },
  { comp: '', method: 'PUT', headers: { 'x-ms-copy-source': 'http://127.0.0.1/abfstest/first/b' } },
  { comp: '', method: 'DELETE', headers: { 'x-ms-delete-snapshots': 'include' } },
  {
    comp: 'lease',
    method: 'PUT',
    headers: { 'x-ms-lease-action': 'acquire', 'x-ms-lease-duration': '15' },
  },
]
const requests = fc.record({
  like: fc.constantFrom(...plausible),
  method: fc.constantFrom('GET', 'PUT', 'PUT', 'PUT', 'HEAD', 'DELETE', 'POST'),
  path: fc.constantFrom('/first/b', '/first/p', '/first/a', '/first', '/absent/b', ''),
  comp: fc.constantFrom(...comps),
  query: fc.dictionary(
    fc.constantFrom('snapshot', 'versionid', 'copyid', 'where', 'marker', 'maxresults', 'restype'),
    fc.oneof(junk, fc.constantFrom('container', '2026-01-01T00:00:00.0000000Z')),
    { maxKeys: 2 },
  ),
  headers: fc.dictionary(fc.constantFrom(...names), junk, { maxKeys: 3 }),
  body: fc.oneof(
    fc.constant(new Uint8Array(0)),
    fc.constant(Buffer.alloc(512, 'x')),
    fc.constant(
      Buffer.from('<Tags><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tags>'),
    ),
    fc.uint8Array({ maxLength: 40 }),
  ),
})

interface Fuzzed {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/** Throws what is no refusal. */
async function statusOf(parts: ServerParts, { method, url, headers, body }: Fuzzed) {
  try {
    const request = parseRequest(
      {
        method,
        url,
        rawHeaders: ['host', '127.0.0.1', ...Object.entries(headers).flat()],
        secure: false,
        remoteAddress: '127.0.0.1',
        body: async () => body,
      },
      () => true,
    )
    return (await runRequest(parts, request)).status
  } catch (error) {
    if (error instanceof StorageError && (error.status < 500 || error.status === 501)) {
      return error.status
    }
    throw error
  }
}

t.test('no request to the blob face ends in anything but an answer or a refusal', async (t) => {
  const clock = new FakeClock()
  const account = testAccount(clock, { versioning: true, softDeleteDays: 3, copyDelayMs: 5 })
  addContainer(account, 'first')
  const parts = {
    accounts: new Map([[accountName, account]]),
    access: {
      authenticate: async () => ({ kind: 'sharedKey' as const }),
      authorize: () => undefined,
    },
  }
  const seed = Date.now() & 0x7fffffff
  t.comment(`seed ${seed}`)
  const statuses = new Set<number>()

  const property = fc.asyncProperty(requests, async ({ like, path, query, body, ...random }) => {
    // Leases end and copies come to be between any two.
    await clock.advance(1000)
    const method = like.method ?? random.method
    const comp = like.comp ?? random.comp
    const headers = { ...like.headers, ...random.headers }
    const asked = new URLSearchParams(comp === '' ? query : { ...query, comp })
    const url = `/${accountName}${path}?${asked}`
    statuses.add(await statusOf(parts, { method, url, headers, body }))
  })
  await fc.assert(property, { seed, numRuns: runs })

  for (const status of [200, 201, 202, 204, 400, 404, 409, 412]) {
    t.ok(statuses.has(status), `${status} is among the answers`)
  }
})
