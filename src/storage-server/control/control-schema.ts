import { z } from 'zod'
import type { Revocation } from '../access/revocations.ts'
import { isRoleName, type RoleAssignment, type RoleName } from '../access/roles.ts'
import type { FaultRule } from './fault-rule.ts'
import type { Link } from './server-control.ts'

/** Bodies of the control port's requests. Unknown fields are refused: they are misspelt ones. */

const positive = z.number().positive()
const count = z.number().int().nonnegative()
const afterBytes = count.optional()

const effect = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('status'),
    status: z.number().int().min(400).max(599),
    code: z.string().optional(),
    retryAfterSeconds: count.optional(),
    claims: z.string().optional(),
  }),
  z.strictObject({ kind: z.literal('reset') }),
  z.strictObject({ kind: z.literal('resetInBody'), afterBytes }),
  z.strictObject({ kind: z.literal('truncate'), afterBytes }),
  z.strictObject({ kind: z.literal('corrupt'), at: count.optional() }),
  z.strictObject({ kind: z.literal('stall'), ms: count.optional() }),
  z.strictObject({ kind: z.literal('stallInBody'), afterBytes, ms: count.optional() }),
  z.strictObject({ kind: z.literal('slowBody'), bytesPerSecond: positive }),
])

const rule = z.strictObject({
  id: z.string().optional(),
  verb: z.string().optional(),
  face: z.enum(['blob', 'dfs']).optional(),
  account: z.string().optional(),
  path: z.string().refine(isExpression, 'expected a regular expression').optional(),
  nth: z.number().int().positive().optional(),
  count: z.number().int().positive().optional(),
  runsVerb: z.boolean().optional(),
  effect,
})

const role = z.string().transform((text, context): RoleName => {
  if (isRoleName(text)) return text
  context.addIssue({ code: 'custom', message: "expected the name of one of Azure's blob roles" })
  return z.NEVER
})

const assignment = z.strictObject({
  objectId: z.string(),
  role,
  account: z.string().optional(),
  container: z.string().optional(),
  pathPrefix: z.string().optional(),
})

const revocation = z.strictObject({
  objectId: z.string().optional(),
  tokenId: z.string().optional(),
  before: z.number().optional(),
})

/** What is ended from here on. */
interface RevokedBody {
  /** In the place of all revocations; they stay as they are when absent. */
  readonly tokens?: Revocation[] | undefined
  /** Accounts whose delegation keys end. */
  readonly delegationKeysOf?: string[] | undefined
}

/** `PUT /faults`. */
export const faultsBody: z.ZodType<{ faults: FaultRule[] }> = z.strictObject({
  faults: z.array(rule).max(1000),
})

/** `PUT /clock`. */
export const clockBody: z.ZodType<{ skewMs: number }> = z.strictObject({ skewMs: z.number().int() })

/** `PUT /latency`. */
export const linkBody: z.ZodType<Link> = z.strictObject({
  latencyMs: z.number().nonnegative().optional(),
  bytesPerSecond: positive.optional(),
})

/** `PUT /revoked`. */
export const revokedBody: z.ZodType<RevokedBody> = z.strictObject({
  tokens: z.array(revocation).optional(),
  delegationKeysOf: z.array(z.string()).optional(),
})

/** `PUT /roles`. */
export const rolesBody: z.ZodType<{ assignments: RoleAssignment[] }> = z.strictObject({
  assignments: z.array(assignment),
})

function isExpression(text: string): boolean {
  try {
    return new RegExp(text) instanceof RegExp
  } catch (error) {
    if (error instanceof SyntaxError) return false
    throw error
  }
}
