import {
  AccountSASPermissions,
  AccountSASResourceTypes,
  AccountSASServices,
  BlobSASPermissions,
  type BlobSASSignatureValues,
  ContainerSASPermissions,
  generateAccountSASQueryParameters,
  generateBlobSASQueryParameters,
  SASProtocol,
  StorageSharedKeyCredential,
  type UserDelegationKey,
} from '@azure/storage-blob'
import {
  StorageSharedKeyCredential as DataLakeKey,
  type DataLakeSASSignatureValues,
  DirectorySASPermissions,
  generateDataLakeSASQueryParameters,
} from '@azure/storage-file-datalake'
import fc from 'fast-check'
import t from 'tap'
import type { Caller, Need, Right } from '../../src/storage-server/access/access.ts'
import { createAccessControl } from '../../src/storage-server/access/create-access-control.ts'
import { DelegationKeys } from '../../src/storage-server/access/delegation-key.ts'
import { overriddenHeaders } from '../../src/storage-server/access/response-headers.ts'
import { Roles } from '../../src/storage-server/access/roles.ts'
import type { StorageRequest } from '../../src/storage-server/wire/request.ts'
import { FakeClock } from '../support/fake-clock.ts'
import {
  accountKeys,
  accountName,
  addContainer,
  refusalOf,
  storageRequest,
  testAccount,
  withQuery,
} from '../support/storage-request.ts'

const clock = new FakeClock()
const account = testAccount(clock, { hierarchical: true })
const hourMs = 3_600_000
const times = {
  startsOn: new Date(clock.nowMs() - hourMs),
  expiresOn: new Date(clock.nowMs() + hourMs),
}
addContainer(account, 'box', {
  policies: new Map([
    ['readers', { permissions: 'r', expiresMs: clock.nowMs() + hourMs }],
    ['rights-only', { permissions: 'rl' }],
    ['ended', { permissions: 'r', expiresMs: clock.nowMs() - 1 }],
  ]),
})

const owner = {
  objectId: '0b9d1e5c-6a0f-4f7d-9d0b-6b5c1c0c8f01',
  tenantId: 'a0a0a0a0-0000-4000-8000-000000000001',
}
const agent = '7e57ab1e-0000-4000-8000-000000000002'
const delegationKeys = new DelegationKeys()
const roles = new Roles([{ objectId: owner.objectId, role: 'Storage Blob Data Owner' }])
const access = createAccessControl({ delegationKeys, roles })
const sharedKey = new StorageSharedKeyCredential(accountName, accountKeys[0])
const secondKey = new DataLakeKey(accountName, accountKeys[1])
const blobHost = `https://${accountName}.blob.localhost`
const dfsHost = `https://${accountName}.dfs.localhost`

function userKey(
  startMs = clock.nowMs() - hourMs,
  expiresMs = clock.nowMs() + 2 * hourMs,
): UserDelegationKey {
  const then = testAccount(new FakeClock(Math.min(startMs, clock.nowMs())))
  const key = delegationKeys.issue(then, owner, { startMs, expiresMs, version: '2024-11-04' })
  return {
    signedObjectId: key.signedObjectId,
    signedTenantId: key.signedTenantId,
    signedStartsOn: new Date(key.signedStart),
    signedExpiresOn: new Date(key.signedExpiry),
    signedService: key.signedService,
    signedVersion: key.signedVersion,
    value: key.value,
  }
}

function containerSas(
  values: Partial<BlobSASSignatureValues> = {},
  key: StorageSharedKeyCredential | UserDelegationKey = sharedKey,
): string {
  const all = {
    containerName: 'box',
    permissions: ContainerSASPermissions.parse('racwdl'),
    ...times,
    ...values,
  }
  return key instanceof StorageSharedKeyCredential
    ? generateBlobSASQueryParameters(all, key).toString()
    : generateBlobSASQueryParameters(all, key, accountName).toString()
}

