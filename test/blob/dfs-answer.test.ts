import t from 'tap'
import { DfsStore } from '../../src/blob/dfs-store.ts'
import { FileSystemError } from '../../src/errors.ts'
import type { HttpRequest, HttpResponse } from '../../src/http/handler.ts'
import { FakeClock } from '../support/fake-clock.ts'

const at = (name: string) => ({ container: 'box', name })

/** A store whose service answers as `answer` says. */
function answering(
  answer: (request: HttpRequest) => Partial<HttpResponse>,
  clock = new FakeClock(),
) {
  return new DfsStore({
    account: 'acct',
    clock,
    dfsEndpoint: new URL('https://acct.dfs.core.windows.net'),
    blobEndpoint: new URL('https://acct.blob.core.windows.net'),
    http: async (request) => {
      return { status: 200, headers: {}, body: new Uint8Array(0), ...answer(request) }
    },
  })
}

void t.test('a page is read in the spellings that Azure has', async (t) => {
  const path = {
    name: 'dir/file',
    contentLength: '5',
    etag: '0x8D1',
    lastModified: 'Thu, 01 Jan 2026 00:00:00 GMT',
    // Ticks of 100 ns since 1601.
    creationTime: String((BigInt(Date.UTC(2025, 11, 31)) + 11_644_473_600_000n) * 10_000n),
    expiryTime: '0',
    owner: '$superuser',
    group: '$superuser',
    permissions: 'rw-r-----+',
  }
  const body = Buffer.from(JSON.stringify({ paths: [path, { name: 'dir', isDirectory: 'true' }] }))
  const headers = { 'x-ms-continuation': 'next' }

  const page = await answering(() => ({ body, headers })).listPaths(at(''))

  t.equal(page.continuation, 'next')
  t.match(page.paths, [
    {
      name: 'dir/file',
      isDirectory: false,
      sizeBytes: 5,
      etag: '"0x8D1"',
      lastModifiedMs: Date.UTC(2026, 0, 1),
      createdMs: Date.UTC(2025, 11, 31),
      expiresMs: undefined,
      permissions: 'rw-r-----+',
    },
    { name: 'dir', isDirectory: true, sizeBytes: 0 },
  ])
})

void t.test('a page that is none is EIO and says so', async (t) => {
  for (const text of [
    '',
    'null',
    '[]',
    '{}',
    '{"paths":{}}',
    '{"paths":[null]}',
    '{"paths":[{}]}',
    '{"paths":[{"name":"a","contentLength":"-1"}]}',
    '{"paths":[{"name":"a","contentLength":"x"}]}',
    '{"paths":[{"name":"a"',
  ]) {
    const store = answering(() => ({ body: Buffer.from(text) }))
    await t.rejects(store.listPaths(at('dir')), {
      code: 'EIO',
      path: 'abfs://box/dir',
      message: /cannot be read/,
    })
  }
})

void t.test('a code in a JSON body makes the error', async (t) => {
  const body = Buffer.from('{"error":{"code":"PathConflict","message":"…"}}')
  const store = answering(() => ({ status: 409, body }))

  await t.rejects(store.createDirectory(at('file/dir')), {
    code: 'ENOTDIR',
    serviceCode: 'PathConflict',
  })
})

void t.test('a rename whose answer was lost is looked at, not repeated', async (t) => {
  const sent: string[] = []
  const store = answering(({ method, url }) => {
    sent.push(`${method} ${url.pathname}`)
    if (method === 'PUT') throw new FileSystemError('EIO', 'path.rename', { retryable: true })
    return url.pathname === '/box/old' ? { status: 404 } : {}
  })

  await store.rename(at('old'), at('new'))

  t.same(sent, ['PUT /box/new', 'HEAD /box/old', 'HEAD /box/new'])
})

void t.test('a rename that was not carried out is sent again', async (t) => {
  const clock = new FakeClock()
  let attempts = 0
  const store = answering(({ method, url }) => {
    if (method === 'PUT') return ++attempts === 1 ? { status: 503 } : { status: 201 }
    return url.pathname === '/box/new' ? { status: 404 } : {}
  }, clock)

  const renamed = store.rename(at('old'), at('new'))
  while (clock.sleeping === 0) await new Promise(setImmediate)
  await clock.advance(1000)
  await renamed

  t.equal(attempts, 2)
})
