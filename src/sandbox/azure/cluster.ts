import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { CertificateAndKey } from '../certificate-authority.ts'
import { createLoopbackServer, type LoopbackServer, listenOnLoopback } from '../loopback-server.ts'
import type { Tenant } from '../tenant.ts'
import type { AzureAssignments } from './assignments.ts'
import { BearerRefusal, type TokenHolder, verifyBearer } from './bearer-guard.ts'

/*
 * The API server of a Kubernetes cluster, as far as it tells who may come in: versions, who one is,
 * and the list of namespaces. It takes Entra's tokens for the clusters' application alone.
 */

/** What a cluster is made of. */
export interface ClusterServerOptions {
  readonly tenant: Tenant
  readonly certificate: CertificateAndKey
  readonly assignments: AzureAssignments
  /** Its resource id, where roles hold. */
  readonly id: string
}

/** The application of all API servers. */
const audience = '6dae42f8-4368-4678-94ff-3960e28e3630'
const mayList = 'data:Microsoft.ContainerService/managedClusters/namespaces/read'

/** Starts it over https. */
export function startCluster(options: ClusterServerOptions): Promise<LoopbackServer> {
  const server = createLoopbackServer(options.certificate)
  const holders = new WeakMap<object, TokenHolder>()
  server.setErrorHandler((error, _request, reply) => {
    if (!(error instanceof BearerRefusal)) throw error
    return sendStatus(reply, 401, 'Unauthorized', 'Unauthorized')
  })
  server.setNotFoundHandler((_request, reply) =>
    sendStatus(reply, 404, 'NotFound', 'the server could not find the requested resource'),
  )
  server.addHook('preHandler', async (request) => {
    const { authorization } = request.headers
    holders.set(request.raw, await verifyBearer(authorization, [audience], options.tenant))
  })
  routeCluster(server, options, (request) => holders.get(request.raw)?.objectId ?? '')
  return listenOnLoopback(server, 'https')
}

function routeCluster(
  server: FastifyInstance,
  { assignments, id }: ClusterServerOptions,
  holderOf: (request: FastifyRequest) => string,
): void {
  server.get('/version', () => ({ major: '1', minor: '31', gitVersion: 'v1.31.0' }))
  server.get('/api', () => ({ kind: 'APIVersions', versions: ['v1'] }))
  server.post('/apis/authentication.k8s.io/v1/selfsubjectreviews', (request, reply) =>
    reply.code(201).send({
      kind: 'SelfSubjectReview',
      apiVersion: 'authentication.k8s.io/v1',
      status: { userInfo: { username: holderOf(request), groups: ['system:authenticated'] } },
    }),
  )
  server.get('/api/v1/namespaces', (request, reply) => {
    const user = holderOf(request)
    if (assignments.allows(user, mayList, id)) return namespaces()
    const refusal = `namespaces is forbidden: User "${user}" cannot list resource "namespaces" in API group "" at the cluster scope`
    return sendStatus(reply, 403, 'Forbidden', refusal)
  })
}

function namespaces(): object {
  const items = ['default', 'kube-system'].map((name) => ({ metadata: { name } }))
  return { kind: 'NamespaceList', apiVersion: 'v1', metadata: {}, items }
}

function sendStatus(
  reply: FastifyReply,
  code: number,
  reason: string,
  message: string,
): FastifyReply {
  const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure' }
  return reply.code(code).send({ ...status, message, reason, code })
}
