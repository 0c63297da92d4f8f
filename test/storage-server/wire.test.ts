import t from 'tap'
import { crc64, crc64ByTables } from '../../src/storage-server/wire/crc64.ts'
import { readMetadata } from '../../src/storage-server/wire/metadata.ts'
import { parseRequest, type RawRequest } from '../../src/storage-server/wire/parse-request.ts'
import { childText, parseXml } from '../../src/storage-server/wire/parse-xml.ts'
import { readRange, satisfyRange } from '../../src/storage-server/wire/range.ts'
import type { StorageRequest } from '../../src/storage-server/wire/request.ts'
import { StorageError } from '../../src/storage-server/wire/storage-error.ts'

const accounts: ReadonlySet<string> = new Set(['alpha', 'beta'])

function parse(method: string, url: string, headers: Record<string, string> = {}): StorageRequest {
  const raw: RawRequest = {
    method,
    url,
    rawHeaders: Object.entries({ Host: '127.0.0.1:1', ...headers }).flat(),
    secure: false,
    remoteAddress: '127.0.0.1',
    body: async () => new Uint8Array(),
  }
  return parseRequest(raw, (name) => accounts.has(name))
}

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof StorageError) return `${error.status} ${error.code}`
    throw error
  }
  return 'accepted'
}

void t.test('hosts name the account and the face', async (t) => {
  const blob = parse('GET', '/c/a%20b/%C3%A9', { Host: 'alpha.blob.localhost:1' })
  const dfs = parse('GET', '/c/x', { Host: 'beta.dfs.core.windows.net' })

  t.match(blob, { face: 'blob', account: 'alpha', container: 'c', path: 'a b/é', pathStyle: false })
  t.match(dfs, { face: 'dfs', account: 'beta', container: 'c', path: 'x' })
  t.equal(blob.rawPath, '/c/a%20b/%C3%A9')
})

void t.test('on other hosts the path names the account and clues the face', async (t) => {
  const cases = [
    ['GET', '/alpha/c/p', 'blob'],
    ['HEAD', '/alpha/c/p?action=getStatus', 'dfs'],
    ['PUT', '/alpha/c/p?resource=file', 'dfs'],
    ['GET', '/alpha/c?resource=filesystem&recursive=true', 'dfs'],
    ['PATCH', '/alpha/c/p', 'dfs'],
    ['DELETE', '/alpha/c/p?recursive=false', 'dfs'],
    ['DELETE', '/alpha/c/p', 'blob'],
    ['PUT', '/alpha/c/p?comp=block&blockid=AA%3D%3D', 'blob'],
  ] as const

  for (const [method, url, face] of cases)
    t.equal(parse(method, url).face, face, `${method} ${url}`)
  t.match(parse('GET', '/alpha/c/p'), {
    account: 'alpha',
    container: 'c',
    path: 'p',
    pathStyle: true,
  })
})

void t.test('a rename that forgets the account has that of its source', async (t) => {
  const request = parse('PUT', '/c/new', { 'x-ms-rename-source': '/beta/c/old' })

  t.match(request, { face: 'dfs', account: 'beta', container: 'c', path: 'new' })
})

void t.test('a blob directly below the account is in $root', async (t) => {
  t.match(parse('GET', '/alpha/file.txt'), { container: '$root', path: 'file.txt' })
  t.match(parse('GET', '/alpha/c?restype=container'), { container: 'c', path: undefined })
  t.match(parse('GET', '/alpha/?comp=list'), { container: undefined, path: undefined })
})

void t.test('names that the service refuses are refused', async (t) => {
  for (const url of [
    '/alpha/c/%ED%A0%80',
    '/alpha/c/%zz',
    '/alpha/c/a%00b',
    '/alpha/c/a/../b',
    '/alpha/c/.',
    '/alpha/c/%2e%2e/x',
    `/alpha/c/${'x'.repeat(40_000)}`,
    'no-slash',
  ]) {
    t.equal(
      codeOf(() => parse('GET', url)),
      '400 InvalidUri',
      url.slice(0, 40),
    )
  }
  t.equal(parse('GET', '/alpha/c/a//b').path, 'a//b')
})

void t.test('versions are dates that may have been', async (t) => {
  for (const version of ['2026-06-06', '2017-04-17', '2009-09-19']) {
    t.equal(parse('GET', '/alpha/c/p', { 'x-ms-version': version }).version, version)
  }
  for (const version of ['', 'x', '2026-13-01', '2026-02-30', '2031-01-01', '2026-6-6']) {
    const refused = codeOf(() => parse('GET', '/alpha/c/p', { 'x-ms-version': version }))
    t.equal(refused, '400 InvalidHeaderValue', version)
  }
})

