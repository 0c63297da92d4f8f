import {
  AccountSASPermissions,
  AccountSASResourceTypes,
  AccountSASServices,
  generateAccountSASQueryParameters,
  StorageSharedKeyCredential,
} from '@azure/storage-blob'
import t, { type Test } from 'tap'
import type { AzureBlobStore } from '../../src/blob/azure-store.ts'
import { nextTurn, systemClock } from '../../src/clock.ts'
import { mapConcurrent } from '../../src/concurrency.ts'
import {
  bearerCredential,
  type Credential,
  sasCredential,
} from '../../src/credential/credential.ts'
import { isFileSystemError } from '../../src/errors.ts'
import { type Sandbox, startSandbox } from '../../src/sandbox/sandbox.ts'
import { type HttpEvent, httpChannel } from '../../src/telemetry.ts'
import { azureStore } from '../support/azure-store.ts'
import {
  answer,
  azureError,
  hangUp,
  type Step,
  silence,
  startFaultServer,
} from '../support/fault-server.ts'
import { ScriptedProvider, testBearer } from '../support/scripted-provider.ts'
import { unsignedToken } from '../support/unsigned-token.ts'

const container = 'box'
const names = ['plain', 'with space', '100%', 'a+b&c=d?e#f', 'dir/child', 'žluť/日本', "it's(1)"]

function signatureOf({ account, accountKey }: Sandbox, nowMs: number): Credential {
  const values = {
    permissions: AccountSASPermissions.parse('rwdlac'),
    resourceTypes: AccountSASResourceTypes.parse('sco').toString(),
    services: AccountSASServices.parse('b').toString(),
    startsOn: new Date(nowMs - 60_000),
    expiresOn: new Date(nowMs + 600_000),
  }
  const key = new StorageSharedKeyCredential(account, accountKey)
  const query = generateAccountSASQueryParameters(values, key).toString()
  return sasCredential(query, nowMs + 600_000)
}

/** The operations of what goes over the wire during `work`. */
async function operationsOf(work: () => Promise<unknown>): Promise<string[]> {
  const operations: string[] = []
  const note = (event: unknown) => void operations.push((event as HttpEvent).operation)
  httpChannel.subscribe(note)
  try {
    await work()
  } finally {
    httpChannel.unsubscribe(note)
  }
  return operations
}

function codesOf(outcomes: readonly unknown[] | undefined): unknown[] {
  return (outcomes ?? []).map((error) => (isFileSystemError(error) ? error.code : error))
}

/** A token of the sandbox's managed identity, or one that Azurite takes. */
async function tokenOf(sandbox: Sandbox, nowMs: number): Promise<Credential> {
  if (sandbox.engine === 'azurite') return unsignedToken(sandbox.account, nowMs)
  const url = new URL(sandbox.identityEndpoint)
  url.search = 'api-version=2019-08-01&resource=https://storage.azure.com/'
  const headers = { 'x-identity-header': sandbox.identityHeader }
  const answered = (await (await fetch(url, { headers })).json()) as { access_token: string }
  return bearerCredential(answered.access_token, nowMs + 600_000)
}

for (const engine of ['azurite', 'abfs'] as const) {
  t.test(`many deletions on ${engine}`, async (t) => {
    const sandbox = await startSandbox({ containers: [container], engine })
    t.teardown(() => sandbox.close())
    const { account, caPem: ca, blobEndpoint: endpoint } = sandbox
    const nowMs = systemClock.nowMs()
    const stores = [
      { proof: 'a token in each part', credential: await tokenOf(sandbox, nowMs) },
      { proof: "a signature in each part's target", credential: signatureOf(sandbox, nowMs) },
    ].map(({ proof, credential }) => {
      const provider = { getCredential: async () => credential }
      const { store, close } = azureStore({ account, endpoint, provider, ca })
      t.teardown(close)
      return { proof, store, isAzurite: engine === 'azurite', kind: credential.kind }
    })
    for (const { proof, store, ...on } of stores) {
      t.test(`with ${proof}`, (t) => behavesAsDelete(t, store, on))
    }
  })
}

interface Service {
  readonly isAzurite: boolean
  readonly kind: Credential['kind']
}

