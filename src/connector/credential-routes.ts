import type { Clock } from '../clock.ts'
import type { Issuance } from './issuance.ts'
import { answerBody, CREDENTIALS_PATH, RESOURCES_PATH, TOKEN_PATH } from './protocol.ts'
import { credentialAnswer, credentialRequest } from './protocol-schema.ts'
import { type ResourceCatalog, resourceAnswer, resourceQuery } from './resource-catalog.ts'
import { callerRoute, type Route } from './route.ts'
import { parseTokenRequest, tokenAnswer, tokenBody, tokenRequest } from './token-request.ts'

/** What credentials are answered from. */
export interface CredentialDesk {
  readonly issuance: Issuance
  readonly catalog: ResourceCatalog
  readonly clock: Clock
}

/** Where credentials for storage are asked for, and tokens for anything else. */
export function credentialRoutes(desk: CredentialDesk): readonly Route[] {
  return [credentials(desk), tokens(desk), resources(desk)]
}

function credentials({ issuance, clock }: CredentialDesk): Route {
  return callerRoute({
    method: 'POST',
    path: CREDENTIALS_PATH,
    inSessions: true,
    operationId: 'issueCredential',
    summary: 'A short-lived credential for one scope of a storage account',
    action: 'credentials.issue',
    body: credentialRequest,
    answers: { 200: { description: 'The credential', body: credentialAnswer } },
    problems: [
      'credential_kind_not_granted',
      'delegator_missing',
      'identity_refused',
      'network_denied',
      'path_invalid',
      'path_outside_root',
      'rbac_missing',
      'scope_unenforceable',
      'storage_unavailable',
      'ttl_exceeds_policy',
    ],
    handle: async ({ caller, body }) => {
      const answer = await issuance.answer(caller, body)
      return { status: 200, body: answerBody(answer, clock.nowMs()) }
    },
  })
}

function tokens({ issuance, clock }: CredentialDesk): Route {
  return callerRoute({
    method: 'POST',
    path: TOKEN_PATH,
    inSessions: true,
    operationId: 'exchangeToken',
    summary: "A token beyond storage for the caller's proof (RFC 8693)",
    action: 'tokens.issue',
    encoding: 'form',
    body: tokenRequest,
    answers: { 200: { description: 'The token', body: tokenAnswer } },
    problems: [
      'acr_admin_fallback_refused',
      'acr_arm_audience_disabled',
      'aks_admin_refused',
      'audience_not_allowed',
      'claims_challenge',
      'identity_refused',
      'path_invalid',
      'rbac_missing',
      'resource_unavailable',
      'ttl_exceeds_policy',
      'unsupported_auth_for_resource',
    ],
    handle: async ({ caller, body, headers }) => {
      const target = parseTokenRequest(body, headers.authorization)
      const { token, expiresAtMs } = await issuance.answerToken(caller, target, body.claims)
      const headersOfAnswer = { pragma: 'no-cache' }
      const lifeMs = expiresAtMs - clock.nowMs()
      return { status: 200, body: tokenBody(token, lifeMs), headers: headersOfAnswer }
    },
  })
}

function resources({ catalog }: CredentialDesk): Route {
  return callerRoute({
    method: 'GET',
    path: RESOURCES_PATH,
    inSessions: true,
    operationId: 'listResources',
    summary: 'What the caller may ask credentials for: all of a type, or one by its id',
    action: 'resources.list',
    query: resourceQuery,
    answers: {
      200: { description: 'The resources, each in its one spelling', body: resourceAnswer },
    },
    problems: [
      'audience_not_allowed',
      'claims_challenge',
      'path_invalid',
      'path_outside_root',
      'rbac_missing',
      'resource_unavailable',
      'subscription_ambiguous',
      'unsupported_auth_for_resource',
    ],
    handle: async ({ caller, query: { type, id } }) => {
      const { principal } = caller
      const found =
        id === undefined
          ? await catalog.list(principal, type)
          : [await catalog.get(principal, type, id)]
      return { status: 200, body: { resources: found } }
    },
  })
}
