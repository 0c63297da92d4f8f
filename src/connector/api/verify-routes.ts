import { z } from 'zod'
import { type ConnectorBody, nameSchema } from '../model/connector.ts'
import type { StoredRecord } from '../model/record.ts'
import { callerRoute, type Route } from '../route.ts'
import { notFound } from '../state/record-store.ts'
import type { StoredReport, VerifyChoice } from '../verify-stored.ts'
import { type Administration, idParams, recorded } from './administration.ts'

/** Tries a connector out; never rejects for what it lacks. */
export type VerifyConnector = (
  record: StoredRecord<ConnectorBody>,
  choice: VerifyChoice,
) => Promise<StoredReport>

/** What verifications are answered from. */
export interface VerifyDesk {
  readonly administration: Administration
  readonly verify: VerifyConnector
}

const choice = z.strictObject({
  resource: z.string().min(1).max(2048).optional(),
  container: z.string().min(1).max(63).optional(),
  repository: z.string().min(1).max(255).optional(),
  write: z.boolean().default(false),
})
const report = z.object({
  /** The connector's name and revision. */
  connector: nameSchema,
  revision: z.number().int(),
  passed: z.boolean(),
  /** Whom Entra takes the connector's identity for, and how it signs in. */
  identity: z.object({
    source: z.string(),
    tenantId: z.string().optional(),
    clientId: z.string().optional(),
    objectId: z.string().optional(),
  }),
  checks: z.array(
    z.object({
      name: z.string(),
      status: z.enum(['passed', 'failed', 'skipped']),
      durationMs: z.number(),
      reason: z.string().optional(),
      /** The resource that was tried; absent for the connector as a whole. */
      resource: z.string().optional(),
    }),
  ),
  uncheckedResources: z.number().int(),
})

/** Try a connector out with its own identity. For administrators. */
export function verifyRoutes({ administration: desk, verify }: VerifyDesk): readonly Route[] {
  const route = callerRoute({
    method: 'POST',
    path: '/v1/connectors/{id}:verify',
    operationId: 'verifyConnector',
    summary: 'Named checks of a connector: that it works, and that it reaches no further',
    action: 'connectors.verify',
    params: idParams,
    body: choice,
    answers: { 200: { description: 'What was found; `passed` says of all', body: report } },
    handle: async ({ caller, params, body }) => {
      const found = await recorded(desk, caller, 'connectors.verify', async () => {
        const record = await desk.registry.connector(params.id)
        if (record === undefined) throw notFound('connector', params.id)
        const { name } = record.body
        const { revision } = record
        const result = { connector: name, revision, ...(await verify(record, body)) }
        const outcome = result.passed ? 'passed' : 'failed'
        return { result, subject: `connector/${name}@${revision} verified: ${outcome}` }
      })
      return { status: 200, body: { ...found, checks: [...found.checks] } }
    },
  })
  return [route]
}
