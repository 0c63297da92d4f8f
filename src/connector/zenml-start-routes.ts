/**
 * What ZenML's client asks a server before it asks for connectors: who the server is, a session for
 * the caller's key, who the caller is, its projects and stacks.
 */
import { z } from 'zod'
import { callerRoute, openRoute, type Route } from './route.ts'
import {
  formatZenmlRefusal,
  ZENML_BASE,
  type ZenmlDesk,
  zenmlAnswers,
  zenmlCommon,
  zenmlPage,
} from './zenml-desk.ts'
import { stableId, zenmlEpoch } from './zenml-models.ts'

/** The routes of the start. */
export function zenmlStartRoutes(desk: ZenmlDesk): readonly Route[] {
  return [info(), login(desk), currentUser(), ...surroundings()]
}

function info(): Route {
  const body = z.object({
    id: z.string(),
    name: z.string(),
    version: z.string(),
    auth_scheme: z.string(),
    analytics_enabled: z.boolean(),
  })
  return openRoute({
    method: 'GET',
    path: `${ZENML_BASE}/info`,
    operationId: 'zenmlInfo',
    summary: 'What ZenML’s client asks a server first',
    answers: zenmlAnswers(body, 'The server, under the version of its client'),
    handle: ({ headers }) => {
      const version = /^zenml\/(\d[\w.]{0,20})$/.exec(headers['user-agent'] ?? '')?.[1] ?? '0.98.0'
      const id = stableId('server')
      const auth_scheme = 'OAUTH2_PASSWORD_BEARER'
      const name = 'abfs connector'
      return { status: 200, body: { id, name, version, auth_scheme, analytics_enabled: false } }
    },
  })
}

function login({ zenml }: ZenmlDesk): Route {
  return openRoute({
    method: 'POST',
    path: `${ZENML_BASE}/login`,
    operationId: 'zenmlLogin',
    summary: 'A session of ZenML’s API for a caller’s key',
    encoding: 'form',
    body: z.object({ grant_type: z.literal('zenml-api-key'), password: z.string().min(1) }),
    answers: zenmlAnswers(
      z.object({ access_token: z.string(), token_type: z.string(), expires_in: z.number() }),
      'A bearer for the paths below /api/v1',
    ),
    formatRefusal: formatZenmlRefusal,
    handle: async ({ body, peer }) => {
      const principal = await zenml.logIn(body.password, peer)
      const { token, expiresInSeconds } = zenml.sessions.open(principal)
      const answer = { access_token: token, token_type: 'bearer', expires_in: expiresInSeconds }
      return { status: 200, body: answer }
    },
  })
}

function currentUser(): Route {
  const body = z.object({
    id: z.string(),
    name: z.string(),
    body: z.object({
      created: z.string(),
      updated: z.string(),
      active: z.boolean(),
      full_name: z.string(),
      is_service_account: z.boolean(),
      is_admin: z.boolean(),
    }),
  })
  return callerRoute({
    ...zenmlCommon,
    method: 'GET',
    path: `${ZENML_BASE}/current-user`,
    operationId: 'zenmlCurrentUser',
    summary: 'The caller, as a service account',
    answers: zenmlAnswers(body, 'The caller'),
    handle: ({ caller }) => {
      const { name } = caller.principal
      const times = { created: zenmlEpoch, updated: zenmlEpoch }
      const facts = { active: true, full_name: name, is_service_account: true, is_admin: false }
      return {
        status: 200,
        body: { id: stableId('caller', name), name, body: { ...times, ...facts } },
      }
    },
  })
}

/** What a client asks for before it starts: it goes on without a project, but not without a stack. */
function surroundings(): readonly Route[] {
  const stack = z.object({
    id: z.string(),
    name: z.string(),
    body: z.object({ created: z.string(), updated: z.string(), user_id: z.null() }),
    metadata: z.object({ components: z.object({}) }),
  })
  const pages: [string, string, z.ZodType, unknown[]][] = [
    ['projects', 'zenmlListProjects', z.object({}), []],
    ['stacks', 'zenmlListStacks', stack, [emptyStack]],
  ]
  return pages.map(([name, operationId, item, items]) =>
    callerRoute({
      ...zenmlCommon,
      method: 'GET',
      path: `${ZENML_BASE}/${name}`,
      operationId,
      summary: 'A page that ZenML’s client wants to see; a connector keeps none of its own',
      answers: zenmlAnswers(zenmlPage(item), 'The page'),
      handle: () => ({
        status: 200,
        body: { index: 1, max_size: 20, total_pages: 1, total: items.length, items },
      }),
    }),
  )
}

const emptyStack = {
  id: stableId('stack'),
  name: 'default',
  body: { created: zenmlEpoch, updated: zenmlEpoch, user_id: null },
  metadata: { components: {} },
}
