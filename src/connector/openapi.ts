import { z } from 'zod'
import { problemMeanings } from './problems.ts'
import { PROBLEM_TYPE } from './protocol.ts'
import { problemSchema } from './protocol-schema.ts'
import type { AnswerSpec, Route } from './route.ts'

/** An OpenAPI 3.1 document. */
export interface OpenApiDocument {
  readonly openapi: '3.1.0'
  readonly info: { readonly title: string; readonly version: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, object>>>>
  readonly components: object
}

type Reason = keyof typeof problemMeanings

/** What every route may answer, and what those of known callers may besides. */
const openReasons: readonly Reason[] = ['malformed', 'internal']
const callerReasons: readonly Reason[] = [
  'audit_unavailable',
  'caller_unknown',
  'identity_unavailable',
  'permission_not_granted',
  'throttled',
]

/** Describes the routes; the schemas are those that the server itself reads and writes by. */
export function describeRoutes(routes: readonly Route[], version: string): OpenApiDocument {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operation(route) }
  }
  return {
    openapi: '3.1.0',
    info: { title: 'abfs service connector', version },
    paths,
    components: {
      schemas: { Problem: schemaOf(problemSchema, 'output') },
      securitySchemes: {
        callerProof: {
          type: 'http',
          scheme: 'bearer',
          description: "The caller's key, or a token of its platform",
        },
        session: {
          type: 'http',
          scheme: 'dpop',
          description: 'An access token of a session, with a proof of possession (RFC 9449)',
        },
      },
    },
  }
}

function operation(route: Route): object {
  const { operationId, summary, schemas, encoding } = route
  const parameters = [
    ...parametersOf(schemas.params, 'path'),
    ...parametersOf(schemas.query, 'query'),
  ]
  const mediaType = encoding === 'form' ? 'application/x-www-form-urlencoded' : 'application/json'
  return {
    operationId,
    summary,
    security: securityOf(route),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(schemas.body === undefined
      ? {}
      : { requestBody: { required: true, content: content(mediaType, schemas.body, 'input') } }),
    responses: { ...answersOf(route), ...refusalsOf(route) },
  }
}

function securityOf({ action, inSessions }: Route): object[] {
  if (action === undefined) return []
  return [{ callerProof: [] }, ...(inSessions === true ? [{ session: [] }] : [])]
}

/** Each member of an object of parameters is one. */
function parametersOf(schema: z.ZodType | undefined, place: 'path' | 'query'): object[] {
  if (schema === undefined) return []
  const { properties = {}, required = [] } = schemaOf(schema, 'input')
  return Object.entries(properties).map(([name, each]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    schema: each,
  }))
}

function answersOf(route: Route): Record<string, object> {
  const entries = Object.entries(route.answers)
  return Object.fromEntries(entries.map(([status, spec]) => [status, answer(spec)]))
}

function answer({ description, body, mediaType = 'application/json' }: AnswerSpec): object {
  return body === undefined
    ? { description }
    : { description, content: content(mediaType, body, 'output') }
}

/** One answer per status, whose schema lists the reasons that come with it. */
function refusalsOf(route: Route): Record<string, object> {
  const reasons = new Set([
    ...openReasons,
    ...(route.action === undefined ? [] : callerReasons),
    ...(route.problems ?? []),
  ])
  const byStatus = new Map<number, Reason[]>()
  for (const reason of [...reasons].sort()) {
    for (const status of problemMeanings[reason].statuses) {
      byStatus.set(status, [...(byStatus.get(status) ?? []), reason])
    }
  }
  const declared = (status: number): boolean => route.answers[status] !== undefined
  const entries = [...byStatus].filter(([status]) => !declared(status))
  return Object.fromEntries(entries.map(([status, each]) => [status, refusal(each)]))
}

function refusal(reasons: readonly Reason[]): object {
  const lines = reasons.map((reason) => `\`${reason}\`: ${problemMeanings[reason].meaning}`)
  const narrowed = { properties: { reason: { enum: reasons } } }
  const schema = { allOf: [{ $ref: '#/components/schemas/Problem' }, narrowed] }
  return { description: lines.join('\n\n'), content: { [PROBLEM_TYPE]: { schema } } }
}

function content(mediaType: string, schema: z.ZodType, io: 'input' | 'output'): object {
  return { [mediaType]: { schema: schemaOf(schema, io) } }
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): z.core.JSONSchema.ObjectSchema {
  // What cannot be said in JSON Schema, a refinement for instance, is checked all the same.
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' })
  return rest as z.core.JSONSchema.ObjectSchema
}
