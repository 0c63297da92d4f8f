import { createHmac } from 'node:crypto'
import { BlobServiceClient, StorageSharedKeyCredential } from '@azure/storage-blob'
import {
  StorageSharedKeyCredential as DataLakeKey,
  DataLakeServiceClient,
} from '@azure/storage-file-datalake'
import t from 'tap'
import { createAccessControl } from '../../src/storage-server/access/create-access-control.ts'
import { verifySharedKey } from '../../src/storage-server/access/shared-key.ts'
import type { StorageRequest } from '../../src/storage-server/wire/request.ts'
import { FakeClock } from '../support/fake-clock.ts'
import {
  accountKeys,
  accountName,
  type CaptureOptions,
  captureRequest,
  refusalOf,
  storageRequest,
  testAccount,
} from '../support/storage-request.ts'

// Clients sign the system's time.
const clock = new FakeClock(Date.now())
const account = testAccount(clock)
const endpoints = {
  'host-style': {
    blob: `https://${accountName}.blob.localhost`,
    dfs: `https://${accountName}.dfs.localhost`,
  },
  'path-style': {
    blob: `https://127.0.0.1:1/${accountName}`,
    dfs: `https://127.0.0.1:1/${accountName}`,
  },
}

function blobClient(endpoint: string, options: CaptureOptions, key = accountKeys[0]) {
  return new BlobServiceClient(endpoint, new StorageSharedKeyCredential(accountName, key), options)
}

function dfsClient(endpoint: string, options: CaptureOptions) {
  return new DataLakeServiceClient(endpoint, new DataLakeKey(accountName, accountKeys[0]), options)
}

const calls: Record<string, (blob: string, dfs: string) => Promise<StorageRequest>> = {
  'a list of containers with a prefix': (blob) =>
    captureRequest((options) =>
      blobClient(blob, options).listContainers({ prefix: 'a b&c=d' }).next(),
    ),
  'a list of blobs below a name with spaces and umlauts': (blob) =>
    captureRequest((options) =>
      blobClient(blob, options)
        .getContainerClient('box')
        .listBlobsFlat({ prefix: 'ä ö+ü/%25', includeMetadata: true, includeTags: true })
        .next(),
    ),
  'an upload with metadata, tags and conditions': (blob) =>
    captureRequest((options) =>
      blobClient(blob, options)
        .getContainerClient('box')
        .getBlockBlobClient('dir/ü name+%41.txt')
        .upload('hello', 5, {
          metadata: { hdi_isfolder: 'true', b_1: '2', a1: ' spaced ', a: 'x' },
          tags: { one: 'two three' },
          conditions: { ifNoneMatch: '*' },
          blobHTTPHeaders: { blobContentType: 'text/plain', blobContentLanguage: 'de' },
        }),
    ),
  'an empty upload': (blob) =>
    captureRequest((options) =>
      blobClient(blob, options).getContainerClient('box').getBlockBlobClient('empty').upload('', 0),
    ),
  'a ranged read': (blob) =>
    captureRequest((options) =>
      blobClient(blob, options).getContainerClient('box').getBlobClient('b').download(5, 10),
    ),
  'a list of paths': (_blob, dfs) =>
    captureRequest((options) =>
      dfsClient(dfs, options)
        .getFileSystemClient('box')
        .listPaths({ path: 'a/b c', recursive: true })
        .next(),
    ),
  'a rename': (_blob, dfs) =>
    captureRequest((options) =>
      dfsClient(dfs, options).getFileSystemClient('box').getFileClient('a b').move('c d'),
    ),
  'a new access control list': (_blob, dfs) =>
    captureRequest((options) =>
      dfsClient(dfs, options)
        .getFileSystemClient('box')
        .getDirectoryClient('a')
        .setPermissions({
          owner: { read: true, write: true, execute: true },
          group: { read: true, write: false, execute: true },
          other: { read: false, write: false, execute: false },
          stickyBit: true,
          extendedAcls: false,
        }),
    ),
}

for (const [style, { blob, dfs }] of Object.entries(endpoints)) {
  for (const [name, call] of Object.entries(calls)) {
    t.test(`${name} signed by Azure’s client is accepted, ${style}`, async (t) => {
      const request = await call(blob, dfs)

      t.same(await createAccessControl().authenticate(request, account), { kind: 'sharedKey' })
    })
  }
}

t.test('the second key signs as well as the first', async (t) => {
  const request = await captureRequest((options) =>
    blobClient(endpoints['host-style'].blob, options, accountKeys[1]).getProperties(),
  )

  t.same(verifySharedKey(request, account), { kind: 'sharedKey' })
})

t.test('a key that is not the account’s is refused and the server’s string is shown', async (t) => {
  const key = Buffer.from('another').toString('base64')
  const request = await captureRequest((options) =>
    blobClient(endpoints['host-style'].blob, options, key).getProperties(),
  )

  const refusal = await refusalOf(() => verifySharedKey(request, account))

  t.match(refusal, { status: 403, code: 'AuthenticationFailed', detail: /String to sign used was/ })
  t.notMatch(refusal?.detail, request.headers['authorization']?.split(':')[1])
})