async function behavesAsDelete(t: Test, store: AzureBlobStore, service: Service): Promise<void> {
  // It has no rule for a batch with an account's signature: 500, and each blob is deleted alone.
  const isRefused = service.isAzurite && service.kind === 'sas'
  // It compares the etag with that of no blob.
  const absent = service.isAzurite ? 'ESTALE' : 'ENOENT'
  t.test('go in one request, whatever the names are', async (t) => {
    for (const name of names) await store.put({ container, name }, Buffer.from(name))
    const deletions = names.map((name) => ({ path: { container, name } }))
    const operations = await operationsOf(async () => {
      t.strictSame(
        codesOf(await store.deleteMany?.(deletions)),
        names.map(() => undefined),
      )
    })
    const alone = [...Array(3).fill('blob.deleteMany'), ...names.map(() => 'blob.delete')]
    t.strictSame(operations, isRefused ? alone : ['blob.deleteMany'])
    t.strictSame((await store.listPage({ container, name: '' })).entries, [])
  })

  t.test('keep their conditions, and each has an answer of its own', async (t) => {
    const at = (name: string) => ({ container, name })
    const { etag } = await store.put(at('kept'), Buffer.from('1'))
    await store.put(at('kept'), Buffer.from('2'))
    const right = await store.put(at('right'), Buffer.from('3'))
    const outcomes = await store.deleteMany?.([
      { path: at('kept'), ifMatch: etag },
      { path: at('absent') },
      { path: at('right'), ifMatch: right.etag },
    ])
    t.strictSame(codesOf(outcomes), ['ESTALE', 'ENOENT', undefined])
    t.match(outcomes?.[0]?.message, /box\/kept/)
    const { entries } = await store.listPage({ container, name: '' })
    t.strictSame(
      entries.map(({ name }) => name),
      ['kept'],
    )
    await store.delete(at('kept'))
  })

  t.test('are as many as 256, each on its condition', async (t) => {
    for (const count of service.isAzurite ? [64, 65] : [64, 65, 256]) {
      const planted = Array.from({ length: count }, (_, index) => ({
        container,
        name: `n${index}`,
      }))
      const deletions = await mapConcurrent(planted, 8, async (path) => {
        const { etag: ifMatch } = await store.put(path, Buffer.from('x'))
        return { path, ifMatch }
      })
      await store.put({ container, name: 'n3' }, Buffer.from('newer'))
      await store.delete({ container, name: 'n5' })
      const operations = await operationsOf(async () => {
        const codes = codesOf(await store.deleteMany?.(deletions))
        t.equal(codes.length, count)
        t.same([codes[3], codes[5]], ['ESTALE', absent])
        t.equal(codes.filter((code) => code === undefined).length, count - 2)
      })
      t.equal(operations.length, isRefused ? count : 1)
      await store.delete({ container, name: 'n3' })
    }
  })

  t.test('say of a container that is gone what single ones say', async (t) => {
    const path = { container: 'no-such-box', name: 'a' }
    const outcomes = await store.deleteMany?.([{ path }, { path }])
    // After a batch that failed, nobody knows who has deleted them.
    const gone = isRefused ? undefined : 'ENOENT'
    t.strictSame(codesOf(outcomes), [gone, gone])
  })
}

const pair = ['a', 'b'].map((name) => ({ path: { container, name } }))

function storeAt(t: Test, url: URL, nowMs = () => 0): AzureBlobStore {
  const provider = new ScriptedProvider()
  provider.answer = (): Credential => testBearer(`token-${provider.calls.length}`, 3_600_000)
  const { store, close } = azureStore({
    account: 'acc',
    endpoint: new URL('/acc', url),
    provider,
    clock: { nowMs, sleep: async () => {} },
    maxAttempts: 2,
  })
  t.teardown(close)
  return store
}

function batchOf(...parts: readonly string[]): Step {
  const text = parts.map((part) => `--b\r\nContent-Type: application/http\r\n${part}`).join('')
  const type = { 'content-type': 'multipart/mixed; boundary=b' }
  return answer(202, `${text}--b--\r\n`, type)
}

const partOf = (id: number, status: string) =>
  `Content-ID: ${id}\r\n\r\nHTTP/1.1 ${status}\r\nx-ms-request-id: r\r\n\r\n`

const okay = (id: number) => partOf(id, '202 Accepted')

for (const [status, code] of [
  [400, 'InvalidInput'],
  [403, 'AuthorizationPermissionMismatch'],
  [405, 'UnsupportedHttpVerb'],
  [501, 'NotImplemented'],
] as const) {
  t.test(`a service that refuses batches with ${status} is not asked again`, async (t) => {
    const done = answer(202, '')
    const server = await startFaultServer(t, azureError(status, code), done, done, done, done)
    const store = storeAt(t, server.url)
    t.strictSame(codesOf(await store.deleteMany?.(pair)), [undefined, undefined])
    t.strictSame(codesOf(await store.deleteMany?.(pair)), [undefined, undefined])
    const methods = server.seen.map(({ method }) => method)
    t.strictSame(methods, ['POST', 'DELETE', 'DELETE', 'DELETE', 'DELETE'])
  })
}

for (const failure of [azureError(500, 'InternalError'), azureError(503, 'ServerBusy'), hangUp]) {
  t.test('a batch that fails again and again is left alone for a minute', async (t) => {
    const done = answer(202, '')
    const script = [failure, failure, done, done, done, done, batchOf(okay(0), okay(1))]
    const server = await startFaultServer(t, ...script)
    let nowMs = 0
    const store = storeAt(t, server.url, () => nowMs)
    const isDone = async () =>
      t.strictSame(codesOf(await store.deleteMany?.(pair)), [undefined, undefined])
    await isDone()
    nowMs = 59_000
    await isDone()
    nowMs = 61_000
    await isDone()
    const methods = server.seen.map(({ method }) => method[0]).join('')
    t.equal(methods, 'PPDDDDP')
  })
}

