import { createHash } from 'node:crypto'
import { type CryptoKey, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import { test } from 'tap'
import {
  type Authenticator,
  createAuthenticator,
  generateCallerKey,
} from '../../src/connector/authenticate.ts'
import type { CallerConfig } from '../../src/connector/config.ts'
import { FakeClock } from '../support/fake-clock.ts'

const trainer = generateCallerKey()
const admin = generateCallerKey()
const clock = new FakeClock()
const { privateKey, publicKey } = await generateKeyPair('RS256')
const stranger = await generateKeyPair('RS256')
const jwks = JSON.stringify({
  keys: [{ ...(await exportJWK(publicKey)), kid: 'one', alg: 'RS256' }],
})

const workload: CallerConfig = {
  name: 'pod',
  jwt: { issuer: 'https://issuer', audience: 'abfs', subject: 'system:sa:ml', jwksFile: '/jwks' },
}
const callers: CallerConfig[] = [
  { name: 'trainer', keySha256: trainer.keySha256 },
  { name: 'admin', keySha256: admin.keySha256 },
  workload,
  { name: 'other', jwt: { ...workload.jwt, subject: 'system:sa:other' } },
]

function authenticator(readFile: () => Promise<string> = async () => jwks): Promise<Authenticator> {
  const sources = { readFile, env: () => undefined }
  const send = () => Promise.reject(new Error('no issuer is asked here'))
  return createAuthenticator(callers, { sources, clock, send })
}

interface TokenOptions {
  readonly claims?: { readonly [claim in keyof JWTPayload]?: JWTPayload[claim] | undefined }
  readonly key?: CryptoKey
}

function token({ claims = {}, key = privateKey }: TokenOptions = {}): Promise<string> {
  const nowSeconds = clock.nowMs() / 1000
  const all: JWTPayload = {
    iss: 'https://issuer',
    aud: 'abfs',
    sub: 'system:sa:ml',
    exp: nowSeconds + 600,
  }
  for (const [claim, value] of Object.entries(claims)) all[claim] = value
  return new SignJWT(all).setProtectedHeader({ alg: 'RS256', kid: 'one' }).sign(key)
}

test('a key has 256 random bits and is known by its hash', async (t) => {
  t.match(trainer.key, /^abfs_[\w-]{43}$/)
  t.not(trainer.key, admin.key)
  t.equal(trainer.keySha256, createHash('sha256').update(trainer.key).digest('hex'))
})

test('a key names its caller', async (t) => {
  const authenticate = await authenticator()

  t.same(await authenticate(`Bearer ${trainer.key}`), { name: 'trainer' })
  t.same(await authenticate(`bearer ${admin.key}`), { name: 'admin' })
})

test('a token of the platform names the caller with its subject', async (t) => {
  const authenticate = await authenticator()

  t.same(await authenticate(`Bearer ${await token()}`), { name: 'pod' })
  const other = await token({ claims: { sub: 'system:sa:other' } })
  t.same(await authenticate(`Bearer ${other}`), { name: 'other' })
})

test('every other proof is refused with invalid_client', async (t) => {
  const authenticate = await authenticator()
  const nowSeconds = clock.nowMs() / 1000
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${(await token()).split('.')[1]}.`
  const shared = await new SignJWT({ iss: 'https://issuer', aud: 'abfs', sub: 'system:sa:ml' })
    .setProtectedHeader({ alg: 'HS256', kid: 'one' })
    .setExpirationTime(nowSeconds + 600)
    .sign(Buffer.from(jwks))
  const proofs: Record<string, string | undefined> = {
    none: undefined,
    empty: '',
    basic: `Basic ${trainer.key}`,
    'unknown key': `Bearer ${generateCallerKey().key}`,
    'hash instead of key': `Bearer ${trainer.keySha256}`,
    'key with a letter more': `Bearer ${trainer.key}x`,
    'two keys': `Bearer ${trainer.key} ${admin.key}`,
    'not a token': 'Bearer a.b.c',
    'unsigned token': `Bearer ${unsigned}`,
    'token signed with a public text': `Bearer ${shared}`,
    'another signer': `Bearer ${await token({ key: stranger.privateKey })}`,
    'another issuer': `Bearer ${await token({ claims: { iss: 'https://other' } })}`,
    'another audience': `Bearer ${await token({ claims: { aud: 'vault' } })}`,
    'another subject': `Bearer ${await token({ claims: { sub: 'system:sa:mlx' } })}`,
    expired: `Bearer ${await token({ claims: { exp: nowSeconds - 31 } })}`,
    'not yet valid': `Bearer ${await token({ claims: { nbf: nowSeconds + 60 } })}`,
    'without end': `Bearer ${await token({ claims: { exp: undefined } })}`,
    'too long': `Bearer ${'a'.repeat(20_000)}`,
  }

  for (const [title, proof] of Object.entries(proofs)) {
    await t.rejects(authenticate(proof), { code: 'invalid_client', status: 401 }, title)
  }
})

test('a key set that is no key set stops the connector at its start', async (t) => {
  for (const text of ['', '{}', 'null']) {
    await t.rejects(
      authenticator(async () => text),
      {
        code: 'EINVAL',
        message: /jwksFile of 'pod'.*\/jwks/,
      },
    )
  }
})
