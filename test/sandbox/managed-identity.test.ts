import t from 'tap'
import { request } from 'undici'
import { type Sandbox, startSandbox } from '../../src/sandbox/sandbox.ts'
import { tokensFrom } from '../support/identity-process.ts'

const storage = 'https://storage.azure.com'

let sandbox: Sandbox

t.before(async () => {
  sandbox = await startSandbox()
})

t.teardown(() => sandbox?.close())

interface Answer {
  readonly status: number
  readonly headers: Record<string, unknown>
  readonly body: Record<string, unknown>
}

async function get(
  url: URL,
  query: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>>,
): Promise<Answer> {
  const answer = await request(url, { query: { ...query }, headers: { ...headers } })
  const body: Record<string, unknown> = Object(await answer.body.json())
  return { status: answer.statusCode, headers: answer.headers, body }
}

function imds(
  query: Readonly<Record<string, string>> = {},
  headers: Readonly<Record<string, string>> = { metadata: 'true' },
): Promise<Answer> {
  const url = new URL('metadata/identity/oauth2/token', sandbox.imdsEndpoint)
  return get(url, { 'api-version': '2018-02-01', resource: storage, ...query }, headers)
}

function appService(
  query: Readonly<Record<string, string>> = {},
  headers: Readonly<Record<string, string>> = { 'x-identity-header': sandbox.identityHeader },
): Promise<Answer> {
  const full = { 'api-version': '2019-08-01', resource: storage, ...query }
  return get(sandbox.identityEndpoint, full, headers)
}

const sources = [
  {
    name: 'IMDS',
    environment: () => ({ AZURE_POD_IDENTITY_AUTHORITY_HOST: sandbox.imdsEndpoint.origin }),
  },
  {
    name: 'App Service',
    environment: () => ({
      IDENTITY_ENDPOINT: sandbox.identityEndpoint.href,
      IDENTITY_HEADER: sandbox.identityHeader,
    }),
  },
]

for (const { name, environment } of sources) {
  t.test(`@azure/identity gets the identity it names from ${name}`, async (t) => {
    const { systemAssignedClientId, userAssignedClientId, tenantId } = sandbox

    const outcomes = await tokensFrom(
      sandbox,
      [
        'new identity.ManagedIdentityCredential()',
        `new identity.ManagedIdentityCredential({ clientId: '${userAssignedClientId}' })`,
        "new identity.ManagedIdentityCredential({ clientId: 'nobody' })",
        {
          credential: 'new identity.ManagedIdentityCredential()',
          scope: 'https://graph.microsoft.com/.default',
        },
      ],
      environment(),
    )

    const [system, user, stranger, foreign] = outcomes
    t.match(system?.claims, { appid: systemAssignedClientId, tid: tenantId, aud: storage })
    t.match(user?.claims, { appid: userAssignedClientId, tid: tenantId, aud: storage })
    t.match(stranger?.error, /Identity not found/)
    t.match(foreign?.error, /AADSTS500011/)
    // The client counts the whole seconds that are left from when the answer came.
    const lateMs = Number(system?.expiresOnTimestamp) - Number(system?.claims?.exp) * 1000
    t.ok(lateMs > -1000 && lateMs < 60_000, `${lateMs} ms after the claim`)
  })
}

t.test(
  'IMDS answers the fields of its version, numbers as text, the resource as asked',
  async (t) => {
    const resource = 'https://storage.azure.com/'

    const { status, headers, body } = await imds({ resource })

    t.equal(status, 200)
    t.equal(headers['cache-control'], 'no-store')
    t.strictSame(Object.keys(body), [
      'access_token',
      'client_id',
      'expires_in',
      'expires_on',
      'ext_expires_in',
      'not_before',
      'resource',
      'token_type',
    ])
    t.match(body, { expires_in: /^\d+$/, expires_on: /^\d+$/, resource, token_type: 'Bearer' })
  },
)

t.test('IMDS answers with and without a slash at the end', async (t) => {
  const url = new URL('metadata/identity/oauth2/token/', sandbox.imdsEndpoint)

  const query = { 'api-version': '2018-02-01', resource: storage }
  const { status } = await get(url, query, { metadata: 'true' })

  t.equal(status, 200)
})

t.test('IMDS refuses requests without the Metadata header and forwarded ones', async (t) => {
  const bare = await imds({}, {})
  const forwarded = await imds({}, { metadata: 'true', 'x-forwarded-for': '10.0.0.1' })

  t.match(bare, {
    status: 400,
    body: {
      error: 'invalid_request',
      error_description: 'Required metadata header not specified',
    },
  })
  t.match(forwarded, { status: 400, body: { error: 'invalid_request' } })
})

t.test('a request without a resource is refused', async (t) => {
  const answer = await imds({ resource: '' })

  t.match(answer, { status: 400, body: { error_description: /'resource' is missing/ } })
})

t.test('App Service answers expires_in before expires_on', async (t) => {
  const { status, body } = await appService()

  t.equal(status, 200)
  t.strictSame(Object.keys(body), [
    'access_token',
    'client_id',
    'expires_in',
    'expires_on',
    'not_before',
    'resource',
    'token_type',
  ])
})

t.test('App Service refuses a missing or wrong header, in the fields of every SDK', async (t) => {
  const wrong = { 'x-identity-header': `${sandbox.identityHeader.slice(1)}0` }
  for (const headers of [{}, wrong]) {
    const { status, body } = await appService({}, headers)

    t.equal(status, 401)
    t.match(body, {
      statusCode: 401,
      message: /X-IDENTITY-HEADER/,
      error: { code: 'unauthorized', message: /X-IDENTITY-HEADER/ },
      error_description: /X-IDENTITY-HEADER/,
      correlationId: /^[0-9a-f-]{36}$/,
    })
    t.notMatch(JSON.stringify(body), sandbox.identityHeader)
  }
})

t.test('a failure that was set reaches managed identity too', async (t) => {
  t.teardown(() => sandbox.controls.setFailure(undefined))
  sandbox.controls.setFailure({
    status: 429,
    error: 'throttled',
    description: 'too many',
    retryAfterSeconds: 7,
  })

  const { status, headers } = await imds()

  t.equal(status, 429)
  t.equal(headers['retry-after'], '7')
})
