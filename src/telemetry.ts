import { type Channel, channel } from 'node:diagnostics_channel'

/** One HTTP attempt: published when its response is complete or it failed. */
export interface HttpEvent {
  /** What the caller was doing: `blob.get`, `connector.credentials`. */
  readonly operation: string
  readonly method: string
  /** The blob path or endpoint, never with a query. */
  readonly path: string
  /** The HTTP status; `undefined` when the attempt ended without an answer. */
  readonly status: number | undefined
  readonly bytesSent: number
  readonly bytesReceived: number
  readonly durationMs: number
  /** 1 for the first try. */
  readonly attempt: number
  /** A second request for what another was late with. */
  readonly hedge: boolean
  /** Operations within it, which the service counts one by one. Absent: it is no batch. */
  readonly parts?: number | undefined
  /** Azure's `x-ms-request-id`. */
  readonly requestId: string | undefined
}

/** What was sent to an account, attempt by attempt. */
export interface RequestCounts {
  /** Attempts: a call that was repeated twice counts three. */
  readonly requests: number
  /** The same by operation: `blob.get`, `blob.put-block`. */
  readonly byOperation: Readonly<Record<string, number>>
  /** Bytes of bodies, without heads. */
  readonly bytesSent: number
  readonly bytesReceived: number
  /** Attempts that repeated an earlier one. */
  readonly retries: number
  /** Second requests for what was late. */
  readonly hedges: number
  /** Attempts that ended without an answer. */
  readonly unanswered: number
  /** Operations within batches, which the service counts one by one beside the `requests`. */
  readonly batched: number
}

/** A credential reached this process. Never the credential itself. */
export interface CredentialEvent {
  readonly kind: 'bearer' | 'sas'
  readonly account: string
  readonly service: 'blob' | 'dfs'
  readonly container: string | undefined
  readonly permissions: readonly string[]
  readonly expiresAtMs: number
  /** Milliseconds of life it had on arrival. */
  readonly lifeMs: number
}

/** A failure that had nobody to be reported to, such as one found when a handle is released. */
export interface FaultEvent {
  readonly operation: string
  readonly path: string
  readonly error: Error
}

/** A listing met a file that a directory of its name hides. */
export interface HiddenFileEvent {
  readonly path: string
}

/** The local agent answered a request for a token. Never the token, nor a secret of the agent. */
export interface AgentEvent {
  /** Whose way of asking it was; `undefined` when the request came to no such place. */
  readonly protocol: string | undefined
  /** The audience asked for, once the client proved itself. */
  readonly resource: string | undefined
  /** The HTTP status. */
  readonly status: number
  /** Why no token was given, in a word; `undefined` when one was. */
  readonly refusal: string | undefined
  /** The id in the answer of a refusal; the connector's audit id when it refused. */
  readonly correlationId: string | undefined
  readonly cause: unknown
  readonly durationMs: number
}

/** Published per HTTP attempt: {@link HttpEvent}. */
export const httpChannel: Channel = channel('abfs:http')
/** Published, with nothing to tell, while requests wait for their turn of a rate: at each turn, and several times a second. */
export const heldChannel: Channel = channel('abfs:held')
/** Published per credential received: {@link CredentialEvent}. */
export const credentialChannel: Channel = channel('abfs:credential')
/** Published per error that could not be returned to its caller: {@link FaultEvent}. */
export const faultChannel: Channel = channel('abfs:fault')
/** Published once per file that is hidden, of the first hundred of an account: {@link HiddenFileEvent}. */
export const hiddenFileChannel: Channel = channel('abfs:hidden-file')
/** Published per answer of a local agent: {@link AgentEvent}. */
export const agentChannel: Channel = channel('abfs:agent')
