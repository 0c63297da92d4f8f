import type { SemanticsCase, Step } from './blob-semantics.ts'
import { copyAndListCases } from './blob-semantics-copies-and-lists.ts'

const one = '11111111-1111-1111-1111-111111111111'
const two = '22222222-2222-2222-2222-222222222222'

const put = (body: string, headers: Step['headers'] = {}): Step => ({
  method: 'PUT',
  headers: { 'x-ms-blob-type': 'BlockBlob', ...headers },
  body,
  save: { etag: 'etag' },
})
const putAppend: Step = { method: 'PUT', headers: { 'x-ms-blob-type': 'AppendBlob' }, body: '' }
const append = (body: string, headers: Step['headers'] = {}): Step => ({
  method: 'PUT',
  query: { comp: 'appendblock' },
  headers,
  body,
})
const putPages = (sizeBytes: string): Step => ({
  method: 'PUT',
  headers: { 'x-ms-blob-type': 'PageBlob', 'x-ms-blob-content-length': sizeBytes },
  body: '',
})
const lease = (action: string, headers: Step['headers'] = {}): Step => ({
  method: 'PUT',
  query: { comp: 'lease' },
  headers: { 'x-ms-lease-action': action, ...headers },
  body: '',
})
const acquire = lease('acquire', { 'x-ms-lease-duration': '-1', 'x-ms-proposed-lease-id': one })
const snapshot: Step = {
  method: 'PUT',
  query: { comp: 'snapshot' },
  body: '',
  save: { snapshot: 'x-ms-snapshot' },
}
const block = (id: string, body: string): Step => ({
  method: 'PUT',
  query: { comp: 'block', blockid: Buffer.from(id).toString('base64') },
  body,
})
const blockList = (...entries: readonly (readonly [string, string])[]): Step => ({
  method: 'PUT',
  query: { comp: 'blocklist' },
  body: `<BlockList>${entries
    .map(([kind, id]) => `<${kind}>${Buffer.from(id).toString('base64')}</${kind}>`)
    .join('')}</BlockList>`,
})
const get = (headers: Step['headers'] = {}): Step => ({ method: 'GET', headers })

