import {
  AccountSASPermissions,
  AccountSASResourceTypes,
  AccountSASServices,
  generateAccountSASQueryParameters,
  StorageSharedKeyCredential,
} from '@azure/storage-blob'
import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { sasCredential } from '../../src/credential/credential.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { azureStore } from '../support/azure-store.ts'

const sandbox = await startSandbox({ containers: ['one', 'two'] })
const { account, caPem: ca, blobEndpoint: endpoint } = sandbox
t.teardown(() => sandbox.close())

/** A store whose every credential is a SAS of `permissions`, as a connector may issue it. */
function storeWith(permissions: string, startsMs = systemClock.nowMs() - 60_000, lifeMs = 600_000) {
  const key = new StorageSharedKeyCredential(account, sandbox.accountKey)
  const values = {
    permissions: AccountSASPermissions.parse(permissions),
    resourceTypes: AccountSASResourceTypes.parse('sco').toString(),
    services: AccountSASServices.parse('b').toString(),
    startsOn: new Date(startsMs),
    expiresOn: new Date(startsMs + lifeMs),
  }
  const query = generateAccountSASQueryParameters(values, key).toString()
  const provider = { getCredential: async () => sasCredential(query, startsMs + lifeMs) }
  const { store, close } = azureStore({ account, endpoint, provider, ca })
  t.teardown(close)
  return store
}

t.test('with a SAS, blobs are written, listed, read, copied and deleted', async (t) => {
  const store = storeWith('rwdlac')
  const from = { container: 'one', name: 'a b+c%.txt' }
  const to = { container: 'two', name: 'copy' }

  await store.put(from, Buffer.from('hello'))
  await store.copy(from, to)
  const { entries } = await store.listPage({ container: 'one', name: '' })
  const { data } = await store.get(to, { range: { start: 1, end: 3 } })
  await store.delete(to)

  t.same(
    entries.map(({ name }) => name),
    [from.name],
  )
  t.equal(Buffer.from(data).toString(), 'el')
})

t.test(
  'a SAS that may not write rejects with EACCES that names the missing permission',
  async (t) => {
    const store = storeWith('rl')

    const error = await store.put({ container: 'one', name: 'b' }, Buffer.from('x')).catch((e) => e)

    t.match(error, { code: 'EACCES', serviceCode: 'AuthorizationPermissionMismatch' })
    t.match(error.message, /may not do this here/)
    t.notMatch(error.message, 'sig=')
  },
)

t.test('an expired SAS rejects with EACCES that says so', async (t) => {
  const store = storeWith('rl', systemClock.nowMs() - 3_600_000, 60_000)

  const error = await store.head({ container: 'one', name: 'b' }).catch((e) => e)

  t.match(error, { code: 'EACCES' })
  t.match(error.message, /the SAS's time, address or protocol/)
})
