/**
 * ZenML's REST API for service connectors, for its own client: the types, what the policy grants as
 * connectors, verification, resources, and `…/client`, which answers that the client shall use the
 * identity beside it: the agent. A credential never passes here.
 */
import { z } from 'zod'
import { ConnectorError } from './connector-error.ts'
import type { Caller } from './issuance.ts'
import { callerRoute, type Route } from './route.ts'
import {
  ZENML_BASE,
  type ZenmlDesk,
  zenmlAnswers,
  zenmlCommon,
  zenmlMessage,
  zenmlPage,
} from './zenml-desk.ts'
import {
  azureConnectorType,
  connectorBody,
  type ZenmlConnector,
  zenmlConnector,
  zenmlConnectorType,
  zenmlRequest,
  zenmlResources,
} from './zenml-models.ts'
import { blobContainer, canonicalId, containerOf } from './zenml-view.ts'

const connectors = `${ZENML_BASE}/service_connectors`
const byId = z.object({ id: z.string().max(64) })
const resourceQuery = z.object({
  resource_type: z.string().max(64).optional(),
  resource_id: z.string().max(300).optional(),
  list_resources: z.string().optional(),
})
const listQuery = z.object({
  name: z.string().max(200).optional(),
  id: z.string().max(200).optional(),
  page: z.coerce.number().int().min(1).default(1),
  size: z.coerce.number().int().min(1).max(10_000).default(20),
})
/** Containers that one verification tries: its client waits for it. */
const maxTried = 8

/** The paths below `/api/v1` that are about connectors. */
export function zenmlRoutes(desk: ZenmlDesk): readonly Route[] {
  return [...types(), ...register(desk), ...manage(desk), ...use(desk)]
}

function types(): readonly Route[] {
  return [
    callerRoute({
      ...zenmlCommon,
      method: 'GET',
      path: `${ZENML_BASE}/service_connector_types`,
      operationId: 'zenmlListTypes',
      summary: 'The types of service connectors',
      answers: zenmlAnswers(z.array(zenmlConnectorType), 'The one there is'),
      handle: () => ({ status: 200, body: [azureConnectorType] }),
    }),
    callerRoute({
      ...zenmlCommon,
      method: 'GET',
      path: `${ZENML_BASE}/service_connector_types/{id}`,
      operationId: 'zenmlGetType',
      summary: 'One type of service connector',
      params: byId,
      answers: zenmlAnswers(zenmlConnectorType, 'The type'),
      handle: ({ params }) => {
        if (params.id !== 'azure') throw noType()
        return { status: 200, body: azureConnectorType }
      },
    }),
  ]
}

/** Older clients write a workspace before the path. */
function register({ zenml: { view } }: ZenmlDesk): readonly Route[] {
  const paths: [string, string][] = [
    [connectors, 'zenmlRegister'],
    [`${ZENML_BASE}/workspaces/{workspace}/service_connectors`, 'zenmlRegisterInWorkspace'],
  ]
  return paths.map(([path, operationId]) =>
    callerRoute({
      ...zenmlCommon,
      method: 'POST',
      path,
      operationId,
      summary: 'Gives a name to what the policy grants',
      body: zenmlRequest,
      answers: zenmlAnswers(zenmlConnector, 'The connector'),
      handle: async ({ caller, body }) => ({
        status: 200,
        body: connectorBody(await view.register(caller.principal, body)),
      }),
    }),
  )
}

function manage({ zenml: { view } }: ZenmlDesk): readonly Route[] {
  const one = { ...zenmlCommon, path: `${connectors}/{id}`, params: byId }
  return [
    callerRoute({
      ...zenmlCommon,
      method: 'GET',
      path: connectors,
      operationId: 'zenmlList',
      summary: 'The connectors of the caller',
      query: listQuery,
      answers: zenmlAnswers(zenmlPage(zenmlConnector), 'A page of them'),
      handle: async ({ caller, query }) => ({
        status: 200,
        body: pageOf(await view.list(caller.principal), query),
      }),
    }),
    callerRoute({
      ...one,
      method: 'GET',
      operationId: 'zenmlGet',
      summary: 'One connector; there are no secrets to expand',
      answers: zenmlAnswers(zenmlConnector, 'The connector'),
      handle: async ({ caller, params }) => ({
        status: 200,
        body: connectorBody(await view.get(caller.principal, params.id)),
      }),
    }),
    callerRoute({
      ...one,
      method: 'PUT',
      operationId: 'zenmlUpdate',
      summary: 'Replaces what the caller registered',
      body: zenmlRequest,
      answers: zenmlAnswers(zenmlConnector, 'The connector'),
      handle: async ({ caller, params, body }) => ({
        status: 200,
        body: connectorBody(await view.update(caller.principal, params.id, body)),
      }),
    }),
    callerRoute({
      ...one,
      method: 'DELETE',
      operationId: 'zenmlDelete',
      summary: 'Forgets what the caller registered',
      answers: zenmlAnswers(z.null(), 'It is gone'),
      handle: async ({ caller, params }) => {
        await view.remove(caller.principal, params.id)
        return { status: 200, body: null }
      },
    }),
  ]
}

