import { randomUUID } from 'node:crypto'
import {
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  type JSONWebKeySet,
  type JWTPayload,
  SignJWT,
} from 'jose'

/** A key that signs JWTs, and the set that its public half is published in. */
export interface JwtSigner {
  readonly publicKey: CryptoKey
  readonly keySet: JSONWebKeySet
  sign(claims: JWTPayload): Promise<string>
}

/** Makes an RS256 signer with a fresh key. */
export async function createJwtSigner(): Promise<JwtSigner> {
  const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true })
  const publicJwk = await exportJWK(publicKey)
  const kid = await calculateJwkThumbprint(publicJwk)
  const header = { alg: 'RS256', typ: 'JWT', kid }
  return {
    publicKey,
    keySet: { keys: [{ ...publicJwk, kid, use: 'sig', alg: 'RS256' }] },
    sign: (claims) => new SignJWT(claims).setProtectedHeader(header).sign(privateKey),
  }
}

/** A service principal or a managed identity. */
export interface Principal {
  readonly clientId: string
  readonly objectId: string
  /** How it proved itself: `1` a secret, `2` an assertion, `0` neither. */
  readonly proof: '0' | '1' | '2'
}

/** A token and its times, in seconds since the epoch. */
export interface IssuedToken {
  readonly accessToken: string
  readonly notBefore: number
  readonly expiresOn: number
  readonly expiresIn: number
}

/** What the tokens of one request say. */
export interface TokenRequest {
  readonly principal: Principal
  /** The `aud` claim, as given. */
  readonly audience: string
  readonly tenantId: string
  readonly nowMs: number
  readonly lifetimeMs: number
  /** Claims that the client asked for beside these. */
  readonly requested?: JWTPayload | undefined
}

/** Signs an application token with the claims of Entra's version 1. */
export async function issueToken(signer: JwtSigner, request: TokenRequest): Promise<IssuedToken> {
  const issuedAt = Math.floor(request.nowMs / 1000)
  const expiresOn = issuedAt + Math.floor(request.lifetimeMs / 1000)
  const accessToken = await signer.sign({
    aud: request.audience,
    ...identityClaims(request),
    ...request.requested,
    iat: issuedAt,
    nbf: issuedAt,
    exp: expiresOn,
    uti: randomUUID(),
    ver: '1.0',
  })
  // A second less than the token has: a client that adds it to a clock it rounds up is not late.
  return { accessToken, notBefore: issuedAt, expiresOn, expiresIn: expiresOn - issuedAt - 1 }
}

function identityClaims({ principal, tenantId }: TokenRequest): JWTPayload {
  // Storage takes the issuer of version 1; Azurite takes no other.
  const issuer = `https://sts.windows.net/${tenantId}/`
  return {
    iss: issuer,
    idp: issuer,
    appid: principal.clientId,
    appidacr: principal.proof,
    idtyp: 'app',
    oid: principal.objectId,
    sub: principal.objectId,
    tid: tenantId,
  }
}
