import { type ErrnoCode, FileSystemError } from '../errors.ts'
import type { ConnectorErrorReason } from './problems.ts'

export type { ConnectorErrorReason } from './problems.ts'

/** RFC 6749's words for what a connector answers instead of a credential. */
export type ConnectorErrorCode =
  | 'access_denied'
  | 'invalid_client'
  | 'invalid_request'
  | 'invalid_scope'
  | 'server_error'
  | 'temporarily_unavailable'

/** A reason as it stands on the wire: of a later connector it may be one that is not known here. */
export type ReceivedReason = ConnectorErrorReason | (string & {})

/** The role that an identity lacks, and the command of the Azure CLI that grants it. */
export interface RequiredRole {
  readonly role: string
  /** The resource id that the role must be held at. */
  readonly scope: string
  readonly command: string
}

/** How Azure refused. Its text stays in the audit log. */
export interface UpstreamRefusal {
  readonly status?: number | undefined
  readonly code?: string | undefined
  readonly requestId?: string | undefined
}

/** What a refusal says beyond its code and reason. */
export interface ConnectorErrorOptions {
  /** One sentence for the person at the client: what was refused. No secrets. */
  readonly detail: string
  /** One sentence: what to do about it. */
  readonly hint?: string | undefined
  /** Whether the same request may succeed later. Default `false`. */
  readonly retryable?: boolean | undefined
  /** How long to wait before that; told as `Retry-After` too. */
  readonly retryAfterSeconds?: number | undefined
  /** The nonce for the client's next proof of possession; a header alone. */
  readonly nonce?: string | undefined
  readonly required?: RequiredRole | undefined
  readonly upstream?: UpstreamRefusal | undefined
  /** What a token must be asked for with: the JSON of Azure's claims challenge. */
  readonly claims?: string | undefined
  /** Joins the answer to the connector's audit log. */
  readonly auditId?: string | undefined
  /** The HTTP status; that of the code when absent. */
  readonly status?: number | undefined
  readonly cause?: unknown
}

/** A refusal on the connector's wire, at either end. It holds no credential. */
export class ConnectorError extends Error {
  override readonly name = 'ConnectorError'
  readonly code: ConnectorErrorCode
  readonly reason: ReceivedReason
  readonly status: number
  readonly detail: string
  readonly hint: string | undefined
  readonly retryable: boolean
  readonly retryAfterSeconds: number | undefined
  readonly nonce: string | undefined
  readonly required: RequiredRole | undefined
  readonly upstream: UpstreamRefusal | undefined
  readonly claims: string | undefined
  readonly auditId: string | undefined

  constructor(code: ConnectorErrorCode, reason: ReceivedReason, options: ConnectorErrorOptions) {
    super(
      `${code} (${reason}): ${options.detail}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    )
    this.code = code
    this.reason = reason
    this.status = options.status ?? STATUS[code]
    this.detail = options.detail
    this.hint = options.hint
    this.retryable = options.retryable ?? false
    this.retryAfterSeconds = options.retryAfterSeconds
    this.nonce = options.nonce
    this.required = options.required
    this.upstream = options.upstream
    this.claims = options.claims
    this.auditId = options.auditId
  }

  /** The same refusal under the id of its audit record. */
  withAuditId(auditId: string): ConnectorError {
    return new ConnectorError(this.code, this.reason, { ...this, cause: this.cause, auditId })
  }

  /**
   * The error that the file system's callers see: `EACCES` for a refusal, `EINVAL` for a name that
   * no connector accepts, `EIO` when the connector or the identity behind it cannot serve.
   */
  toFileSystemError(path: string): FileSystemError {
    const hint = this.hint === undefined ? '' : `; ${this.hint}`
    const audit = this.auditId === undefined ? '' : ` (audit ${this.auditId})`
    return new FileSystemError(errnoOfReason(this), 'connector.credentials', {
      detail: `${this.detail}${hint}${audit}`,
      path,
      serviceCode: this.reason,
      statusCode: this.status,
      retryable: this.retryable,
      cause: this,
    })
  }
}

const STATUS: Record<ConnectorErrorCode, number> = {
  access_denied: 403,
  invalid_client: 401,
  invalid_request: 400,
  invalid_scope: 422,
  server_error: 500,
  temporarily_unavailable: 503,
}

function errnoOfReason(error: ConnectorError): ErrnoCode {
  if (error.reason === 'path_invalid') return 'EINVAL'
  switch (error.code) {
    case 'access_denied':
    case 'invalid_client':
    case 'invalid_scope':
      return 'EACCES'
    case 'invalid_request':
    case 'server_error':
    case 'temporarily_unavailable':
      return 'EIO'
    default:
      return error.code satisfies never
  }
}
