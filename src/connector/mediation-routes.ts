import { z } from 'zod'
import type { Clock } from '../clock.ts'
import type { Issuance } from './issuance.ts'
import { LIST_PATH, listRequest, SIGN_PATH, signAnswer, signRequest } from './mediation.ts'
import { callerRoute, type Route } from './route.ts'

/** What prefixes of flat accounts are answered from. */
export interface MediationDesk {
  readonly issuance: Issuance
  readonly clock: Clock
}

const problems = [
  'identity_refused',
  'network_denied',
  'path_invalid',
  'path_outside_root',
  'rbac_missing',
  'scope_unenforceable',
  'storage_unavailable',
] as const
/** Names are long, and there may be many of them. */
const bodyLimitBytes = 512 * 1024

/** Where single blobs are signed, and where a prefix is listed. */
export function mediationRoutes({ issuance, clock }: MediationDesk): readonly Route[] {
  const sign = callerRoute({
    method: 'POST',
    path: SIGN_PATH,
    inSessions: true,
    operationId: 'signBlobs',
    summary: 'Signatures for single blobs below a prefix, for five minutes at most',
    action: 'blobs.sign',
    body: signRequest,
    bodyLimitBytes,
    answers: { 200: { description: 'One signature for each operation', body: signAnswer } },
    problems: [...problems, 'credential_kind_not_granted', 'delegator_missing'],
    handle: async ({ caller, body }) => {
      const { queries, expiresAtMs, auditId } = await issuance.sign(caller, body)
      const signatures = body.operations.map(({ name }, index) => ({
        name,
        query: queries[index] ?? '',
      }))
      const expiresInMs = Math.floor(expiresAtMs - clock.nowMs())
      return { status: 200, body: { signatures, expiresInMs, auditId } }
    },
  })
  const list = callerRoute({
    method: 'POST',
    path: LIST_PATH,
    inSessions: true,
    operationId: 'listPrefix',
    summary: 'A page of the list of a prefix, made with the identity of the connector',
    action: 'blobs.list',
    body: listRequest,
    answers: {
      200: { description: "The service's own XML", body: z.string(), mediaType: 'application/xml' },
    },
    problems: [...problems, 'claims_challenge', 'resource_unavailable'],
    handle: async ({ caller, body }) => ({ status: 200, body: await issuance.list(caller, body) }),
  })
  return [sign, list]
}
