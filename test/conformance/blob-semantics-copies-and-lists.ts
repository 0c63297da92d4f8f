import type { SemanticsCase, Step } from './blob-semantics.ts'

const put = (path: string, body: string, headers: Step['headers'] = {}): Step => ({
  method: 'PUT',
  path,
  headers: { 'x-ms-blob-type': 'BlockBlob', ...headers },
  body,
})
const copy = (headers: Step['headers'] = {}): Step => ({
  method: 'PUT',
  headers: { 'x-ms-copy-source': '{source}', ...headers },
  body: '',
  save: { copy: 'x-ms-copy-id' },
})
const fromUrl: Step = copy({ 'x-ms-blob-type': 'BlockBlob' })
const list = (query: Step['query'] = {}): Step => ({
  method: 'GET',
  path: '',
  query: { restype: 'container', comp: 'list', ...query },
})
const batch = (...targets: readonly string[]): Step => ({
  method: 'POST',
  path: '/',
  query: { comp: 'batch' },
  headers: { 'content-type': 'multipart/mixed; boundary=b' },
  body: `${targets.map(deletion).join('')}--b--\r\n`,
})

function deletion(target: string, at: number): string {
  return [
    '--b',
    'Content-Type: application/http',
    'Content-Transfer-Encoding: binary',
    `Content-ID: ${at}`,
    '',
    `DELETE ${target} HTTP/1.1`,
    'Content-Length: 0',
    '',
    '',
    '',
  ].join('\r\n')
}

/** Rules of copies by the service. */
const copies: readonly SemanticsCase[] = [
  {
    rule: 'a copy within the account is done when it is answered',
    before: [put('source', 'abc')],
    step: copy(),
    expected: { outcome: '202', headers: { 'x-ms-copy-status': 'success' } },
  },
  {
    rule: 'a copy has the content, the type and the metadata of its source',
    before: [put('source', 'abc', { 'content-type': 'text/plain', 'x-ms-meta-a': 'b' }), copy()],
    step: { method: 'GET' },
    expected: {
      outcome: '200',
      body: 'abc',
      headers: { 'content-type': 'text/plain', 'x-ms-meta-a': 'b' },
    },
  },
  {
    rule: 'a copy with metadata of its own has none of the source',
    before: [put('source', 'abc', { 'x-ms-meta-a': 'b' }), copy({ 'x-ms-meta-c': 'd' })],
    step: { method: 'HEAD' },
    expected: { outcome: '200', headers: { 'x-ms-meta-a': undefined, 'x-ms-meta-c': 'd' } },
  },
  {
    rule: 'a copy of what is absent is 404',
    step: copy(),
    expected: { outcome: '404 CannotVerifyCopySource' },
  },
  {
    rule: 'a copy whose source does not match is 412',
    before: [put('source', 'abc')],
    step: copy({ 'x-ms-source-if-match': '"0x1"' }),
    expected: { outcome: '412 SourceConditionNotMet' },
  },
  {
    rule: 'a copy onto what must not be there is 409',
    before: [put('source', 'abc'), put('blob', 'def')],
    step: copy({ 'if-none-match': '*' }),
    expected: { outcome: '409 BlobAlreadyExists' },
  },
  {
    rule: 'a copy over a blob of another type is 409',
    before: [
      put('source', 'abc'),
      { method: 'PUT', headers: { 'x-ms-blob-type': 'AppendBlob' }, body: '' },
    ],
    step: copy(),
    expected: { outcome: '409 InvalidBlobType' },
  },
  {
    rule: 'Put Blob From URL over a blob of another type is 409',
    before: [
      put('source', 'abc'),
      { method: 'PUT', headers: { 'x-ms-blob-type': 'AppendBlob' }, body: '' },
    ],
    step: fromUrl,
    expected: { outcome: '409 InvalidBlobType' },
  },
  {
    rule: 'a copy that is done is not ended: 409',
    before: [put('source', 'abc'), copy()],
    step: {
      method: 'PUT',
      query: { comp: 'copy', copyid: '{copy}' },
      headers: { 'x-ms-copy-action': 'abort' },
      body: '',
    },
    expected: { outcome: '409 NoPendingCopyOperation' },
  },
  {
    rule: 'Put Blob From URL answers 201',
    before: [put('source', 'abc')],
    step: fromUrl,
    expected: { outcome: '201', headers: { 'x-ms-copy-status': undefined } },
  },
  {
    rule: 'Put Block From URL stages a range of the source',
    before: [
      put('source', '0123456789'),
      {
        method: 'PUT',
        query: { comp: 'block', blockid: 'YQ==' },
        headers: { 'x-ms-copy-source': '{source}', 'x-ms-source-range': 'bytes=2-4' },
        body: '',
      },
      {
        method: 'PUT',
        query: { comp: 'blocklist' },
        body: '<BlockList><Latest>YQ==</Latest></BlockList>',
      },
    ],
    step: { method: 'GET' },
    expected: { outcome: '200', body: '234' },
  },
]

