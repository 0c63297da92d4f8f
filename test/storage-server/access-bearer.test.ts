import { createLocalJWKSet, exportJWK, generateKeyPair, SignJWT } from 'jose'
import t from 'tap'
import type { BearerCaller, Need } from '../../src/storage-server/access/access.ts'
import type { TokenRules } from '../../src/storage-server/access/bearer.ts'
import { createAccessControl } from '../../src/storage-server/access/create-access-control.ts'
import { Revocations } from '../../src/storage-server/access/revocations.ts'
import { Roles } from '../../src/storage-server/access/roles.ts'
import type { StorageAccount } from '../../src/storage-server/model/account.ts'
import type { StorageRequest } from '../../src/storage-server/wire/request.ts'
import { StorageError } from '../../src/storage-server/wire/storage-error.ts'
import { FakeClock } from '../support/fake-clock.ts'
import {
  accountName,
  addContainer,
  type RequestOptions,
  refusalOf,
  storageRequest,
  testAccount,
} from '../support/storage-request.ts'

const tenantId = 'a0a0a0a0-0000-4000-8000-000000000001'
const objectId = '0b9d1e5c-6a0f-4f7d-9d0b-6b5c1c0c8f01'
const issuer = `https://sts.windows.net/${tenantId}/`
const authorizationUri = `https://login.localhost/${tenantId}/oauth2/authorize`
const keys = await generateKeyPair('RS256', { extractable: true })
const stranger = await generateKeyPair('RS256', { extractable: true })
const rules: TokenRules = {
  keys: createLocalJWKSet({
    keys: [{ ...(await exportJWK(keys.publicKey)), kid: 'k', alg: 'RS256' }],
  }),
  issuers: [issuer],
  authorizationUri,
}
const clock = new FakeClock()
const account = testAccount(clock)
addContainer(account, 'box')
addContainer(account, 'public-blobs', { publicAccess: 'blob' })
addContainer(account, 'public', { publicAccess: 'container' })

const seconds = Math.floor(clock.nowMs() / 1000)
const claims = {
  iss: issuer,
  aud: 'https://storage.azure.com',
  iat: seconds,
  nbf: seconds,
  exp: seconds + 3600,
  oid: objectId,
  tid: tenantId,
  uti: 'token-1',
}

function token(
  changes: Readonly<Record<string, unknown>> = {},
  key = keys.privateKey,
): Promise<string> {
  return new SignJWT({ ...claims, ...changes })
    .setProtectedHeader({ alg: 'RS256', kid: 'k' })
    .sign(key)
}

function ask(
  bearer: string,
  url = `https://${accountName}.blob.localhost/box/a`,
  options: RequestOptions = {},
): StorageRequest {
  return storageRequest(url, {
    ...options,
    headers: { authorization: `Bearer ${bearer}`, ...options.headers },
  })
}

const read: Need = { right: 'read', resource: 'path', container: 'box', path: 'a' }

t.test('a token of the tenant says who asks', async (t) => {
  const access = createAccessControl({ tokens: rules })

  const caller = await access.authenticate(ask(await token({ groups: ['g1'] })), account)

  t.match(caller, { kind: 'bearer', objectId, tenantId, groups: ['g1'] })
})

t.test('audiences are accepted by host', async (t) => {
  const hosts = {
    blob: `https://${accountName}.blob.localhost/box/a`,
    dfs: `https://${accountName}.dfs.localhost/box/a`,
  }
  const own = (face: string): string => `https://${accountName}.${face}.core.windows.net`
  const table: readonly (readonly [
    string,
    blob: boolean,
    dfs: boolean,
    strictBlob: boolean,
    strictDfs: boolean,
  ])[] = [
    ['https://storage.azure.com', true, true, false, false],
    ['https://storage.azure.com/', true, true, false, false],
    ['e406a681-f3d4-42a8-90b6-c2b029497af1', true, true, false, false],
    [own('blob'), true, false, true, false],
    [`${own('blob')}/`, true, false, true, false],
    [own('dfs'), false, true, false, true],
    ['https://another.blob.core.windows.net', false, false, false, false],
    ['https://management.azure.com', false, false, false, false],
  ]
  const usual = createAccessControl({ tokens: rules })
  const strict = createAccessControl({ tokens: { ...rules, perAccountOnly: true } })
  for (const [aud, blob, dfs, strictBlob, strictDfs] of table) {
    const bearer = await token({ aud })
    for (const [access, url, isGood] of [
      [usual, hosts.blob, blob],
      [usual, hosts.dfs, dfs],
      [strict, hosts.blob, strictBlob],
      [strict, hosts.dfs, strictDfs],
    ] as const) {
      const refusal = await refusalOf(() => access.authenticate(ask(bearer, url), account))
      const expected = { status: 401, code: 'InvalidAuthenticationInfo', detail: /Audience/ }
      if (isGood) t.equal(refusal, undefined, `${aud} at ${url}`)
      else t.match(refusal, expected, `${aud} at ${url}`)
    }
  }
})

