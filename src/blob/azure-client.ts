import type { BodyReceiver, HttpHandler, HttpRequest, HttpResponse } from '../http/handler.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { baseHeaders, type Headers, resourceUrl } from './azure-request.ts'
import { errorFrom } from './azure-response.ts'

/** One call of the service on a container or blob. */
export interface AzureCall {
  readonly operation: string
  readonly method: HttpRequest['method']
  readonly path: BlobPath
  /** That of `path`, where it is known. */
  readonly url?: URL | undefined
  /** With its `?`. */
  readonly query?: string | undefined
  readonly headers?: Headers | undefined
  readonly body?: Uint8Array | undefined
  readonly into?: Uint8Array | undefined
  readonly room?: Uint8Array | undefined
  readonly receiver?: BodyReceiver | undefined
  readonly maxBodyBytes?: number | undefined
  readonly signal?: AbortSignal | undefined
  /** A status beyond 2xx that is not an error for this call. */
  readonly accept?: number | undefined
  /** Whether sending it twice does no harm. Default: as the method says. */
  readonly idempotent?: boolean | undefined
  /** Told of a refusal that may be the call's own doing: an earlier attempt may have taken effect. */
  readonly noteUncertain?: (() => void) | undefined
  /** The second path of a rename or a copy, for errors. */
  readonly dest?: BlobPath | undefined
  /** Whether a conflict says that something is in the way. Default: where `if-none-match` is asked for. */
  readonly mustNotExist?: boolean | undefined
}

/** Sends `call` and rejects with the `FileSystemError` that an error answer stands for. */
export async function callAzure(
  http: HttpHandler,
  base: string,
  call: AzureCall,
): Promise<HttpResponse> {
  const headers = call.headers ?? baseHeaders()
  const response = await http({
    method: call.method,
    url: call.url ?? resourceUrl(base, call.path, call.query),
    headers,
    body: call.body,
    operation: call.operation,
    path: formatPath(call.path),
    into: call.into,
    room: call.room,
    receiver: call.receiver,
    maxBodyBytes: call.maxBodyBytes,
    signal: call.signal,
    idempotent: call.idempotent,
  })
  if (response.status < 300 || response.status === call.accept) return response
  if (response.mayRepeatItself === true) call.noteUncertain?.()
  throw errorFrom(response, {
    operation: call.operation,
    path: formatPath(call.path),
    dest: call.dest === undefined ? undefined : formatPath(call.dest),
    mustNotExist: call.mustNotExist ?? headers['if-none-match'] !== undefined,
  })
}