function blobSas(
  values: Partial<BlobSASSignatureValues> = {},
  key: StorageSharedKeyCredential | UserDelegationKey = sharedKey,
): string {
  return containerSas(
    { blobName: 'dir/a b.txt', permissions: BlobSASPermissions.parse('r'), ...values },
    key,
  )
}

function directorySas(
  values: Partial<DataLakeSASSignatureValues> = {},
  key: DataLakeKey | UserDelegationKey = userKey(),
): string {
  const all = {
    fileSystemName: 'box',
    pathName: 'top/sub',
    isDirectory: true,
    permissions: DirectorySASPermissions.parse('racwdlmeop'),
    ...times,
    ...values,
  }
  return key instanceof DataLakeKey
    ? generateDataLakeSASQueryParameters(all, key).toString()
    : generateDataLakeSASQueryParameters(all, key, accountName).toString()
}

function accountSas(
  services = 'b',
  types = 'sco',
  permissions = 'rwdlactfx',
  version?: string,
): string {
  const values = {
    permissions: AccountSASPermissions.parse(permissions),
    services: AccountSASServices.parse(services).toString(),
    resourceTypes: AccountSASResourceTypes.parse(types).toString(),
    ...times,
    ...(version === undefined ? {} : { version }),
  }
  return generateAccountSASQueryParameters(values, sharedKey).toString()
}

function need(right: Right, path?: string, container = 'box'): Need {
  return path === undefined
    ? { right, resource: 'container', container }
    : { right, resource: 'path', container, path }
}

async function use(request: StorageRequest, needs: readonly Need[]): Promise<Caller> {
  const caller = await access.authenticate(request, account)
  access.authorize(caller, needs, { request, account })
  return caller
}

const aBlob = `${blobHost}/box/dir/a%20b.txt`
const readBlob = [need('read', 'dir/a b.txt')]

const versions = [
  '2015-04-05',
  '2018-11-09',
  '2019-12-12',
  '2020-02-10',
  '2020-12-06',
  '2024-11-04',
  '2025-07-05',
  '2026-04-06',
]

for (const version of versions) {
  t.test(`signatures made by Azure’s clients with sv=${version} are accepted`, async (t) => {
    const sas: Record<string, string> = {
      container: containerSas({ version }),
      blob: blobSas({
        version,
        cacheControl: 'no-cache',
        contentType: 'a/b',
        ipRange: { start: '127.0.0.1', end: '127.0.0.9' },
        protocol: SASProtocol.HttpsAndHttp,
      }),
      account: accountSas('bqtf', 'sco', 'rl', version),
    }
    if (version >= '2018-11-09') {
      sas['user delegation, container'] = containerSas({ version }, userKey())
      sas['user delegation, blob'] = blobSas({ version, contentDisposition: 'x' }, userKey())
    }
    if (version >= '2020-02-10') {
      const ids = { preauthorizedAgentObjectId: agent, correlationId: agent }
      sas['user delegation for an agent'] = blobSas({ version, ...ids }, userKey())
    }
    if (version >= '2020-12-06')
      sas['with an encryption scope'] = blobSas({ version, encryptionScope: 's1' })
    for (const [name, query] of Object.entries(sas)) {
      const request = storageRequest(`${aBlob}?${query}`)
      t.match(await use(request, readBlob), { kind: 'sas', sas: { version } }, name)
    }
  })
}

for (const version of versions.filter((each) => each >= '2020-02-10' && each < '2026-04-06')) {
  t.test(`directory signatures with sv=${version} hold on both faces and for lists`, async () => {
    for (const query of [directorySas({ version }), directorySas({ version }, secondKey)]) {
      const onFile = storageRequest(`${dfsHost}/box/top/sub/x/y?action=getStatus&${query}`)
      const onBlob = storageRequest(`${blobHost}/box/top/sub/x?${query}`)
      const list = storageRequest(
        `${dfsHost}/box?resource=filesystem&recursive=true&directory=top%2Fsub&${query}`,
      )
      const blobList = storageRequest(
        `${blobHost}/box?restype=container&comp=list&prefix=top/sub/&${query}`,
      )
      await use(onFile, [need('read', 'top/sub/x/y')])
      await use(onBlob, [need('read', 'top/sub/x')])
      await use(list, [need('list')])
      await use(blobList, [need('list')])
    }
  })
}