/** Rules of batches. */
const batches: readonly SemanticsCase[] = [
  {
    rule: 'a batch answers each of its requests',
    before: [put('source', 'abc')],
    step: batch('{target}'),
    expected: { outcome: '202', body: /HTTP\/1\.1 202 Accepted/u },
  },
  {
    rule: 'a request of a batch that fails leaves the others alone',
    before: [put('source', 'abc')],
    step: batch('{target}', '{target}'),
    expected: { outcome: '202', body: /HTTP\/1\.1 202 Accepted.*HTTP\/1\.1 404/su },
  },
  {
    rule: 'what a batch deletes is gone',
    before: [put('source', 'abc'), batch('{target}')],
    step: { method: 'GET', path: 'source' },
    expected: { outcome: '404 BlobNotFound' },
  },
]

/** Rules of lists. */
const lists: readonly SemanticsCase[] = [
  {
    rule: 'a list is in order of names',
    before: [put('b', ''), put('a/x', ''), put('B', '')],
    step: list(),
    expected: { outcome: '200', body: /<Name>B<.*<Name>a\/x<.*<Name>b</su },
  },
  {
    rule: 'a delimiter folds names into prefixes',
    before: [put('a/x', ''), put('a/y', ''), put('b', '')],
    step: list({ delimiter: '/' }),
    expected: {
      outcome: '200',
      body: /^(?!.*a\/x).*<BlobPrefix><Name>a\/<\/Name><\/BlobPrefix>/su,
    },
  },
  {
    rule: 'a prefix leaves out what begins otherwise',
    before: [put('a', ''), put('b', '')],
    step: list({ prefix: 'b' }),
    expected: { outcome: '200', body: /^(?!.*<Name>a<).*<Name>b</su },
  },
  {
    rule: 'a page ends with a marker',
    before: [put('a', ''), put('b', '')],
    step: list({ maxresults: '1' }),
    expected: { outcome: '200', body: /<NextMarker>[^<]+<\/NextMarker>/u },
  },
  {
    rule: 'a list of one page ends without a marker',
    before: [put('a', '')],
    step: list(),
    expected: { outcome: '200', body: /<NextMarker(?: ?\/>|><\/NextMarker>)/u },
  },
  {
    rule: 'metadata is listed when asked for',
    before: [put('a', '', { 'x-ms-meta-name': 'value' })],
    step: list({ include: 'metadata' }),
    expected: { outcome: '200', body: /<Metadata><name>value<\/name><\/Metadata>/u },
  },
  {
    rule: 'staged blocks are listed as an empty blob when asked for',
    before: [{ method: 'PUT', path: 'a', query: { comp: 'block', blockid: 'YQ==' }, body: 'abc' }],
    step: list({ include: 'uncommittedblobs' }),
    expected: { outcome: '200', body: /<Name>a<.*<Content-Length>0</su },
  },
  {
    rule: 'a list of what is no include is 400',
    step: list({ include: 'everything' }),
    expected: { outcome: '400 InvalidQueryParameterValue' },
  },
  {
    rule: 'a page of no results is 400',
    step: list({ maxresults: '0' }),
    expected: { outcome: '400 OutOfRangeQueryParameterValue' },
  },
  {
    rule: 'a list of a container that is absent is 404',
    step: { ...list(), path: '/absent' },
    expected: { outcome: '404 ContainerNotFound' },
  },
]

/** Rules of copies, batches and lists. */
export const copyAndListCases: readonly SemanticsCase[] = [...copies, ...batches, ...lists]