t.test('on an address, which is one host for both faces, a token for either passes', async (t) => {
  const access = createAccessControl({ tokens: { ...rules, perAccountOnly: true } })
  const url = `https://127.0.0.1/${accountName}/box/a`
  const refusalWith = async (aud: string) => {
    const bearer = await token({ aud })
    return refusalOf(() => access.authenticate(ask(bearer, url), account))
  }

  t.equal(await refusalWith(`https://${accountName}.blob.core.windows.net`), undefined)
  t.equal(await refusalWith(`https://${accountName}.dfs.core.windows.net`), undefined)
  t.match(await refusalWith('https://another.dfs.core.windows.net'), { status: 401 })
})

t.test('refusals of bearer tokens', async (t) => {
  const access = createAccessControl({ tokens: rules })
  const [head, body, signature] = (await token()).split('.')
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${body}.`
  const forged = Buffer.from(JSON.stringify({ ...claims, oid: 'other' })).toString('base64url')
  const invalid = [401, 'InvalidAuthenticationInfo'] as const
  const table: readonly (readonly [string, StorageRequest, readonly [number, string], RegExp])[] = [
    ['expired', ask(await token({ exp: seconds })), invalid, /expired/],
    ['not yet valid', ask(await token({ nbf: seconds + 60 })), invalid, /not yet valid/],
    [
      'another issuer',
      ask(await token({ iss: 'https://sts.windows.net/other/' })),
      invalid,
      /Issuer/,
    ],
    ['another key', ask(await token({}, stranger.privateKey)), invalid, /Signature/],
    ['changed claims', ask(`${head}.${forged}.${signature}`), invalid, /Signature/],
    ['no signature', ask(unsigned), invalid, /Signature/],
    ['no object id', ask(await token({ oid: undefined })), invalid, /oid/],
    ['no expiry', ask(await token({ exp: undefined })), invalid, /exp/],
    ['two audiences', ask(await token({ aud: ['a', 'b'] })), invalid, /./],
    ['no token at all', ask('abc'), invalid, /Signature/],
    ['an empty token', ask(''), [400, 'InvalidAuthenticationInfo'], /expected/],
    [
      'over http',
      ask(await token(), `http://${accountName}.blob.localhost/box/a`),
      [403, 'AuthenticationFailed'],
      /https/,
    ],
    [
      'an old version',
      ask(await token(), undefined, { headers: { 'x-ms-version': '2015-04-05' } }),
      [403, 'AuthenticationFailed'],
      /version/,
    ],
  ]
  for (const [name, request, [status, code], detail] of table) {
    t.match(
      await refusalOf(() => access.authenticate(request, account)),
      { status, code, detail },
      name,
    )
  }
})

t.test('a 401 says where to get a token, and for what', async (t) => {
  const access = createAccessControl({ tokens: rules })

  const error = await access
    .authenticate(ask(await token({ aud: 'x' })), account)
    .catch((e: unknown) => e)

  t.ok(error instanceof StorageError)
  t.match(error, {
    headers: {
      'www-authenticate': `Bearer authorization_uri=${authorizationUri} resource_id=https://storage.azure.com`,
    },
  })
})

t.test(
  'a token that was good expires with the account’s clock, within the tolerance',
  async (t) => {
    const moving = new FakeClock(clock.nowMs())
    const own = testAccount(moving)
    const access = createAccessControl({ tokens: { ...rules, clockToleranceSeconds: 60 } })
    const request = ask(await token())
    await access.authenticate(request, own)
    await moving.advance(3_600_000 + 59_000)
    await access.authenticate(request, own)

    await moving.advance(1000)

    t.match(await refusalOf(() => access.authenticate(request, own)), {
      status: 401,
      detail: /expired/,
    })
  },
)

t.test('a revoked token is answered with a claims challenge', async (t) => {
  const bearer = await token({ jti: 'j-1' })
  for (const revocation of [{ objectId }, { tokenId: 'j-1' }, { before: clock.nowMs() + 1000 }]) {
    const revocations = new Revocations()
    const access = createAccessControl({ tokens: rules, revocations })
    await access.authenticate(ask(bearer), account)
    revocations.add(revocation)

    const error = await access.authenticate(ask(bearer), account).catch((e: unknown) => e)

    t.ok(error instanceof StorageError && error.status === 401)
    const challenge = error instanceof StorageError ? (error.headers['www-authenticate'] ?? '') : ''
    t.match(
      challenge,
      /^Bearer realm="", authorization_uri=".*", error="insufficient_claims", claims="/,
    )
    const encoded = /claims="([^"]*)"/.exec(challenge)?.[1] ?? ''
    const value = String(seconds)
    t.same(JSON.parse(Buffer.from(encoded, 'base64').toString()), {
      access_token: { nbf: { essential: true, value } },
    })
  }
  const others = new Revocations()
  others.replace([{ objectId: 'x' }, { tokenId: 'y' }, { before: clock.nowMs() }])
  const access = createAccessControl({ tokens: rules, revocations: others })
  t.match(await access.authenticate(ask(bearer), account), { kind: 'bearer' })
})

