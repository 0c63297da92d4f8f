import t, { type Test } from 'tap'
import { AzureBlobStore } from '../../src/blob/azure-store.ts'
import { idOfMs, type Moment } from '../../src/blob/past-names.ts'
import { PastBlobStore } from '../../src/blob/past-store.ts'
import { type BlobStore, listAll } from '../../src/blob/store.ts'
import { authorize } from '../../src/credential/authorize.ts'
import { scopeFor } from '../../src/credential/endpoints.ts'
import { keySignatures } from '../../src/given-credential.ts'
import { intercept } from '../../src/http/handler.ts'
import { socketHandler } from '../../src/http/socket-handler.ts'
import { Namespace } from '../../src/namespace/namespace.ts'
import { startBlobServer } from '../support/blob-server.ts'
import { accountKeys, accountName } from '../support/storage-request.ts'

const container = 'first'

/** An account on our server, and what a container of it was. */
async function history(t: Test, settings: { readonly versioning: boolean }) {
  const server = await startBlobServer(t, settings)
  const { clock } = server
  const endpoint = new URL(server.endpoint)
  const sockets = socketHandler({})
  t.teardown(() => sockets.close())
  const endpoints = { account: accountName, blob: endpoint }
  const permissions = ['read', 'list', 'create', 'write', 'delete'] as const
  const provider = keySignatures(accountName, accountKeys[0], clock)
  let requests = 0
  const http = intercept(
    sockets.handle,
    authorize({ provider, scopeOf: ({ url }) => scopeFor(url, endpoints, { permissions }) }),
    (next) => (request) => {
      requests += 1
      return next(request)
    },
  )
  const store = new AzureBlobStore({ account: accountName, endpoint, http })
  const put = (name: string, text: string, metadata = {}) =>
    store.put({ container, name }, Buffer.from(text), { metadata })
  /** The time between what was before and what comes. */
  const now = async (): Promise<string> => {
    await clock.advance(2000)
    const at = idOfMs(clock.nowMs())
    await clock.advance(2000)
    return at
  }
  const past = (at: string, of: Moment['of'] = 'versions', name = '') =>
    new PastBlobStore({ store, moment: { of, at }, root: { container, name } })
  return { ...server, store, put, now, past, requests: () => requests }
}

async function textOf(store: BlobStore, name: string): Promise<string> {
  return String(Buffer.from((await store.get({ container, name })).data))
}

async function namesIn(store: BlobStore, prefix = '', delimiter?: '/'): Promise<string[]> {
  const names: string[] = []
  const options = { delimiter, maxResults: 2 }
  for await (const { name } of listAll(store, { container, name: prefix }, options))
    names.push(name)
  return names
}

t.test('shows for each name the version that was current', async (t) => {
  const { put, now, past, store } = await history(t, { versioning: true })
  await put('a', 'one')
  await put('dir/b', 'first', { mode: '0100640' })
  const before = await now()
  await put('a', 'two, longer')
  await put('dir/new', 'new')
  await store.delete({ container, name: 'dir/b' })
  const after = await now()

  t.strictSame(await namesIn(past(before)), ['a', 'dir/b'])
  t.equal(await textOf(past(before), 'a'), 'one')
  t.equal(await textOf(past(before), 'dir/b'), 'first')
  t.match(await past(before).head({ container, name: 'dir/b' }), {
    sizeBytes: 5,
    metadata: { mode: '0100640' },
  })
  t.equal(await textOf(past(after), 'a'), 'two, longer')
  t.strictSame(await namesIn(past(after), 'dir/', '/'), ['dir/b', 'dir/new'])
  await t.rejects(past(before).head({ container, name: 'dir/new' }), { code: 'ENOENT' })
})

t.test('a version that is read keeps to its etag, and asks once for all names', async (t) => {
  const { put, now, past, requests } = await history(t, { versioning: true })
  for (const name of ['x', 'x-y', 'x/1', 'x/2/3', 'x0', 'ü']) await put(name, name)
  const at = await now()
  const store = past(at)
  const before = requests()

  t.strictSame(await namesIn(store, '', '/'), ['x', 'x-y', 'x/', 'x0', 'ü'])
  t.strictSame(await namesIn(store, 'x/', '/'), ['x/1', 'x/2/'])
  t.strictSame(await namesIn(store), ['x', 'x-y', 'x/1', 'x/2/3', 'x0', 'ü'])
  const { etag } = await store.head({ container, name: 'x' })
  t.equal(requests(), before + 1)
  const path = { container, name: 'x' }
  t.equal((await store.get(path, { ifMatch: etag })).data.length, 1)
  await t.rejects(store.get(path, { ifMatch: '"another"' }), { code: 'ESTALE' })
})

t.test('is a tree to the namespace, and refuses every change', async (t) => {
  const { put, now, past } = await history(t, { versioning: true })
  await put('dir/sub/f', 'f')
  const store = past(await now(), 'versions', 'dir')
  const namespace = new Namespace({ store })

  const found = await namespace.list({ container, name: 'dir' })

  t.match(found, [{ name: 'dir/sub', type: 'directory' }])
  t.match(await namespace.stat({ container, name: 'dir/sub/f' }), { type: 'file', sizeBytes: 1 })
  const path = { container, name: 'dir/sub/f' }
  await t.rejects(store.put(path), { code: 'EROFS' })
  await t.rejects(store.delete(path), { code: 'EROFS' })
  await t.rejects(namespace.removeFile(path), { code: 'EROFS' })
})

t.test(
  'what was there before versions were kept is what it is, if it was not changed',
  async (t) => {
    const { put, now, past, account } = await history(t, { versioning: false })
    await put('old', 'old')
    const before = await now()
    account.changeSettings({ versioning: true })
    await put('young', 'young')

    t.strictSame(await namesIn(past(before)), ['old'])
    t.equal(await textOf(past(before), 'old'), 'old')
  },
)

t.test('without versions the past is not known, which is told', async (t) => {
  const { put, now, past } = await history(t, { versioning: false })
  const empty = await now()
  t.strictSame(await namesIn(past(empty)), [])
  await put('f', 'text')

  await t.rejects(namesIn(past(await now())), {
    code: 'ENOTSUP',
    message: /the account keeps no versions/,
  })
})

t.test('shows the last snapshots that were taken by then', async (t) => {
  const { put, now, past, container: client } = await history(t, { versioning: false })
  await put('f', 'one')
  await put('never', 'taken')
  const none = await now()
  const { snapshot = '' } = await client.getBlobClient('f').createSnapshot()
  await put('f', 'two')
  const between = await now()
  await client.getBlobClient('f').createSnapshot()
  await put('f', 'three')

  t.strictSame(await namesIn(past(between, 'snapshots')), ['f'])
  t.equal(await textOf(past(between, 'snapshots'), 'f'), 'one')
  t.equal(await textOf(past(snapshot, 'snapshots'), 'f'), 'one')
  t.equal(await textOf(past(await now(), 'snapshots'), 'f'), 'two')
  await t.rejects(namesIn(past(none, 'snapshots')), {
    code: 'EINVAL',
    message: /no blob there has/,
  })
})
