import { FileSystemError } from '../errors.ts'
import type { HttpRequest, HttpResponse } from '../http/handler.ts'
import { checkEndpoint } from './client.ts'
import { parseProblem, RESOURCES_PATH } from './protocol.ts'

/** Asks a connector for what there is. Throws `TypeError` for an endpoint that a proof is not sent to. */
export function resourcesRequest(
  endpoint: URL,
  proof: string,
  question: Readonly<Record<string, string>>,
): HttpRequest {
  checkEndpoint(endpoint)
  const url = new URL(endpoint)
  url.pathname = `${url.pathname.replace(/\/$/, '')}${RESOURCES_PATH}`
  url.search = new URLSearchParams(question).toString()
  const headers = { accept: 'application/json', authorization: `Bearer ${proof.trim()}` }
  return { method: 'GET', url, headers, operation: 'connector.resources' }
}

/** Reads where a cluster is. Throws `EACCES` when it is refused, `EIO` when the connector does not know. */
export function readCluster(
  { status, body }: HttpResponse,
  path: string,
): { readonly server: string; readonly certificateAuthorityPem: string } {
  const answer: unknown = parseJson(body)
  if (status !== 200) throw parseProblem(answer)?.toFileSystemError(path) ?? unknownPlace(path)
  const { resources } = Object(answer)
  const [first] = Array.isArray(resources) ? resources : []
  const { server, certificateAuthorityPem } = Object(Object(first).cluster)
  if (typeof server === 'string' && typeof certificateAuthorityPem === 'string') {
    return { server, certificateAuthorityPem }
  }
  throw unknownPlace(path)
}

function unknownPlace(path: string): FileSystemError {
  const detail =
    "the connector does not tell where the cluster is: its configuration needs 'management'"
  return new FileSystemError('EIO', 'connector.resources', { path, detail })
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'))
  } catch {
    // No message of the protocol: the caller says so.
    return undefined
  }
}
