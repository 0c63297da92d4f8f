import { randomUUID } from 'node:crypto'
import {
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  type JWK,
  SignJWT,
} from 'jose'
import { hashOf } from '../../src/connector/session/token-hash.ts'

/** What one proof says; what is absent is as it should be. */
export interface ProofChanges {
  readonly typ?: string
  readonly htm?: string
  readonly htu?: string
  readonly iat?: number
  readonly jti?: string
  readonly nonce?: string | undefined
  readonly ath?: string
}

export interface DpopAnswer {
  readonly status: number
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: the tests look at whatever stands there
  readonly json: any
}

/** A client with a key of its own that signs each request (RFC 9449), written for tests alone. */
export class DpopClient {
  readonly #key: CryptoKey
  readonly #jwk: JWK
  readonly #nowMs: () => number
  readonly jkt: string
  nonce: string | undefined

  private constructor(key: CryptoKey, jwk: JWK, jkt: string, nowMs: () => number) {
    this.#key = key
    this.#jwk = jwk
    this.jkt = jkt
    this.#nowMs = nowMs
  }

  static async make(nowMs: () => number): Promise<DpopClient> {
    const { privateKey, publicKey } = await generateKeyPair('ES256')
    const jwk = await exportJWK(publicKey)
    return new DpopClient(privateKey, jwk, await calculateJwkThumbprint(jwk), nowMs)
  }

  async proof(
    method: string,
    url: URL,
    token?: string,
    changes: ProofChanges = {},
  ): Promise<string> {
    const { typ = 'dpop+jwt', ...claims } = changes
    return new SignJWT({
      htm: method,
      htu: url.href.replace(/[?#].*$/, ''),
      iat: Math.floor(this.#nowMs() / 1000),
      jti: randomUUID(),
      nonce: this.nonce,
      ...(token === undefined ? {} : { ath: hashOf(token) }),
      ...claims,
    })
      .setProtectedHeader({ alg: 'ES256', typ, jwk: this.#jwk })
      .sign(this.#key)
  }

  /** Sends a request with a proof, or with the one given; remembers the nonce of the answer. */
  async send(
    method: string,
    url: URL,
    authorization: string,
    options: {
      body?: unknown
      form?: Record<string, string>
      proof?: string
      changes?: ProofChanges
    } = {},
  ): Promise<DpopAnswer> {
    const token = /^DPoP (.*)$/.exec(authorization)?.[1]
    const proof = options.proof ?? (await this.proof(method, url, token, options.changes))
    const { body, form } = options
    const response = await fetch(url, {
      method,
      headers: {
        authorization,
        dpop: proof,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(form === undefined ? {} : { body: new URLSearchParams(form) }),
    })
    this.nonce = response.headers.get('dpop-nonce') ?? this.nonce
    const text = await response.text()
    return { status: response.status, text, json: text === '' ? undefined : JSON.parse(text) }
  }
}
