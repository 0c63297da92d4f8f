/** What servers make of the messages of protocol.ts, and how they describe them. Clients do without: see read-answer.ts. */
import { z } from 'zod'
import type { Scope } from '../credential/credential.ts'
import { isJsonObject } from './azure-answer.ts'
import {
  answerReaches,
  type CredentialBody,
  type CredentialRequest,
  errorCodes,
  maxNameLength,
  type ProblemBody,
  permissionNames,
  services,
  wordForm,
} from './protocol.ts'

const permission = z.enum(permissionNames)
/** A scope on the wire; {@link canonicalScope} looks at its names. */
export const scopeSchema: z.ZodType<Scope> = z.strictObject({
  account: z.string().min(1).max(maxNameLength.account),
  service: z.enum(services),
  container: z.string().max(maxNameLength.container).optional(),
  prefix: z.string().max(maxNameLength.prefix).optional(),
  permissions: z.array(permission).min(1).max(permissionNames.length),
})
const kind = z.enum(['bearer', 'sas'])
/** Goes on to Entra as it is, so it must be a small object of JSON. */
export const claims: z.ZodType<string> = z
  .string()
  .max(4096)
  .refine(isJsonObject, 'is no object of JSON')
/** What {@link CREDENTIALS_PATH} takes. */
export const credentialRequest: z.ZodType<CredentialRequest> = z.strictObject({
  scope: scopeSchema,
  kind: kind.optional(),
  refresh: z.boolean().optional(),
  claims: claims.optional(),
})
const grantFields = {
  expiresInMs: z.number().int().positive(),
  scope: scopeSchema,
  reach: z.enum(answerReaches),
  principal: z.string(),
  auditId: z.string(),
}
/** What {@link CREDENTIALS_PATH} gives. */
export const credentialAnswer: z.ZodType<CredentialBody> = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('bearer'), token: z.string().min(1), ...grantFields }),
  z.object({ kind: z.literal('sas'), query: z.string().min(1), ...grantFields }),
])
const word = z.string().regex(wordForm)
const problem = z.object({
  code: word,
  reason: word,
  status: z.number().int(),
  detail: z.string(),
  hint: z.string().optional(),
  retryable: z.boolean(),
  retryAfterSeconds: z.number().optional(),
  required: z.object({ role: z.string(), scope: z.string(), command: z.string() }).optional(),
  upstream: z
    .object({
      status: z.number().int().optional(),
      code: z.string().optional(),
      requestId: z.string().optional(),
    })
    .optional(),
  claims: z.string().optional(),
  auditId: z.string().optional(),
})
/** A refusal as the connector writes it. */
export const problemSchema: z.ZodType<ProblemBody> = problem.extend({
  type: z.literal('about:blank'),
  title: z.string(),
  code: z.enum(errorCodes),
})
