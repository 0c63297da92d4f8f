import { type ErrnoCode, FileSystemError } from '../errors.ts'
import type { HttpRequest } from './handler.ts'

/** What telemetry and errors call the target of a request: never with a query, which may be a SAS. */
export function targetOf(request: HttpRequest): string {
  return request.path ?? `${request.url.origin}${request.url.pathname}`
}

/** The error for a request that no complete answer came to; the detail says what to check. */
export function networkError(request: HttpRequest, cause: unknown): FileSystemError {
  const fault = faultOf(cause) ?? (isTlsFault(cause) ? TLS_FAULT : UNKNOWN_FAULT)
  const { attempt = 1 } = request
  const tries = attempt === 1 ? '' : ` (tried ${attempt} times)`
  return new FileSystemError(fault.code, request.operation, {
    path: targetOf(request),
    detail: fault.detail(request.url.host, cause) + tries,
    retryable: fault.retryable,
    cause,
  })
}

/** Whether `error` says that no byte of the request reached a server. */
export function wasNeverSent(error: unknown): boolean {
  return error instanceof FileSystemError && (faultOf(error.cause)?.beforeSending ?? false)
}

interface Fault {
  readonly code: ErrnoCode
  readonly retryable: boolean
  readonly beforeSending?: boolean
  /** What it is where the system says it of a connection that was there: the request may have arrived. */
  readonly connected?: Fault
  readonly detail: (host: string, cause: unknown) => string
}

const NAME_LOOKUP_FAILED: Fault = {
  code: 'EIO',
  retryable: true,
  beforeSending: true,
  detail: (host) => `cannot look up ${host}: check the network and its DNS`,
}
const CONNECTION_LOST: Fault = {
  code: 'EIO',
  retryable: true,
  detail: (host) => `the connection to ${host} broke before the answer was complete`,
}
const UNREACHABLE: Fault = {
  code: 'EIO',
  retryable: true,
  beforeSending: true,
  connected: CONNECTION_LOST,
  detail: (host) => `${host} cannot be reached: check the network, a firewall or a proxy`,
}
const TLS_FAULT: Fault = {
  code: 'EIO',
  retryable: false,
  detail: (host, cause) =>
    `the certificate of ${host} is not trusted (${codeOf(cause)}): ` +
    'check the host name, or name the authority that signed it as CA file',
}
const UNKNOWN_FAULT: Fault = {
  code: 'EIO',
  retryable: false,
  detail: (host, cause) => `the request to ${host} failed: ${messageOf(cause)}`,
}

/** What a caller gave became a header that HTTP does not have, such as one with a line break. */
const NOT_A_REQUEST: Fault = {
  code: 'EINVAL',
  retryable: false,
  beforeSending: true,
  detail: (_, cause) => `the request cannot be sent: ${messageOf(cause)}`,
}
const CONNECT_TIMED_OUT: Fault = {
  code: 'ETIMEDOUT',
  retryable: true,
  beforeSending: true,
  detail: (host) => `connecting to ${host} took too long: check the network or a firewall`,
}
/** The system gave up on what it had sent, or on a peer that it had not heard of for long. */
const CONNECTION_TIMED_OUT: Fault = {
  code: 'ETIMEDOUT',
  retryable: true,
  detail: (host) => `the connection to ${host} got no sign of life for long and broke`,
}
const HEADERS_TIMED_OUT: Fault = {
  code: 'ETIMEDOUT',
  retryable: true,
  detail: (host) => `${host} did not answer in time`,
}
const BODY_TIMED_OUT: Fault = {
  code: 'ETIMEDOUT',
  retryable: true,
  detail: (host) => `${host} stopped in the middle of its answer`,
}

/** By the code of Node's socket errors, of undici's and of `TransportError`. */
const FAULTS: Readonly<Record<string, Fault>> = {
  ENOTFOUND: {
    code: 'EIO',
    retryable: false,
    beforeSending: true,
    detail: (host) => `there is no host ${host}: check the account or endpoint name`,
  },
  ABFS_BAD_REQUEST: NOT_A_REQUEST,
  UND_ERR_INVALID_ARG: NOT_A_REQUEST,
  EAI_AGAIN: NAME_LOOKUP_FAILED,
  ECONNREFUSED: {
    code: 'EIO',
    retryable: true,
    beforeSending: true,
    detail: (host) => `nothing listens at ${host}: check that the service runs, and its port`,
  },
  EHOSTUNREACH: UNREACHABLE,
  EHOSTDOWN: UNREACHABLE,
  ENETUNREACH: UNREACHABLE,
  ENETDOWN: UNREACHABLE,
  // No port of this machine is free.
  EADDRNOTAVAIL: UNREACHABLE,
  ECONNABORTED: CONNECTION_LOST,
  ENETRESET: CONNECTION_LOST,
  ECONNRESET: CONNECTION_LOST,
  EPIPE: CONNECTION_LOST,
  UND_ERR_SOCKET: CONNECTION_LOST,
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: CONNECTION_LOST,
  HPE_INVALID_EOF_STATE: CONNECTION_LOST,
  ETIMEDOUT: { ...CONNECT_TIMED_OUT, connected: CONNECTION_TIMED_OUT },
  UND_ERR_CONNECT_TIMEOUT: CONNECT_TIMED_OUT,
  UND_ERR_HEADERS_TIMEOUT: HEADERS_TIMED_OUT,
  UND_ERR_BODY_TIMEOUT: BODY_TIMED_OUT,
  ABFS_CLOSED: CONNECTION_LOST,
  ABFS_CONNECT_CLOSED: {
    code: 'EIO',
    retryable: true,
    beforeSending: true,
    detail: (host) => `${host} closed the connection before anything was asked: it may be busy`,
  },
  ABFS_CONNECT_TIMEOUT: CONNECT_TIMED_OUT,
  ABFS_SEND_TIMEOUT: {
    code: 'ETIMEDOUT',
    retryable: true,
    detail: (host) => `${host} stopped taking the request`,
  },
  ABFS_HEADERS_TIMEOUT: HEADERS_TIMED_OUT,
  ABFS_BODY_TIMEOUT: BODY_TIMED_OUT,
}

function faultOf(cause: unknown): Fault | undefined {
  const fault = FAULTS[codeOf(cause)]
  return fault?.connected !== undefined && wasConnected(cause) ? fault.connected : fault
}

/** Node's errors tell the call that failed; those of connecting to several addresses tell none. */
function wasConnected(cause: unknown): boolean {
  const syscall: unknown = cause instanceof Error && 'syscall' in cause ? cause.syscall : undefined
  return typeof syscall === 'string' && syscall !== 'connect' && !syscall.startsWith('getaddrinfo')
}

function isTlsFault(cause: unknown): boolean {
  return /CERT|SIGNATURE|^ERR_TLS|^ERR_SSL|^EPROTO$/.test(codeOf(cause))
}

function codeOf(cause: unknown): string {
  const code: unknown = cause instanceof Error && 'code' in cause ? cause.code : undefined
  return typeof code === 'string' ? code : ''
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
