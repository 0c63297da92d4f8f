import { FileSystemError } from '../errors.ts'
import type { HttpResponse } from '../http/handler.ts'
import { type Asking, askConnector, checkEndpoint, connectorUrl } from './asking.ts'
import { RESOURCES_PATH } from './protocol.ts'
import { parseProblem, readJson } from './read-answer.ts'

/** Where a cluster is. */
export interface ClusterPlace {
  readonly server: string
  readonly certificateAuthorityPem: string
}

/**
 * Asks a connector where a cluster is. Rejects with `EACCES` when it is refused, `EIO` when the
 * connector does not know; throws `TypeError` for an endpoint that a proof is not sent to.
 */
export async function findCluster(asking: Asking, cluster: string): Promise<ClusterPlace> {
  checkEndpoint(asking.endpoint)
  const url = connectorUrl(asking.endpoint, RESOURCES_PATH)
  url.search = new URLSearchParams({ type: 'kubernetes-cluster', id: cluster }).toString()
  const wanted = { tokens: [{ audience: cluster }] }
  const answer = await askConnector(asking, wanted, ({ authorization }) => ({
    method: 'GET',
    url,
    headers: { accept: 'application/json', authorization },
    operation: 'connector.resources',
  }))
  return readCluster(answer, cluster)
}

function readCluster({ status, body }: HttpResponse, path: string): ClusterPlace {
  const answer = readJson(body)
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
