import { z } from 'zod'
import { canonicalScope } from '../canonical-scope.ts'
import { ConnectorError } from '../connector-error.ts'
import type { CredentialDesk } from '../credential-routes.ts'
import type { Caller } from '../issuance.ts'
import { answerBody, CREDENTIALS_PATH, SESSIONS_PATH } from '../protocol.ts'
import { credentialAnswer, credentialRequest, scopeSchema } from '../protocol-schema.ts'
import { callerRoute, type Route } from '../route.ts'
import type { Session, Sessions, SessionTokens } from '../session/sessions.ts'
import { notFound } from '../state/record-store.ts'
import { tokenFields } from '../token-request.ts'
import { tokenTarget } from '../token-target.ts'
import { type Administration, checkAdministrator, idParams } from './administration.ts'

/** What sessions are answered from. */
export interface SessionDesk extends CredentialDesk {
  readonly administration: Administration
  readonly sessions: Sessions
  /** The nonce for the client's next proof. */
  readonly nonce: () => string
}

const maxGrants = 64
const maxNeeds = 16

/** What a session is opened for: storage, what is none, or both. */
const sessionRequest = z
  .strictObject({
    connector: z.string().min(1).max(64).optional(),
    grants: z.array(scopeSchema).max(maxGrants).default([]),
    /** As `audience` and `scope` of a token exchange. */
    tokens: z
      .array(
        z.strictObject({
          audience: tokenFields.audience,
          scope: tokenFields.scope,
        }),
      )
      .max(maxGrants)
      .default([]),
  })
  .refine(({ grants, tokens }) => grants.length + tokens.length > 0, 'give grants, tokens or both')
const opened = z.object({
  sessionId: z.string(),
  /** For `Authorization: DPoP …`, with a proof by the key that opened the session. */
  accessToken: z.string(),
  expiresInMs: z.number(),
  /** Good once, for the refresh of this session, with a proof by the same key. */
  refreshToken: z.string(),
  sessionExpiresInMs: z.number(),
  grants: z.array(scopeSchema),
})
const introspection = z.object({
  active: z.boolean(),
  sub: z.string().optional(),
  sid: z.string().optional(),
  exp: z.number().optional(),
  iat: z.number().optional(),
  cnf: z.object({ jkt: z.string() }).optional(),
})

/** Sessions with proof of possession (RFC 9449). */
export function sessionRoutes(desk: SessionDesk): readonly Route[] {
  return [open(desk), credentials(desk), refresh(desk), revoke(desk), introspect(desk)]
}

function open(desk: SessionDesk): Route {
  return callerRoute({
    method: 'POST',
    path: SESSIONS_PATH,
    operationId: 'openSession',
    summary: 'Open a session for scopes that policy grants, bound to the key of the DPoP header',
    action: 'sessions.open',
    bodyLimitBytes: 64 * 1024,
    body: sessionRequest,
    answers: { 201: { description: 'The session and its tokens', body: opened } },
    problems: ['audience_not_allowed', 'path_invalid', 'path_outside_root', 'scope_unenforceable'],
    handle: async ({ caller, body }) => {
      const { principal, jkt } = caller
      if (jkt === undefined) throw noProof(desk)
      const grants = body.grants.map(canonicalScope)
      const targets = body.tokens.map(({ audience, scope }) => tokenTarget(audience, scope))
      const connector = await connectorId(desk, body.connector)
      await desk.issuance.check(principal, { grants, targets, connector })
      const opened = { caller: principal.name, connector, grants, targets, jkt }
      const tokens = await desk.sessions.open(opened)
      await desk.issuance.note(caller, 'sessions.open', tokens.session.id)
      return { status: 201, body: view(desk, tokens) }
    },
  })
}

function credentials(desk: SessionDesk): Route {
  return callerRoute({
    method: 'POST',
    path: `${SESSIONS_PATH}/{id}/credentials`,
    inSessions: true,
    operationId: 'issueSessionCredentials',
    summary: 'Credentials within the grants of a session; policy is asked each time',
    action: 'credentials.issue',
    params: idParams,
    body: z.strictObject({ needs: z.array(credentialRequest).min(1).max(maxNeeds) }),
    answers: {
      200: {
        description: 'One credential for each need, in their order',
        body: z.object({ credentials: z.array(credentialAnswer) }),
      },
    },
    problems: ['path_invalid', 'path_outside_root', 'scope_unenforceable', 'storage_unavailable'],
    handle: async ({ caller, params, body }) => {
      holderOf(caller, params.id)
      const answers = await Promise.all(
        body.needs.map((need) => desk.issuance.answer(caller, need)),
      )
      const nowMs = desk.clock.nowMs()
      const given = answers.map((answer) => answerBody(answer, nowMs))
      return { status: 200, body: { credentials: given } }
    },
  })
}

