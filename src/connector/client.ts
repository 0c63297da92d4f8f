import type { Clock } from '../clock.ts'
import type {
  Credential,
  CredentialOptions,
  CredentialProvider,
  Scope,
} from '../credential/credential.ts'
import { FileSystemError } from '../errors.ts'
import type { HttpRequest, HttpResponse } from '../http/handler.ts'
import { type Asking, askConnector, checkEndpoint, connectorUrl, isOfProof } from './asking.ts'
import {
  CREDENTIALS_PATH,
  type CredentialAnswer,
  type CredentialKind,
  type CredentialRequest,
  formatRequest,
} from './protocol.ts'
import { parseAnswer, parseProblem, readJson } from './read-answer.ts'
import { publishCredential, scopePath } from './received.ts'

/** What a {@link ConnectorClient} needs. */
export interface ConnectorClientOptions extends Asking {
  readonly clock: Clock
  /** The kind of credential to ask for; the connector's policy chooses when absent. */
  readonly kind?: CredentialKind | undefined
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
    this.#url = connectorUrl(options.endpoint, CREDENTIALS_PATH)
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
    const { refresh, challenge, signal } = options
    const need = { scope, kind: this.#options.kind, refresh, claims: challenge?.claims }
    try {
      return await askConnector(this.#options, { grants: [scope] }, ({ authorization }) =>
        this.#request(need, authorization, signal),
      )
    } catch (error) {
      signal?.throwIfAborted()
      if (isOfProof(error)) throw error
      throw this.#silent(error)
    }
  }

  #request(need: CredentialRequest, authorization: string, signal?: AbortSignal): HttpRequest {
    return {
      method: 'POST',
      url: this.#url,
      headers: { accept: 'application/json', authorization, 'content-type': 'application/json' },
      body: Buffer.from(formatRequest(need)),
      operation: 'connector.credentials',
      path: this.#url.href,
      maxBodyBytes: maxAnswerBytes,
      idempotent: true,
      signal,
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
      detail: `the connector at ${this.#options.endpoint.href} does not answer: is it running? Start it with 'abfs connector serve', or set the connector's URL to where it runs`,
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

/** An answer for something else than was asked is not used. */
function isFor(answer: CredentialAnswer, scope: Scope): boolean {
  const { account, service, container, prefix } = answer.scope
  const samePlace = account === scope.account && service === scope.service
  const sameName = container === scope.container && (prefix ?? '') === (scope.prefix ?? '')
  return samePlace && sameName
}
