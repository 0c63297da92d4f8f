/*
 * Random requests as bytes on a socket: mostly well framed, so that they reach the verbs, and partly
 * broken in ways that no HTTP library sends.
 */
import { connect } from 'node:net'

/** Where random requests go, and what may let them in. */
export interface FuzzOptions {
  readonly port: number
  readonly accounts: readonly string[]
  /** The query that authorizes everything, by account. */
  readonly signatures: Readonly<Record<string, string>>
  /** Values of the header that authorizes. */
  readonly bearers: readonly string[]
  readonly containers: readonly string[]
}

/** One exchange: what was sent and what came back. */
export interface FuzzAnswer {
  readonly sent: Buffer
  /** `undefined` when the connection ended without an answer. */
  readonly status: number | undefined
  readonly head: string
}

/** Numbers in [0, 1) that a seed repeats. */
export function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

/** Sends bytes and waits for the end of the connection; rejects when it does not end in time. */
export function exchange(port: number, sent: Buffer, deadlineMs = 20_000): Promise<FuzzAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' })
    const received: Buffer[] = []
    let bytes = 0
    socket.setTimeout(deadlineMs, () => {
      socket.destroy()
      reject(new Error(`no end of the connection after ${deadlineMs} ms`))
    })
    socket.on('data', (data: Buffer) => {
      // The head is enough: a listing may be long.
      if (bytes < 4096) received.push(data)
      bytes += data.length
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      const head = Buffer.concat(received).toString('latin1').slice(0, 4096)
      const status = /^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]
      resolve({ sent, head, status: status === undefined ? undefined : Number(status) })
    })
    // The end of what is sent: whoever waits for the rest of half a request sees that none comes.
    socket.end(sent)
  })
}

/** The bytes of one random request. */
export function randomRequest(random: () => number, options: FuzzOptions): Buffer {
  const pick = <T>(choices: readonly T[]): T => {
    const chosen = choices[Math.floor(random() * choices.length)]
    if (chosen === undefined) throw new TypeError('choices: expected some')
    return chosen
  }
  const chance = (probability: number): boolean => random() < probability
  const recipe = chance(0.7) ? pick(recipes) : undefined
  const face = recipe?.face ?? pick(['blob', 'dfs'] as const)
  const account = pick(options.accounts)
  const parts = { pick, chance, options, recipe, account }
  const body = recipe?.body === undefined ? randomBody(random, pick) : sized(recipe.body)
  const headers = randomHeaders({ ...parts, body })
  // On an address the server guesses the face.
  const hostStyle = chance(recipe === undefined ? 0.5 : 0.9)
  const host = hostStyle ? `${account}.${face}.localhost` : '127.0.0.1'
  const path = `${hostStyle ? '' : `/${account}`}${randomPath(parts)}`
  const line = `${recipe?.method ?? pick(methods)} ${path}${randomQuery(parts)} HTTP/1.1`
  const head = [line, `Host: ${host}`, ...headers, '', ''].join('\r\n')
  return broken(Buffer.concat([Buffer.from(head, 'utf8'), body.bytes]), { chance, random })
}

type Pick = <T>(choices: readonly T[]) => T
type Chance = (probability: number) => boolean

