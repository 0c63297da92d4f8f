import type { Clock } from '../clock.ts'
import type {
  Credential,
  CredentialOptions,
  CredentialProvider,
  Scope,
} from '../credential/credential.ts'
import { FileSystemError } from '../errors.ts'
import type { HttpHandler, HttpRequest, HttpResponse } from '../http/handler.ts'
import type { ClientSessions } from './client-session.ts'
import { isLoopback } from './loopback.ts'
import {
  CREDENTIALS_PATH,
  type CredentialAnswer,
  type CredentialKind,
  type CredentialRequest,
  formatRequest,
  parseAnswer,
  parseProblem,
  readJson,
} from './protocol.ts'
import { publishCredential, scopePath } from './received.ts'

/** What a {@link ConnectorClient} needs. */
export interface ConnectorClientOptions {
  /** The connector's URL, before `/v1`. `https`, or `http` on this machine alone. */
  readonly endpoint: URL
  /** Gives the caller's key or token, read anew for each request: tokens are rotated under us. */
  readonly callerProof: () => Promise<string>
  readonly http: HttpHandler
  readonly clock: Clock
  /** The kind of credential to ask for; the connector's policy chooses when absent. */
  readonly kind?: CredentialKind | undefined
  /**
   * Sessions to ask in: the caller's proof is then sent to open them alone, and every request is
   * signed by a key of this process.
   */
  readonly sessions?: Pick<ClientSessions, 'ask'> | undefined
}

const maxAnswerBytes = 64 * 1024

/**
 * A provider that asks a connector. It holds no credential and no secret but the caller's own
 * proof, which it sends to `endpoint` alone; a cache belongs in front of it.
 */
export class ConnectorClient implements CredentialProvider {
  readonly #options: ConnectorClientOptions
  readonly #url: URL

  /** Throws `TypeError` for an endpoint to which a proof cannot be sent safely. */
  constructor(options: ConnectorClientOptions) {
    checkEndpoint(options.endpoint)
    this.#options = options
    this.#url = new URL(options.endpoint)
    this.#url.pathname = `${this.#url.pathname.replace(/\/$/, '')}${CREDENTIALS_PATH}`
  }

  /**
   * Asks for a credential. Rejects with `EACCES` when the connector refuses (with its reason, its
   * advice and the id of its audit record), `EIO` when it does not answer or cannot serve.
   */
  async getCredential(scope: Scope, options: CredentialOptions = {}): Promise<Credential> {
    const sentAtMs = this.#options.clock.nowMs()
    const response = await this.#ask(scope, options)
    const answer = this.#read(response, sentAtMs, scope)
    publishCredential(answer.credential, scope, answer.credential.expiresAtMs - sentAtMs)
    return answer.credential
  }

  async #ask(scope: Scope, options: CredentialOptions): Promise<HttpResponse> {
    const { kind, sessions, http } = this.#options
    const { refresh, challenge, signal } = options
    const need = { scope, kind, refresh, claims: challenge?.claims }
    if (sessions === undefined) {
      const request = await this.#request(need, signal)
      return this.#answered(() => http(request), signal)
    }
    return this.#answered(() => sessions.ask(need, signal), signal)
  }

  async #request(need: CredentialRequest, signal?: AbortSignal): Promise<HttpRequest> {
    const proof = await checkedProof(this.#options.callerProof)
    return {
      method: 'POST',
      url: this.#url,
      headers: {
        accept: 'application/json',
        authorization: `Bearer ${proof}`,
        'content-type': 'application/json',
      },
      body: Buffer.from(formatRequest(need)),
      operation: 'connector.credentials',
      path: this.#url.href,
      maxBodyBytes: maxAnswerBytes,
      idempotent: true,
      signal,
    }
  }

  async #answered(send: () => Promise<HttpResponse>, signal?: AbortSignal): Promise<HttpResponse> {
    try {
      return await send()
    } catch (error) {
      signal?.throwIfAborted()
      if (isOfProof(error)) throw error
      throw this.#silent(error)
    }
  }

  #read(response: HttpResponse, sentAtMs: number, scope: Scope): CredentialAnswer {
    const body = readJson(response.body)
    if (response.status === 200) {
      const answer = parseAnswer(body, sentAtMs)
      if (answer !== undefined && isFor(answer, scope)) return answer
    }
    const problem = parseProblem(body)
    throw problem?.toFileSystemError(scopePath(scope)) ?? this.#strange(response)
  }

  #silent(cause: unknown): FileSystemError {
    return new FileSystemError('EIO', 'connector.credentials', {
      detail: `the connector at ${this.#options.endpoint.href} does not answer: is it running? Start it with 'abfs connector', or set the connector's URL to where it runs`,
      retryable: true,
      cause,
    })
  }

  #strange(response: HttpResponse): FileSystemError {
    return new FileSystemError('EIO', 'connector.credentials', {
      detail: `what answers at ${this.#options.endpoint.href} is no abfs connector of this version (HTTP ${response.status}): check the connector's URL`,
      statusCode: response.status,
      retryable: response.status >= 500,
    })
  }
}

/** The caller's proof, fit for a header. Rejects with `EACCES` when it is empty or none. */
export async function checkedProof(callerProof: () => Promise<string>): Promise<string> {
  const proof = (await callerProof()).trim()
  if (/^[\w.~+/=-]+$/.test(proof)) return proof
  throw new FileSystemError('EACCES', 'connector.credentials', {
    detail:
      proof === ''
        ? "the caller's key or token is empty: write it to the file that is named for it"
        : "the caller's key or token has characters that cannot be one: check the file that is named for it",
  })
}

/** The caller's own proof cannot be read or sent: nothing that the connector could answer. */
function isOfProof(error: unknown): boolean {
  return error instanceof FileSystemError && ['EACCES', 'EINVAL', 'ENOENT'].includes(error.code)
}

/** An answer for something else than was asked is not used. */
function isFor(answer: CredentialAnswer, scope: Scope): boolean {
  const { account, service, container, prefix } = answer.scope
  const samePlace = account === scope.account && service === scope.service
  const sameName = container === scope.container && (prefix ?? '') === (scope.prefix ?? '')
  return samePlace && sameName
}

/** Throws `TypeError` for an endpoint to which a proof cannot be sent safely. */
export function checkEndpoint(endpoint: URL): void {
  const { protocol, hostname, search, username } = endpoint
  if (protocol !== 'https:' && !(protocol === 'http:' && isLoopback(hostname))) {
    throw new TypeError(
      `endpoint: '${endpoint.protocol}//${endpoint.host}' would carry the caller's key in the clear; expected an https URL, or http on 127.0.0.1`,
    )
  }
  if (search !== '' || username !== '') {
    throw new TypeError('endpoint: expected a URL without query and user name')
  }
}
