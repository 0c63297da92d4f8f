import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { CertificateAndKey } from '../certificate-authority.ts'
import { createLoopbackServer, type LoopbackServer, listenOnLoopback } from '../loopback-server.ts'
import type { Tenant } from '../tenant.ts'
import { ArmError, claimsWanted, forbidden, notFound, unauthenticated } from './arm-error.ts'
import {
  accountShape,
  clusterShape,
  containerJson,
  registryShape,
  type Shape,
  subscriptionJson,
} from './arm-shapes.ts'
import type { AzureAssignments } from './assignments.ts'
import { BearerRefusal, type TokenHolder, verifyBearer } from './bearer-guard.ts'
import { type Inventory, resourceTypes } from './inventory.ts'
import { kubeconfigOf } from './kubeconfig.ts'

/*
 * Azure Resource Manager: subscriptions, storage accounts with their containers, registries and
 * clusters, by GET; the kubeconfigs of clusters by POST. Lists show what the caller may read, in
 * pages.
 */

/** What the management is made of. */
export interface ArmOptions {
  readonly tenant: Tenant
  readonly authority: URL
  readonly certificate: CertificateAndKey
  readonly caPem: string
  readonly assignments: AzureAssignments
  readonly inventory: Inventory
  readonly pageSize: number
  /** Turned while it runs. */
  readonly disturbance: ArmDisturbance
}

/** Answers that come instead of what was asked for. */
export interface ArmDisturbance {
  /** 429 with this many seconds to wait. */
  throttledSeconds?: number | undefined
  /** Tokens without this authentication context are answered 401 with a claims challenge. */
  requiredContext?: string | undefined
}

/** Every spelling of the management's audience. */
export const armAudiences = [
  'https://management.azure.com',
  'https://management.azure.com/',
  'https://management.core.windows.net',
  'https://management.core.windows.net/',
] as const

const subscription = '/subscriptions/:subscription'
const kinds = Object.entries(resourceTypes)
type Kind = keyof typeof resourceTypes

interface ResourceRoute {
  Params: { subscription: string; group?: string; name?: string }
  Querystring: { $skiptoken?: string; $maxpagesize?: string }
}

/** Starts it over https. */
export async function startArm(options: ArmOptions): Promise<LoopbackServer> {
  const server = createLoopbackServer(options.certificate)
  const arm = new Arm(options)
  server.setErrorHandler((error, _request, reply) => refuse(error, reply))
  server.setNotFoundHandler((request, reply) =>
    refuse(notFound('InvalidResourceType', `The path '${request.url.split('?')[0]}'`), reply),
  )
  server.addHook('preHandler', (request) => arm.admit(request))
  server.get('/subscriptions', (request) => arm.subscriptions(request))
  for (const [kind, type] of kinds) routeKind(server, arm, kind as Kind, type)
  routeClusters(server, arm)
  const listening = await listenOnLoopback(server, 'https')
  arm.url = listening.url
  return listening
}

function routeKind(server: FastifyInstance, arm: Arm, kind: Kind, type: string): void {
  const inGroup = `${subscription}/resourceGroups/:group/providers/${type}`
  server.get<ResourceRoute>(`${subscription}/providers/${type}`, (request) =>
    arm.list(request, kind),
  )
  server.get<ResourceRoute>(inGroup, (request) => arm.list(request, kind))
  server.get<ResourceRoute>(`${inGroup}/:name`, async (request) => {
    const { json } = await arm.find(request, kind)
    return json
  })
  if (kind !== 'account') return
  server.get<ResourceRoute>(`${inGroup}/:name/blobServices/default/containers`, (request) =>
    arm.containers(request),
  )
}

function routeClusters(server: FastifyInstance, arm: Arm): void {
  const type = resourceTypes.cluster
  const cluster = `${subscription}/resourceGroups/:group/providers/${type}/:name`
  server.post<ResourceRoute>(`${cluster}/listClusterUserCredential`, (request) =>
    arm.kubeconfig(request, 'User'),
  )
  server.post<ResourceRoute>(`${cluster}/listClusterAdminCredential`, (request) =>
    arm.kubeconfig(request, 'Admin'),
  )
}

function refuse(error: unknown, reply: FastifyReply): FastifyReply {
  if (!(error instanceof ArmError)) throw error
  return reply.code(error.status).headers(error.headers).send(error.body)
}

type ResourceRequest = FastifyRequest<ResourceRoute>

class Arm {
  url = new URL('https://127.0.0.1/')
  readonly #options: ArmOptions
  readonly #holders = new WeakMap<object, TokenHolder>()

  constructor(options: ArmOptions) {
    this.#options = options
  }

  async admit(request: FastifyRequest): Promise<void> {
    const { disturbance, authority, tenant } = this.#options
    const holder = await this.#authenticate(request)
    const { throttledSeconds, requiredContext: context } = disturbance
    if (throttledSeconds !== undefined) throw throttled(throttledSeconds)
    if (context !== undefined && !holder.contexts.includes(context)) {
      const claims = { access_token: { acrs: { essential: true, value: context } } }
      throw claimsWanted(JSON.stringify(claims), authority, tenant.tenantId)
    }
    if (!/[?&]api-version=\d{4}-\d{2}-\d{2}/.test(request.url)) throw versionMissing()
    this.#holders.set(request.raw, holder)
  }