const methods = ['GET', 'PUT', 'PUT', 'PUT', 'HEAD', 'DELETE', 'POST', 'PATCH', 'PATCH', 'OPTIONS']
const names = [
  ...[
    'a',
    'b',
    'dir',
    'dir/b',
    'dir/sub/c',
    'dir/',
    '/a',
    'a//b',
    '//',
    '.',
    '..',
    '../x',
    'dir/..',
  ],
  ...['%2e%2e/%2e%2e/etc/passwd', '%2F', '%5c', '%00', '%0a', '%01x', '%7f', '%c2%81', '%', '%zz'],
  ...[
    '%ed%a0%80',
    '%ff%fe',
    '%f0%9f%98%80',
    '%ef%bf%bf',
    'ü',
    'x%20',
    'x.',
    '%20',
    '$root',
    '.abfs',
  ],
]
const longNames = [1023, 1024, 1025, 4000].map((length) => 'n'.repeat(length))
const deep = ['d/'.repeat(254), 'd/'.repeat(600)]
const queries = [
  ...['restype=container', 'restype=account', 'comp=list', 'comp=properties', 'comp=metadata'],
  ...['comp=block', 'comp=blocklist', 'comp=lease', 'comp=tags', 'comp=tier', 'comp=snapshot'],
  ...['comp=page', 'comp=pagelist', 'comp=appendblock', 'comp=copy', 'comp=acl', 'comp=batch'],
  ...['comp=expiry', 'comp=undelete', 'comp=seal', 'comp=blobs', 'comp=userdelegationkey'],
  ...['resource=file', 'resource=directory', 'resource=filesystem', 'resource=account'],
  ...['action=append', 'action=flush', 'action=setAccessControl', 'action=setProperties'],
  ...['action=setAccessControlRecursive', 'action=getAccessControl', 'action=getStatus'],
  ...['action=checkAccess', 'mode=legacy', 'mode=set', 'mode=modify', 'mode=remove'],
  ...['recursive=true', 'recursive=maybe', 'close=true', 'retainUncommittedData=true'],
]
const queryNames = [
  ...['position', 'blockid', 'blocklisttype', 'prefix', 'delimiter', 'marker', 'maxresults'],
  ...['maxResults', 'include', 'directory', 'continuation', 'beginFrom', 'startFrom', 'snapshot'],
  ...[
    'versionid',
    'timeout',
    'where',
    'copyid',
    'fsAction',
    'maxRecords',
    'upn',
    'sig',
    'se',
    'sp',
  ],
]
const values = [
  ...['', '0', '-1', '5', '5000', '5001', '1e9', '99999999999999999999', 'NaN', 'true', 'AAAA'],
  ...[
    'QUFBQQ==',
    '%00',
    '%ff',
    '%',
    '%ed%b0%80',
    '/',
    '//',
    '..',
    'a',
    'dir',
    'r-x',
    'metadata,tags',
  ],
  ...[
    '2026-01-01T00:00:00Z',
    '2026-01-01T00:00:00.0000000Z',
    'x'.repeat(2100),
    '"',
    '%22a%22=%27b%27',
  ],
]
const headerNames = [
  ...[
    'x-ms-version',
    'x-ms-date',
    'Range',
    'x-ms-range',
    'If-Match',
    'If-None-Match',
    'x-ms-blob-type',
  ],
  ...[
    'If-Modified-Since',
    'Content-MD5',
    'x-ms-content-crc64',
    'x-ms-lease-id',
    'x-ms-lease-action',
  ],
  ...['x-ms-lease-duration', 'x-ms-proposed-lease-id', 'x-ms-copy-source', 'x-ms-rename-source'],
  ...[
    'x-ms-source-range',
    'x-ms-source-if-match',
    'x-ms-properties',
    'x-ms-acl',
    'x-ms-permissions',
  ],
  ...['x-ms-owner', 'x-ms-group', 'x-ms-umask', 'x-ms-tags', 'x-ms-access-tier', 'x-ms-meta-a'],
  ...['x-ms-meta-', 'x-ms-blob-content-length', 'x-ms-page-write', 'x-ms-delete-snapshots'],
  ...['x-ms-expiry-option', 'x-ms-expiry-time', 'x-ms-client-request-id', 'Content-Type', 'Expect'],
  ...['x-ms-structured-body', 'x-ms-if-tags', 'x-ms-blob-public-access', 'Accept', 'Origin'],
]
const headerValues = [
  ...[
    '',
    '0',
    '-1',
    '512',
    '99999999999999999999',
    '*',
    '"0x1"',
    'bytes=0-511',
    'bytes=5-',
    'bytes=-5',
  ],
  ...[
    'bytes=9-1',
    'bytes=0-1,3-4',
    'bytes=',
    'BlockBlob',
    'AppendBlob',
    'PageBlob',
    'acquire',
    'break',
  ],
  ...[
    'change',
    '15',
    '2021-12-02',
    '2030-01-01',
    '1999-01-01',
    'junk',
    'Archive',
    'a=b',
    'a=YQ==,b',
  ],
  ...[
    'user::rwx,group::r-x,other::---',
    'user:x:rwx',
    'default:mask::r--',
    '0777',
    '9999',
    'update',
  ],
  ...['/files/a', '/files/dir/sub', '/files/%zz', '//', '/files/', 'http://[::1', 'RelativeToNow'],
  ...['11111111-1111-1111-1111-111111111111', 'x'.repeat(9000), 'ü\u0081', 'a\tb', '\u0001'],
  ...['Mon, 01 Jan 2024 00:00:00 GMT', 'multipart/mixed; boundary=b', 'XSM/1.0; properties=crc64'],
]
const texts = [
  '',
  '<?xml version="1.0"?><BlockList><Latest>QUFBQQ==</Latest></BlockList>',
  '<BlockList><Latest>%%%</Latest><Committed/></BlockList>',
  `<BlockList>${'<Latest>QQ==</Latest>'.repeat(300)}</BlockList>`,
  '<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;&b;">]><BlockList><Latest>&d;</Latest></BlockList>',
  `${'<a>'.repeat(3000)}`,
  '<Tags><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tags>',
  '<KeyInfo><Start>2026-01-01T00:00:00Z</Start><Expiry>x</Expiry></KeyInfo>',
  '<SignedIdentifiers><SignedIdentifier><Id>a</Id></SignedIdentifier></SignedIdentifiers>',
  '<StorageServiceProperties><Cors>',
  '{"a":',
  '{"__proto__":{"a":1}}',
  `${'['.repeat(5000)}`,
  '--b\r\nContent-Type: application/http\r\nContent-ID: 0\r\n\r\nDELETE /first/a HTTP/1.1\r\n\r\n--b--\r\n',
  '--b\r\n\r\n--b',
  'x'.repeat(512),
]

