import { Socket } from 'node:net'
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import t from 'tap'
import { createAuthenticator } from '../../../src/connector/authenticate.ts'
import { hasClaims } from '../../../src/connector/callers/claims.ts'
import { connectionProof } from '../../../src/connector/callers/connection.ts'
import type { CallerConfig } from '../../../src/connector/config.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const clock = new FakeClock(1_800_000_000_000)
const callers: readonly CallerConfig[] = [
  { name: 'socket', unixSocket: true },
  { name: 'named', certificate: { commonName: 'trainer' } },
  { name: 'spiffe', admin: true, certificate: { alternativeName: 'URI:spiffe://x/ml' } },
  { name: 'both', certificate: { commonName: 'a', alternativeName: 'DNS:b' } },
]
const noIssuer = () => Promise.reject(new Error('no issuer is asked here'))
const sources = { readFile: async () => '', env: () => undefined }

t.test('a connection names its caller, by certificate or by the socket', async (t) => {
  const authenticate = await createAuthenticator(callers, { sources, clock, send: noIssuer })
  const refused = { name: 'ConnectorError', reason: 'caller_unknown' }
  const by = (commonName: string | undefined, ...alternativeNames: string[]) =>
    authenticate(undefined, { unixSocket: false, certificate: { commonName, alternativeNames } })
  t.same(await authenticate(undefined, { unixSocket: true }), { name: 'socket' })
  const peer = { pid: 1, uid: (process.getuid?.() ?? 0) + 1, gid: 0, groups: [] }
  await t.rejects(authenticate(undefined, { unixSocket: true, peer }), refused, 'another user')
  t.same(await by('trainer'), { name: 'named' })
  t.same(await by('x', 'DNS:y', 'URI:spiffe://x/ml'), { name: 'spiffe', admin: true })
  t.same(await by('a', 'DNS:b'), { name: 'both' })
  await t.rejects(by('a'), refused)
  await t.rejects(by(undefined, 'DNS:b'), refused)
  await t.rejects(by('Trainer'), refused)
  await t.rejects(by('x', 'URI:spiffe://x/ml2'), refused)
  await t.rejects(authenticate(undefined, { unixSocket: false }), refused)
  const wrongKey = `Bearer abfs_${'A'.repeat(43)}`
  await t.rejects(
    authenticate(wrongKey, { unixSocket: true }),
    refused,
    'a wrong proof is not made good',
  )
})

t.test('a plain socket proves no certificate', async (t) => {
  t.same(connectionProof(new Socket(), false), { unixSocket: false })
})

t.test('claims are compared whole, by pointer, and lists by membership', async (t) => {
  const payload = {
    groups: ['ml', 'ops'],
    'kubernetes.io': { namespace: 'train', pod: { name: 'p' } },
    'a/b': 'slash',
  }
  t.equal(hasClaims(payload, { '/kubernetes.io/namespace': 'train' }), true)
  t.equal(hasClaims(payload, { '/kubernetes.io/namespace': ['x', 'train'] }), true)
  t.equal(hasClaims(payload, { '/groups': 'ml', '/a~1b': 'slash' }), true)
  t.equal(hasClaims(payload, { '/groups': 'm' }), false)
  t.equal(hasClaims(payload, { '/kubernetes.io': 'train' }), false)
  t.equal(hasClaims(payload, { '/groups': 'ml', '/missing': 'x' }), false)
  t.equal(hasClaims(payload, { '/__proto__/constructor': 'x' }), false)
})

t.test('a token of an issuer is a caller when its claims fit', async (t) => {
  const { privateKey, publicKey } = await generateKeyPair('RS256')
  const jwk: JWK = { ...(await exportJWK(publicKey)), kid: 'k' }
  const jwt = {
    issuer: 'https://issuer.example',
    audience: 'abfs',
    claims: { '/kubernetes.io/namespace': 'ml' },
    jwksFile: 'keys.json',
  }
  const files = { ...sources, readFile: async () => JSON.stringify({ keys: [jwk] }) }
  const authenticate = await createAuthenticator([{ name: 'pod', jwt }], {
    sources: files,
    clock,
    send: noIssuer,
  })
  const token = (claims: object) =>
    new SignJWT({ ...claims })
      .setProtectedHeader({ alg: 'RS256', kid: 'k' })
      .setIssuer(jwt.issuer)
      .setAudience('abfs')
      .setExpirationTime(clock.nowMs() / 1000 + 60)
      .sign(privateKey)
  const fitting = await token({ 'kubernetes.io': { namespace: 'ml' } })
  t.same(await authenticate(`Bearer ${fitting}`), { name: 'pod' })
  for (const claims of [{}, { 'kubernetes.io': { namespace: 'ml2' } }, { 'kubernetes.io': 'ml' }]) {
    const other = authenticate(`Bearer ${await token(claims)}`)
    await t.rejects(other, { name: 'ConnectorError', reason: 'caller_unknown' })
  }
})
