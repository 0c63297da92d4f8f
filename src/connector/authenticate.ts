import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import {
  createLocalJWKSet,
  decodeJwt,
  errors,
  type JSONWebKeySet,
  type JWTVerifyGetKey,
  jwtVerify,
} from 'jose'
import type { Clock } from '../clock.ts'
import { FileSystemError } from '../errors.ts'
import { type ApiKeys, isApiKey } from './callers/api-keys.ts'
import { hasClaims } from './callers/claims.ts'
import {
  type ConnectionProof,
  type ConnectionRule,
  callerOfConnection,
} from './callers/connection.ts'
import { discoveredKeySet } from './callers/discovery.ts'
import type { KeyFetch } from './callers/key-fetch.ts'
import { remoteKeySet } from './callers/key-set.ts'
import type { CallerConfig, JwtCaller, KeyCaller } from './config.ts'
import { ConnectorError } from './connector-error.ts'
import type { Principal } from './policy.ts'
import type { ConnectorSources } from './sources.ts'

/**
 * The value of `Authorization`, or else what the connection proves → who calls; rejects with
 * `invalid_client`. A proof that is sent must be good: the connection does not stand in for it.
 */
export type Authenticator = (
  authorization: string | undefined,
  connection?: ConnectionProof,
) => Promise<Principal>

/** A caller's key, for the caller, and its hash, for the connector's configuration. */
export interface CallerKey {
  readonly key: string
  readonly keySha256: string
}

/** Signatures whose key the connector need not hold; `none` and shared secrets are never accepted. */
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
]
/** 32 random bytes in base64url, so that a hash without salt tells nothing about the key. */
const KEY_FORM = /^abfs_[A-Za-z0-9_-]{43}$/
const MAX_PROOF_LENGTH = 16_384

interface TokenRule {
  readonly caller: JwtCaller
  readonly keys: JWTVerifyGetKey
}

/** A new key of 256 random bits, `abfs_` before it. */
export function generateCallerKey(): CallerKey {
  const key = `abfs_${randomBytes(32).toString('base64url')}`
  return { key, keySha256: sha256(key).toString('hex') }
}

/** What proofs are checked with. */
export interface AuthenticatorOptions {
  readonly sources: ConnectorSources
  readonly clock: Clock
  /** How issuers are asked for their keys. */
  readonly send: KeyFetch
  /** Keys of the state; none when absent. */
  readonly apiKeys?: ApiKeys | undefined
}

/**
 * Reads the key sets of the callers and builds the check of their proofs. Rejects with `EINVAL`
 * when a key set cannot be read.
 */
export async function createAuthenticator(
  callers: readonly CallerConfig[],
  options: AuthenticatorOptions,
): Promise<Authenticator> {
  const { clock, apiKeys } = options
  const keyCallers = callers.filter((caller): caller is KeyCaller => 'keySha256' in caller)
  const jwtCallers = callers.filter((caller): caller is JwtCaller => 'jwt' in caller)
  const rules = await Promise.all(
    jwtCallers.map(async (caller) => ({ caller, keys: await keySet(caller, options) })),
  )
  const connections = callers.filter((caller): caller is ConnectionRule & CallerConfig =>
    ['certificate', 'unixPeer', 'unixSocket'].some((field) => field in caller),
  )
  return async (authorization, connection) => {
    if (authorization === undefined && connection !== undefined) {
      return principalOf(callers, callerOfConnection(connections, connection))
    }
    const proof = bearerOf(authorization)
    if (apiKeys !== undefined && isApiKey(proof)) {
      const principal = await apiKeys.principal(proof)
      if (principal === undefined) throw unknownCaller()
      return principal
    }
    return KEY_FORM.test(proof)
      ? authenticateKey(proof, keyCallers)
      : authenticateToken(proof, rules, clock)
  }
}

function principalOf(callers: readonly CallerConfig[], name: string | undefined): Principal {
  if (name === undefined) throw unknownCaller()
  const isAdmin = callers.some((caller) => caller.name === name && caller.admin === true)
  return isAdmin ? { name, admin: true } : { name }
}