/** Rules of reading and writing whole blobs, ranges and conditions. */
const readingAndWriting: readonly SemanticsCase[] = [
  {
    rule: 'a blob that is absent is 404 with its code',
    step: get(),
    expected: { outcome: '404 BlobNotFound' },
  },
  {
    rule: 'a blob in a container that is absent is 404 with another code',
    step: { method: 'GET', path: '/absent/blob' },
    expected: { outcome: '404 ContainerNotFound' },
  },
  {
    rule: 'Put Blob answers 201 with a quoted etag and the MD5',
    step: put('abc'),
    expected: {
      outcome: '201',
      headers: { etag: /^"0x[0-9A-F]+"$/u, 'content-md5': 'kAFQmDzST7DWlj99KOF/cg==' },
    },
  },
  {
    rule: 'Put Blob without a type is 400',
    step: { method: 'PUT', body: 'abc' },
    expected: { outcome: '400 MissingRequiredHeader' },
  },
  {
    rule: 'Put Blob of another MD5 is 400',
    step: put('abc', { 'content-md5': 'AAAAAAAAAAAAAAAAAAAAAA==' }),
    expected: { outcome: '400 Md5Mismatch' },
  },
  {
    rule: 'If-None-Match: * keeps what is there: 409',
    before: [put('abc')],
    step: put('def', { 'if-none-match': '*' }),
    expected: { outcome: '409 BlobAlreadyExists' },
  },
  {
    rule: 'If-Match of another etag is 412',
    before: [put('abc')],
    step: put('def', { 'if-match': '"0x1"' }),
    expected: { outcome: '412 ConditionNotMet' },
  },
  {
    rule: 'If-Match of what is absent is 412',
    step: put('def', { 'if-match': '*' }),
    expected: { outcome: '412 ConditionNotMet' },
  },
  {
    rule: 'a read of what the caller has is 304',
    before: [put('abc')],
    step: get({ 'if-none-match': '{etag}' }),
    expected: { outcome: '304', body: '' },
  },
  {
    rule: 'a range is 206 and tells its place',
    before: [put('0123456789')],
    step: get({ 'x-ms-range': 'bytes=2-4' }),
    expected: { outcome: '206', body: '234', headers: { 'content-range': 'bytes 2-4/10' } },
  },
  {
    rule: 'a range ends with the blob',
    before: [put('0123456789')],
    step: get({ 'x-ms-range': 'bytes=8-99' }),
    expected: { outcome: '206', body: '89' },
  },
  {
    rule: 'a range behind the end is 416',
    before: [put('0123456789')],
    step: get({ 'x-ms-range': 'bytes=10-12' }),
    expected: { outcome: '416 InvalidRange' },
  },
  {
    rule: 'a range of an empty blob is 416',
    before: [put('')],
    step: get({ 'x-ms-range': 'bytes=0-3' }),
    expected: { outcome: '416 InvalidRange' },
  },
  {
    rule: 'the MD5 of a range is answered when asked for',
    before: [put('0123456789')],
    step: get({ 'x-ms-range': 'bytes=0-2', 'x-ms-range-get-content-md5': 'true' }),
    expected: { outcome: '206', headers: { 'content-md5': '0kkPBI3Dt3pFfj5FCrTrOA==' } },
  },
  {
    rule: 'the CRC64 of a range is answered when asked for',
    before: [put('0123456789')],
    step: get({ 'x-ms-range': 'bytes=0-2', 'x-ms-range-get-content-crc64': 'true' }),
    expected: { outcome: '206', headers: { 'x-ms-content-crc64': /^[A-Za-z0-9+/]{11}=$/u } },
  },
  {
    rule: 'metadata with a name that is no identifier is 400',
    step: put('abc', { 'x-ms-meta-a.b': 'c' }),
    expected: { outcome: '400 InvalidMetadata' },
  },
  {
    rule: 'Set Blob Properties clears the headers that it does not name',
    before: [
      put('abc', { 'x-ms-blob-content-language': 'de' }),
      {
        method: 'PUT',
        query: { comp: 'properties' },
        headers: { 'x-ms-blob-content-type': 'text/plain' },
        body: '',
      },
    ],
    step: { method: 'HEAD' },
    expected: {
      outcome: '200',
      headers: { 'content-type': 'text/plain', 'content-language': undefined },
    },
  },
  {
    rule: 'a version header that is no date is 400',
    before: [put('abc')],
    step: get({ 'x-ms-version': 'next' }),
    expected: { outcome: '400 InvalidHeaderValue' },
  },
]

/** Rules of block lists. */
const blocks: readonly SemanticsCase[] = [
  {
    rule: 'a blob of staged blocks alone is absent',
    before: [block('a', 'aaa')],
    step: get(),
    expected: { outcome: '404 BlobNotFound' },
  },
  {
    rule: 'a list takes committed and uncommitted blocks in its own order',
    before: [
      block('a', 'aaa'),
      block('b', 'bbb'),
      blockList(['Latest', 'a'], ['Latest', 'b']),
      block('a', 'AAA'),
      blockList(['Committed', 'b'], ['Uncommitted', 'a'], ['Committed', 'a']),
    ],
    step: get(),
    expected: { outcome: '200', body: 'bbbAAAaaa' },
  },
  {
    rule: 'a list of a block that is nowhere is 400',
    step: blockList(['Latest', 'x']),
    expected: { outcome: '400 InvalidBlockList' },
  },
  {
    rule: 'block ids differ in length: 400',
    before: [block('a', 'aaa')],
    step: block('longer', 'bbb'),
    expected: { outcome: '400 InvalidBlobOrBlock' },
  },
]

