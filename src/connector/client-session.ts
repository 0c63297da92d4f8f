import { randomUUID } from 'node:crypto'
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import type { Clock } from '../clock.ts'
import { scopeKey } from '../credential/credential.ts'
import type { HttpHandler, HttpRequest, HttpResponse } from '../http/handler.ts'
import { connectorUrl, type ProvenBy, type SessionWish } from './asking.ts'
import { SESSIONS_PATH } from './protocol.ts'
import { parseProblem, readJson } from './read-answer.ts'
import { hashOf } from './session/token-hash.ts'

/** What {@link ClientSessions} needs. */
export interface ClientSessionsOptions {
  /** The connector's URL, before `/v1`. */
  readonly endpoint: URL
  /** The caller's key or token, fit for a header: sent to open a session, and not again. */
  readonly callerProof: () => Promise<string>
  readonly http: HttpHandler
  readonly clock: Clock
}

interface Key {
  readonly privateKey: CryptoKey
  readonly jwk: JWK
}

interface Open {
  readonly id: string
  readonly accessToken: string
  readonly accessExpiresAtMs: number
  readonly refreshToken: string
}

interface Call {
  readonly path: string
  readonly authorization: string
  /** The session's token, which the proof names. */
  readonly token?: string | undefined
  readonly body?: string | undefined
}

const openedAnswer = z.object({
  sessionId: z.string().regex(/^[0-9a-f-]{36}$/),
  accessToken: z.string(),
  expiresInMs: z.number(),
  refreshToken: z.string(),
})
const maxAnswerBytes = 64 * 1024
/** Sessions that are held; one that falls out ends by itself. */
const maxSessions = 256
/** An access token with less than this left is renewed first, milliseconds. */
const minAccessMs = 10_000

/**
 * Sessions of one client: one for each thing that is asked for, all bound to a key that is made here
 * and never leaves the process. Each request is signed anew (RFC 9449). A session that the connector
 * no longer knows, or that has ended, is opened again with the caller's proof.
 */
export class ClientSessions {
  readonly #options: ClientSessionsOptions
  readonly #open = new LRUCache<string, Promise<Open>>({ max: maxSessions })
  #key: Promise<Key> | undefined
  #nonce: string | undefined

  constructor(options: ClientSessionsOptions) {
    this.#options = options
  }

  /**
   * The answer to a request, sent in a session that is open for what is wanted: the connector's
   * answer, or its refusal of the session. Rejects as the HTTP handler does.
   */
  async ask(wanted: SessionWish, request: (proof: ProvenBy) => HttpRequest): Promise<HttpResponse> {
    const first = await this.#askOnce(wanted, request)
    if (!isUnknown(first)) return first
    this.#open.delete(keyOf(wanted))
    return this.#askOnce(wanted, request)
  }

