import { z } from 'zod'
import { callerRoute, type Route } from '../route.ts'
import { type Administration, changeable, checkAdministrator } from './administration.ts'

const time = z.iso.datetime().optional()
const question = z.strictObject({
  caller: z.string().max(64).optional(),
  action: z.string().max(64).optional(),
  decision: z.enum(['granted', 'denied', 'failed']).optional(),
  auditId: z.uuid().optional(),
  since: time,
  until: time,
  before: z.coerce.number().int().positive().optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
})
const page = z.object({
  records: z.array(z.looseObject({ time: z.string(), auditId: z.string(), action: z.string() })),
  /** The `before` of the next page; absent at the end. */
  next: z.number().int().optional(),
})

/** The audit log, newest first. For administrators. */
export function auditRoutes(desk: Administration): readonly Route[] {
  const find = callerRoute({
    method: 'GET',
    path: '/v1/audit',
    operationId: 'findAudit',
    summary: 'Decisions, newest first: who asked for what, and what came of it',
    action: 'audit.read',
    query: question,
    answers: { 200: { description: 'A page of the log', body: page } },
    problems: ['conflict'],
    handle: async ({ caller, query }) => {
      checkAdministrator(caller)
      const { since, until, ...rest } = query
      const found = await changeable(desk).audit.find({
        ...rest,
        sinceMs: since === undefined ? undefined : Date.parse(since),
        untilMs: until === undefined ? undefined : Date.parse(until),
      })
      return { status: 200, body: found }
    },
  })
  return [find]
}