/** What a client would send, so that not all requests end at their first header. */
interface Recipe {
  readonly face: 'blob' | 'dfs'
  readonly method: string
  /** The container instead of a path in it. */
  readonly ofContainer?: boolean
  readonly query?: string
  readonly headers?: readonly string[]
  readonly body?: string
}

const container = { ofContainer: true, body: '' }
const recipes: readonly Recipe[] = [
  { face: 'blob', method: 'PUT', headers: ['x-ms-blob-type: BlockBlob'] },
  { face: 'blob', method: 'PUT', headers: ['x-ms-blob-type: BlockBlob'], body: 'content' },
  { face: 'blob', method: 'PUT', headers: ['x-ms-blob-type: AppendBlob'], body: '' },
  {
    face: 'blob',
    method: 'PUT',
    headers: ['x-ms-blob-type: PageBlob', 'x-ms-blob-content-length: 1024'],
    body: '',
  },
  { face: 'blob', method: 'PUT', query: 'comp=block&blockid=QUFBQQ==', body: 'block' },
  {
    face: 'blob',
    method: 'PUT',
    query: 'comp=blocklist',
    body: '<BlockList><Latest>QUFBQQ==</Latest></BlockList>',
  },
  { face: 'blob', method: 'PUT', query: 'comp=appendblock', body: 'appended' },
  { face: 'blob', method: 'PUT', query: 'comp=metadata', headers: ['x-ms-meta-k: v'], body: '' },
  { face: 'blob', method: 'PUT', query: 'comp=snapshot', body: '' },
  {
    face: 'blob',
    method: 'PUT',
    query: 'comp=lease',
    headers: ['x-ms-lease-action: acquire', 'x-ms-lease-duration: 15'],
    body: '',
  },
  {
    face: 'blob',
    method: 'PUT',
    query: 'comp=lease',
    headers: ['x-ms-lease-action: break', 'x-ms-lease-break-period: 0'],
    body: '',
  },
  { face: 'blob', method: 'GET', body: '' },
  { face: 'blob', method: 'GET', headers: ['x-ms-range: bytes=1-3'], body: '' },
  { face: 'blob', method: 'HEAD', body: '' },
  { face: 'blob', method: 'DELETE', headers: ['x-ms-delete-snapshots: include'], body: '' },
  { face: 'blob', method: 'GET', query: 'restype=container&comp=list', ...container },
  { face: 'blob', method: 'GET', query: 'restype=container', ...container },
  { face: 'blob', method: 'PUT', query: 'restype=container', ...container },
  { face: 'dfs', method: 'PUT', query: 'resource=file', body: '' },
  { face: 'dfs', method: 'PUT', query: 'resource=directory', body: '' },
  { face: 'dfs', method: 'PATCH', query: 'action=append&position=0', body: 'appended' },
  { face: 'dfs', method: 'PATCH', query: 'action=flush&position=8', body: '' },
  {
    face: 'dfs',
    method: 'PUT',
    query: 'mode=legacy',
    headers: ['x-ms-rename-source: /files/dir'],
    body: '',
  },
  {
    face: 'dfs',
    method: 'PATCH',
    query: 'action=setAccessControl',
    headers: ['x-ms-permissions: 0751'],
    body: '',
  },
  {
    face: 'dfs',
    method: 'PATCH',
    query: 'action=setAccessControlRecursive&mode=modify&maxRecords=2',
    headers: ['x-ms-acl: user:a:r-x'],
    body: '',
  },
  { face: 'dfs', method: 'HEAD', query: 'action=getAccessControl', body: '' },
  { face: 'dfs', method: 'DELETE', query: 'recursive=true', body: '' },
  { face: 'dfs', method: 'GET', query: 'resource=filesystem&recursive=true', ...container },
]