t.test('a list with tags takes their letter too, of the container’s signature', async (t) => {
  const listing = [need('list'), need('tags')]
  const list = (query: string) =>
    storageRequest(`${blobHost}/box?restype=container&comp=list&include=tags&${query}`)
  const sas = (letters: string) =>
    containerSas({ permissions: ContainerSASPermissions.parse(letters) })
  const mismatch = { status: 403, code: 'AuthorizationPermissionMismatch' }

  await use(list(sas('lt')), listing)
  t.match(await refusalOf(() => use(list(sas('rl')), listing)), mismatch)
  const below = list(`prefix=top/sub/&${directorySas()}`)
  t.match(await refusalOf(() => use(below, listing)), mismatch)
})

t.test('signatures for snapshots and versions hold for these alone', async (t) => {
  const snapshot = '2026-01-01T00:00:00.0000000Z'
  for (const [name, values] of [
    ['snapshot', { snapshotTime: snapshot }],
    ['versionid', { versionId: snapshot }],
  ] as const) {
    const query = blobSas(values)
    // Azure's client puts neither into the query of the signature.
    const url = `${aBlob}?${query}&${name}=${encodeURIComponent(snapshot)}`
    await use(storageRequest(url), readBlob)
    t.match(await refusalOf(() => use(storageRequest(`${aBlob}?${query}`), readBlob)), {
      status: 403,
    })
    const another = url.replace('2026-01-01', '2026-01-02')
    t.match(await refusalOf(() => use(storageRequest(another), readBlob)), { status: 403 })
  }
})

t.test('a stored access policy gives what the signature leaves out', async (t) => {
  const withPolicy = (
    identifier: string,
    rest: Partial<BlobSASSignatureValues> = {},
  ): StorageRequest => {
    const values = { containerName: 'box', identifier, ...rest }
    return storageRequest(`${aBlob}?${generateBlobSASQueryParameters(values, sharedKey)}`)
  }
  await use(withPolicy('readers'), readBlob)
  await use(withPolicy('rights-only', { expiresOn: times.expiresOn }), readBlob)
  const table = [
    [
      'more than the policy',
      withPolicy('readers'),
      need('write', 'dir/a b.txt'),
      'AuthorizationPermissionMismatch',
      '',
    ],
    ['no such policy', withPolicy('nobody'), readBlob[0], 'AuthenticationFailed', /does not exist/],
    ['an ended policy', withPolicy('ended'), readBlob[0], 'AuthenticationFailed', /time frame/],
    [
      'no end at all',
      withPolicy('rights-only'),
      readBlob[0],
      'AuthenticationFailed',
      /se is mandatory/,
    ],
    [
      'a field in both',
      withPolicy('readers', { expiresOn: times.expiresOn }),
      readBlob[0],
      'AuthenticationFailed',
      /se is in/,
    ],
  ] as const
  for (const [name, request, wanted, code, detail] of table) {
    if (wanted === undefined) throw new Error(name)
    t.match(await refusalOf(() => use(request, [wanted])), { status: 403, code, detail }, name)
  }
})