t.test('without an issuer every token is refused', async (t) => {
  const refusal = await refusalOf(async () =>
    createAccessControl().authenticate(ask(await token()), account),
  )

  t.match(refusal, { status: 403, code: 'AuthenticationFailed' })
})

t.test('delegation keys hold for at most seven days', async (t) => {
  const access = createAccessControl({ tokens: rules })
  const caller = await access.authenticate(ask(await token()), account)
  const { delegationKey } = caller as BearerCaller
  const day = 86_400_000
  const issue = (startMs: number, expiresMs: number) => () =>
    delegationKey({
      startMs: clock.nowMs() + startMs,
      expiresMs: clock.nowMs() + expiresMs,
      version: '2024-11-04',
    })

  t.match(issue(0, 7 * day)(), {
    signedObjectId: objectId,
    signedTenantId: tenantId,
    signedService: 'b',
    value: /^.{44}$/,
  })
  for (const [start, end] of [
    [0, 7 * day + 1],
    [0, 0],
    [0, -1],
    [day, day],
    [2 * day, day],
    [0, Number.NaN],
  ] as const) {
    t.match(
      await refusalOf(issue(start, end)),
      { status: 400, code: 'InvalidXmlNodeValue' },
      `${start} ${end}`,
    )
  }
})

t.test('a signature bound to a user needs that user’s token beside it', async (t) => {
  const { DelegationKeys } = await import('../../src/storage-server/access/delegation-key.ts')
  const { BlobSASPermissions, generateBlobSASQueryParameters } = await import('@azure/storage-blob')
  const delegationKeys = new DelegationKeys()
  const roles = new Roles([{ objectId: 'issuer', role: 'Storage Blob Data Owner' }])
  const access = createAccessControl({ tokens: rules, delegationKeys, roles })
  const expiresMs = clock.nowMs() + 3_600_000
  const key = delegationKeys.issue(
    account,
    { objectId: 'issuer', tenantId },
    { expiresMs, version: '2025-07-05' },
  )
  const values = {
    containerName: 'box',
    blobName: 'a',
    permissions: BlobSASPermissions.parse('r'),
    expiresOn: new Date(expiresMs),
    delegatedUserObjectId: objectId,
    version: '2025-07-05',
  }
  const { signedObjectId, signedTenantId, signedService, signedVersion, value } = key
  const userKey = {
    ...{ signedObjectId, signedTenantId, signedService, signedVersion, value },
    signedStartsOn: new Date(key.signedStart),
    signedExpiresOn: new Date(key.signedExpiry),
  }
  const query = generateBlobSASQueryParameters(values, userKey, accountName)
  const url = `https://${accountName}.blob.localhost/box/a?${query}`

  t.match(await access.authenticate(ask(await token(), url), account), { kind: 'sas' })
  const other = await token({ oid: 'other' })
  t.match(await refusalOf(() => access.authenticate(ask(other, url), account)), { status: 403 })
  t.match(await refusalOf(() => access.authenticate(storageRequest(url), account)), { status: 400 })
})