function sized(text: string): Body {
  const bytes = Buffer.from(text)
  return { bytes, headers: [`Content-Length: ${bytes.length}`] }
}

interface Body {
  readonly bytes: Buffer
  readonly headers: readonly string[]
}

function randomBody(random: () => number, pick: Pick): Body {
  const kind = random()
  if (kind < 0.4) return { bytes: Buffer.alloc(0), headers: ['Content-Length: 0'] }
  const bytes = kind < 0.85 ? Buffer.from(pick(texts)) : noise(random, Math.floor(random() * 700))
  if (random() < 0.75) return { bytes, headers: [`Content-Length: ${bytes.length}`] }
  const head = Buffer.from(`${bytes.length.toString(16)}\r\n`)
  const whole = bytes.length === 0 ? [] : [head, bytes, Buffer.from('\r\n')]
  const end = Buffer.from(pick(['0\r\n\r\n', '0\r\n\r\n', 'zz\r\n', '', 'ffffffffff\r\nx']))
  return { bytes: Buffer.concat([...whole, end]), headers: ['Transfer-Encoding: chunked'] }
}

interface Parts {
  readonly pick: Pick
  readonly chance: Chance
  readonly options: FuzzOptions
  readonly recipe: Recipe | undefined
  readonly account: string
}

function randomHeaders(parts: Parts & { readonly body: Body }): readonly string[] {
  const { pick, chance, options, recipe, body } = parts
  const headers = [...body.headers, ...(recipe?.headers ?? [])]
  if (!chance(0.01)) headers.push('Connection: close')
  if (chance(0.9)) headers.push('x-ms-version: 2023-11-03')
  if (recipe === undefined) {
    if (chance(0.4))
      headers.push(`x-ms-blob-type: ${pick(['BlockBlob', 'AppendBlob', 'PageBlob'])}`)
    if (chance(0.2)) headers.push(`x-ms-rename-source: /${pick(options.containers)}/${pick(names)}`)
  }
  if (chance(0.1)) headers.push(`Authorization: ${pick([...options.bearers, ...junkProofs])}`)
  while (chance(recipe === undefined ? 0.5 : 0.25)) {
    headers.push(`${pick(headerNames)}: ${pick(headerValues)}`)
  }
  if (chance(0.01)) {
    for (let index = 0; index < 200; index++)
      headers.push(`x-ms-meta-k${index}: ${'v'.repeat(300)}`)
  }
  return headers
}

const junkProofs = [
  ...['SharedKey a:b', 'SharedKey', 'Bearer', 'Bearer a.b.c', 'Basic eDp5', 'Bearer eyJ.e30.'],
]

function randomPath({ pick, chance, options, recipe }: Parts): string {
  if (chance(0.04)) return pick(['', '/', '//', '/?', '/%', '/..', '/$logs/x', '/UPPER/x', '/a'])
  const container = `/${chance(0.7) ? options.containers[0] : pick(options.containers)}`
  if (recipe?.ofContainer === true || chance(0.08)) return container
  if (chance(0.04)) return `${container}/${pick([...longNames, ...deep])}`
  // Few names, so that requests meet.
  return `${container}/${pick(chance(0.6) ? names.slice(0, 6) : names)}`
}

function randomQuery({ pick, chance, options, recipe, account }: Parts): string {
  const signature = chance(0.9)
    ? options.signatures[account]
    : pick(Object.values(options.signatures))
  const parts = chance(0.9) ? [signature] : []
  if (recipe?.query !== undefined) parts.push(recipe.query)
  else if (recipe === undefined && chance(0.8)) parts.push(pick(queries))
  while (chance(recipe === undefined ? 0.4 : 0.15)) {
    parts.push(chance(0.4) ? pick(queries) : `${pick(queryNames)}=${pick(values)}`)
  }
  return parts.length === 0 ? '' : `?${parts.join('&')}`
}

interface BreakParts {
  readonly chance: Chance
  readonly random: () => number
}

/** Nine in ten as they are; the others cut short, with bytes changed, or with garbage behind. */
function broken(request: Buffer, { chance, random }: BreakParts): Buffer {
  if (!chance(0.1)) return request
  const at = Math.floor(random() * request.length)
  if (chance(0.5)) return request.subarray(0, at)
  if (chance(0.3)) return Buffer.concat([request, noise(random, 40)])
  const changed = Buffer.from(request)
  changed[at] = Math.floor(random() * 256)
  return changed
}

function noise(random: () => number, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)))
}