  async #askOnce(
    wanted: SessionWish,
    request: (proof: ProvenBy) => HttpRequest,
  ): Promise<HttpResponse> {
    try {
      const { accessToken: token } = await this.#session(wanted)
      return await this.#send(request({ authorization: `DPoP ${token}`, token }), token)
    } catch (error) {
      if (error instanceof Refused) return error.response
      throw error
    }
  }

  /** The session for a wish. Those that ask together share its opening and its refresh. */
  async #session(wanted: SessionWish): Promise<Open> {
    const key = keyOf(wanted)
    const known = this.#open.get(key)
    if (known === undefined) return this.#keep(key, this.#openFor(wanted))
    const session = await known
    if (session.accessExpiresAtMs - this.#options.clock.nowMs() > minAccessMs) return session
    const newer = this.#open.get(key)
    return newer !== undefined && newer !== known
      ? newer
      : this.#keep(key, this.#renewed(wanted, session))
  }

  /** Kept while it is under way and when it came to something; a failure is forgotten. */
  #keep(key: string, session: Promise<Open>): Promise<Open> {
    this.#open.set(key, session)
    session.catch(() => {
      if (this.#open.get(key) === session) this.#open.delete(key)
    })
    return session
  }

  async #openFor(wanted: SessionWish): Promise<Open> {
    const proof = await this.#options.callerProof()
    const sentAtMs = this.#options.clock.nowMs()
    const request = this.#request({
      path: '',
      authorization: `Bearer ${proof}`,
      body: JSON.stringify(wanted),
    })
    return openOf(await this.#send(request), 201, sentAtMs)
  }

  async #renewed(wanted: SessionWish, { id, refreshToken }: Open): Promise<Open> {
    const sentAtMs = this.#options.clock.nowMs()
    const request = this.#request({
      path: `/${id}/refresh`,
      authorization: `DPoP ${refreshToken}`,
    })
    const response = await this.#send(request, refreshToken)
    return isUnknown(response) ? this.#openFor(wanted) : openOf(response, 200, sentAtMs)
  }

  /** Once more with the connector's nonce, when it wants another than was sent. */
  async #send(request: HttpRequest, token?: string): Promise<HttpResponse> {
    const first = await this.#sendOnce(request, token)
    const isWanted = first.status === 401 && first.headers['dpop-nonce'] !== undefined
    return isWanted ? this.#sendOnce(request, token) : first
  }

  async #sendOnce(request: HttpRequest, token: string | undefined): Promise<HttpResponse> {
    const dpop = await this.#proof(request, token)
    const response = await this.#options.http({
      ...request,
      headers: { ...request.headers, dpop },
    })
    this.#nonce = response.headers['dpop-nonce'] ?? this.#nonce
    return response
  }

  #request({ path, authorization, body }: Call): HttpRequest {
    const url = connectorUrl(this.#options.endpoint, `${SESSIONS_PATH}${path}`)
    return {
      method: 'POST',
      url,
      headers: {
        accept: 'application/json',
        authorization,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: body === undefined ? undefined : Buffer.from(body),
      operation: 'connector.session',
      path: url.href,
      maxBodyBytes: maxAnswerBytes,
      // Sent again it is refused as a proof that was used, and then signed anew.
      idempotent: true,
    }
  }

  async #proof({ method, url }: HttpRequest, token: string | undefined): Promise<string> {
    this.#key ??= makeKey()
    const { privateKey, jwk } = await this.#key
    const claims = {
      htm: method,
      htu: url.href.replace(/[?#].*$/, ''),
      iat: Math.floor(this.#options.clock.nowMs() / 1000),
      jti: randomUUID(),
      ...(this.#nonce === undefined ? {} : { nonce: this.#nonce }),
      ...(token === undefined ? {} : { ath: hashOf(token) }),
    }
    const header = { alg: 'ES256', typ: 'dpop+jwt', jwk }
    return new SignJWT(claims).setProtectedHeader(header).sign(privateKey)
  }
}

/** A session could not be opened or refreshed; the answer says why. */
class Refused extends Error {
  readonly response: HttpResponse

  constructor(response: HttpResponse) {
    super(`HTTP ${response.status}`)
    this.response = response
  }
}

/** The private key cannot be exported. */
async function makeKey(): Promise<Key> {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  return { privateKey, jwk: await exportJWK(publicKey) }
}

function openOf(response: HttpResponse, status: number, sentAtMs: number): Open {
  if (response.status !== status) throw new Refused(response)
  const result = openedAnswer.safeParse(readJson(response.body))
  if (!result.success) throw new Refused(response)
  const { sessionId: id, accessToken, expiresInMs, refreshToken } = result.data
  return { id, accessToken, accessExpiresAtMs: sentAtMs + expiresInMs, refreshToken }
}

function keyOf({ grants = [], tokens = [] }: SessionWish): string {
  return JSON.stringify([grants.map(scopeKey), tokens])
}

/** The token or the caller is not known: not a refusal of what was asked for. */
function isUnknown({ status, body }: HttpResponse): boolean {
  return status === 401 && parseProblem(readJson(body))?.reason === 'caller_unknown'
}