t.test('refusals of shared access signatures', async (t) => {
  const late = { expiresOn: new Date(clock.nowMs() - 1000) }
  const early = { startsOn: new Date(clock.nowMs() + 60_000) }
  const at = (query: string, base = aBlob): StorageRequest =>
    storageRequest(`${base}${base.includes('?') ? '&' : '?'}${query}`)
  const mismatch = (what: string): string => `Authorization${what}Mismatch`
  const table: readonly (readonly [string, StorageRequest, Need, string, RegExp?])[] = [
    [
      'expired',
      at(blobSas(late)),
      need('read', 'dir/a b.txt'),
      'AuthenticationFailed',
      /Signature not valid in the specified time frame/,
    ],
    [
      'not yet valid',
      at(blobSas(early)),
      need('read', 'dir/a b.txt'),
      'AuthenticationFailed',
      /time frame/,
    ],
    ['without its permission', at(blobSas()), need('write', 'dir/a b.txt'), mismatch('Permission')],
    [
      'another blob',
      at(blobSas(), `${blobHost}/box/other`),
      need('read', 'other'),
      'AuthenticationFailed',
      /did not match/,
    ],
    [
      'another container',
      at(containerSas(), `${blobHost}/crate/a`),
      need('read', 'a', 'crate'),
      'AuthenticationFailed',
      /did not match/,
    ],
    [
      'a path of another container',
      at(containerSas()),
      need('read', 'a', 'crate'),
      mismatch('Permission'),
    ],
    ['another path by a blob’s', at(blobSas()), need('read', 'other'), mismatch('Permission')],
    [
      'the container’s life',
      at(containerSas(), `${blobHost}/box?restype=container`),
      need('delete'),
      'AuthorizationFailure',
    ],
    [
      'the service',
      at(containerSas(), `${blobHost}/box?restype=container`),
      { right: 'list', resource: 'service' },
      'AuthorizationFailure',
    ],
    [
      'http for https only',
      at(blobSas({ protocol: SASProtocol.Https }), aBlob.replace('https', 'http')),
      need('read', 'dir/a b.txt'),
      mismatch('Protocol'),
    ],
    [
      'another address',
      at(blobSas({ ipRange: { start: '10.0.0.1' } })),
      need('read', 'dir/a b.txt'),
      mismatch('SourceIP'),
    ],
    [
      'an address outside the range',
      at(blobSas({ ipRange: { start: '127.0.0.2', end: '127.0.0.9' } })),
      need('read', 'dir/a b.txt'),
      mismatch('SourceIP'),
    ],
    [
      'an account’s without objects',
      at(accountSas('b', 'sc')),
      need('read', 'a'),
      mismatch('ResourceType'),
    ],
    [
      'an account’s without containers',
      at(accountSas('b', 'so')),
      need('list'),
      mismatch('ResourceType'),
    ],
    [
      'an account’s without the service’s level',
      at(accountSas('b', 'co')),
      { right: 'list', resource: 'service' },
      mismatch('ResourceType'),
    ],
    ['an account’s for queues', at(accountSas('q')), need('read', 'a'), mismatch('Service')],
    [
      'an account’s without the permission',
      at(accountSas('b', 'sco', 'r')),
      need('write', 'a'),
      mismatch('Permission'),
    ],
    [
      'an account’s for a container’s rights',
      at(accountSas()),
      need('permissions'),
      'AuthorizationFailure',
    ],
    [
      'a delegation key by a signature',
      at(accountSas()),
      { right: 'delegationKey', resource: 'service' },
      'AuthenticationFailed',
      /Bearer/,
    ],
    [
      'a key that ended',
      at(blobSas({}, userKey(clock.nowMs() - 2 * hourMs, clock.nowMs() - hourMs))),
      need('read', 'dir/a b.txt'),
      'AuthenticationFailed',
      /Key not valid/,
    ],
    [
      'a key not begun',
      at(blobSas({}, userKey(clock.nowMs() + 60_000))),
      need('read', 'dir/a b.txt'),
      'AuthenticationFailed',
      /Key not valid/,
    ],
    [
      'above the directory',
      at(directorySas(), `${dfsHost}/box/top`),
      need('read', 'top'),
      'AuthenticationFailed',
      /not within/,
    ],
    [
      'beside the directory',
      at(directorySas(), `${dfsHost}/box/top/subway`),
      need('read', 'top/subway'),
      'AuthenticationFailed',
      /did not match/,
    ],
    [
      'a rename out of the directory',
      at(directorySas(), `${dfsHost}/box/top/sub/a`),
      need('move', 'top/other'),
      mismatch('Permission'),
    ],
    [
      'a blob list that goes beyond the directory',
      at(`restype=container&comp=list&prefix=top/sub&${directorySas()}`, `${blobHost}/box`),
      need('list'),
      'AuthenticationFailed',
      /not within/,
    ],
  ]
  for (const [name, request, wanted, code, detail] of table) {
    const refusal = await refusalOf(() => use(request, [wanted]))
    t.match(refusal, { status: 403, code, ...(detail && { detail }) }, name)
  }
})