t.test('of a service that is away one deletion is tried for all', async (t) => {
  const server = await startFaultServer(t, azureError(503, 'ServerBusy'))
  const outcomes = (await storeAt(t, server.url).deleteMany?.(pair)) ?? []
  t.strictSame(codesOf(outcomes), ['EIO', 'EIO'])
  t.match(outcomes[0]?.message, /box\/a/)
  t.match(outcomes[1], {
    message: /box\/a alone.*box\/b/,
    retryable: true,
    serviceCode: 'ServerBusy',
  })
  t.equal(server.seen.length, 4)
})

t.test('what is not there after a batch that was lost is gone, as was asked', async (t) => {
  const gone = azureError(404, 'BlobNotFound')
  const changed = azureError(412, 'ConditionNotMet')
  const server = await startFaultServer(t, hangUp, hangUp, gone, changed)
  t.strictSame(codesOf(await storeAt(t, server.url).deleteMany?.(pair)), [undefined, 'ESTALE'])
})

t.test('what is not there after a batch that was refused never was', async (t) => {
  const gone = azureError(404, 'BlobNotFound')
  const server = await startFaultServer(t, azureError(400, 'InvalidInput'), gone, gone)
  t.strictSame(codesOf(await storeAt(t, server.url).deleteMany?.(pair)), ['ENOENT', 'ENOENT'])
})

t.test('an answer that breaks off is asked for again', async (t) => {
  const cut: Step = (_request, response) => {
    response.writeHead(202, {
      'content-type': 'multipart/mixed; boundary=b',
      'content-length': 999,
    })
    response.write(`--b\r\nContent-Type: application/http\r\n${okay(0)}`, () => response.destroy())
  }
  const later = batchOf(partOf(0, '404 Not Found'), partOf(1, '412 Precondition Failed'))
  const server = await startFaultServer(t, cut, later)
  t.strictSame(codesOf(await storeAt(t, server.url).deleteMany?.(pair)), [undefined, 'ESTALE'])
})

t.test('a part that failed on the way may have been done', async (t) => {
  const late = batchOf(partOf(0, '500 Internal Server Error'), partOf(1, '403 Forbidden'))
  const gone = azureError(404, 'BlobNotFound')
  const server = await startFaultServer(t, late, gone)
  t.strictSame(codesOf(await storeAt(t, server.url).deleteMany?.(pair)), [undefined, 'ENOENT'])
})

t.test('an abort ends a batch, and nothing is sent alone', async (t) => {
  const server = await startFaultServer(t, silence)
  const abort = new AbortController()
  const store = storeAt(t, server.url)
  const deleting = Promise.resolve(store.deleteMany?.(pair, { signal: abort.signal }))
  while (server.seen.length === 0) await nextTurn()
  abort.abort(new Error('enough'))
  await t.rejects(deleting, { message: 'enough' })
  t.equal(server.seen.length, 1)
})

t.test('answers in another order are told by their ids', async (t) => {
  const late = batchOf(partOf(1, '202 Accepted'), partOf(0, '404 Not Found'))
  const server = await startFaultServer(t, late)
  t.strictSame(codesOf(await storeAt(t, server.url).deleteMany?.(pair)), ['ENOENT', undefined])
})

t.test('a part that is told to come back is sent by itself', async (t) => {
  const busy = batchOf(partOf(0, '202 Accepted'), partOf(1, '503 Server Busy'))
  const server = await startFaultServer(t, busy, azureError(503, 'ServerBusy'), answer(202, ''))
  const store = storeAt(t, server.url)
  t.strictSame(codesOf(await store.deleteMany?.(pair)), [undefined, undefined])
  t.strictSame(
    server.seen.map(({ method }) => method),
    ['POST', 'DELETE', 'DELETE'],
  )
})

t.test('what a repeated batch no longer finds is gone, as was asked', async (t) => {
  const found = batchOf(partOf(0, '404 Not Found'), partOf(1, '202 Accepted'))
  const server = await startFaultServer(t, azureError(500, 'InternalError'), found)
  const store = storeAt(t, server.url)
  t.strictSame(codesOf(await store.deleteMany?.(pair)), [undefined, undefined])
})

t.test('an answer that cannot be read decides nothing', async (t) => {
  const type = { 'content-type': 'multipart/mixed; boundary=b' }
  const done = answer(202, '')
  for (const body of ['', '--b', '--b\r\n\r\n\r\n\r\nHTTP/9 x', '--b--', '\r\n'.repeat(1000)]) {
    const server = await startFaultServer(t, answer(202, body, type), done, done)
    const outcomes = await storeAt(t, server.url).deleteMany?.(pair)
    t.strictSame(codesOf(outcomes), [undefined, undefined])
    t.equal(server.seen.length, 3)
  }
})
