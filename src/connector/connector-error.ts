import { type ErrnoCode, FileSystemError } from '../errors.ts'

/** RFC 6749's words for what a connector answers instead of a credential. */
export type ConnectorErrorCode =
  | 'access_denied'
  | 'invalid_client'
  | 'invalid_request'
  | 'invalid_scope'
  | 'server_error'
  | 'temporarily_unavailable'

/** Why, more finely than the code. */
export type ConnectorErrorReason =
  | 'audience_not_allowed'
  | 'audit_unavailable'
  | 'caller_unknown'
  | 'credential_kind_not_granted'
  | 'delegator_missing'
  | 'identity_refused'
  | 'identity_unavailable'
  | 'internal'
  | 'malformed'
  | 'not_found'
  | 'path_invalid'
  | 'path_outside_root'
  | 'permission_not_granted'
  | 'scope_unenforceable'
  | 'storage_unavailable'
  | 'throttled'
  | 'ttl_exceeds_policy'
  | 'unsupported_auth_for_resource'

/** A reason as it stands on the wire: of a later connector it may be one that is not known here. */
export type ReceivedReason = ConnectorErrorReason | (string & {})

/** What a refusal says beyond its code and reason. */
export interface ConnectorErrorOptions {
  /** One sentence for the person at the client: what was refused. No secrets. */
  readonly detail: string
  /** One sentence: what to do about it. */
  readonly hint?: string | undefined
  /** Whether the same request may succeed later. Default `false`. */
  readonly retryable?: boolean | undefined
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
    this.auditId = options.auditId
  }

  /** The same refusal under the id of its audit record. */
  withAuditId(auditId: string): ConnectorError {
    const { detail, hint, retryable, status, cause } = this
    const options = { detail, hint, retryable, status, cause, auditId }
    return new ConnectorError(this.code, this.reason, options)
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