t.test('any change of what is signed is refused', async (t) => {
  const upload = calls['an upload with metadata, tags and conditions']
  const request = await upload?.(endpoints['host-style'].blob, '')
  if (request === undefined) throw new Error('no request')
  const signed = Object.keys(request.headers).filter(
    (name) =>
      name.startsWith('x-ms-') ||
      ['content-length', 'content-type', 'if-none-match'].includes(name),
  )
  t.ok(signed.length > 8)
  for (const name of signed) {
    const headers = { ...request.headers, [name]: `${request.headers[name]}1` }
    const changed = { ...request, headers }
    t.match(await refusalOf(() => verifySharedKey(changed, account)), { status: 403 }, name)
  }
  for (const changed of [
    { ...request, method: 'GET' },
    { ...request, rawPath: `${request.rawPath}x` },
    { ...request, query: new Map([['comp', 'block']]) },
    { ...request, headers: { ...request.headers, 'x-ms-lease-id': 'another' } },
    { ...request, headers: { ...request.headers, range: 'bytes=0-1' } },
  ]) {
    t.match(await refusalOf(() => verifySharedKey(changed, account)), { status: 403 })
  }
})

t.test('a signature of Shared Key Lite is accepted', async (t) => {
  const date = new Date(clock.nowMs()).toUTCString()
  const text = [
    'PUT',
    '',
    'text/plain',
    '',
    `x-ms-date:${date}`,
    'x-ms-version:2024-11-04',
    `/${accountName}/box/a%20b?comp=block`,
  ]
  const signature = hmac(text.join('\n'))
  const headers = {
    'content-type': 'text/plain',
    'x-ms-date': date,
    authorization: `SharedKeyLite ${accountName}:${signature}`,
  }
  const url = `https://${accountName}.blob.localhost/box/a%20b?comp=block&blockid=AA`

  const request = storageRequest(url, { method: 'PUT', headers })

  t.same(verifySharedKey(request, account), { kind: 'sharedKey' })
})

t.test('refusals of Shared Key', async (t) => {
  const request = await captureRequest((options) =>
    blobClient(endpoints['host-style'].blob, options).getProperties(),
  )
  const authorization = request.headers['authorization'] ?? ''
  const withHeaders = (headers: Record<string, string | undefined>): StorageRequest => ({
    ...request,
    headers: { ...request.headers, ...headers },
  })
  const late = testAccount(new FakeClock(clock.nowMs() + 16 * 60_000))
  const locked = testAccount(clock, { allowSharedKey: false })
  const table = [
    ['an hour late', request, late, 403, 'AuthenticationFailed', /too old/],
    [
      'no date',
      withHeaders({ 'x-ms-date': undefined }),
      account,
      403,
      'AuthenticationFailed',
      /missing/,
    ],
    [
      'no real date',
      withHeaders({ 'x-ms-date': 'x' }),
      account,
      403,
      'AuthenticationFailed',
      /not a date/,
    ],
    ['keys forbidden', request, locked, 403, 'KeyBasedAuthenticationNotPermitted', ''],
    [
      'another account',
      withHeaders({ authorization: authorization.replace(accountName, 'other') }),
      account,
      403,
      'AuthenticationFailed',
      /account/,
    ],
    [
      'no signature',
      withHeaders({ authorization: 'SharedKey abfstest' }),
      account,
      400,
      'InvalidAuthenticationInfo',
      /expected/,
    ],
    [
      'another scheme',
      withHeaders({ authorization: 'Basic YTpi' }),
      account,
      400,
      'InvalidAuthenticationInfo',
      /scheme/,
    ],
    [
      'the wrong scheme',
      withHeaders({ authorization: authorization.replace('SharedKey', 'SharedKeyLite') }),
      account,
      403,
      'AuthenticationFailed',
      /Signature/,
    ],
  ] as const
  for (const [name, refused, on, status, code, detail] of table) {
    const refusal = await refusalOf(() => createAccessControl().authenticate(refused, on))
    t.match(refusal, { status, code, detail }, name)
  }
})

t.test(
  'what is shown of a wrongly signed request holds no signature of a copy’s source',
  async (t) => {
    const headers = {
      authorization: `SharedKey ${accountName}:AAAA`,
      'x-ms-date': new Date(clock.nowMs()).toUTCString(),
      'x-ms-copy-source': 'https://a/b?sig=SECRET1&se=1',
      'x-ms-copy-source-authorization': 'Bearer SECRET2',
      'x-ms-encryption-key': 'SECRET3',
    }
    const request = storageRequest(`https://${accountName}.blob.localhost/box/b`, {
      method: 'PUT',
      headers,
    })

    const refusal = await refusalOf(() => verifySharedKey(request, account))

    t.match(refusal?.detail, /x-ms-copy-source:/)
    t.notMatch(refusal?.detail, /SECRET/)
  },
)

function hmac(text: string): string {
  return createHmac('sha256', Buffer.from(accountKeys[0], 'base64')).update(text).digest('base64')
}