/** Rules of append and page blobs. */
const types: readonly SemanticsCase[] = [
  {
    rule: 'an append tells where it begins',
    before: [putAppend, append('abc')],
    step: append('def'),
    expected: {
      outcome: '201',
      headers: { 'x-ms-blob-append-offset': '3', 'x-ms-blob-committed-block-count': '2' },
    },
  },
  {
    rule: 'an append at another position is 412',
    before: [putAppend],
    step: append('abc', { 'x-ms-blob-condition-appendpos': '5' }),
    expected: { outcome: '412 AppendPositionConditionNotMet' },
  },
  {
    rule: 'an append beyond the size allowed is 412',
    before: [putAppend],
    step: append('abc', { 'x-ms-blob-condition-maxsize': '2' }),
    expected: { outcome: '412 MaxBlobSizeConditionNotMet' },
  },
  {
    rule: 'an append to a block blob is 409',
    before: [put('abc')],
    step: append('def'),
    expected: { outcome: '409 InvalidBlobType' },
  },
  {
    rule: 'an append to a sealed blob is 409',
    before: [putAppend, { method: 'PUT', query: { comp: 'seal' }, body: '' }],
    step: append('abc'),
    expected: { outcome: '409 BlobIsSealed' },
  },
  {
    rule: 'Put Blob over an append blob is 409',
    before: [putAppend, append('abc')],
    step: put('def'),
    expected: { outcome: '409 InvalidBlobType' },
  },
  {
    rule: 'Put Blob over a page blob is 409',
    before: [putPages('512')],
    step: put('def'),
    expected: { outcome: '409 InvalidBlobType' },
  },
  {
    rule: 'an append blob in the place of a block blob is 409',
    before: [put('abc')],
    step: putAppend,
    expected: { outcome: '409 InvalidBlobType' },
  },
  {
    rule: 'a page blob in the place of a block blob is 409',
    before: [put('abc')],
    step: putPages('512'),
    expected: { outcome: '409 InvalidBlobType' },
  },
  {
    rule: 'a condition that fails is told before another type',
    before: [putAppend],
    step: put('def', { 'if-none-match': '*' }),
    expected: { outcome: '409 BlobAlreadyExists' },
  },
  {
    rule: 'a lease is told before another type',
    before: [putAppend, acquire],
    step: put('def'),
    expected: { outcome: '412 LeaseIdMissing' },
  },
  {
    rule: 'a block list over an append blob is 409',
    before: [putAppend],
    step: blockList(),
    expected: { outcome: '409 InvalidBlobType' },
  },
  {
    rule: 'a name that was freed takes another type',
    before: [putAppend, { method: 'DELETE' }],
    step: put('def'),
    expected: { outcome: '201' },
  },
  {
    rule: 'a page blob of no whole pages is 400',
    step: putPages('100'),
    expected: { outcome: '400 InvalidHeaderValue' },
  },
  {
    rule: 'a page beyond the size is 416',
    before: [putPages('512')],
    step: {
      method: 'PUT',
      query: { comp: 'page' },
      headers: { 'x-ms-page-write': 'update', 'x-ms-range': 'bytes=512-1023' },
      body: 'x'.repeat(512),
    },
    expected: { outcome: '416 InvalidPageRange' },
  },
]

/** Rules of leases. */
const leases: readonly SemanticsCase[] = [
  {
    rule: 'a lease keeps writes without its id out: 412',
    before: [put('abc'), acquire],
    step: put('def'),
    expected: { outcome: '412 LeaseIdMissing' },
  },
  {
    rule: 'a write with another id is 412',
    before: [put('abc'), acquire],
    step: put('def', { 'x-ms-lease-id': two }),
    expected: { outcome: '412 LeaseIdMismatchWithBlobOperation' },
  },
  {
    rule: 'a write with an id where no lease is is 412',
    before: [put('abc')],
    step: put('def', { 'x-ms-lease-id': one }),
    expected: { outcome: '412 LeaseNotPresentWithBlobOperation' },
  },
  {
    rule: 'a delete without the id is 412',
    before: [put('abc'), acquire],
    step: { method: 'DELETE' },
    expected: { outcome: '412 LeaseIdMissing' },
  },
  {
    rule: 'a second holder is refused: 409',
    before: [put('abc'), acquire],
    step: lease('acquire', { 'x-ms-lease-duration': '15', 'x-ms-proposed-lease-id': two }),
    expected: { outcome: '409 LeaseAlreadyPresent' },
  },
  {
    rule: 'a broken lease is not renewed: 409',
    before: [put('abc'), acquire, lease('break')],
    step: lease('renew', { 'x-ms-lease-id': one }),
    expected: { outcome: '409 LeaseIsBrokenAndCannotBeRenewed' },
  },
  {
    rule: 'a lease that breaks is not acquired: 409',
    before: [put('abc'), acquire, lease('break', { 'x-ms-lease-break-period': '60' })],
    step: acquire,
    expected: { outcome: '409 LeaseIsBreakingAndCannotBeAcquired' },
  },
  {
    rule: 'a break tells the seconds that remain',
    before: [put('abc'), acquire],
    step: lease('break', { 'x-ms-lease-break-period': '60' }),
    expected: { outcome: '202', headers: { 'x-ms-lease-time': /^(?:60|59)$/u } },
  },
  {
    rule: 'a break of no lease is 409',
    before: [put('abc')],
    step: lease('break'),
    expected: { outcome: '409 LeaseNotPresentWithLeaseOperation' },
  },
  {
    rule: 'a lease of 10 seconds is 400',
    before: [put('abc')],
    step: lease('acquire', { 'x-ms-lease-duration': '10' }),
    expected: { outcome: '400 InvalidHeaderValue' },
  },
]

