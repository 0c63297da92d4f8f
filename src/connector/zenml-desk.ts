import { z } from 'zod'
import type { ConnectorError } from './connector-error.ts'
import type { CredentialTrial } from './credential-trial.ts'
import type { Issuance } from './issuance.ts'
import type { Principal } from './policy.ts'
import type { AnswerSpec, RouteRefusal } from './route.ts'
import type { ZenmlSessions } from './zenml-session.ts'
import type { ZenmlView } from './zenml-view.ts'

/** What the façade is answered from. */
export interface ZenmlDesk {
  readonly issuance: Issuance
  readonly zenml: {
    readonly view: ZenmlView
    readonly sessions: ZenmlSessions
    /** Tries what was issued at the account itself. */
    readonly trial: CredentialTrial
    /** Who holds a proof; counts the tries of an address that holds none. */
    readonly logIn: (proof: string, peer: string | undefined) => Promise<Principal>
  }
}

/** What the paths of ZenML's API begin with. */
export const ZENML_BASE = '/api/v1'

const refusal = z.object({ detail: z.array(z.string()) })

/** What the routes of known callers have in common. */
export const zenmlCommon: {
  readonly action: 'connectors.use'
  readonly formatRefusal: (error: ConnectorError) => RouteRefusal
} = { action: 'connectors.use', formatRefusal: formatZenmlRefusal }

/** ZenML's `Page` of such items. */
export function zenmlPage(item: z.ZodType): z.ZodType {
  return z.object({
    index: z.number(),
    max_size: z.number(),
    total_pages: z.number(),
    total: z.number(),
    items: z.array(item),
  })
}

/** The answers of a route that refuses in ZenML's words. */
export function zenmlAnswers(
  body: z.ZodType,
  description: string,
): Readonly<Record<number, AnswerSpec>> {
  const spec = { description: "A refusal in ZenML's words", body: refusal }
  const statuses = [400, 401, 403, 404, 409, 422, 429, 500, 503]
  return {
    ...Object.fromEntries(statuses.map((status) => [status, spec])),
    200: { description, body },
  }
}

/** Classes that ZenML's client raises again. */
const classes: Readonly<Record<number, string>> = {
  401: 'CredentialsNotValid',
  403: 'IllegalOperationError',
  404: 'KeyError',
  409: 'EntityExistsError',
  422: 'ValueError',
  429: 'MaxConcurrentTasksError',
  503: 'LogStoreUnavailableError',
}

/** Refuses with the name of an exception that ZenML's client raises again. */
export function formatZenmlRefusal(error: ConnectorError): RouteRefusal {
  const name = classes[error.status] ?? (error.status < 500 ? 'ValueError' : 'RuntimeError')
  const body = JSON.stringify({ detail: [name, zenmlMessage(error)] })
  const status = classes[error.status] === undefined && error.status < 500 ? 400 : error.status
  return { status, mediaType: 'application/json', body }
}

/** All that a person can use, in one line. */
export function zenmlMessage({ detail, hint, reason, auditId }: ConnectorError): string {
  const audit = auditId === undefined ? '' : `, audit ${auditId}`
  return `${detail}${hint === undefined ? '' : `; ${hint}`} (${reason}${audit})`
}
