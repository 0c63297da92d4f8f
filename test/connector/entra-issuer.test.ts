import { createHmac } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  ContainerSASPermissions,
  generateBlobSASQueryParameters,
  SASProtocol,
} from '@azure/storage-blob'
import { decodeJwt } from 'jose'
import { test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { type IdentityConfig, parseConnectorConfig } from '../../src/connector/config.ts'
import { ConnectorError } from '../../src/connector/connector-error.ts'
import { STORAGE_VERSION } from '../../src/connector/delegation-keys.ts'
import { signScope } from '../../src/connector/delegation-signature.ts'
import { EntraIssuer } from '../../src/connector/entra-issuer.ts'
import { authOf, openIdentity } from '../../src/connector/identity.ts'
import type { Issued } from '../../src/connector/issuer.ts'
import { openIssuer } from '../../src/connector/open-issuer.ts'
import { sasPermissions } from '../../src/connector/permission-letters.ts'
import type { Grant } from '../../src/connector/policy.ts'
import { TokenCredentialProvider } from '../../src/connector/token-credential-provider.ts'
import type { Permission, Scope } from '../../src/credential/credential.ts'
import { undiciHandler } from '../../src/http/undici-handler.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { blobServiceOf } from '../support/sandbox-clients.ts'

const sandbox = await startSandbox({ containers: ['data', 'other'] })
const http = undiciHandler({ ca: sandbox.caPem })
const auditId = '6f1c1d8e-1111-4222-8333-944455566677'

test('against a local Azure', async (t) => {
  t.teardown(async () => {
    await http.close()
    await sandbox.close()
  })
  const blobs = blobServiceOf(sandbox).getContainerClient('data')
  await blobs.getBlockBlobClient('hello.txt').upload('hello', 5)

  const application = { tenantId: sandbox.tenantId, clientId: sandbox.clientId }
  const authority = { authorityHost: sandbox.authorityHost, disableInstanceDiscovery: true }
  const secretFile = join(sandbox.runDirectory, 'connector-secret')
  await writeFile(secretFile, `${sandbox.clientSecret}\n`)
  const identities: IdentityConfig[] = [
    { kind: 'service-principal', ...application, ...authority, clientSecretFile: secretFile },
    {
      kind: 'certificate',
      ...application,
      ...authority,
      certificateFile: sandbox.clientCertificateFile,
    },
    {
      kind: 'workload-identity',
      ...application,
      ...authority,
      federatedTokenFile: sandbox.federatedTokenFile,
    },
  ]

  const issuerOf = (identity: IdentityConfig): Promise<EntraIssuer> => {
    const yaml = `
identity: { kind: managed-identity }
allowImplicitIdentity: true
caFile: ${sandbox.caFile}
accounts: [{ name: ${sandbox.account}, blobEndpoint: '${sandbox.blobEndpoint.href}' }]
callers: [{ name: trainer, keySha256: ${'ab'.repeat(32)} }]
policy: []`
    return openIssuer({ ...parseConnectorConfig(yaml, { file: 'test.yaml' }), identity })
  }
  const grantOf = (permissions: Permission[], rest: Partial<Grant> = {}): Grant => ({
    decision: 'grant',
    scope: { account: sandbox.account, service: 'blob', container: 'data', permissions },
    kind: 'sas',
    maxTtlMs: 900_000,
    enforceBearerTtl: false,
    ...rest,
  })
  const url = (path: string, issued: Issued): URL => {
    const { credential } = issued
    const query = credential.kind === 'sas' ? credential.query : ''
    return new URL(`${sandbox.blobEndpoint.href}/${path}${path.includes('?') ? '&' : '?'}${query}`)
  }
  const call = async (
    method: 'GET' | 'PUT' | 'DELETE',
    path: string,
    issued: Issued,
  ): Promise<number> => {
    const { credential } = issued
    const response = await http.handle({
      method,
      url: url(path, issued),
      headers: {
        'x-ms-version': '2025-05-05',
        ...(method === 'PUT' ? { 'x-ms-blob-type': 'BlockBlob' } : {}),
        ...(credential.kind === 'bearer' ? { authorization: `Bearer ${credential.token}` } : {}),
      },
      body: method === 'PUT' ? Buffer.from('new') : undefined,
      operation: 'test',
    })
    return response.status
  }

  for (const identity of identities) {
    t.test(`${identity.kind} signs a container and gives a token`, async (t) => {
      const issuer = await issuerOf(identity)

      const signed = await issuer.issue(grantOf(['read', 'list']), { auditId })
      const bearer = await issuer.issue(grantOf(['read'], { kind: 'bearer' }), { auditId })

      t.equal(await call('GET', 'data/hello.txt', signed), 200)
      t.equal(await call('GET', 'data/hello.txt', bearer), 200)
      t.equal(signed.reach, 'container')
      t.equal(bearer.reach, 'identity')
    })
  }

  const issuer = await issuerOf(identities[0] ?? { kind: 'managed-identity' })

  t.test('a signature says what was granted and nothing more', async (t) => {
    const before = systemClock.nowMs()
    const { credential } = await issuer.issue(grantOf(['list', 'read']), { auditId })

    const fields = new URLSearchParams(credential.kind === 'sas' ? credential.query : '')
    t.match(Object.fromEntries(fields), {
      sr: 'c',
      sp: 'rl',
      spr: 'https',
      sv: '2025-05-05',
      sktid: sandbox.tenantId,
    })
    t.equal(Date.parse(fields.get('se') ?? ''), credential.expiresAtMs)
    t.equal(credential.expiresAtMs <= systemClock.nowMs() + 900_000, true)
    t.equal(Date.parse(fields.get('st') ?? '') <= before - 59_000, true)
    t.notOk(fields.has('scid'), 'the emulator cannot verify it')
  })

  t.test('a signature reaches no other container and no other verb', async (t) => {
    const reader = await issuer.issue(grantOf(['read', 'list']), { auditId })

    t.equal(await call('GET', 'data?restype=container&comp=list', reader), 200)
    t.equal(await call('GET', 'other?restype=container&comp=list', reader), 403)
    t.equal(await call('GET', '?comp=list', reader), 403)
    t.equal(await call('PUT', 'data/new.txt', reader), 403)
    t.equal(await call('DELETE', 'data/hello.txt', reader), 403)
    t.equal(await call('DELETE', 'data?restype=container', reader), 403)
  })

  t.test('create alone writes what is missing and replaces nothing', async (t) => {
    const creator = await issuer.issue(grantOf(['create']), { auditId })
    const writer = await issuer.issue(grantOf(['write', 'delete']), { auditId })

    t.equal(await call('PUT', 'data/created.txt', creator), 201)
    t.equal(await call('GET', 'data/created.txt', creator), 403)
    t.equal(await call('PUT', 'data/written.txt', writer), 201, 'write includes creating')
    t.equal(await call('PUT', 'data/written.txt', writer), 201)
    t.equal(await call('DELETE', 'data/written.txt', writer), 202)
  })

  t.test('blob and dfs tokens have different audiences, each of one account', async (t) => {
    const audience = async (service: 'blob' | 'dfs'): Promise<unknown> => {
      const grant = grantOf(['read'], { kind: 'bearer' })
      const scoped = { ...grant, scope: { ...grant.scope, service } }
      const { credential } = await issuer.issue(scoped, { auditId })
      const claims = decodeJwt(credential.kind === 'bearer' ? credential.token : '')
      const lateMs = credential.expiresAtMs - (claims.exp ?? 0) * 1000
      t.equal(Math.abs(lateMs) <= 2000, true, 'the end is the token’s own, to the second')
      return claims.aud
    }

    t.equal(await audience('blob'), `https://${sandbox.account}.blob.core.windows.net`)
    t.equal(await audience('dfs'), `https://${sandbox.account}.dfs.core.windows.net`)
  })

  t.test('a token that outlives the policy is refused only where policy says so', async (t) => {
    const lenient = grantOf(['read'], { kind: 'bearer', maxTtlMs: 60_000 })

    t.equal((await issuer.issue(lenient, { auditId })).credential.kind, 'bearer')
    await t.rejects(issuer.issue({ ...lenient, enforceBearerTtl: true }, { auditId }), {
      code: 'access_denied',
      reason: 'ttl_exceeds_policy',
    })
  })

  t.test(
    'a wrong secret is told by its AADSTS code and what to do, not by Entra’s text',
    async (t) => {
      const wrong = join(sandbox.runDirectory, 'wrong-secret')
      await writeFile(wrong, 'not-the-secret')
      const refused = await issuerOf({
        kind: 'service-principal',
        ...application,
        ...authority,
        clientSecretFile: wrong,
      })

      for (const kind of ['sas', 'bearer'] as const) {
        const error = await refused.issue(grantOf(['read'], { kind }), { auditId }).catch((e) => e)
        t.ok(error instanceof ConnectorError)
        t.match(error, {
          code: 'temporarily_unavailable',
          reason: 'identity_refused',
          retryable: false,
          detail: /AADSTS7000215/,
          hint: /clientSecretFile/,
        })
      }
    },
  )

  t.test('an Entra that is down is a failure that passes', async (t) => {
    const fresh = await issuerOf(identities[0] ?? { kind: 'managed-identity' })
    sandbox.controls.setFailure({
      status: 400,
      error: 'temporarily_unavailable',
      description: 'AADSTS90033: A transient error has occurred.',
    })
    t.teardown(() => sandbox.controls.setFailure(undefined))

    const failed = fresh.issue(grantOf(['read'], { kind: 'bearer' }), { auditId })

    t.match(await failed.catch((e) => e), { reason: 'identity_refused', retryable: true })
    sandbox.controls.setFailure(undefined)
    t.ok(await fresh.issue(grantOf(['read'], { kind: 'bearer' }), { auditId }), 'nothing is kept')
  })

  t.test('calls that come together share one delegation key, kept to its half life', async (t) => {
    const clock = new FakeClock(systemClock.nowMs())
    const asked: string[] = []
    const real = await openIdentity(
      authOf(identities[0] ?? { kind: 'managed-identity' }),
      {},
      {
        sources: { readFile: async () => sandbox.clientSecret, env: () => undefined },
        ca: [sandbox.caPem],
      },
    )
    const counted = new EntraIssuer({
      credential: {
        getToken: (scopes, options) => {
          asked.push(String(scopes))
          return real.getToken(scopes, options)
        },
      },
      clock,
      blobEndpoints: { [sandbox.account]: sandbox.blobEndpoint },
      ca: [sandbox.caPem],
    })
    const issue = (refresh = false): Promise<Issued> =>
      counted.issue(grantOf(['read']), { auditId, refresh })

    await Promise.all(Array.from({ length: 32 }, () => issue()))
    t.same(asked, [`https://${sandbox.account}.blob.core.windows.net/.default`])
    await issue(true)
    t.equal(asked.length, 1, 'a refresh does not replace a key that just came')
    await clock.advance(61_000)
    await issue(true)
    t.equal(asked.length, 2, 'a refresh replaces an older one')
    await clock.advance(3 * 3_600_000 - 1000)
    await issue()
    t.equal(asked.length, 2)
    await clock.advance(1000)
    await issue()
    t.equal(asked.length, 3, 'at half its life')
  })

  t.test('a bare identity is a provider of tokens', async (t) => {
    const credential = await openIdentity(
      authOf(identities[0] ?? { kind: 'managed-identity' }),
      {},
      {
        sources: { readFile: async () => sandbox.clientSecret, env: () => undefined },
        ca: [sandbox.caPem],
      },
    )
    const provider = new TokenCredentialProvider({ credential, clock: systemClock })

    const given = await provider.getCredential(grantOf(['read']).scope)

    t.equal(given.kind, 'bearer')
    const none = new TokenCredentialProvider({
      credential: { getToken: async () => null },
      clock: systemClock,
    })
    await t.rejects(none.getCredential(grantOf(['read']).scope), {
      code: 'EACCES',
      message: /set the URL of a connector/,
    })
  })

  t.end()
})

const key = {
  key: {
    signedObjectId: 'oid',
    signedTenantId: 'tid',
    signedStartsOn: new Date('2026-01-01T00:00:00Z'),
    signedExpiresOn: new Date('2026-01-01T06:00:00Z'),
    signedService: 'b',
    signedVersion: '2025-05-05',
    value: Buffer.from('delegation key').toString('base64'),
  },
  expiresAtMs: Date.parse('2026-01-01T06:00:00Z'),
  requestId: undefined,
}
const signing = {
  startsAtMs: Date.parse('2026-01-01T00:59:00Z'),
  expiresAtMs: Date.parse('2026-01-01T02:00:00Z'),
  correlationId: auditId,
}

test('a signature covers exactly the container that was granted', async (t) => {
  const scope = {
    account: 'acct',
    service: 'blob',
    container: 'data',
    permissions: ['read'],
  } as const

  const fields = new URLSearchParams(signScope(scope, key, signing))

  // The string to sign of a user delegation SAS, version 2025-05-05, field by field.
  const text = [
    'r',
    '2026-01-01T00:59:00Z',
    '2026-01-01T02:00:00Z',
    '/blob/acct/data',
    'oid',
    'tid',
    '2026-01-01T00:00:00Z',
    '2026-01-01T06:00:00Z',
    'b',
    '2025-05-05',
    '',
    '',
    auditId,
    '',
    'https',
    '2025-05-05',
    'c',
    '',
    '',
    '',
    '',
    '',
    '',
    '',
  ].join('\n')
  const expected = createHmac('sha256', 'delegation key').update(text).digest('base64')
  t.equal(fields.get('sig'), expected)
})

test('what is no container is not signed', async (t) => {
  const scope = { account: 'acct', service: 'blob', permissions: ['read'] } as const

  t.throws(() => signScope(scope, key, signing), /for a container/)
  t.throws(() => signScope({ ...scope, container: '' }, key, signing))
  t.throws(() => signScope({ ...scope, container: 'data/a' }, key, signing))
})

test('permissions become letters in Azure’s order', async (t) => {
  t.equal(sasPermissions(['tag', 'list', 'delete', 'write', 'create', 'read']), 'rcwdlt')
  t.equal(sasPermissions(['write']), 'w')
  t.equal(sasPermissions(['list', 'read']), 'rl')
  t.equal(sasPermissions(['permissions', 'ownership', 'execute', 'move', 'tag']), 'tmeop')
})

test('a signature is what Azure’s own library makes of the same letters', async (t) => {
  const choices: readonly Permission[][] = [['read'], ['write', 'list'], ['move', 'execute', 'tag']]
  for (const permissions of choices) {
    const scope: Scope = { account: 'acct', service: 'dfs', container: 'data', permissions }
    const ours = signScope(scope, key, signing)
    const theirs = generateBlobSASQueryParameters(
      {
        containerName: 'data',
        permissions: ContainerSASPermissions.parse(sasPermissions(permissions)),
        startsOn: new Date(signing.startsAtMs),
        expiresOn: new Date(signing.expiresAtMs),
        protocol: SASProtocol.Https,
        version: STORAGE_VERSION,
        correlationId: auditId,
      },
      key.key,
      'acct',
    ).toString()

    const fieldsOf = (query: string) => Object.fromEntries(new URLSearchParams(query))
    t.strictSame(fieldsOf(ours), fieldsOf(theirs))
  }
})

test('the rights of owners and access lists are signed, which the library refuses', async (t) => {
  const permissions: Permission[] = ['ownership', 'permissions']
  const scope: Scope = { account: 'acct', service: 'dfs', container: 'data', permissions }

  t.equal(new URLSearchParams(signScope(scope, key, signing)).get('sp'), 'op')
  t.throws(() => ContainerSASPermissions.parse('op'))
})
