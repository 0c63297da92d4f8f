import type { HttpResponse } from '../http/handler.ts'
import { ConnectorError, type RequiredRole } from './connector-error.ts'

/** What was asked of Azure, for messages. */
export interface AzureQuestion {
  /** `the registry team5.azurecr.io`. */
  readonly who: string
  /** The role that a 403 misses. */
  readonly role: string
  /** Where the role is needed: a resource id or what stands for one. */
  readonly scope: string
  /** Who needs it, where known: an object id. */
  readonly assignee?: string | undefined
}

/** What the client is told when Azure answers with something else than was asked for. */
export function answerError(response: HttpResponse, question: AzureQuestion): ConnectorError {
  const { status, headers } = response
  const claims = claimsOf(headers['www-authenticate'])
  if (status === 401 && claims !== undefined) return claimsChallenge(claims, question.who)
  if (status === 401 || status === 403) return roleMissing(withAnswer(question, response))
  if (status === 429) return throttled(question.who, Number(headers['retry-after'] ?? Number.NaN))
  if (status === 404) return absent(question.who)
  return unavailable(question.who, `HTTP ${status}`, status >= 500)
}

/** The error for an identity without a role, with what grants it. */
export function roleMissing(question: AzureQuestion): ConnectorError {
  const { who, role, scope } = question
  return new ConnectorError('access_denied', 'rbac_missing', {
    detail: `${who} refused the connector's identity: it lacks the role ${role}`,
    hint: `operator: give it ${role} on ${scope}`,
    required: requiredRole(question),
  })
}

/** 401 that wants a token with further claims; what it wants goes on to who can ask for it. */
export function claimsChallenge(claims: string, who: string): ConnectorError {
  return new ConnectorError('invalid_client', 'claims_challenge', {
    detail: `${who} wants a token with further claims (conditional access)`,
    hint: 'ask again with these claims; if it stays, operator: see the conditional access policies of the workload',
    claims,
    retryable: false,
  })
}

export function throttled(who: string, retryAfterSeconds: number): ConnectorError {
  const seconds = retryAfterSeconds >= 0 ? retryAfterSeconds : 5
  return new ConnectorError('temporarily_unavailable', 'throttled', {
    status: 429,
    detail: `${who} throttles the connector`,
    hint: `try again in ${seconds} s`,
    retryable: true,
    retryAfterSeconds: seconds,
  })
}

export function absent(who: string): ConnectorError {
  return new ConnectorError('invalid_scope', 'not_found', {
    status: 404,
    detail: `${who} does not exist, or the connector's identity may not see it`,
    hint: 'check the name; operator: give the identity the role Reader there',
  })
}

export function unavailable(who: string, what: string, retryable: boolean): ConnectorError {
  return new ConnectorError('temporarily_unavailable', 'resource_unavailable', {
    detail: `${who} did not answer as expected (${what})`,
    hint: 'operator: check the name, the endpoint and the network to it',
    retryable,
  })
}

/** The claims that a challenge of Azure asks for: JSON; `undefined` when it asks for none. */
export function claimsOf(challenge: string | undefined): string | undefined {
  if (challenge === undefined || !/error="?insufficient_claims"?/.test(challenge)) return undefined
  const encoded = /claims="([A-Za-z0-9+/=_-]{4,8192})"/.exec(challenge)?.[1]
  if (encoded === undefined) return undefined
  const text = Buffer.from(encoded, 'base64').toString('utf8')
  return isJsonObject(text) ? text : undefined
}

/** Whether the text is what Entra takes as `claims`. */
export function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    // Not JSON, so not an object of it.
    return false
  }
}

/** The body as JSON, `{}` where it is none. */
export function jsonOf({ body }: HttpResponse): Record<string, unknown> {
  const text = Buffer.from(body).toString('utf8')
  return isJsonObject(text) ? JSON.parse(text) : {}
}

function requiredRole({ role, scope, assignee }: AzureQuestion): RequiredRole {
  const who =
    assignee === undefined
      ? '--assignee CLIENT_ID'
      : `--assignee-object-id ${assignee} --assignee-principal-type ServicePrincipal`
  const command = `az role assignment create --role '${role}' ${who} --scope ${scope}`
  return { role, scope, command }
}

/** The management names the principal and the scope in its refusal. */
function withAnswer(question: AzureQuestion, response: HttpResponse): AzureQuestion {
  const message = String(Object(jsonOf(response)['error']).message ?? '')
  const assignee = /object id '([0-9a-f-]{36})'/.exec(message)?.[1] ?? question.assignee
  const scope = /over scope '(\/[\w./() -]{1,1000})'/.exec(message)?.[1] ?? question.scope
  return { ...question, assignee, scope }
}
