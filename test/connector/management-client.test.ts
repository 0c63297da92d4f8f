import { test } from 'tap'
import { ConnectorError } from '../../src/connector/connector-error.ts'
import { ManagementClient } from '../../src/connector/management-client.ts'
import { RegistryExchange } from '../../src/connector/registry-exchange.ts'
import type { HttpRequest, HttpResponse } from '../../src/http/handler.ts'
import { FakeClock } from '../support/fake-clock.ts'

const endpoint = new URL('https://management.example/')

/** A management that gives these answers in turn, and what it was asked. */
function management(answers: readonly Partial<HttpResponse>[], subscriptionId?: string) {
  const asked: HttpRequest[] = []
  const claims: (string | undefined)[] = []
  const client = new ManagementClient({
    endpoint,
    subscriptionId,
    tokenFor: async (_resource, wanted) => {
      claims.push(wanted)
      return 'token'
    },
    http: async (request) => {
      asked.push(request)
      const answer = answers[Math.min(asked.length, answers.length) - 1]
      return { status: 200, headers: {}, body: Buffer.alloc(0), ...answer }
    },
  })
  return { client, asked, claims }
}

function body(value: unknown): Pick<HttpResponse, 'body'> {
  return { body: Buffer.from(JSON.stringify(value)) }
}

/** What the promise rejects with, as the wire tells it. */
async function refusal(promise: Promise<unknown>): Promise<object> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof ConnectorError) return { ...error }
  throw error
}

const accounts = 'Microsoft.Storage/storageAccounts' as const

test('several subscriptions, or none, are not guessed between', async (t) => {
  for (const ids of [[], ['one', 'two']]) {
    const value = ids.map((subscriptionId) => ({ subscriptionId }))
    const { client } = management([body({ value })])
    t.match(await refusal(client.list(accounts)), { reason: 'subscription_ambiguous', status: 409 })
  }
})

test('a page elsewhere gets no token', async (t) => {
  const { client, asked } = management(
    [body({ value: [], nextLink: 'https://evil.example/next' })],
    's',
  )
  t.match(await refusal(client.list(accounts)), { reason: 'resource_unavailable' })
  t.equal(asked.length, 1)
})

test('a claims challenge is answered once, and a second one goes to the caller', async (t) => {
  const wanted = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'
  const encoded = Buffer.from(wanted).toString('base64')
  const challenge = {
    status: 401,
    headers: { 'www-authenticate': `Bearer error="insufficient_claims", claims="${encoded}"` },
  }
  const once = management([challenge, body({ value: [] })], 's')
  t.same(await once.client.list(accounts), [])
  t.same(once.claims, [undefined, wanted])
  const always = management([challenge], 's')
  t.match(await refusal(always.client.list(accounts)), {
    reason: 'claims_challenge',
    claims: wanted,
    status: 401,
  })
})

test('each refusal says what to do', async (t) => {
  const forbidden = body({
    error: {
      code: 'AuthorizationFailed',
      message:
        "The client 'c' with object id '11111111-2222-3333-4444-555555555555' does not have authorization to perform action 'a' over scope '/subscriptions/s/resourceGroups/g' or the scope is invalid.",
    },
  })
  const table: [Partial<HttpResponse>, object][] = [
    [
      { status: 403, ...forbidden },
      {
        reason: 'rbac_missing',
        required: {
          role: 'Reader',
          scope: '/subscriptions/s/resourceGroups/g',
          command:
            "az role assignment create --role 'Reader' --assignee-object-id 11111111-2222-3333-4444-555555555555 --assignee-principal-type ServicePrincipal --scope /subscriptions/s/resourceGroups/g",
        },
      },
    ],
    [
      { status: 429, headers: { 'retry-after': '17' } },
      { reason: 'throttled', status: 429, retryAfterSeconds: 17, retryable: true },
    ],
    [{ status: 404 }, { reason: 'not_found', status: 404 }],
    [{ status: 500 }, { reason: 'resource_unavailable', retryable: true }],
  ]
  for (const [answer, expected] of table) {
    t.match(await refusal(management([answer], 's').client.list(accounts)), expected)
  }
})

test('a registry that gives another scope than was asked for is not passed on', async (t) => {
  const token = (claims: object): string =>
    ['{"alg":"none"}', JSON.stringify({ exp: 2_000_000_000, ...claims }), '']
      .map((part) => Buffer.from(part).toString('base64url'))
      .join('.')
  const issue = (access: readonly object[]) => {
    const exchange = new RegistryExchange({
      registries: [],
      clock: new FakeClock(),
      tokenFor: async () => 'entra',
      http: async ({ url }) => ({
        status: 200,
        headers: {},
        ...(url.pathname === '/oauth2/exchange'
          ? body({ refresh_token: token({}) })
          : body({ access_token: token({ access }) })),
      }),
    })
    return exchange.issue({
      resource: 'docker-registry',
      registry: 'team5.azurecr.io',
      repositories: [{ name: 'app', actions: ['pull'] }],
    })
  }
  const app = { type: 'repository', name: 'app', actions: ['pull'] }
  t.equal((await issue([app])).expiresAtMs, 2_000_000_000_000)
  await t.rejects(issue([{ ...app, actions: ['pull', 'push'] }]), /allows what was asked/)
  await t.rejects(issue([app, { ...app, name: 'application' }]), /allows what was asked/)
  await t.rejects(
    issue([app, { type: 'registry', name: 'catalog', actions: [] }]),
    /for repositories/,
  )
  const missing = await issue([]).catch((error: unknown) => error)
  t.match(missing, { reason: 'rbac_missing', required: { role: 'AcrPull' } })
  t.ok(missing instanceof ConnectorError)
})
