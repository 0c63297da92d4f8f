import { randomUUID } from 'node:crypto'
import { ConnectorError } from '../connector/connector-error.ts'
import { isFileSystemError } from '../errors.ts'

/** What a {@link Refusal} says beyond its word. */
export interface RefusalOptions {
  readonly message: string
  readonly retryAfterSeconds?: number | undefined
  /** Headers of the answer, lower-case. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Joins the answer to the connector's audit log; a random one when absent. */
  readonly correlationId?: string | undefined
  readonly cause?: unknown
}

/** An answer without a token. Holds no secret: its message is shown by the client's SDK. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly status: number
  /** One word for programs: `audience_not_allowed`. */
  readonly word: string
  readonly headers: Readonly<Record<string, string>>
  readonly correlationId: string

  constructor(status: number, word: string, options: RefusalOptions) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause })
    this.status = status
    this.word = word
    const { retryAfterSeconds, headers = {}, correlationId = randomUUID() } = options
    this.correlationId = correlationId
    this.headers =
      retryAfterSeconds === undefined
        ? headers
        : { ...headers, 'retry-after': String(retryAfterSeconds) }
  }
}

/** Azure's SDKs try 404, 408, 429 and 5xx again, and take 400, 401 and 403 as the last word. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error
  if (!isFileSystemError(error)) return internal(error)
  const { cause } = error
  if (cause instanceof ConnectorError) return refusalByConnector(cause)
  const [, message = error.message] = /^E[A-Z0-9]+: (.*)$/s.exec(error.message) ?? []
  if (error.retryable) {
    const options = { message, retryAfterSeconds: 1, cause: error }
    return new Refusal(503, 'temporarily_unavailable', options)
  }
  return new Refusal(403, 'access_denied', { message, cause: error })
}

function refusalByConnector(error: ConnectorError): Refusal {
  const { reason, auditId: correlationId } = error
  const options = { message: sentence(error), correlationId, cause: error }
  if (reason === 'throttled') return new Refusal(429, reason, { ...options, retryAfterSeconds: 5 })
  if (error.retryable) return new Refusal(503, reason, { ...options, retryAfterSeconds: 1 })
  return new Refusal(error.status === 400 || error.status === 404 ? 400 : 403, reason, options)
}

function sentence(error: ConnectorError): string {
  const { detail, reason } = error
  const hint = reason === 'credential_kind_not_granted' ? bearerHint : error.hint
  const audit = error.auditId === undefined ? '' : ` (audit ${error.auditId})`
  return `the connector refuses: ${detail}${hint === undefined ? '' : `; ${hint}`}${audit}`
}

const bearerHint =
  "an agent lends tokens, so the operator must add 'bearer' to the credentials of the rule"

function internal(cause: unknown): Refusal {
  return new Refusal(500, 'server_error', { message: 'the agent failed', cause })
}