function use(desk: ZenmlDesk): readonly Route[] {
  const { view } = desk.zenml
  return [
    callerRoute({
      ...zenmlCommon,
      method: 'POST',
      path: `${connectors}/verify`,
      operationId: 'zenmlVerifyRequest',
      summary: 'Whether a registration would work',
      body: zenmlRequest,
      answers: zenmlAnswers(zenmlResources, 'What it reaches'),
      handle: async ({ caller, body }) => {
        const connector = await view.draft(caller.principal, body)
        return { status: 200, body: await verified(desk, caller, { ...connector, id: '' }) }
      },
    }),
    callerRoute({
      ...zenmlCommon,
      method: 'PUT',
      path: `${connectors}/{id}/verify`,
      operationId: 'zenmlVerify',
      summary: 'Whether credentials for what it reaches can be had',
      params: byId,
      query: resourceQuery,
      answers: zenmlAnswers(zenmlResources, 'What it reaches'),
      handle: async ({ caller, params, query }) => {
        const connector = await view.get(caller.principal, params.id)
        return { status: 200, body: await verified(desk, caller, connector, query.resource_id) }
      },
    }),
    callerRoute({
      ...zenmlCommon,
      method: 'GET',
      path: `${connectors}/resources`,
      operationId: 'zenmlListResources',
      summary: 'What the connectors of the caller reach',
      query: resourceQuery,
      answers: zenmlAnswers(z.array(zenmlResources), 'One entry per connector'),
      handle: async ({ caller: { principal } }) => {
        const entries = (await view.list(principal)).map(async (each) =>
          resourcesBody(each, await view.containers(principal, each)),
        )
        return { status: 200, body: await Promise.all(entries) }
      },
    }),
    callerRoute({
      ...zenmlCommon,
      method: 'GET',
      path: `${connectors}/{id}/client`,
      operationId: 'zenmlClient',
      summary: 'How a client reaches a resource: by the agent beside it',
      params: byId,
      query: resourceQuery,
      answers: zenmlAnswers(zenmlConnector, 'A connector without credentials'),
      handle: async ({ caller, params, query }) => {
        const connector = await view.get(caller.principal, params.id)
        const id = query.resource_id ?? connector.resourceId
        if ((query.resource_type ?? blobContainer) !== blobContainer || id === undefined) {
          throw oldClient()
        }
        const container = containerOf(id)
        await probe(desk, caller, connector, container)
        return { status: 200, body: connectorBody(connector, canonicalId(container)) }
      },
    }),
  ]
}

/** Asks for a credential as the client's agent will, and lets it go. */
async function probe(
  desk: ZenmlDesk,
  caller: Caller,
  { account }: ZenmlConnector,
  container: string,
): Promise<void> {
  const scope = { account, service: 'blob', container, permissions: ['read'] } as const
  await desk.issuance.answer(caller, { scope })
}

/** Uses it as well, where it lists: in the container, and above and beside it, where it must not work. */
async function tries(
  desk: ZenmlDesk,
  caller: Caller,
  { account }: ZenmlConnector,
  container: string,
): Promise<void> {
  const scope = { account, service: 'blob', container, permissions: ['read', 'list'] } as const
  const { credential } = await desk.issuance.answer(caller, { scope })
  const checks = await desk.zenml.trial(scope, credential)
  const failed = checks.filter(({ status }) => status === 'failed')
  if (failed.length === 0) return
  const told = failed.map(({ name, reason = '' }) => `${name}: ${reason}`).join('; ')
  throw new ConnectorError('temporarily_unavailable', 'storage_unavailable', {
    detail: `a credential for '${container}' was issued and does not do what it should: ${told}`,
    hint: 'abfs connector verify shows every check',
  })
}

/** A refusal is a part of the report, as it is in ZenML's. */
async function verified(
  desk: ZenmlDesk,
  caller: Caller,
  connector: ZenmlConnector,
  resourceId: string | undefined = connector.resourceId,
): Promise<unknown> {
  const { view } = desk.zenml
  const containers =
    resourceId === undefined
      ? await view.containers(caller.principal, connector)
      : [containerOf(resourceId)]
  try {
    for (const container of containers.slice(0, maxTried)) {
      await probe(desk, caller, connector, container)
      const mayList = await view.lists(caller.principal, connector, container)
      if (mayList) await tries(desk, caller, connector, container)
    }
  } catch (error) {
    if (!(error instanceof ConnectorError)) throw error
    return { ...resourcesBody(connector, []), error: zenmlMessage(error) }
  }
  return resourcesBody(connector, containers)
}

function resourcesBody(connector: ZenmlConnector, containers: readonly string[]): object {
  const resource_ids = containers.map(canonicalId)
  const resources = [{ resource_type: blobContainer, resource_ids, error: null }]
  const { id, name } = connector
  return {
    id: id === '' ? null : id,
    name,
    connector_type: azureConnectorType,
    error: null,
    resources,
  }
}

function pageOf(all: readonly ZenmlConnector[], query: z.output<typeof listQuery>): unknown {
  const fits = (text: string, filter: string | undefined): boolean => {
    const [, operator = 'equals', value = filter] = /^(\w+):(.*)$/.exec(filter ?? '') ?? []
    if (filter === undefined || value === undefined) return true
    if (operator === 'startswith') return text.startsWith(value)
    return operator === 'contains' ? text.includes(value) : text === value
  }
  const found = all.filter((each) => fits(each.name, query.name) && fits(each.id, query.id))
  const from = (query.page - 1) * query.size
  return {
    index: query.page,
    max_size: query.size,
    total_pages: Math.max(1, Math.ceil(found.length / query.size)),
    total: found.length,
    items: found.slice(from, from + query.size).map((each) => connectorBody(each)),
  }
}

function noType(): ConnectorError {
  return new ConnectorError('invalid_request', 'not_found', {
    status: 404,
    detail: "there is no such type of service connector: 'azure' is the only one",
  })
}

function oldClient(): ConnectorError {
  return new ConnectorError('invalid_scope', 'unsupported_auth_for_resource', {
    detail: 'a client of ZenML’s protocol is given for one blob container at a time',
    hint: 'name resource_type=blob-container and resource_id=az://CONTAINER, and run beside `abfs exec`; clusters and registries have `abfs credential kubernetes` and docker-credential-abfs',
  })
}
