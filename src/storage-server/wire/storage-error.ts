/**
 * A refusal with Azure's own status and code. Thrown by verbs and access checks; the face that
 * answers writes it as XML (blob) or JSON (dfs), with the code also in `x-ms-error-code`.
 */
export class StorageError extends Error {
  readonly status: number
  readonly code: string
  readonly headers: Readonly<Record<string, string>>
  /** Extra elements of the error document: `HeaderName`, `AuthenticationErrorDetail`, … */
  readonly details: Readonly<Record<string, string>>

  constructor(status: number, code: string, message: string, options: StorageErrorOptions = {}) {
    super(message, { cause: options.cause })
    this.name = 'StorageError'
    this.status = status
    this.code = code
    this.headers = options.headers ?? {}
    this.details = options.details ?? {}
  }
}

export interface StorageErrorOptions {
  readonly headers?: Readonly<Record<string, string>>
  readonly details?: Readonly<Record<string, string>>
  readonly cause?: unknown
}