t.test('malformed fields are refused before anything else', async (t) => {
  const request = storageRequest(`${aBlob}?${blobSas()}`)
  const directory = storageRequest(`${dfsHost}/box/top/sub/a?${directorySas()}`)
  const table = [
    ['sv', 'yesterday', request, /sv/],
    ['sv', '2012-02-12', request, /sv/],
    ['sv', undefined, request, /sv is mandatory/],
    ['sr', undefined, request, /sr is mandatory/],
    ['sr', 'C', request, /sr is not valid/],
    ['se', 'soon', request, /se is not valid/],
    ['se', '2026-13-45', request, /se is not valid/],
    ['st', '2026-01-01 00:00', request, /st is not valid/],
    ['spr', 'http', request, /spr is not valid/],
    ['sig', '', request, /sig is mandatory/],
    ['sdd', undefined, directory, /sdd is not valid/],
    ['sdd', '02', directory, /sdd is not valid/],
    ['sdd', '-1', directory, /sdd is not valid/],
  ] as const
  for (const [name, value, from, detail] of table) {
    const changed = withQuery(from, name, value)
    const refusal = await refusalOf(() => access.authenticate(changed, account))
    t.match(refusal, { status: 403, code: 'AuthenticationFailed', detail }, `${name}=${value}`)
  }
})

t.test(
  'accounts without key authentication refuse all signatures but those of users',
  async (t) => {
    const locked = testAccount(clock, { allowSharedKey: false, hierarchical: true })
    for (const query of [blobSas(), accountSas()]) {
      const refusal = await refusalOf(() =>
        access.authenticate(storageRequest(`${aBlob}?${query}`), locked),
      )
      t.match(refusal, { status: 403, code: 'KeyBasedAuthenticationNotPermitted' })
    }
    const request = storageRequest(`${aBlob}?${blobSas({}, userKey())}`)

    t.match(await access.authenticate(request, locked), { kind: 'sas' })
  },
)

t.test('revoking an account’s delegation keys ends their signatures', async (t) => {
  const keys = new DelegationKeys()
  const revocable = createAccessControl({ delegationKeys: keys, roles })
  const key = keys.issue(account, owner, {
    expiresMs: clock.nowMs() + hourMs,
    version: '2024-11-04',
  })
  const own = {
    ...userKey(),
    signedStartsOn: new Date(key.signedStart),
    signedExpiresOn: new Date(key.signedExpiry),
    value: key.value,
  }
  const request = storageRequest(
    `${aBlob}?${blobSas({ expiresOn: new Date(key.signedExpiry) }, own)}`,
  )
  t.match(await revocable.authenticate(request, account), { kind: 'sas' })

  keys.revokeAll(accountName)

  t.match(await refusalOf(() => revocable.authenticate(request, account)), { status: 403 })
})

t.test(
  'a signature that was taken ends with the account’s key, and is none for another blob',
  async (t) => {
    const changing = testAccount(clock)
    const request = storageRequest(`${aBlob}?${blobSas()}`)
    const other = storageRequest(`${blobHost}/box/other.txt?${blobSas()}`)
    t.match(await access.authenticate(request, changing), { kind: 'sas' })
    t.match(await access.authenticate(request, changing), { kind: 'sas' })
    t.match(await refusalOf(() => access.authenticate(other, changing)), { status: 403 })

    changing.changeSettings({ keys: [accountKeys[1]] })

    t.match(await refusalOf(() => access.authenticate(request, changing)), { status: 403 })
  },
)

