/**
 * What one route of the connector takes and gives. A route is declared once: the server reads its
 * requests by it, lets nothing out that its answers do not name, and the OpenAPI document is made
 * of it (`openapi.ts`).
 */
import { strict as assert } from 'node:assert'
import type { IncomingHttpHeaders } from 'node:http'
import type { z } from 'zod'
import type { AuditAction } from './audit.ts'
import { ConnectorError } from './connector-error.ts'
import type { Caller } from './issuance.ts'
import type { ConnectorErrorReason } from './problems.ts'

/** One kind of answer. Members of a body that the schema does not name are left out. */
export interface AnswerSpec {
  readonly description: string
  /** No body when absent. A string with another media type than JSON is sent as it is. */
  readonly body?: z.ZodType | undefined
  /** `application/json` when absent. */
  readonly mediaType?: string | undefined
}

/** How a body arrives: JSON, or a form whose fields stand there once each. */
export type BodyEncoding = 'form' | 'json'

/** What a handler answers with; the status is one that the route declares. */
export interface RouteAnswer {
  readonly status: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** What is the same for every route, whatever the types of its parts. */
interface RouteFacts {
  readonly method: 'DELETE' | 'GET' | 'PATCH' | 'POST' | 'PUT'
  /** As OpenAPI writes it: `/v1/connectors/{id}:verify`. */
  readonly path: string
  readonly operationId: string
  readonly summary: string
  readonly encoding?: BodyEncoding | undefined
  /** Whether an access token of a session may stand in the place of the caller's proof. */
  readonly inSessions?: boolean | undefined
  /** The longest body, bytes; 16 KiB when absent. */
  readonly bodyLimitBytes?: number | undefined
  readonly answers: Readonly<Record<number, AnswerSpec>>
  /** Reasons for refusals beside those of every route. */
  readonly problems?: readonly ConnectorErrorReason[] | undefined
  /** Writes refusals otherwise than RFC 9457, for clients that know another form. */
  readonly formatRefusal?: ((error: ConnectorError) => RouteRefusal) | undefined
}

/** A refusal in the words of another protocol. */
export interface RouteRefusal {
  readonly status: number
  readonly mediaType: string
  readonly body: string
}

interface RouteSchemas<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> {
  readonly params?: P
  readonly query?: Q
  readonly body?: B
}

/** A request whose parts fit the route. */
export interface RouteCall<P, Q, B> {
  readonly params: P
  readonly query: Q
  readonly body: B
  readonly headers: IncomingHttpHeaders
  /** Where it came from: an address. */
  readonly peer: string | undefined
}

/** The request as the server received it. */
export interface RawCall {
  readonly params: unknown
  readonly query: unknown
  readonly body: unknown
  readonly headers: IncomingHttpHeaders
  readonly peer: string | undefined
  /** Who sent it; absent on open routes. */
  readonly caller?: Caller | undefined
}

/** A declared route. */
export interface Route extends RouteFacts {
  readonly schemas: {
    readonly params?: z.ZodType | undefined
    readonly query?: z.ZodType | undefined
    readonly body?: z.ZodType | undefined
  }
  /** What the audit log and the metrics call it; such a route is for known callers alone. */
  readonly action?: AuditAction | undefined
  /** Throws `invalid_request` for what does not fit. */
  readonly run: (call: RawCall) => Promise<RouteAnswer>
}

type Handler<C> = (call: C) => Promise<RouteAnswer> | RouteAnswer

/** Declares a route for callers that have proved who they are. What it refuses is written down. */
export function callerRoute<
  P extends z.ZodType = z.ZodUndefined,
  Q extends z.ZodType = z.ZodUndefined,
  B extends z.ZodType = z.ZodUndefined,
>(
  spec: RouteFacts &
    RouteSchemas<P, Q, B> & {
      readonly action: AuditAction
      readonly handle: Handler<
        RouteCall<z.output<P>, z.output<Q>, z.output<B>> & { readonly caller: Caller }
      >
    },
): Route {
  const { params, query, body, handle, ...facts } = spec
  const run = async (raw: RawCall): Promise<RouteAnswer> => {
    assert(raw.caller !== undefined, 'the request was admitted')
    return handle({ ...fitted(spec, raw), caller: raw.caller })
  }
  return { ...facts, schemas: { params, query, body }, run }
}

/** Declares a route that anybody may ask. */
export function openRoute<
  P extends z.ZodType = z.ZodUndefined,
  Q extends z.ZodType = z.ZodUndefined,
  B extends z.ZodType = z.ZodUndefined,
>(
  spec: RouteFacts &
    RouteSchemas<P, Q, B> & {
      readonly handle: Handler<RouteCall<z.output<P>, z.output<Q>, z.output<B>>>
    },
): Route {
  const { params, query, body, handle, ...facts } = spec
  const run = async (raw: RawCall): Promise<RouteAnswer> => handle(fitted(spec, raw))
  return { ...facts, schemas: { params, query, body }, run }
}

function fitted<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType>(
  schemas: RouteSchemas<P, Q, B> & Pick<RouteFacts, 'encoding'>,
  raw: RawCall,
): RouteCall<z.output<P>, z.output<Q>, z.output<B>> {
  const body = schemas.encoding === 'form' ? fieldsOf(raw.body) : raw.body
  return {
    params: part(schemas.params, raw.params),
    query: part(schemas.query, raw.query),
    body: part(schemas.body, body),
    headers: raw.headers,
    peer: raw.peer,
  }
}

/** A part that the route does not declare is not looked at. */
function part<S extends z.ZodType>(schema: S | undefined, value: unknown): z.output<S> {
  if (schema === undefined) return undefined as z.output<S>
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw malformed(issueOf(result.error))
}

function fieldsOf(form: unknown): Record<string, string> {
  if (!(form instanceof URLSearchParams)) throw malformed('it is no form')
  const names = [...form.keys()]
  if (new Set(names).size !== names.length) throw malformed('a field is there twice')
  return Object.fromEntries(form)
}

/** Says where it does not fit and what is expected; never what was sent, which may be a secret. */
function issueOf(error: z.ZodError): string {
  const [issue] = error.issues
  if (issue === undefined) return 'not understood'
  const place = issue.path.length === 0 ? '' : `'${issue.path.join('.')}': `
  return `${place}${issue.code === 'unrecognized_keys' ? 'a field is not known' : issue.message}`
}

function malformed(detail: string): ConnectorError {
  return new ConnectorError('invalid_request', 'malformed', {
    detail: `the request does not fit the protocol: ${detail}`,
    hint: 'use a client of the same version as the connector; GET /v1/openapi.json describes it',
  })
}
