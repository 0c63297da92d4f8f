import type {
  HttpHeaders,
  HttpOperationResponse,
  IHttpClient,
  WebResource,
} from '@azure/storage-blob'
import type { HttpHandler, HttpRequest } from '../http/handler.ts'
import { apiVersion } from './azure-request.ts'
import { errorFrom, type Subject } from './azure-response.ts'

/**
 * Lets the Azure SDK send through `http`, for one call: with the same credentials, authorities,
 * time-outs, retries and telemetry as every other request, and with the pinned service version. An
 * error answer rejects with its `FileSystemError`, which the SDK passes on as it is.
 */
export function sdkTransport(
  http: HttpHandler,
  subject: Subject,
  signal?: AbortSignal,
): IHttpClient {
  return {
    async sendRequest(request) {
      const response = await http({
        method: methodOf(request),
        url: new URL(request.url),
        headers: headersOf(request),
        body: bodyOf(request),
        operation: subject.operation,
        path: subject.path,
        signal,
      })
      if (response.status >= 300) throw errorFrom(response, subject)
      return {
        request,
        status: response.status,
        headers: answerHeaders(request.headers, response.headers),
        bodyAsText: Buffer.from(response.body).toString(),
      } satisfies HttpOperationResponse
    },
  }
}

const methods = ['GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'PATCH'] as const

function methodOf(request: WebResource): HttpRequest['method'] {
  const method = methods.find((known) => known === request.method)
  if (method === undefined) throw new TypeError(`the SDK sends an unexpected ${request.method}`)
  return method
}

function headersOf(request: WebResource): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const { name, value } of request.headers.headersArray()) headers[name.toLowerCase()] = value
  headers['x-ms-version'] = apiVersion
  // The bottom of the stack sets both from the body and for itself.
  delete headers['content-length']
  delete headers['accept-encoding']
  return headers
}

function bodyOf(request: WebResource): Uint8Array | undefined {
  const body: unknown = request.body
  if (body === undefined || body === null) return undefined
  if (typeof body === 'string') return Buffer.from(body)
  if (body instanceof Uint8Array) return body
  throw new TypeError('the SDK sends a body that is neither text nor bytes')
}

/** The SDK exports no constructor of its header type, so one of its own is emptied and filled. */
function answerHeaders(
  template: HttpHeaders,
  headers: Readonly<Record<string, string>>,
): HttpHeaders {
  const answer = template.clone()
  for (const name of answer.headerNames()) answer.remove(name)
  for (const [name, value] of Object.entries(headers)) answer.set(name, value)
  return answer
}
