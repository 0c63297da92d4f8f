import { z } from 'zod'
import { canonicalScope } from '../canonical-scope.ts'
import type { PolicyBody } from '../model/connector.ts'
import { callerNameSchema, policyBody } from '../model/connector.ts'
import type { StoredRecord } from '../model/record.ts'
import { decide } from '../policy.ts'
import { credentialRequest } from '../protocol-schema.ts'
import { callerRoute, type Route } from '../route.ts'
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

const policyView = z.object({ ...recordFields, policy: policyBody })
const path = '/v1/policies'
const outcome = z.object({
  decision: z.enum(['grant', 'denial']),
  kind: z.string().optional(),
  maxTtlSeconds: z.number().optional(),
  connector: z.string().optional(),
  code: z.string().optional(),
  reason: z.string().optional(),
  detail: z.string().optional(),
  hint: z.string().optional(),
})

/** Who may use which connector: list, add, remove, and try out. For administrators. */
export function policyRoutes(desk: Administration): readonly Route[] {
  return [list(desk), add(desk), remove(desk), test(desk)]
}

function list(desk: Administration): Route {
  return callerRoute({
    method: 'GET',
    path,
    operationId: 'listPolicies',
    summary: 'Who may use which connector',
    action: 'policies.read',
    answers: { 200: { description: 'By name', body: z.object({ policies: z.array(policyView) }) } },
    handle: async ({ caller }) => {
      checkAdministrator(caller)
      const { policies } = await desk.registry.current()
      return { status: 200, body: { policies: policies.map(view) } }
    },
  })
}

function add(desk: Administration): Route {
  return callerRoute({
    method: 'POST',
    path,
    operationId: 'addPolicy',
    summary: 'Let a caller use a connector, or a part of it',
    action: 'policies.change',
    body: policyBody,
    answers: { 201: { description: 'The policy', body: policyView } },
    problems: ['conflict'],
    handle: async ({ caller, body }) => {
      const record = await recorded(desk, caller, 'policies.change', async () => {
        const state = changeable(desk)
        checkStored('policy', body.name, await declaredPolicy(desk, body.name))
        const result = await state.policies.add(body)
        return { result, subject: `policy/${body.name}@${result.revision}` }
      })
      return { status: 201, body: view(record), headers: etagHeader(record) }
    },
  })
}

function remove(desk: Administration): Route {
  return callerRoute({
    method: 'DELETE',
    path: `${path}/{id}`,
    operationId: 'removePolicy',
    summary: 'Take back what a policy gave; credentials live to their end',
    action: 'policies.change',
    params: idParams,
    answers: { 204: { description: 'It is gone' } },
    problems: ['conflict'],
    handle: async ({ caller, params, headers }) => {
      await recorded(desk, caller, 'policies.change', async () => {
        const state = changeable(desk)
        checkStored('policy', params.id, await declaredPolicy(desk, params.id))
        const { id } = (await state.policies.get(params.id)) ?? { id: params.id }
        const revision = expectedRevision(headers['if-match'], id)
        const result = await state.policies.remove(id, revision)
        return { result, subject: `policy/${result.body.name}@${result.revision} removed` }
      })
      return { status: 204 }
    },
  })
}

/** Decides without issuing anything. */
function test(desk: Administration): Route {
  return callerRoute({
    method: 'POST',
    path: `${path}:test`,
    operationId: 'testPolicy',
    summary: 'What a caller would be answered, and why; nothing is issued',
    action: 'policies.read',
    body: z.strictObject({ caller: callerNameSchema, request: credentialRequest }),
    answers: { 200: { description: 'The decision', body: outcome } },
    problems: ['path_invalid'],
    handle: async ({ caller, body }) => {
      checkAdministrator(caller)
      const { policy } = await desk.registry.current()
      const { kind } = body.request
      const scope = canonicalScope(body.request.scope)
      const decided = decide(policy, { name: body.caller }, { scope, kind })
      if (decided.decision === 'denial') return { status: 200, body: decided }
      const { maxTtlMs, ...grant } = decided
      return { status: 200, body: { ...grant, maxTtlSeconds: maxTtlMs / 1000 } }
    },
  })
}

async function declaredPolicy(
  desk: Administration,
  idOrName: string,
): Promise<StoredRecord<PolicyBody> | undefined> {
  const { policies } = await desk.registry.current()
  return policies.find(({ id, body }) => id === idOrName || body.name === idOrName)
}

function view(record: StoredRecord<PolicyBody>): z.input<typeof policyView> {
  return { ...recordView(record), policy: record.body } as z.input<typeof policyView>
}
