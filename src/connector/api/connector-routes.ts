import { z } from 'zod'
import { declaredAuth, separateSecrets } from '../model/auth.ts'
import {
  type ConnectorBody,
  type ConnectorChange,
  connectorChange,
  submittedConnector,
} from '../model/connector.ts'
import type { StoredRecord } from '../model/record.ts'
import { resourceSchema } from '../model/resource.ts'
import { callerRoute, type Route } from '../route.ts'
import type { RecordChange } from '../state/record-store.ts'
import { notFound } from '../state/record-store.ts'
import {
  type Administration,
  changeable,
  checkAdministrator,
  checkStored,
  etagHeader,
  expectedRevision,
  idParams,
  recorded,
  recordFields,
  recordView,
} from './administration.ts'

const connectorView = z.object({
  ...recordFields,
  name: z.string(),
  type: z.literal('azure'),
  description: z.string(),
  /** Without its secrets, which never leave. */
  auth: declaredAuth,
  resources: z.array(resourceSchema),
  labels: z.record(z.string(), z.string()),
})
const one = { description: 'The connector', body: connectorView }
const path = '/v1/connectors'

/** Register, list, show, change and remove connectors. For administrators. */
export function connectorObjectRoutes(desk: Administration): readonly Route[] {
  return [list(desk), add(desk), show(desk), change(desk), remove(desk)]
}

function list(desk: Administration): Route {
  return callerRoute({
    method: 'GET',
    path,
    operationId: 'listConnectors',
    summary: 'The connectors there are',
    action: 'connectors.read',
    answers: {
      200: { description: 'By name', body: z.object({ connectors: z.array(connectorView) }) },
    },
    handle: async ({ caller }) => {
      checkAdministrator(caller)
      const { connectors } = await desk.registry.current()
      return { status: 200, body: { connectors: connectors.map(view) } }
    },
  })
}

function add(desk: Administration): Route {
  return callerRoute({
    method: 'POST',
    path,
    operationId: 'addConnector',
    summary: 'Register a connector; its secrets are sealed and never given back',
    action: 'connectors.change',
    bodyLimitBytes: 512 * 1024,
    body: submittedConnector,
    answers: { 201: one },
    problems: ['conflict'],
    handle: async ({ caller, body }) => {
      const record = await recorded(desk, caller, 'connectors.change', async () => {
        const state = changeable(desk)
        checkStored('connector', body.name, await desk.registry.connector(body.name))
        const { auth, secrets } = separateSecrets(body.auth)
        const result = await state.connectors.add({ ...body, auth }, secrets)
        return { result, subject: subjectOf(result) }
      })
      return { status: 201, body: view(record), headers: etagHeader(record) }
    },
  })
}

function show(desk: Administration): Route {
  return callerRoute({
    method: 'GET',
    path: `${path}/{id}`,
    operationId: 'showConnector',
    summary: 'One connector, by id or name',
    action: 'connectors.read',
    params: idParams,
    answers: { 200: one },
    handle: async ({ caller, params }) => {
      checkAdministrator(caller)
      const record = await found(desk, params.id)
      return { status: 200, body: view(record), headers: etagHeader(record) }
    },
  })
}

function change(desk: Administration): Route {
  return callerRoute({
    method: 'PATCH',
    path: `${path}/{id}`,
    operationId: 'changeConnector',
    summary: 'Replace fields of a connector, if it is still what If-Match says',
    action: 'connectors.change',
    bodyLimitBytes: 512 * 1024,
    params: idParams,
    body: connectorChange,
    answers: { 200: one },
    problems: ['conflict'],
    handle: async ({ caller, params, body, headers }) => {
      const record = await recorded(desk, caller, 'connectors.change', async () => {
        const { id } = await changeableConnector(desk, params.id)
        const revision = expectedRevision(headers['if-match'], id)
        const result = await changeable(desk).connectors.change(id, revision, (old) =>
          changed(old, body),
        )
        return { result, subject: subjectOf(result) }
      })
      return { status: 200, body: view(record), headers: etagHeader(record) }
    },
  })
}

function remove(desk: Administration): Route {
  return callerRoute({
    method: 'DELETE',
    path: `${path}/{id}`,
    operationId: 'removeConnector',
    summary: 'Remove a connector and its secrets; what it gave lives to its end',
    action: 'connectors.change',
    params: idParams,
    answers: { 204: { description: 'It is gone' } },
    problems: ['conflict'],
    handle: async ({ caller, params, headers }) => {
      await recorded(desk, caller, 'connectors.change', async () => {
        const { id } = await changeableConnector(desk, params.id)
        const revision = expectedRevision(headers['if-match'], id)
        const result = await changeable(desk).connectors.remove(id, revision)
        return { result, subject: `${subjectOf(result)} removed` }
      })
      return { status: 204 }
    },
  })
}

/** The new body; with a new `auth` come new secrets. */
function changed(old: ConnectorBody, change: ConnectorChange): RecordChange<ConnectorBody> {
  const { auth: submitted, ...fields } = change
  const given = Object.entries(fields).filter(([, value]) => value !== undefined)
  const body: ConnectorBody = { ...old, ...Object.fromEntries(given) }
  if (submitted === undefined) return { body }
  const { auth, secrets } = separateSecrets(submitted)
  return { body: { ...body, auth }, secrets }
}

async function found(desk: Administration, id: string): Promise<StoredRecord<ConnectorBody>> {
  const record = await desk.registry.connector(id)
  if (record === undefined) throw notFound('connector', id)
  return record
}

async function changeableConnector(
  desk: Administration,
  id: string,
): Promise<StoredRecord<ConnectorBody>> {
  const record = await found(desk, id)
  checkStored('connector', record.body.name, record)
  return record
}

function view(record: StoredRecord<ConnectorBody>): z.input<typeof connectorView> {
  const { resources, ...body } = record.body
  return { ...recordView(record), ...body, resources: [...resources] }
}

function subjectOf({ body, revision }: StoredRecord<ConnectorBody>): string {
  return `connector/${body.name}@${revision}`
}
