import {
  DirectorySASPermissions,
  generateDataLakeSASQueryParameters,
  SASProtocol,
} from '@azure/storage-file-datalake'
import fc from 'fast-check'
import { test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { generateCallerKey } from '../../src/connector/authenticate.ts'
import { prefixFault } from '../../src/connector/canonical-scope.ts'
import { ConnectorClient } from '../../src/connector/client.ts'
import { parseConnectorConfig } from '../../src/connector/config.ts'
import { type DelegationKey, STORAGE_VERSION } from '../../src/connector/delegation-keys.ts'
import { signScope } from '../../src/connector/delegation-signature.ts'
import { openIssuer } from '../../src/connector/open-issuer.ts'
import { startConnector } from '../../src/connector/server.ts'
import { assertReach } from '../../src/connector/signature-reach.ts'
import type { Permission, Scope } from '../../src/credential/credential.ts'
import { isFileSystemError } from '../../src/errors.ts'
import { undiciHandler } from '../../src/http/undici-handler.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { MemoryAudit } from '../support/memory-audit.ts'
import { sandboxIdentity } from '../support/sandbox-identity.ts'

const key: DelegationKey = {
  key: {
    signedObjectId: 'oid',
    signedTenantId: 'tid',
    signedStartsOn: new Date('2026-01-01T00:00:00Z'),
    signedExpiresOn: new Date('2026-01-01T06:00:00Z'),
    signedService: 'b',
    signedVersion: STORAGE_VERSION,
    value: Buffer.from('delegation key').toString('base64'),
  },
  expiresAtMs: Date.parse('2026-01-01T06:00:00Z'),
  requestId: undefined,
}
const signing = {
  startsAtMs: Date.parse('2026-01-01T00:59:00Z'),
  expiresAtMs: Date.parse('2026-01-01T02:00:00Z'),
  correlationId: '6f1c1d8e-1111-4222-8333-944455566677',
}
const scope: Scope = {
  account: 'lake',
  service: 'dfs',
  container: 'zone',
  prefix: 'teams/blue',
  permissions: ['read', 'list'],
}

test('a directory’s signature is what Azure’s own library makes', async (t) => {
  for (const prefix of ['a', 'teams/blue', 'ü/名 x/c', 'a+b/100%/c']) {
    const ours = new URLSearchParams(signScope({ ...scope, prefix }, key, signing))

    const theirs = generateDataLakeSASQueryParameters(
      {
        fileSystemName: 'zone',
        pathName: prefix,
        isDirectory: true,
        permissions: DirectorySASPermissions.parse('rl'),
        startsOn: new Date(signing.startsAtMs),
        expiresOn: new Date(signing.expiresAtMs),
        protocol: SASProtocol.Https,
        version: STORAGE_VERSION,
        correlationId: signing.correlationId,
      },
      key.key,
      'lake',
    ).toString()
    t.same(
      [...ours].sort(),
      [...new URLSearchParams(theirs)].sort(),
      `every field and the signature for ${prefix}`,
    )
  }
})

test('a path that could be read in two ways is not signed', async (t) => {
  for (const prefix of [
    '',
    '/',
    'a/',
    '/a',
    'a//b',
    '.',
    'a/..',
    '../b',
    'a/./b',
    'a%2Fb',
    '%2e%2e',
  ]) {
    t.throws(() => signScope({ ...scope, prefix }, key, signing), JSON.stringify(prefix))
  }
})

const path = fc
  .array(fc.constantFrom('a', 'b-2', 'ü', '..', '.', '', '%2F', '%2e', '\\', 'a b'), {
    minLength: 1,
    maxLength: 5,
  })
  .map((segments) => segments.join('/'))

test('a signed path is canonical and as deep as the signature says', async () => {
  fc.assert(
    fc.property(path, (prefix) => {
      try {
        const fields = new URLSearchParams(signScope({ ...scope, prefix }, key, signing))
        const isDirectory = fields.get('sr') === 'd'
        return isDirectory && fields.get('sdd') === String(prefix.split('/').length)
      } catch {
        return prefixFault(prefix) !== undefined
      }
    }),
  )
})

test('a signature that reaches further than was granted does not leave', async (t) => {
  const query = signScope(scope, key, signing)
  const intended = { scope, options: signing, key }
  t.doesNotThrow(() => assertReach(query, intended))
  const wider: [string, string][] = [
    ['the container', query.replace('sr=d', 'sr=c').replace('&sdd=2', '')],
    ['the parent', query.replace('sdd=2', 'sdd=1')],
    ['the root', query.replace('sdd=2', 'sdd=0')],
    ['no depth', query.replace('&sdd=2', '')],
    ['another permission', query.replace('sp=rl', 'sp=rwl')],
    ['http', query.replace('spr=https', 'spr=https%2Chttp')],
    ['a later end', query.replace('se=2026-01-01T02', 'se=2026-01-01T03')],
    ['no end', query.replace(/&se=[^&]*/, '')],
    ['an agent', `${query}&saoid=x`],
    ['a policy', `${query}&si=x`],
    ['another audit record', query.replace('scid=6f', 'scid=7f')],
    ['a field twice', `${query}&sp=rl`],
  ]
  for (const [title, changed] of wider) {
    t.not(changed, query, title)
    t.throws(() => assertReach(changed, intended), { name: 'AssertionError' }, title)
  }
  t.throws(() => assertReach(query, { ...intended, scope: { ...scope, prefix: undefined } }))
  const endingKey = { expiresAtMs: signing.expiresAtMs - 1 }
  t.throws(() => assertReach(query, { ...intended, key: endingKey }), /before its key/)
})

test('a connector and a hierarchical account', async (t) => {
  const sandbox = await startSandbox({
    account: { name: 'lake', hierarchical: true },
    containers: ['zone', 'other'],
  })
  t.teardown(() => sandbox.close())
  const caller = generateCallerKey()
  const config = parseConnectorConfig(
    `
listen: { port: 0 }
${await sandboxIdentity(sandbox)}
accounts: [{ name: lake, blobEndpoint: '${sandbox.blobEndpoint.href}', hierarchicalNamespace: true }]
callers: [{ name: trainer, keySha256: ${caller.keySha256} }]
policy:
  - caller: trainer
    account: lake
    container: zone
    prefix: teams/blue
    permissions: [read, list, create, write, delete, move]
    maxTtlSeconds: 600
  - { caller: trainer, account: lake, container: other, permissions: [read, create, write] }
`,
    { file: 'test.yaml' },
  )
  const audit = new MemoryAudit()
  const connector = await startConnector({ config, issuer: await openIssuer(config), audit })
  t.teardown(() => connector.close())
  const http = undiciHandler({ ca: sandbox.caPem })
  t.teardown(() => http.close())
  const client = new ConnectorClient({
    endpoint: connector.url,
    callerProof: async () => caller.key,
    http: http.handle,
    clock: systemClock,
  })
  const queryFor = async (prefix: string, permissions: readonly Permission[]): Promise<string> => {
    const credential = await client.getCredential({ ...scope, prefix, permissions })
    return credential.kind === 'sas' ? credential.query : ''
  }
  const call = async (method: 'GET' | 'PUT' | 'DELETE', target: string, query: string) => {
    const url = `${sandbox.blobEndpoint.href}/${target}${target.includes('?') ? '&' : '?'}${query}`
    const { status } = await http.handle({
      method,
      url: new URL(url),
      headers: {
        'x-ms-version': '2023-11-03',
        ...(method === 'PUT' && !target.includes('resource=')
          ? { 'x-ms-blob-type': 'BlockBlob' }
          : {}),
      },
      body: method === 'PUT' && !target.includes('resource=') ? Buffer.from('x') : undefined,
      operation: 'test',
    })
    return status
  }
  const refusalOf = async (prefix: string): Promise<unknown> => {
    const error: unknown = await queryFor(prefix, ['read']).catch((reason: unknown) => reason)
    return isFileSystemError(error) ? error.serviceCode : error
  }
  const written = await queryFor('teams/blue', ['read', 'list', 'create', 'write', 'delete'])

  t.test('a prefix gets a directory’s signature with the life of the rule', async (t) => {
    const before = systemClock.nowMs()
    const credential = await client.getCredential(scope)

    const fields = new URLSearchParams(credential.kind === 'sas' ? credential.query : '')
    t.match(Object.fromEntries(fields), { sr: 'd', sdd: '2', sp: 'rl', spr: 'https' })
    const endsAtMs = Date.parse(fields.get('se') ?? '')
    t.equal(endsAtMs <= systemClock.nowMs() + 600_000, true)
    t.equal(Math.abs(credential.expiresAtMs - endsAtMs) < 5_000, true, 'the end told is its own')
    t.equal(credential.expiresAtMs > before, true)
    t.match(audit.records.at(-1), { decision: 'granted', kind: 'sas', reach: 'directory' })
  })

  t.test('it works below its directory on the blob and on the dfs face', async (t) => {
    t.equal(await call('PUT', 'zone/teams/blue/a.txt', written), 201)
    t.equal(await call('GET', 'zone/teams/blue/a.txt', written), 200)
    t.equal(await call('PUT', 'zone/teams/blue/sub?resource=directory', written), 201)
    t.equal(
      await call('GET', 'zone?resource=filesystem&recursive=false&directory=teams%2Fblue', written),
      200,
    )
    t.equal(
      await call('GET', 'zone?restype=container&comp=list&prefix=teams%2Fblue%2F', written),
      200,
    )
  })

  const outside: [string, 'GET' | 'PUT' | 'DELETE', string][] = [
    ['the parent', 'PUT', 'zone/teams/a.txt'],
    ['a sibling whose name begins alike', 'PUT', 'zone/teams/blue-2/a.txt'],
    ['a file whose name begins alike', 'PUT', 'zone/teams/blue2'],
    ['the top', 'PUT', 'zone/a.txt'],
    ['a way out in the path', 'PUT', 'zone/teams/blue%2F..%2Fred/a.txt'],
    ['another container', 'PUT', 'other/teams/blue/a.txt'],
    ['a list of the parent', 'GET', 'zone?resource=filesystem&recursive=true&directory=teams'],
    ['a list of the container', 'GET', 'zone?resource=filesystem&recursive=true'],
    ['a list of the container as blobs', 'GET', 'zone?restype=container&comp=list'],
    ['the container itself', 'DELETE', 'zone?restype=container'],
  ]
  for (const [title, method, target] of outside) {
    t.test(`it is refused for ${title}`, async (t) => {
      const status = await call(method, target, written)

      // No name has dots for a segment: that is refused before access is looked at.
      t.equal(status, target.includes('..') ? 400 : 403)
    })
  }

  t.test('a narrower prefix gets a narrower signature', async (t) => {
    const narrow = await queryFor('teams/blue/run1', ['create', 'write'])

    t.equal(await call('PUT', 'zone/teams/blue/run1/a.txt', narrow), 201)
    t.equal(await call('PUT', 'zone/teams/blue/run10/a.txt', narrow), 403)
    t.equal(await call('GET', 'zone/teams/blue/run1/a.txt', narrow), 403)
  })

  t.test('what lies outside the rule’s prefix is not signed', async (t) => {
    for (const prefix of ['teams', 'teams/blue-2', 'teams/red']) {
      t.equal(await refusalOf(prefix), 'path_outside_root', prefix)
    }
    for (const prefix of ['teams/blue/../red', 'teams/blue%2F..', 'teams//blue', 'teams/blue/']) {
      t.equal(await refusalOf(prefix), 'path_invalid', prefix)
    }
  })

  t.end()
})
