import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { describeRoutes, type OpenApiDocument } from './openapi.ts'
import { openRoute, type Route } from './route.ts'

/** The given routes and one that describes them all. */
export function withOpenApi(routes: readonly Route[]): readonly Route[] {
  let document: OpenApiDocument | undefined
  const all: readonly Route[] = [
    ...routes,
    openRoute({
      method: 'GET',
      path: '/v1/openapi.json',
      operationId: 'getOpenApi',
      summary: 'This document',
      answers: { 200: { description: 'An OpenAPI 3.1 document', body: z.looseObject({}) } },
      handle: () => {
        document ??= openApiOf(all)
        return { status: 200, body: document }
      },
    }),
  ]
  return all
}

/** The document of a connector with these routes, under the version of the package. */
export function openApiOf(routes: readonly Route[]): OpenApiDocument {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return describeRoutes(routes, z.object({ version: z.string() }).parse(JSON.parse(text)).version)
}