void t.test('metadata keeps the case of its names and the limits of the service', async (t) => {
  const read = (headers: Record<string, string>) =>
    readMetadata(parse('PUT', '/alpha/c/p', headers))

  t.same(read({ 'X-Ms-Meta-CamelCase': 'a', 'x-ms-meta-b_1': '' }), { CamelCase: 'a', b_1: '' })
  t.same(read({ 'x-ms-meta-a': '1', 'x-ms-meta-A': '2' }), { a: '1,2' })
  t.equal(
    codeOf(() => read({ 'x-ms-meta-': 'a' })),
    '400 EmptyMetadataKey',
  )
  t.equal(
    codeOf(() => read({ 'x-ms-meta-1a': 'a' })),
    '400 InvalidMetadata',
  )
  t.equal(
    codeOf(() => read({ 'x-ms-meta-a-b': 'a' })),
    '400 InvalidMetadata',
  )
  t.equal(
    codeOf(() => read({ 'x-ms-meta-a': 'é' })),
    '400 InvalidMetadata',
  )
  t.equal(
    codeOf(() => read({ 'x-ms-meta-a': 'x'.repeat(8192) })),
    '400 MetadataTooLarge',
  )
})

void t.test('ranges are read as the service reads them', async (t) => {
  t.same(readRange({ 'x-ms-range': 'bytes=2-4', range: 'bytes=0-0' }), { start: 2, end: 5 })
  t.same(readRange({ range: 'bytes=7-' }), { start: 7, end: Number.POSITIVE_INFINITY })
  t.equal(readRange({ range: 'bytes=-5' }), undefined)
  t.equal(readRange({}), undefined)
  t.equal(
    codeOf(() => readRange({ 'x-ms-range': 'bytes=4-2' })),
    '400 InvalidHeaderValue',
  )
  t.same(satisfyRange({ start: 2, end: 50 }, 10), { start: 2, end: 10 })
  t.equal(
    codeOf(() => satisfyRange({ start: 10, end: 11 }, 10)),
    '416 InvalidRange',
  )
  t.equal(
    codeOf(() => satisfyRange({ start: 0, end: 1 }, 0)),
    '416 InvalidRange',
  )
})

void t.test('CRC-64 has the check value of its definition, whatever the length', async (t) => {
  const bytes = Buffer.from('123456789')
  const naive = (data: Uint8Array) => {
    let crc = 0xffff_ffff_ffff_ffffn
    for (const byte of data) {
      crc ^= BigInt(byte)
      for (let bit = 0; bit < 8; bit++) {
        crc = crc & 1n ? (crc >> 1n) ^ 0x9a6c_9329_ac4b_c9b5n : crc >> 1n
      }
    }
    const out = Buffer.alloc(8)
    out.writeBigUInt64LE(crc ^ 0xffff_ffff_ffff_ffffn)
    return out.toString('base64')
  }

  t.equal(Buffer.from(crc64(bytes), 'base64').reverse().toString('hex'), 'ae8b14860a799888')
  for (const length of [0, 1, 7, 8, 9, 15, 16, 17, 1000]) {
    const data = Buffer.from(Array.from({ length }, (_, at) => (at * 37 + 11) & 255))
    t.equal(crc64(data), naive(data), `${length} bytes`)
  }
  for (const length of [65_535, 65_536, 65_537, 300_001]) {
    const data = Buffer.from(Array.from({ length }, (_, at) => (at * 41 + 7) & 255))
    t.equal(crc64(data), crc64ByTables(data), `${length} bytes by either way`)
  }
})

void t.test(
  'XML is read with its references, and refused when it is not well-formed',
  async (t) => {
    const document =
      '<?xml version="1.0"?><!-- c --><a x="1"><b>&lt;&#65;&#x42;</b><c/><b2><![CDATA[<&]]></b2></a>'
    const root = parseXml(Buffer.from(document))

    t.equal(childText(root, 'b'), '<AB')
    t.equal(childText(root, 'b2'), '<&')
    t.equal(childText(root, 'none'), undefined)
    for (const text of [
      '',
      '<a>',
      '</a>',
      '<a></b>',
      '<a/><b/>',
      '<a>&x;</a>',
      'x',
      '<a>\xff</a>',
      '<!DOCTYPE a><a/>',
      '<a><',
    ]) {
      const refused = codeOf(() => parseXml(Buffer.from(text, 'latin1')))
      t.equal(refused, '400 InvalidXmlDocument', text)
    }
    const deep = '<a>'.repeat(10_000)
    t.equal(
      codeOf(() => parseXml(Buffer.from(deep))),
      '400 InvalidXmlDocument',
    )
  },
)
