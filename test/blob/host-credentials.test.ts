import t from 'tap'
import {
  bearerCredential,
  type CredentialProvider,
  type Scope,
  sasCredential,
} from '../../src/credential/credential.ts'
import type { AccessControl } from '../../src/storage-server/access/access.ts'
import { createAccessControl } from '../../src/storage-server/access/create-access-control.ts'
import { StorageError } from '../../src/storage-server/wire/storage-error.ts'
import { hierarchicalServer } from '../support/hierarchical-server.ts'

/** A token for one service of the account, as Entra gives one per audience. */
const perService: CredentialProvider = {
  getCredential: async ({ service }: Scope) =>
    bearerCredential(`token-for-${service}`, Number.MAX_SAFE_INTEGER),
}

/** Takes on each host only the token of that host. */
const strict: AccessControl = {
  authenticate: async ({ face, headers }) => {
    if (headers['authorization'] === `Bearer token-for-${face}`) return { kind: 'sharedKey' }
    throw new StorageError(401, 'InvalidAuthenticationInfo', 'Audience validation failed.')
  },
  authorize: () => undefined,
}

void t.test('each host gets the token of its own audience', async (t) => {
  const server = await hierarchicalServer(t, { access: strict, provider: perService })
  const at = (name: string) => ({ container: 'box', name })
  await server.store.createContainer('box')

  await server.store.put(at('dir/file'), Buffer.from('x'))
  await server.hierarchy.rename(at('dir'), at('moved'))
  await server.hierarchy.setExpiry(at('moved/file'), { kind: 'never' })

  t.equal((await server.hierarchy.listPaths(at('moved'))).paths.length, 1)
  t.equal((await server.store.head(at('moved/file'))).sizeBytes, 1)
})

void t.test('one token for both hosts is refused by one of them', async (t) => {
  for (const service of ['blob', 'dfs']) {
    const provider: CredentialProvider = {
      getCredential: async () => bearerCredential(`token-for-${service}`, Number.MAX_SAFE_INTEGER),
    }
    const { store, hierarchy } = await hierarchicalServer(t, { access: strict, provider })
    const onBlob = store.createContainer('box').then(() => 'accepted')
    const onDfs = hierarchy.listPaths({ container: 'box', name: '' })
    const refusals = (await Promise.allSettled([onBlob, onDfs])).map(({ status }) => status)

    t.equal(refusals[service === 'blob' ? 1 : 0], 'rejected')
    const wrong: Promise<unknown> = service === 'blob' ? onDfs : onBlob
    await t.rejects(wrong, { code: 'EACCES' })
  }
})

void t.test(
  'one signature for the container reaches both hosts, sources of renames too',
  async (t) => {
    const { generateAccountSas } = await accountSas()
    const provider: CredentialProvider = {
      getCredential: async () => sasCredential(generateAccountSas(), Number.MAX_SAFE_INTEGER),
    }
    const access = createAccessControl()
    const { store, hierarchy } = await hierarchicalServer(t, { access, provider })
    const at = (name: string) => ({ container: 'box', name })
    await store.createContainer('box')
    await store.put(at('dir/file'), Buffer.from('x'))

    await hierarchy.rename(at('dir'), at('moved'))

    t.equal((await store.head(at('moved/file'))).sizeBytes, 1)
  },
)

/** Signs for everything in the account of the test server, as its key's owner may. */
async function accountSas() {
  const sdk = await import('@azure/storage-blob')
  const { accountKeys, accountName } = await import('../support/storage-request.ts')
  const key = new sdk.StorageSharedKeyCredential(accountName, accountKeys[0])
  const generateAccountSas = () =>
    sdk
      .generateAccountSASQueryParameters(
        {
          expiresOn: new Date(Date.UTC(2030, 0, 1)),
          permissions: sdk.AccountSASPermissions.parse('rwdlacup'),
          resourceTypes: 'sco',
          services: 'b',
        },
        key,
      )
      .toString()
  return { generateAccountSas }
}
