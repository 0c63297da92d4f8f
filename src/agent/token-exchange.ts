import { z } from 'zod'
import type { Clock } from '../clock.ts'
import {
  type Asking,
  askConnector,
  checkEndpoint,
  connectorUrl,
  isOfProof,
  type ProvenBy,
} from '../connector/asking.ts'
import { TOKEN_PATH } from '../connector/protocol.ts'
import { parseProblem, readJson } from '../connector/read-answer.ts'
import { type BearerCredential, bearerCredential } from '../credential/credential.ts'
import { FileSystemError } from '../errors.ts'
import type { HttpRequest, HttpResponse } from '../http/handler.ts'

/** What a token is asked for, in RFC 8693's words. */
export interface ExchangeTarget {
  /** The connector's name of the resource: `registry.azurecr.io`, `group/cluster`. */
  readonly audience?: string | undefined
  /** What its holder may do: `repository:team/app:pull`, `https://vault.azure.net/.default`. */
  readonly scope?: string | undefined
  /** Default: an access token. `assertion` is a JWT that proves the caller to Entra. */
  readonly type?: 'access-token' | 'assertion' | undefined
  /** JSON of a claims challenge that the token answers. */
  readonly claims?: string | undefined
}

/** What a {@link TokenExchange} needs. */
export interface TokenExchangeOptions extends Asking {
  readonly clock: Clock
}

const tokenTypes = {
  'access-token': 'urn:ietf:params:oauth:token-type:access_token',
  assertion: 'urn:ietf:params:oauth:token-type:jwt',
} as const

const tokenAnswer = z.object({
  access_token: z.string().regex(/^[\x21-\x7e]+$/),
  issued_token_type: z.enum([tokenTypes['access-token'], tokenTypes.assertion]),
  expires_in: z.number().int().positive(),
})
const tokenRefusal = z.object({
  error: z.string().regex(/^[\w.:-]{1,100}$/),
  error_description: z.string().max(2000).optional(),
})

const maxAnswerBytes = 64 * 1024

/** Asks a connector for tokens that are for no storage account, by RFC 8693. Keeps none. */
export class TokenExchange {
  readonly #options: TokenExchangeOptions
  readonly #url: URL

  /** Throws `TypeError` for an endpoint to which a proof cannot be sent safely. */
  constructor(options: TokenExchangeOptions) {
    checkEndpoint(options.endpoint)
    this.#options = options
    this.#url = connectorUrl(options.endpoint, TOKEN_PATH)
  }

  /**
   * Rejects with `EACCES` when the connector refuses, `ENOTSUP` when it is one that vends nothing
   * but storage credentials, `EIO` when it does not answer.
   */
  async get(target: ExchangeTarget, signal?: AbortSignal): Promise<BearerCredential> {
    const sentAtMs = this.#options.clock.nowMs()
    const response = await this.#ask(target, signal)
    if (response.status === 200) return readToken(response, target, sentAtMs)
    throw this.#refusal(response, target)
  }

  #request(
    target: ExchangeTarget,
    { authorization, token }: ProvenBy,
    signal: AbortSignal | undefined,
  ): HttpRequest {
    const form = new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: token,
      subject_token_type: tokenTypes['access-token'],
      requested_token_type: tokenTypes[target.type ?? 'access-token'],
      ...(target.audience === undefined ? {} : { audience: target.audience }),
      ...(target.scope === undefined ? {} : { scope: target.scope }),
      ...(target.claims === undefined ? {} : { claims: target.claims }),
    })
    return {
      method: 'POST',
      url: this.#url,
      headers: {
        accept: 'application/json',
        authorization,
        'content-type': 'application/x-www-form-urlencoded',
      },
      body: Buffer.from(form.toString()),
      operation: 'connector.token',
      path: this.#url.href,
      maxBodyBytes: maxAnswerBytes,
      idempotent: true,
      signal,
    }
  }

  async #ask(target: ExchangeTarget, signal: AbortSignal | undefined): Promise<HttpResponse> {
    const { audience, scope } = target
    try {
      return await askConnector(this.#options, { tokens: [{ audience, scope }] }, (proof) =>
        this.#request(target, proof, signal),
      )
    } catch (error) {
      signal?.throwIfAborted()
      if (isOfProof(error)) throw error
      throw this.#silent(error)
    }
  }

  #silent(cause: unknown): FileSystemError {
    return new FileSystemError('EIO', 'connector.token', {
      detail: `the connector at ${this.#options.endpoint.href} does not answer: is it running?`,
      retryable: true,
      cause,
    })
  }

  #refusal(response: HttpResponse, target: ExchangeTarget): FileSystemError {
    const body = readJson(response.body)
    const path = nameOf(target)
    const problem = parseProblem(body)
    if (problem?.reason === 'not_found' || (problem === undefined && response.status === 404)) {
      return new FileSystemError('ENOTSUP', 'connector.token', {
        detail: `the connector at ${this.#options.endpoint.href} vends credentials for storage alone, not for '${path}': its operator needs a version with POST ${TOKEN_PATH}`,
        statusCode: response.status,
        cause: problem,
      })
    }
    return problem?.toFileSystemError(path) ?? oauthRefusal(response.status, body, path)
  }
}

function readToken(
  response: HttpResponse,
  target: ExchangeTarget,
  sentAtMs: number,
): BearerCredential {
  const result = tokenAnswer.safeParse(readJson(response.body))
  const wanted = tokenTypes[target.type ?? 'access-token']
  if (result.success && result.data.issued_token_type === wanted) {
    return bearerCredential(result.data.access_token, sentAtMs + result.data.expires_in * 1000)
  }
  throw new FileSystemError('EIO', 'connector.token', {
    detail: 'the connector answered something else than a token of RFC 8693: compare versions',
    path: nameOf(target),
  })
}

/** RFC 6749's words, which a connector of another make may use. */
function oauthRefusal(status: number, body: unknown, path: string): FileSystemError {
  const result = tokenRefusal.safeParse(body)
  const retryable = status === 429 || status >= 500
  const said = result.success
    ? `${result.data.error}${result.data.error_description === undefined ? '' : `: ${result.data.error_description}`}`
    : `HTTP ${status}`
  return new FileSystemError(retryable ? 'EIO' : 'EACCES', 'connector.token', {
    detail: `the connector gives no token (${said})`,
    path,
    statusCode: status,
    retryable,
  })
}

function nameOf({ audience, scope }: ExchangeTarget): string {
  return [audience, scope].filter((part) => part !== undefined).join(' ')
}