function bearerOf(authorization: string | undefined): string {
  const proof = /^Bearer ([\w.~+/=-]+)$/i.exec(authorization ?? '')?.[1]
  if (proof === undefined || proof.length > MAX_PROOF_LENGTH) throw unknownCaller()
  return proof
}

/** Compares with every key, so that the time tells neither which nor how much of one fits. */
function authenticateKey(proof: string, callers: readonly KeyCaller[]): Principal {
  const digest = sha256(proof)
  let found: KeyCaller | undefined
  for (const caller of callers) {
    if (timingSafeEqual(digest, Buffer.from(caller.keySha256, 'hex'))) found = caller
  }
  if (found === undefined) throw unknownCaller()
  return principalOf(callers, found.name)
}

async function authenticateToken(
  proof: string,
  rules: readonly TokenRule[],
  clock: Clock,
): Promise<Principal> {
  const issuer = issuerOf(proof)
  let refused: unknown
  for (const rule of rules.filter(({ caller }) => caller.jwt.issuer === issuer)) {
    try {
      await verifyToken(proof, rule, clock)
      return principalOf([rule.caller], rule.caller.name)
    } catch (error) {
      if (!isRefusal(error)) throw keysUnavailable(error)
      refused = error
    }
  }
  throw unknownCaller(refused)
}

async function verifyToken(proof: string, rule: TokenRule, clock: Clock): Promise<void> {
  const { issuer, audience, subject, claims = {} } = rule.caller.jwt
  const { payload } = await jwtVerify(proof, rule.keys, {
    algorithms: ALGORITHMS,
    issuer,
    audience,
    ...(subject === undefined ? {} : { subject }),
    requiredClaims: ['exp'],
    clockTolerance: 30,
    currentDate: new Date(clock.nowMs()),
  })
  if (hasClaims(payload, claims)) return
  throw new errors.JWTClaimValidationFailed('a claim is not as the caller asks', payload)
}

function issuerOf(proof: string): string | undefined {
  try {
    return decodeJwt(proof).iss
  } catch (error) {
    throw unknownCaller(error)
  }
}

async function keySet(
  caller: JwtCaller,
  { sources, clock, send }: AuthenticatorOptions,
): Promise<JWTVerifyGetKey> {
  const { issuer, jwksUri, jwksFile } = caller.jwt
  if (jwksUri !== undefined) return remoteKeySet(jwksUri, clock, send)
  if (jwksFile !== undefined) return fileKeySet(caller, jwksFile, sources)
  return discoveredKeySet(issuer, clock, send)
}

async function fileKeySet(
  caller: JwtCaller,
  file: string,
  sources: ConnectorSources,
): Promise<JWTVerifyGetKey> {
  try {
    const keys: JSONWebKeySet = JSON.parse(await sources.readFile(file))
    return createLocalJWKSet(keys)
  } catch (cause) {
    throw keySetError(caller, file, cause)
  }
}

function keySetError(caller: JwtCaller, path: string, cause: unknown): FileSystemError {
  const detail = `callers: jwt.jwksFile of '${caller.name}' is not a readable JSON Web Key Set`
  return new FileSystemError('EINVAL', 'connector.config', { detail, path, cause })
}

/** Whether the token is at fault, rather than the key set that could not be fetched. */
function isRefusal(error: unknown): boolean {
  const isOurs =
    error instanceof errors.JWKSTimeout ||
    (error instanceof errors.JOSEError && error.code === 'ERR_JOSE_GENERIC')
  return error instanceof errors.JOSEError && !isOurs
}

function keysUnavailable(cause: unknown): ConnectorError {
  return new ConnectorError('temporarily_unavailable', 'identity_unavailable', {
    detail: "the connector cannot fetch the keys that sign the caller's token",
    hint: 'ask the operator of the connector to check the jwksUri of the caller, or what its issuer publishes',
    retryable: true,
    cause,
  })
}

function unknownCaller(cause?: unknown): ConnectorError {
  return new ConnectorError('invalid_client', 'caller_unknown', {
    detail: 'the connector does not know this caller',
    hint: 'check the key or token, and that the connector lists its caller',
    cause,
  })
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