t.test('roles hold where they were given', async (t) => {
  const needs: Record<string, Need> = {
    read,
    write: { ...read, right: 'write' },
    tags: { ...read, right: 'tags' },
    list: { right: 'list', resource: 'container', container: 'box' },
    makeContainer: { right: 'create', resource: 'container', container: 'box' },
    containerRights: { right: 'permissions', resource: 'container', container: 'box' },
    listContainers: { right: 'list', resource: 'service' },
    key: { right: 'delegationKey', resource: 'service' },
  }
  const at = (role: string, rest: object = {}): Roles =>
    new Roles([{ objectId, role, ...rest } as never])
  const table: readonly (readonly [string, Roles, string])[] = [
    ['nobody', new Roles(), ''],
    ['somebody else', new Roles([{ objectId: 'x', role: 'Storage Blob Data Owner' }]), ''],
    ['a reader', at('Storage Blob Data Reader'), 'read list listContainers key'],
    [
      'a contributor',
      at('Storage Blob Data Contributor'),
      'read write list makeContainer listContainers key',
    ],
    ['an owner', at('Storage Blob Data Owner'), Object.keys(needs).join(' ')],
    ['a delegator', at('Storage Blob Delegator'), 'key'],
    ['another account’s owner', at('Storage Blob Data Owner', { account: 'other' }), ''],
    [
      'the container’s contributor',
      at('Storage Blob Data Contributor', { container: 'box' }),
      'read write list makeContainer',
    ],
    ['another container’s', at('Storage Blob Data Owner', { container: 'crate' }), ''],
    [
      'a prefix’s reader',
      at('Storage Blob Data Reader', { container: 'box', pathPrefix: 'a' }),
      'read',
    ],
    [
      'another prefix’s',
      at('Storage Blob Data Reader', { container: 'box', pathPrefix: 'b/' }),
      '',
    ],
    [
      'a group’s reader',
      new Roles([{ objectId: 'g1', role: 'Storage Blob Data Reader' }]),
      'read list listContainers key',
    ],
  ]
  const bearer = await token({ groups: ['g1'] })
  for (const [name, roles, granted] of table) {
    const access = createAccessControl({ tokens: rules, roles })
    for (const [what, need] of Object.entries(needs)) {
      const url = `https://${accountName}.blob.localhost/${need.path === undefined ? 'box?restype=container&comp=list' : 'box/a'}`
      const request = ask(bearer, url)
      const caller = await access.authenticate(request, account)
      const refusal = await refusalOf(() => access.authorize(caller, [need], { request, account }))
      if (granted.split(' ').includes(what)) t.equal(refusal, undefined, `${name}: ${what}`)
      else
        t.match(
          refusal,
          { status: 403, code: 'AuthorizationPermissionMismatch' },
          `${name}: ${what}`,
        )
    }
  }
})

t.test('a role on a prefix lists within it and not beside it', async (t) => {
  const role = 'Storage Blob Data Reader'
  const roles = new Roles([{ objectId, role, container: 'box', pathPrefix: 'data/' }])
  const access = createAccessControl({ tokens: rules, roles })
  const list: Need = { right: 'list', resource: 'container', container: 'box' }
  for (const [prefix, isGood] of [
    ['data/', true],
    ['data/x/', true],
    ['data', false],
    ['', false],
    ['database/', false],
  ] as const) {
    const request = ask(
      await token(),
      `https://${accountName}.blob.localhost/box?restype=container&comp=list&prefix=${prefix}`,
    )
    const caller = await access.authenticate(request, account)
    const refusal = await refusalOf(() => access.authorize(caller, [list], { request, account }))
    t.equal(refusal?.status, isGood ? undefined : 403, prefix)
  }
})

t.test('anonymous callers read what is public and are told how to do better', async (t) => {
  const access = createAccessControl({ tokens: rules })
  const closed = testAccount(clock, { allowPublicAccess: false })
  const of = (container: string, right: Need['right'], path?: string): Need =>
    path === undefined
      ? { right, resource: 'container', container }
      : { right, resource: 'path', container, path }
  const old = { headers: { 'x-ms-version': '2019-02-02' } }
  const table: readonly (readonly [
    string,
    StorageAccount,
    Need,
    RequestOptions,
    [number, string] | undefined,
  ])[] = [
    ['a public blob', account, of('public-blobs', 'read', 'a'), {}, undefined],
    [
      'a list of public blobs',
      account,
      of('public-blobs', 'list'),
      {},
      [401, 'NoAuthenticationInformation'],
    ],
    ['a list of a public container', account, of('public', 'list'), {}, undefined],
    [
      'a write to a public container',
      account,
      of('public', 'write', 'a'),
      {},
      [401, 'NoAuthenticationInformation'],
    ],
    ['a private blob', account, of('box', 'read', 'a'), {}, [401, 'NoAuthenticationInformation']],
    [
      'a private blob by an old version',
      account,
      of('box', 'read', 'a'),
      old,
      [404, 'ResourceNotFound'],
    ],
    [
      'what is not there',
      account,
      of('none', 'read', 'a'),
      {},
      [401, 'NoAuthenticationInformation'],
    ],
    [
      'a closed account',
      closed,
      of('public', 'read', 'a'),
      {},
      [401, 'NoAuthenticationInformation'],
    ],
    [
      'a closed account by an old version',
      closed,
      of('public', 'read', 'a'),
      old,
      [409, 'PublicAccessNotPermitted'],
    ],
  ]
  for (const [name, on, need, options, refused] of table) {
    const request = storageRequest(`https://${accountName}.blob.localhost/box/a`, options)
    const caller = await access.authenticate(request, on)
    const refusal = await refusalOf(() =>
      access.authorize(caller, [need], { request, account: on }),
    )
    t.same(refusal && [refusal.status, refusal.code], refused, name)
  }
})