t.test('a user’s signature grants no more than the user’s role at that moment', async (t) => {
  const request = storageRequest(`${aBlob}?${containerSas({}, userKey())}`)
  const reader = createAccessControl({
    delegationKeys,
    roles: new Roles([{ objectId: owner.objectId, role: 'Storage Blob Data Reader' }]),
  })
  const caller = await reader.authenticate(request, account)

  reader.authorize(caller, readBlob, { request, account })
  const refusal = await refusalOf(() =>
    reader.authorize(caller, [need('write', 'dir/a b.txt')], { request, account }),
  )
  t.match(refusal, { status: 403, code: 'AuthorizationPermissionMismatch' })
})

t.test('a signature and an Authorization header together are refused', async (t) => {
  const request = storageRequest(`${aBlob}?${blobSas()}`, {
    headers: { authorization: 'Bearer x' },
  })

  const refusal = await refusalOf(() => access.authenticate(request, account))

  t.match(refusal, { status: 400, code: 'InvalidAuthenticationInfo' })
})

t.test('headers named in a signature replace those of the answer', async (t) => {
  const query = blobSas({
    cacheControl: 'c',
    contentDisposition: 'd',
    contentEncoding: 'e',
    contentLanguage: 'l',
    contentType: 't/t',
  })
  const request = storageRequest(`${aBlob}?${query}`)

  const caller = await use(request, readBlob)

  t.same(overriddenHeaders(request, caller), {
    'cache-control': 'c',
    'content-disposition': 'd',
    'content-encoding': 'e',
    'content-language': 'l',
    'content-type': 't/t',
  })
  const unsigned = storageRequest(`${aBlob}?rsct=text/html`)
  t.same(overriddenHeaders(unsigned, { kind: 'anonymous' }), {})
})

const tampered: Record<string, StorageRequest> = {
  'a service signature': storageRequest(
    `${aBlob}?${blobSas({ ipRange: { start: '127.0.0.1', end: '127.0.0.3' }, protocol: SASProtocol.HttpsAndHttp, encryptionScope: 'scope', cacheControl: 'a', contentDisposition: 'b', contentEncoding: 'c', contentLanguage: 'd', contentType: 'e' })}`,
  ),
  'an account signature': storageRequest(`${aBlob}?${accountSas('bq')}`),
  'a user’s signature': storageRequest(
    `${aBlob}?${blobSas({ preauthorizedAgentObjectId: agent, correlationId: owner.objectId, protocol: SASProtocol.Https }, userKey())}`,
  ),
  'a directory’s signature': storageRequest(
    `${dfsHost}/box/top/sub?${directorySas({ agentObjectId: agent, correlationId: agent })}`,
  ),
}

for (const [name, request] of Object.entries(tampered)) {
  t.test(`any changed, added or lost character in ${name} is refused`, async (t) => {
    const fields = [...request.query.keys()]
    const edit = fc.record({
      field: fc.constantFrom(...fields),
      at: fc.nat(),
      character: fc.constantFrom(...'0123456789abcdefxyzABZ=+/:-,. \n'),
      how: fc.constantFrom('replace', 'insert', 'remove'),
    })
    const property = fc.asyncProperty(edit, async ({ field, at, character, how }) => {
      const value = request.query.get(field) ?? ''
      const index = at % (value.length + (how === 'insert' ? 1 : 0))
      const rest = value.slice(index + (how === 'insert' ? 0 : 1))
      const changed = `${value.slice(0, index)}${how === 'remove' ? '' : character}${rest}`
      fc.pre(changed !== value)
      const refusal = await refusalOf(() =>
        access.authenticate(withQuery(request, field, changed), account),
      )
      return refusal !== undefined && [400, 401, 403].includes(refusal.status)
    })
    await access.authenticate(request, account)
    await fc.assert(property, { numRuns: 2000 })
    for (const field of fields) {
      const without = withQuery(request, field, undefined)
      const caller = await access.authenticate(without, account).catch(() => undefined)
      t.ok(caller === undefined || caller.kind === 'anonymous', `without ${field}`)
    }
  })
}
