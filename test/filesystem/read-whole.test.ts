import t, { type Test } from 'tap'
import { AzureBlobStore } from '../../src/blob/azure-store.ts'
import { KiB } from '../../src/byte-range.ts'
import { authorize } from '../../src/credential/authorize.ts'
import { scopeFor } from '../../src/credential/endpoints.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { keySignatures } from '../../src/given-credential.ts'
import { intercept } from '../../src/http/handler.ts'
import { socketHandler } from '../../src/http/socket-handler.ts'
import { startBlobServer } from '../support/blob-server.ts'
import { patternOf } from '../support/pattern.ts'
import { accountKeys, accountName } from '../support/storage-request.ts'

const blockBytes = 64 * KiB

/** A file system on our server, which refuses a range of an empty blob as Azure does; its requests are noted. */
async function setUp(t: Test) {
  const server = await startBlobServer(t)
  const { clock } = server
  const endpoint = new URL(server.endpoint)
  const sockets = socketHandler({})
  t.teardown(() => sockets.close())
  const permissions = ['read', 'list', 'create', 'write', 'delete'] as const
  const endpoints = { account: accountName, blob: endpoint }
  const provider = keySignatures(accountName, accountKeys[0], clock)
  const asked: string[] = []
  const http = intercept(
    sockets.handle,
    authorize({ provider, scopeOf: ({ url }) => scopeFor(url, endpoints, { permissions }) }),
    (next) => (request) => {
      asked.push(`${request.method} ${request.headers['x-ms-range'] ?? ''}`.trim())
      return next(request)
    },
  )
  const store = new AzureBlobStore({ account: accountName, endpoint, http })
  const fs = new AzureBlobFileSystem({ store, blockBytes, clock })
  const count = async <T>(work: () => Promise<T>) => {
    const before = asked.length
    return { result: await work(), requests: asked.slice(before) }
  }
  return { fs, store, server, count }
}

t.test('a file of unknown size is read by one request, be it empty or up to a block', async (t) => {
  const { store, server, count } = await setUp(t)
  for (const size of [0, 1, blockBytes - 1, blockBytes]) {
    const data = patternOf(size)
    await store.put({ container: 'first', name: `f-${size}` }, data)
    const fs = new AzureBlobFileSystem({ store, blockBytes, clock: server.clock })

    const { result, requests } = await count(() => fs.catFile(`first/f-${size}`))

    t.strictSame(requests, ['GET'], `${size} bytes`)
    t.ok(Buffer.from(data).equals(result), `${size} bytes`)
  }
})

t.test('of a longer one the first request is given up once it brought a block', async (t) => {
  const { fs, store, count } = await setUp(t)
  const data = patternOf(40 * blockBytes + 17)
  await store.put({ container: 'first', name: 'long' }, data)

  const { result, requests } = await count(() => fs.catFile('first/long'))

  t.ok(Buffer.from(data).equals(result))
  t.equal(requests[0], 'GET')
  t.ok(
    requests.slice(1).every((request) => request.startsWith('GET bytes=')),
    'the rest is asked for by ranges',
  )
  const again = await count(() => fs.catFile('first/long', { start: 5, end: 9 }))
  t.strictSame(again.requests, ['GET bytes=5-8'])
})

t.test('an empty file that is changed is read by one request too', async (t) => {
  const { fs, store, count } = await setUp(t)
  await store.put({ container: 'first', name: 'empty' }, new Uint8Array(0))

  const { requests } = await count(() => fs.update('first/empty', () => Buffer.from('text')))

  t.strictSame(requests, ['GET', 'HEAD', 'PUT'])
  t.equal(await fs.readText('first/empty'), 'text')
})

t.test('an empty blob that stands for a directory is none that can be read', async (t) => {
  const { fs, store } = await setUp(t)
  const metadata = { hdi_isfolder: 'true' }
  await store.put({ container: 'first', name: 'd' }, new Uint8Array(0), { metadata })

  await t.rejects(fs.catFile('first/d'), { code: 'EISDIR', path: 'abfs://first/d' })
  await t.rejects(fs.catFile('first/none'), { code: 'ENOENT' })
})

t.test('what is aborted ends with the reason, before and while it is read', async (t) => {
  const { fs, store } = await setUp(t)
  await store.put({ container: 'first', name: 'long' }, patternOf(40 * blockBytes))
  const reason = new Error('enough')

  await t.rejects(fs.catFile('first/long', { signal: AbortSignal.abort(reason) }), reason)
  const controller = new AbortController()
  const reading = fs.catFile('first/long', { signal: controller.signal })
  setImmediate(() => controller.abort(reason))
  await t.rejects(reading, reason)
})