function refresh(desk: SessionDesk): Route {
  return callerRoute({
    method: 'POST',
    path: `${SESSIONS_PATH}/{id}/refresh`,
    inSessions: true,
    operationId: 'refreshSession',
    summary: 'New tokens for the refresh token in Authorization, if policy still grants all of it',
    action: 'sessions.refresh',
    params: idParams,
    answers: { 200: { description: 'The session and its new tokens', body: opened } },
    handle: async ({ caller, params }) => {
      const session = holderOf(caller, params.id)
      await stillGranted(desk, caller, session)
      const tokens = await desk.sessions.refresh(session)
      await desk.issuance.note(caller, 'sessions.refresh', session.id)
      return { status: 200, body: view(desk, tokens) }
    },
  })
}

function revoke(desk: SessionDesk): Route {
  return callerRoute({
    method: 'DELETE',
    path: `${SESSIONS_PATH}/{id}`,
    inSessions: true,
    operationId: 'revokeSession',
    summary: 'End a session: by who holds it, or by an administrator',
    action: 'sessions.revoke',
    params: idParams,
    answers: { 204: { description: 'It is good for nothing' } },
    handle: async ({ caller, params }) => {
      if (caller.session === undefined) checkAdministrator(caller)
      else holderOf(caller, params.id)
      if (!(await desk.sessions.revoke(params.id))) throw notFound('session', params.id)
      await desk.issuance.note(caller, 'sessions.revoke', params.id)
      return { status: 204 }
    },
  })
}

function introspect(desk: SessionDesk): Route {
  return callerRoute({
    method: 'POST',
    path: '/v1/introspect',
    operationId: 'introspect',
    summary: 'Whether a token of a session is good, and whose (RFC 7662). For administrators',
    action: 'sessions.introspect',
    encoding: 'form',
    body: z.strictObject({ token: z.string().min(1), token_type_hint: z.string().optional() }),
    answers: { 200: { description: 'What the token is', body: introspection } },
    handle: async ({ caller, body }) => {
      checkAdministrator(caller)
      const session = await desk.sessions.find(body.token)
      if (session === undefined) return { status: 200, body: { active: false } }
      const { caller: sub, jkt, openedAtMs } = session.body
      const exp = Math.floor(session.expiresAtMs / 1000)
      const iat = Math.floor(openedAtMs / 1000)
      return { status: 200, body: { active: true, sub, sid: session.id, exp, iat, cnf: { jkt } } }
    },
  })
}

/** Policy is asked again; a session that it no longer allows whole ends. */
async function stillGranted(desk: SessionDesk, caller: Caller, session: Session): Promise<void> {
  try {
    await desk.issuance.check(caller.principal, session.body)
  } catch (error) {
    await desk.sessions.revoke(session.id)
    throw error
  }
}

async function connectorId(desk: SessionDesk, name?: string): Promise<string | undefined> {
  if (name === undefined) return undefined
  const record = await desk.administration.registry.connector(name)
  // That there is no such connector is told as that it is not granted.
  return record?.id ?? '-'
}

function holderOf({ session }: Caller, id: string): Session {
  if (session?.id === id) return session
  throw new ConnectorError('access_denied', 'permission_not_granted', {
    detail: 'the token is not that of this session',
    hint: 'ask with the access token of the session in the path',
  })
}

function noProof(desk: SessionDesk): ConnectorError {
  return new ConnectorError('invalid_client', 'caller_unknown', {
    detail: 'a session is bound to a key: no proof of possession came with the request',
    hint: `send a DPoP header (RFC 9449), or ask POST ${CREDENTIALS_PATH} without a session`,
    nonce: desk.nonce(),
  })
}

function view(desk: SessionDesk, tokens: SessionTokens): z.input<typeof opened> {
  const { session, accessToken, refreshToken } = tokens
  const nowMs = desk.clock.nowMs()
  return {
    sessionId: session.id,
    accessToken,
    expiresInMs: session.body.accessExpiresAtMs - nowMs,
    refreshToken,
    sessionExpiresInMs: session.expiresAtMs - nowMs,
    grants: [...session.body.grants],
  }
}
