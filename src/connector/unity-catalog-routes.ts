import { z } from 'zod'
import type { Permission, Scope } from '../credential/credential.ts'
import { ConnectorError } from './connector-error.ts'
import type { CredentialDesk } from './credential-routes.ts'
import { callerRoute, type Route, type RouteRefusal } from './route.ts'

/*
 * Unity Catalog's way to ask for credentials of a path, so that its clients can be pointed at a
 * connector. Tables, volumes and models are names of a catalog, which a connector is not.
 */

const read: readonly Permission[] = ['read', 'list']
const write: readonly Permission[] = [...read, 'create', 'write', 'delete']
const permissionsOf = {
  PATH_READ: read,
  PATH_READ_WRITE: write,
  PATH_CREATE_TABLE: write,
} as const

const request = z.object({
  url: z.string().min(1).max(2048),
  operation: z.enum(['PATH_READ', 'PATH_READ_WRITE', 'PATH_CREATE_TABLE']),
})
const answer = z.object({
  azure_user_delegation_sas: z.object({ sas_token: z.string() }),
  /** Milliseconds since the Unix epoch. */
  expiration_time: z.number().int(),
  url: z.string(),
})
const refusal = z.object({ error_code: z.string(), message: z.string() })

/** `POST /api/2.1/unity-catalog/temporary-path-credentials`. */
export function unityCatalogRoutes({ issuance }: CredentialDesk): readonly Route[] {
  return [
    callerRoute({
      method: 'POST',
      path: '/api/2.1/unity-catalog/temporary-path-credentials',
      operationId: 'generateTemporaryPathCredentials',
      summary: 'A user delegation SAS for a path, as Unity Catalog gives it',
      action: 'credentials.issue',
      body: request,
      answers: {
        200: { description: 'The signature', body: answer },
        ...refusals([400, 401, 403, 404, 429, 500, 503]),
      },
      formatRefusal: formatUnityRefusal,
      handle: async ({ caller, body }) => {
        const scope = scopeOfUrl(body.url, permissionsOf[body.operation])
        const { credential } = await issuance.answer(caller, { scope, kind: 'sas' })
        if (credential.kind !== 'sas') throw new Error('a signature was asked for')
        const sas = { sas_token: credential.query }
        const expiration_time = Math.floor(credential.expiresAtMs)
        const bodyOfAnswer = { azure_user_delegation_sas: sas, expiration_time, url: body.url }
        return { status: 200, body: bodyOfAnswer }
      },
    }),
  ]
}

function refusals(statuses: readonly number[]): Route['answers'] {
  const spec = { description: "A refusal in Unity Catalog's words", body: refusal }
  return Object.fromEntries(statuses.map((status) => [status, spec]))
}

/** `abfss://container@account.dfs.core.windows.net/path`, the only spelling that names all parts. */
export function scopeOfUrl(url: string, permissions: readonly Permission[]): Scope {
  const form = /^(?:abfss?|wasbs?):\/\/([^@/?#]+)@([a-z0-9]+)\.(blob|dfs)\.[a-z0-9.-]+(?:\/(.*))?$/s
  const [, container, account, service, path = ''] = form.exec(url) ?? []
  if (container === undefined || account === undefined) throw noPath()
  const prefix = path.replace(/\/$/, '')
  return {
    account,
    service: service === 'dfs' ? 'dfs' : 'blob',
    container,
    ...(prefix === '' ? {} : { prefix }),
    permissions,
  }
}

function noPath(): ConnectorError {
  return new ConnectorError('invalid_request', 'path_invalid', {
    detail: "'url' names no path of a storage account",
    hint: 'write abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH',
  })
}

const words: Readonly<Record<number, string>> = {
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  429: 'RESOURCE_EXHAUSTED',
  500: 'INTERNAL',
  503: 'UNAVAILABLE',
}

function formatUnityRefusal(error: ConnectorError): RouteRefusal {
  const status = words[error.status] === undefined ? 400 : error.status
  const hint = error.hint === undefined ? '' : `; ${error.hint}`
  const audit = error.auditId === undefined ? '' : ` (${error.reason}, audit ${error.auditId})`
  const message = `${error.detail}${hint}${audit}`
  const body = JSON.stringify({ error_code: words[status] ?? 'INVALID_ARGUMENT', message })
  return { status, mediaType: 'application/json', body }
}
