/** Why an exchange over a socket ended without an answer; `network-error.ts` words them. */
export type TransportFault =
  | 'ABFS_CLOSED'
  | 'ABFS_CONNECT_CLOSED'
  | 'ABFS_CONNECT_TIMEOUT'
  | 'ABFS_SEND_TIMEOUT'
  | 'ABFS_HEADERS_TIMEOUT'
  | 'ABFS_BODY_TIMEOUT'
  | 'ABFS_BAD_ANSWER'
  | 'ABFS_BAD_REQUEST'
  | 'ABFS_HANDLER_CLOSED'

/** What the socket transport itself found wrong. Always the `cause` of a `FileSystemError`. */
export class TransportError extends Error {
  override readonly name = 'TransportError'
  readonly code: TransportFault

  constructor(code: TransportFault, message: string) {
    super(message)
    this.code = code
  }
}

/** The server sent what is not an HTTP/1.1 answer; the connection cannot be used any more. */
export function badAnswer(detail: string): TransportError {
  return new TransportError('ABFS_BAD_ANSWER', `the server's answer is malformed: ${detail}`)
}
