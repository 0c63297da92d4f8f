import t from 'tap'
import { AzureBlobStore } from '../../src/blob/azure-store.ts'
import { MiB } from '../../src/byte-range.ts'
import { authorize } from '../../src/credential/authorize.ts'
import { CachedCredentialProvider } from '../../src/credential/cached-provider.ts'
import { parseChallenge } from '../../src/credential/challenge.ts'
import type { CredentialProvider, Scope } from '../../src/credential/credential.ts'
import { MultiScopeTokenProvider } from '../../src/credential/multi-scope-token-provider.ts'
import { sasProvider } from '../../src/credential/sas-provider.ts'
import {
  callbackToken,
  fromTokenCredential,
  staticToken,
  type TokenRequest,
} from '../../src/credential/token-source.ts'
import { type HttpHandler, type HttpResponse, intercept } from '../../src/http/handler.ts'
import { BlobWriter } from '../../src/transfer/blob-writer.ts'
import { blockBytesAt } from '../../src/transfer/block-size.ts'
import { FakeClock } from '../support/fake-clock.ts'

const scope: Scope = { account: 'acct', service: 'blob', container: 'box', permissions: ['read'] }
const own = 'https://acct.blob.core.windows.net/.default'
const generic = 'https://storage.azure.com/.default'
const hourMs = 3_600_000

/** Notes what is asked and gives numbered tokens. */
function noting(refuse: (request: TokenRequest) => string | undefined = () => undefined) {
  const asked: TokenRequest[] = []
  const source = callbackToken((request) => {
    asked.push(request)
    const reason = refuse(request)
    if (reason !== undefined) throw new Error(reason)
    return { token: `t${asked.length}`, expiresAtMs: Date.now() + hourMs }
  })
  return { asked, source }
}

t.test('each endpoint of an account has its own audience', async (t) => {
  const { asked, source } = noting()
  const provider = new MultiScopeTokenProvider({ source })
  await provider.getCredential(scope)
  await provider.getCredential({ ...scope, service: 'dfs' })
  t.same(
    asked.map((request) => request.scope),
    [own, 'https://acct.dfs.core.windows.net/.default'],
  )
})

t.test(
  'a tenant that knows no such audience is asked for that of all storage, from then on',
  async (t) => {
    const { asked, source } = noting(({ scope }) =>
      scope === own ? 'AADSTS500011: The resource principal was not found' : undefined,
    )
    const provider = new MultiScopeTokenProvider({ source })
    t.match(await provider.getCredential(scope), { kind: 'bearer', token: 't2' })
    await provider.getCredential(scope)
    t.same(
      asked.map((request) => request.scope),
      [own, generic, generic],
    )
  },
)

t.test('another refusal is the reason, without a second question', async (t) => {
  const { asked, source } = noting(() => 'AADSTS7000215: Invalid client secret\nTrace ID: 1')
  await t.rejects(new MultiScopeTokenProvider({ source }).getCredential(scope), {
    code: 'EACCES',
    message: /Invalid client secret(?!.*Trace)/,
  })
  t.equal(asked.length, 1)
})

t.test('claims and tenant of a challenge reach the source, the tenant for good', async (t) => {
  const { asked, source } = noting()
  const provider = new MultiScopeTokenProvider({ source })
  const claims = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'
  await provider.getCredential(scope, {
    refresh: true,
    challenge: { claims, tenantId: 'tenant-1' },
  })
  await provider.getCredential(scope)
  t.match(asked[0], { claims, tenantId: 'tenant-1', refresh: true })
  t.match(asked[1], { tenantId: 'tenant-1', refresh: false })
  t.equal(asked[1]?.claims, undefined)
})

t.test('a new token that is refused as well was for the wrong audience', async (t) => {
  const clock = new FakeClock()
  const { asked, source } = noting()
  const provider = new MultiScopeTokenProvider({ source, clock })
  await provider.getCredential(scope, { refresh: true })
  await clock.advance(hourMs)
  await provider.getCredential(scope, { refresh: true })
  t.equal(asked.at(-1)?.scope, own, 'an expired one now and then is not')
  await clock.advance(1000)
  await provider.getCredential(scope, { refresh: true })
  t.equal(asked.at(-1)?.scope, generic)
})

t.test('credentials of the SDKs and fixed tokens are sources', async (t) => {
  const calls: unknown[] = []
  const sdk = fromTokenCredential({
    async getToken(scopes, options) {
      calls.push([scopes, options])
      return { token: 'sdk', expiresOnTimestamp: 5 }
    },
  })
  t.same(await sdk({ scope: own, claims: '{}', tenantId: 'x' }), { token: 'sdk', expiresAtMs: 5 })
  t.same(calls, [[own, { enableCae: true, claims: '{}', tenantId: 'x' }]])
  const fixed = new MultiScopeTokenProvider({ source: staticToken('one') })
  t.match(await fixed.getCredential(scope), { token: 'one' })
  await t.rejects(fixed.getCredential(scope, { refresh: true }), { code: 'EACCES' })
})

t.test('challenges are read with and without quotes', async (t) => {
  const claims = Buffer.from('{"a":1}').toString('base64')
  const uri = 'https://login.microsoftonline.com/72f9/oauth2/authorize'
  t.same(parseChallenge(`Bearer authorization_uri=${uri} resource_id=https://storage.azure.com`), {
    tenantId: '72f9',
    claims: undefined,
  })
  t.same(
    parseChallenge(`Bearer realm="", authorization_uri="${uri}", error="x", claims="${claims}"`),
    { tenantId: '72f9', claims: '{"a":1}' },
  )
  for (const nothing of [
    undefined,
    '',
    'Basic realm="x"',
    'Bearer',
    'Bearer authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"',
    'Bearer claims="bm90IGpzb24="',
    'Bearer authorization_uri="::"',
  ]) {
    t.equal(parseChallenge(nothing), undefined, String(nothing))
  }
})

