import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020 } from 'ajv/dist/2020.js'
import type { FastifyInstance } from 'fastify'
import { type Test, test } from 'tap'
import { z } from 'zod'
import { systemClock } from '../../src/clock.ts'
import { generateCallerKey } from '../../src/connector/authenticate.ts'
import { describeConnector } from '../../src/connector/routes.ts'
import { granted } from '../conformance/credentials.ts'
import { startTestConnector, type TestConnector, testConfig } from '../support/test-connector.ts'

interface Operation {
  readonly operationId: string
  readonly security: readonly object[]
  readonly responses: Record<string, { readonly content?: Record<string, { schema: object }> }>
}
interface Document {
  readonly paths: Record<string, Record<string, Operation>>
  readonly components: object
}

const trainer = generateCallerKey()
const access = 'urn:ietf:params:oauth:token-type:access_token'
const vault = 'https://vault.azure.net'

function start(): Promise<TestConnector> {
  const tokens = `tokens: [{ caller: trainer, resource: azure-generic, audiences: ['${vault}'] }]`
  return startTestConnector({ config: testConfig(trainer, tokens) })
}

async function documentOf(bench: TestConnector): Promise<Document> {
  const response = await fetch(new URL('/v1/openapi.json', bench.connector.url))
  return (await response.json()) as Document
}

test('the document is OpenAPI 3.1, and the one that the command line prints', async (t) => {
  const bench = await start()
  t.teardown(() => bench.close())
  const document = await documentOf(bench)

  const { valid, errors } = await new Validator().validate({ ...document })

  t.equal(valid, true, JSON.stringify(errors))
  t.same(document, JSON.parse(JSON.stringify(describeConnector(systemClock))))
})

test('every route of the server is in the document, and no other', async (t) => {
  const served: string[] = []
  const listen = (message: unknown): void => {
    const { fastify } = message as { fastify: FastifyInstance }
    fastify.addHook('onRoute', ({ method, path }) => {
      for (const each of [method].flat()) served.push(`${each.toLowerCase()} ${path}`)
    })
  }
  subscribe('fastify.initialization', listen)
  const bench = await start()
  unsubscribe('fastify.initialization', listen)
  t.teardown(() => bench.close())

  const { paths } = await documentOf(bench)
  const described = Object.entries(paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method} ${path}`),
  )

  const spelt = served.map((each) =>
    each.replace(/\/:(\w+)(?:\(\[.*?\]\+\))?/g, '/{$1}').replaceAll('::', ':'),
  )
  t.same([...spelt].sort(), [...described].sort())
  t.ok(described.includes('post /v1/credentials'))
})

const calls: [string, string, string, RequestInit, number][] = [
  ['a credential', 'post', '/v1/credentials', json({ scope: granted }), 200],
  ['a bad body', 'post', '/v1/credentials', json({ scope: 1 }), 400],
  ['no rule', 'post', '/v1/credentials', json({ scope: { ...granted, container: 'other' } }), 403],
  ['no proof', 'post', '/v1/credentials', { ...json({}), headers: {} }, 401],
  ['a long body', 'post', '/v1/credentials', json({ pad: 'x'.repeat(20_000) }), 413],
  ['another media type', 'post', '/v1/token', json({}), 415],
  ['a token', 'post', '/v1/token', exchange(`${vault}/.default`), 200],
  ['another audience', 'post', '/v1/token', exchange('https://graph.microsoft.com/.default'), 403],
  ['health', 'get', '/v1/health', {}, 200],
  ['health again', 'get', '/healthz', {}, 200],
  ['readiness', 'get', '/readyz', {}, 200],
  ['samples', 'get', '/metrics', {}, 200],
  ['the document', 'get', '/v1/openapi.json', {}, 200],
]

test('answers are what the document says', async (t) => {
  const bench = await start()
  t.teardown(() => bench.close())
  const document = await documentOf(bench)
  for (const [title, method, path, init, status] of calls) {
    const headers = { authorization: `Bearer ${trainer.key}`, ...init.headers }
    const authorized = title === 'no proof' ? {} : headers
    const response = await fetch(new URL(path, bench.connector.url), {
      ...init,
      method,
      headers: authorized,
    })
    t.equal(response.status, status, title)
    await fits(t, document, document.paths[path]?.[method], response)
  }
  const operations = Object.values(document.paths).flatMap((each) => Object.values(each))
  t.ok(operations.length >= 7)
})

test('what the document promises is wrong for another body', async (t) => {
  const bench = await start()
  t.teardown(() => bench.close())
  const document = await documentOf(bench)

  const check = validatorOf(document, document.paths['/v1/credentials']?.['post'], 403)

  t.equal(check({ reason: 'permission_not_granted' }), false)
})

test('a connector whose identity is down answers so, as the document says', async (t) => {
  const bench = await start()
  t.teardown(() => bench.close())
  bench.issuer.failure = new Error('down')
  const document = await documentOf(bench)

  const response = await fetch(new URL('/readyz', bench.connector.url))

  t.equal(response.status, 503)
  await fits(t, document, document.paths['/readyz']?.['get'], response)
})

async function fits(
  t: Test,
  document: Document,
  operation: Operation | undefined,
  response: Response,
): Promise<void> {
  const text = await response.text()
  const mediaType = response.headers.get('content-type') ?? ''
  const body: unknown = mediaType.startsWith('text/') ? text : JSON.parse(text)
  const check = validatorOf(document, operation, response.status)
  t.equal(check(body), true, `${operation?.operationId} ${response.status}: ${text.slice(0, 200)}`)
}

function validatorOf(
  document: Document,
  operation: Operation | undefined,
  status: number,
): (body: unknown) => boolean {
  const [content] = Object.values(operation?.responses[String(status)]?.content ?? {})
  const { schema } = z.object({ schema: z.looseObject({}) }).parse(content)
  const ajv = new Ajv2020({ strict: false, validateFormats: false })
  return ajv.compile({ ...schema, components: document.components })
}

function json(body: object): RequestInit {
  return { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
}

function exchange(scope: string): RequestInit {
  const body = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: trainer.key,
    subject_token_type: access,
    scope,
  })
  return { body }
}