  subscriptions(request: FastifyRequest): object {
    const { inventory, tenant, assignments } = this.#options
    const { subscriptionId } = inventory
    const { objectId } = this.#holder(request)
    const sees = assignments.seesSomething(objectId, `/subscriptions/${subscriptionId}`)
    return { value: sees ? [subscriptionJson(subscriptionId, tenant.tenantId)] : [] }
  }

  list(request: ResourceRequest, kind: Kind): object {
    this.#checkPlace(request)
    const { assignments } = this.#options
    const { objectId } = this.#holder(request)
    const action = `${resourceTypes[kind]}/read`
    const readable = this.#shapes(kind, request.params.group)
      .filter(({ id }) => assignments.allows(objectId, action, id))
      .map(({ json }) => json)
    return this.#page(request, readable, this.#options.pageSize)
  }

  async find(request: ResourceRequest, kind: Kind): Promise<Shape> {
    this.#checkPlace(request)
    const { group = '', name = '' } = request.params
    const type = resourceTypes[kind]
    const id = `/subscriptions/${request.params.subscription}/resourceGroups/${group}/providers/${type}/${name}`
    this.#require(request, `${type}/read`, id)
    const found = this.#shapes(kind, group).find((each) => isSame(each.name, name))
    if (found !== undefined) return found
    throw notFound(
      'ResourceNotFound',
      `The Resource '${type}/${name}' under resource group '${group}'`,
    )
  }

  async containers(request: ResourceRequest): Promise<object> {
    const { id, name } = await this.find(request, 'account')
    this.#require(request, `${resourceTypes.account}/blobServices/containers/read`, id)
    const account = this.#options.inventory.accounts.find((each) => each.name === name)
    const names = (await account?.containers()) ?? []
    const asked = Number(request.query.$maxpagesize ?? Number.NaN)
    const size = asked > 0 ? Math.min(asked, this.#options.pageSize) : this.#options.pageSize
    return this.#page(
      request,
      names.map((each) => containerJson(id, each)),
      size,
    )
  }

  async kubeconfig(request: ResourceRequest, role: 'User' | 'Admin'): Promise<object> {
    const { id, name, group } = await this.find(request, 'cluster')
    this.#require(request, `${resourceTypes.cluster}/listCluster${role}Credential/action`, id)
    const { inventory, caPem, tenant } = this.#options
    const cluster = inventory.clusters.find(
      (each) => isSame(each.name, name) && isSame(each.group, group),
    )
    if (cluster === undefined) throw notFound('ResourceNotFound', `The cluster '${name}'`)
    if (role === 'Admin' && cluster.localAccounts !== true) throw noLocalAccounts()
    const { tenantId } = tenant
    const text = kubeconfigOf(cluster, { caPem, tenantId, isAdmin: role === 'Admin' })
    const value = Buffer.from(text, 'utf8').toString('base64')
    return { kubeconfigs: [{ name: `cluster${role}`, value }] }
  }

  async #authenticate(request: FastifyRequest): Promise<TokenHolder> {
    const { tenant, authority } = this.#options
    try {
      return await verifyBearer(request.headers.authorization, armAudiences, tenant)
    } catch (error) {
      if (!(error instanceof BearerRefusal)) throw error
      throw unauthenticated(error.reason, authority, tenant.tenantId)
    }
  }

  #checkPlace({ params }: ResourceRequest): void {
    const { subscriptionId } = this.#options.inventory
    if (isSame(params.subscription, subscriptionId)) return
    throw notFound('SubscriptionNotFound', `The subscription '${params.subscription}'`)
  }

  #require(request: FastifyRequest, action: string, id: string): void {
    const holder = this.#holder(request)
    if (this.#options.assignments.allows(holder.objectId, action, id)) return
    throw forbidden(holder, action, id)
  }

  #holder(request: FastifyRequest): TokenHolder {
    const holder = this.#holders.get(request.raw)
    if (holder === undefined) throw new TypeError('the request was admitted')
    return holder
  }

  #shapes(kind: Kind, group: string | undefined): readonly Shape[] {
    const { inventory, tenant } = this.#options
    const { subscriptionId, accounts, registries, clusters } = inventory
    const shapes = {
      account: () => accounts.map((each) => accountShape(each, subscriptionId)),
      registry: () => registries.map((each) => registryShape(each, subscriptionId)),
      cluster: () => clusters.map((each) => clusterShape(each, tenant.tenantId, subscriptionId)),
    }
    return shapes[kind]().filter((each) => group === undefined || isSame(each.group, group))
  }

  #page(request: ResourceRequest, all: readonly object[], size: number): object {
    const from = Number(request.query.$skiptoken ?? 0)
    const value = all.slice(from, from + size)
    if (from + size >= all.length) return { value }
    const next = new URL(request.url, this.url)
    next.searchParams.set('$skiptoken', String(from + size))
    return { value, nextLink: next.href }
  }
}

/** Names of resources are compared without case. */
function isSame(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase()
}

function throttled(seconds: number): ArmError {
  const headers = { 'retry-after': String(seconds) }
  return new ArmError(429, 'TooManyRequests', 'The request is being throttled.', headers)
}

function versionMissing(): ArmError {
  return new ArmError(
    400,
    'MissingApiVersionParameter',
    'The api-version query parameter (?api-version=) is required for all requests.',
  )
}

function noLocalAccounts(): ArmError {
  return new ArmError(
    400,
    'BadRequest',
    'Getting static credential is not allowed because this cluster is set to disable local accounts.',
  )
}