interface Service {
  readonly handle: HttpHandler
  readonly accepted: () => number
  readonly refused: () => number
}

/** Takes a second for each block, and checks what proves the caller as the service would. */
function slowService(
  clock: FakeClock,
  refusal: (request: Parameters<HttpHandler>[0]) => HttpResponse | undefined,
): Service {
  let accepted = 0
  let refused = 0
  const handle: HttpHandler = async (request) => {
    const answer = refusal(request)
    if (answer !== undefined) {
      refused += 1
      return answer
    }
    await clock.advance(1000)
    accepted += 1
    return { status: 201, headers: { etag: '"1"' }, body: new Uint8Array(0) }
  }
  return { handle, accepted: () => accepted, refused: () => refused }
}

async function upload(clock: FakeClock, handle: HttpHandler, provider: CredentialProvider) {
  const cached = new CachedCredentialProvider(provider, { clock })
  const http = intercept(handle, authorize({ provider: cached, scopeOf: () => scope }))
  const endpoint = new URL('https://acct.blob.core.windows.net')
  const store = new AzureBlobStore({ account: 'acct', endpoint, http })
  const path = { container: 'box', name: 'large' }
  await using writer = new BlobWriter({ store, path, blockBytes: 8 * MiB, concurrency: 2 })
  const piece = Buffer.alloc(8 * MiB)
  for (let count = 0; count < pieces; count++) await writer.write(piece)
  return await writer.commit()
}

/** 10 GiB in the long variant, else a tenth of that. */
const isLong = process.env['ABFS_LONG_TESTS'] === '1'
const pieces = isLong ? 1280 : 128
const lifeMs = isLong ? 300_000 : 30_000

/** Beyond 8 GiB they are larger than the pieces. */
function blocks(): number {
  let count = 0
  for (let at = 0; at < pieces * 8 * MiB; at += blockBytesAt(at, 8 * MiB)) count += 1
  return count
}

const unauthorized = (header: string): HttpResponse => ({
  status: 401,
  headers: { 'www-authenticate': header, 'x-ms-error-code': 'InvalidAuthenticationInfo' },
  body: new Uint8Array(0),
})

t.test('tokens that end, and one that is revoked, in the middle of a long upload', async (t) => {
  const clock = new FakeClock()
  const issued = new Map<string, { readonly endsMs: number; readonly claims: string | undefined }>()
  const source = callbackToken(({ claims }) => {
    const token = `t${issued.size}`
    const endsMs = clock.nowMs() + lifeMs
    issued.set(token, { endsMs, claims })
    return { token, expiresAtMs: endsMs }
  })
  const revokedFromMs = clock.nowMs() + lifeMs * 2
  const claims = '{"access_token":{"nbf":{"essential":true,"value":"2"}}}'
  const service = slowService(clock, ({ headers }) => {
    const token = issued.get((headers['authorization'] ?? '').replace('Bearer ', ''))
    if (token === undefined || token.endsMs <= clock.nowMs()) return unauthorized('Bearer')
    const isRevoked =
      clock.nowMs() >= revokedFromMs && ![...issued.values()].some((one) => one.claims)
    const encoded = Buffer.from(claims).toString('base64')
    const uri = 'https://login.microsoftonline.com/tenant-1/oauth2/authorize'
    return isRevoked
      ? unauthorized(
          `Bearer authorization_uri="${uri}", error="insufficient_claims", claims="${encoded}"`,
        )
      : undefined
  })
  const provider = new MultiScopeTokenProvider({ source, clock })
  const { sizeBytes } = await upload(clock, service.handle, provider)
  t.equal(sizeBytes, pieces * 8 * MiB)
  t.equal(service.accepted(), blocks() + 1, 'no block was sent twice')
  t.ok(issued.size >= 4, `${issued.size} tokens`)
  t.ok(service.refused() >= 1 && service.refused() <= 2, `${service.refused()} refusals`)
  t.equal([...issued.values()].filter((one) => one.claims === claims).length, 1)
})

t.test('signatures that rotate in the middle of a long upload', async (t) => {
  const clock = new FakeClock()
  let count = 0
  const provider = sasProvider(async ({ container }) => {
    count += 1
    const endsMs = clock.nowMs() + lifeMs
    return { sas: `?se=${new Date(endsMs).toISOString()}&sr=c&sig=${container}${count}` }
  })
  const service = slowService(clock, ({ url }) => {
    const endsMs = Date.parse(url.searchParams.get('se') ?? '')
    return url.searchParams.has('sig') && endsMs > clock.nowMs() ? undefined : unauthorized('')
  })
  await upload(clock, service.handle, provider)
  t.equal(service.accepted(), blocks() + 1)
  t.equal(service.refused(), 0, 'each was asked for before the last one ended')
  t.ok(count >= 4, `${count} signatures`)
})

t.test('text that is no signature is refused before it is sent', async (t) => {
  const provider = sasProvider(() => ({ sas: 'key=1' }))
  await t.rejects(provider.getCredential(scope), { code: 'EINVAL', path: 'sas' })
  const wrong: { sas: string } = Object.assign({ sas: '' }, { sas: undefined })
  await t.rejects(sasProvider(() => wrong).getCredential(scope), { code: 'EINVAL', path: 'sas' })
})

t.test('without an end a signature is good until it is refused', async (t) => {
  const provider = sasProvider(() => ({ sas: 'si=policy&sig=x' }))
  const credential = await provider.getCredential(scope)
  t.match(credential, { query: 'si=policy&sig=x', expiresAtMs: Number.MAX_SAFE_INTEGER })
})