/** Rules of snapshots, tags and tiers. */
const beside: readonly SemanticsCase[] = [
  {
    rule: 'a snapshot keeps the content of its time',
    before: [put('abc'), snapshot, put('def')],
    step: { method: 'GET', query: { snapshot: '{snapshot}' } },
    expected: { outcome: '200', body: 'abc' },
  },
  {
    rule: 'a blob with snapshots is not deleted alone: 409',
    before: [put('abc'), snapshot],
    step: { method: 'DELETE' },
    expected: { outcome: '409 SnapshotsPresent' },
  },
  {
    rule: 'snapshots go with their blob when asked to',
    before: [
      put('abc'),
      snapshot,
      { method: 'DELETE', headers: { 'x-ms-delete-snapshots': 'include' } },
    ],
    step: { method: 'GET', query: { snapshot: '{snapshot}' } },
    expected: { outcome: '404 BlobNotFound' },
  },
  {
    rule: 'a condition on tags that fails is 412',
    before: [put('abc', { 'x-ms-tags': 'a=b' })],
    step: get({ 'x-ms-if-tags': `a = 'c'` }),
    expected: { outcome: '412 ConditionNotMet' },
  },
  {
    rule: 'tags with characters that are not permitted are 400',
    step: put('abc', { 'x-ms-tags': 'a=%C3%BC' }),
    expected: { outcome: '400 InvalidTag' },
  },
  {
    rule: 'eleven tags are 400',
    step: put('abc', {
      'x-ms-tags': Array.from({ length: 11 }, (_, n) => `t${n}=v`).join('&'),
    }),
    expected: { outcome: '400 TagsTooLarge' },
  },
  {
    rule: 'an archived blob is not read: 409',
    before: [
      put('abc'),
      {
        method: 'PUT',
        query: { comp: 'tier' },
        headers: { 'x-ms-access-tier': 'Archive' },
        body: '',
      },
    ],
    step: get(),
    expected: { outcome: '409 BlobArchived' },
  },
  {
    rule: 'rehydration is pending: 202',
    before: [
      put('abc'),
      {
        method: 'PUT',
        query: { comp: 'tier' },
        headers: { 'x-ms-access-tier': 'Archive' },
        body: '',
      },
    ],
    step: {
      method: 'PUT',
      query: { comp: 'tier' },
      headers: { 'x-ms-access-tier': 'Hot' },
      body: '',
    },
    expected: { outcome: '202' },
  },
  {
    rule: 'a tier of no name is 400',
    before: [put('abc')],
    step: {
      method: 'PUT',
      query: { comp: 'tier' },
      headers: { 'x-ms-access-tier': 'Tepid' },
      body: '',
    },
    expected: { outcome: '400 InvalidHeaderValue' },
  },
  {
    rule: 'undelete of what is there is 200',
    before: [put('abc')],
    step: { method: 'PUT', query: { comp: 'undelete' }, body: '' },
    expected: { outcome: '200' },
  },
]

/** All rules. */
export const blobSemanticsCases: readonly SemanticsCase[] = [
  ...readingAndWriting,
  ...blocks,
  ...types,
  ...leases,
  ...beside,
  ...copyAndListCases,
]
