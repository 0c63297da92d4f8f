import t from 'tap'
import { openIdentity } from '../../src/connector/identity.ts'
import { readVaultSecret } from '../../src/connector/key-vault.ts'
import type { HttpRequest } from '../../src/http/handler.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { FakeClock } from '../support/fake-clock.ts'

const clock = new FakeClock(1_800_000_000_000)
const sources = { readFile: async () => '', env: () => undefined }

t.test('a stored access token is for one audience, until it ends', async (t) => {
  const auth = {
    method: 'access-token',
    audience: 'https://vault.azure.net',
    expiresAt: new Date(clock.nowMs() + 60_000).toISOString(),
  } as const
  const identity = await openIdentity(auth, { token: 'stored' }, { sources, clock })
  t.match(await identity.getToken('https://vault.azure.net/.default'), { token: 'stored' })
  const other = identity.getToken('https://management.azure.com/.default')
  await t.rejects(other, { name: 'ConnectorError', reason: 'audience_not_allowed' })
  await clock.advance(60_000)
  const late = identity.getToken('https://vault.azure.net/.default')
  await t.rejects(late, { name: 'ConnectorError', reason: 'credential_expired' })
})

t.test(
  'the ring of sealing keys comes from a vault, and a refusal tells nothing of it',
  async (t) => {
    const asked: HttpRequest[] = []
    const scopes: unknown[] = []
    const credential = {
      getToken: async (scope: unknown) => {
        scopes.push(scope)
        return { token: 'vault-token', expiresOnTimestamp: 0 }
      },
    }
    const answer = (status: number, body: string) => async (request: HttpRequest) => {
      asked.push(request)
      return { status, headers: {}, body: Buffer.from(body) } as never
    }
    const secret = new URL('https://v.vault.azure.net/secrets/ring')
    const ok = answer(200, JSON.stringify({ value: 'k:ring' }))
    t.equal(await readVaultSecret(secret, credential, ok), 'k:ring')
    t.same(scopes, ['https://vault.azure.net/.default'])
    t.equal(asked[0]?.url.href, `${secret.href}?api-version=7.4`)
    t.equal(asked[0]?.headers['authorization'], 'Bearer vault-token')
    const refused = readVaultSecret(secret, credential, answer(403, '{"value":1,"x":"seeded"}'))
    const error = await refused.catch((thrown: unknown) => thrown)
    t.match(error, { code: 'EACCES', statusCode: 403 })
    t.notMatch(String(error), /seeded/)
    await t.rejects(readVaultSecret(secret, credential, answer(503, 'no')), { code: 'EIO' })
  },
)

t.test(
  'sealed secrets sign in at an Entra, with the tenant and client of the connector',
  async (t) => {
    const sandbox = await startSandbox()
    t.teardown(() => sandbox.close())
    const { tenantId, clientId, clientSecret } = sandbox
    const authority = { authorityHost: sandbox.authorityHost.href, disableInstanceDiscovery: true }
    const options = { sources, ca: [sandbox.caPem], authority }
    const scope = `https://${sandbox.account}.blob.core.windows.net/.default`
    const claimsOf = (token: string) =>
      JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
    const spn = { method: 'service-principal', tenantId, clientId } as const
    const { readFile } = await import('node:fs/promises')
    const assertion = await readFile(sandbox.federatedTokenFile, 'utf8')
    const certificatePem = await readFile(sandbox.clientCertificateFile, 'utf8')
    const identities = [
      await openIdentity(spn, { clientSecret }, options),
      await openIdentity({ ...spn, method: 'federated' }, { assertion }, options),
      await openIdentity({ ...spn, method: 'certificate' }, { certificatePem }, options),
    ]
    for (const identity of identities) {
      const token = await identity.getToken(scope)
      t.match(claimsOf(token?.token ?? ''), { tid: tenantId, appid: clientId })
    }
    const wrong = await openIdentity(spn, { clientSecret: 'wrong' }, options)
    await t.rejects(Promise.resolve(wrong.getToken(scope)), /AADSTS/)
  },
)
