import t from 'tap'
import { ConnectorError } from '../../src/connector/connector-error.ts'
import { FileSystemError } from '../../src/errors.ts'
import { testBearer } from '../support/scripted-provider.ts'
import { appServicePath, startTestAgent, storageResource } from '../support/test-agent.ts'

const fields = [
  'access_token',
  'client_id',
  'expires_in',
  'expires_on',
  'not_before',
  'resource',
  'token_type',
]
const imdsFields = [
  'access_token',
  'client_id',
  'expires_in',
  'expires_on',
  'ext_expires_in',
  'not_before',
  'resource',
  'token_type',
]
const imdsQuery = `api-version=2018-02-01&resource=${encodeURIComponent(storageResource)}`
const metadata = { metadata: 'true' }

t.test('App Service answers the fields of its version in order, numbers as text', async (t) => {
  const { send, clock } = await startTestAgent(t)

  const { status, headers, body } = await send()

  const now = Math.floor(clock.nowMs() / 1000)
  t.equal(status, 200)
  t.match(headers['content-type'], /^application\/json/)
  t.equal(headers['cache-control'], 'no-store')
  t.strictSame(Object.keys(body), fields)
  t.match(body, {
    access_token: 'token-1',
    expires_in: '3600',
    expires_on: String(now + 3600),
    not_before: String(now),
    resource: storageResource,
    token_type: 'Bearer',
  })
})

t.test('the resource is repeated byte for byte, with and without a slash at its end', async (t) => {
  const { send } = await startTestAgent(t)

  for (const resource of [
    storageResource,
    `${storageResource}/`,
    'e406a681-f3d4-42a8-90b6-c2b029497af1',
  ]) {
    const { status, body } = await send({ path: appServicePath(resource) })

    t.equal(status, 200)
    t.equal(body['resource'], resource)
  }
})

t.test('the client id and the beginning of life are those that the token tells', async (t) => {
  const { send, provider, clock } = await startTestAgent(t)
  const claims = Buffer.from('{"appid":"app-1","nbf":1700000000}').toString('base64url')
  const token = `e30.${claims}.c2ln`
  provider.answer = () => testBearer(token, clock.nowMs() + 3_600_000)

  const { body } = await send()

  t.match(body, { client_id: 'app-1', not_before: '1700000000' })
})

t.test('a wrong or missing identity header is 401 in the words of every SDK', async (t) => {
  const { send, agent, provider } = await startTestAgent(t)
  const wrong = `${agent.secrets.header.slice(1)}0`

  for (const headers of [{}, { 'x-identity-header': '' }, { 'x-identity-header': wrong }]) {
    const { status, body, text } = await send({ headers })

    t.equal(status, 401)
    t.match(body, {
      statusCode: 401,
      message: /X-IDENTITY-HEADER/,
      error: { code: 'unauthorized', message: /X-IDENTITY-HEADER/ },
      error_description: /X-IDENTITY-HEADER/,
      correlationId: /^[0-9a-f-]{36}$/,
    })
    t.notMatch(text, agent.secrets.header)
  }
  t.equal(provider.calls.length, 0, 'nothing was asked of the connector')
})

t.test('requests that do not fit the protocol are 400', async (t) => {
  const { send } = await startTestAgent(t)
  const base = appServicePath()

  for (const path of [
    '/msi/token?api-version=2019-08-01',
    '/msi/token?api-version=2019-08-01&resource=',
    `/msi/token?resource=${storageResource}`,
    base.replace('2019-08-01', '2017-09-01'),
    `${base}&resource=${storageResource}`,
    `${base}&client_id=nobody`,
    `${base}&client_id=a&object_id=b`,
    `/msi/token?api-version=2019-08-01&resource=${'x'.repeat(1025)}`,
  ]) {
    const { status, body } = await send({ path })
    t.equal(status, 400, path.slice(0, 90))
    t.match(body, { statusCode: 400, message: /./ })
  }
})

t.test('an identity is given to clients that name it when the agent was told so', async (t) => {
  const { send } = await startTestAgent(t, { identities: ['known'] })

  const known = await send({ path: `${appServicePath()}&client_id=known` })
  const stranger = await send({ path: `${appServicePath()}&mi_res_id=other` })

  t.match(known, { status: 200, body: { client_id: 'known' } })
  t.match(stranger, { status: 400, body: { message: /Identity not found/ } })
})

t.test('other methods and paths are refused, and nothing is passed on', async (t) => {
  const { send, agent, provider } = await startTestAgent(t)
  const proof = { 'x-identity-header': agent.secrets.header }

  for (const method of ['POST', 'PUT', 'HEAD', 'DELETE', 'OPTIONS']) {
    const { status, headers } = await send({ method, headers: proof })
    t.match([status, headers['allow']], [405, 'GET'], method)
  }
  for (const path of [
    '/',
    '/msi',
    '/msi/token/x',
    '/msi//token',
    '/%6dsi/token',
    '/MSI/token',
    '/metadata/instance?api-version=2021-02-01',
    '/metadata/identity/oauth2/token/../token',
    `/${'0'.repeat(64)}/metadata/identity/oauth2/token?${imdsQuery}`,
    `/${agent.secrets.path}/msi`,
  ]) {
    const { status } = await send({ path, headers: { ...proof, ...metadata } })
    t.equal(status, 404, path)
  }
  const proxied = await send({ path: `http://169.254.169.254${appServicePath()}`, headers: proof })
  t.equal(proxied.status, 400, 'no proxy')
  t.equal(provider.calls.length, 0)
})

t.test(
  'IMDS answers below its secret, with and without a slash, /metadata in any case',
  async (t) => {
    const { send, agent } = await startTestAgent(t)

    for (const path of [
      '/metadata/identity/oauth2/token',
      '/metadata/identity/oauth2/token/',
      '/Metadata/identity/oauth2/token',
    ]) {
      const { status, body } = await send({
        path: `/${agent.secrets.path}${path}?${imdsQuery}`,
        headers: metadata,
      })

      t.equal(status, 200, path)
      t.strictSame(Object.keys(body), imdsFields)
      t.match(body, { expires_in: '3600', ext_expires_in: '3600', resource: storageResource })
    }
  },
)

t.test('a probe of IMDS hears that it is there: 400 without the Metadata header', async (t) => {
  const { send, agent } = await startTestAgent(t)

  for (const root of ['', `/${agent.secrets.path}`]) {
    const { status, body } = await send({
      path: `${root}/metadata/identity/oauth2/token`,
      headers: {},
    })

    t.equal(status, 400)
    t.strictSame(body, {
      error: 'invalid_request',
      error_description: 'Required metadata header not specified',
    })
  }
})

t.test('IMDS without its secret gives nothing unless it was opened', async (t) => {
  const closed = await startTestAgent(t)
  const open = await startTestAgent(t, { openImds: true })
  const request = { path: `/metadata/identity/oauth2/token?${imdsQuery}`, headers: metadata }

  t.match(await closed.send(request), { status: 401, body: {} })
  t.match(await open.send(request), { status: 200, body: { access_token: 'token-1' } })
})

t.test('Cloud Shell answers a form when asked for, and knows no other identity', async (t) => {
  const { send, agent } = await startTestAgent(t, { cloudShell: true })
  const path = `/${agent.secrets.path}/msi`
  const resource = `resource=${encodeURIComponent(storageResource)}`
  const headers = { ...metadata, 'content-type': 'application/x-www-form-urlencoded' }
  const post = (body: string, extra: Record<string, string> = headers) =>
    send({ method: 'POST', path, headers: extra, body })

  t.match(await post(resource), { status: 200, body: { resource: storageResource } })
  t.match(await post(resource, { metadata: 'false' }), { status: 400 })
  t.match(await post(`${resource}&client_id=x`), { status: 400 })
  t.match(await post(`${resource}&pad=${'x'.repeat(5000)}`), { status: 413 })
  t.match(await send({ path, headers }), { status: 405, headers: { allow: 'POST' } })
  const outside = await send({ method: 'POST', path: '/msi', headers, body: resource })
  t.equal(outside.status, 404, 'not without the secret')
})

t.test('Azure ML answers its version with its header when asked for', async (t) => {
  const { send, agent } = await startTestAgent(t, { azureMl: true })
  const path = appServicePath().replace('2019-08-01', '2017-09-01')

  t.match(await send({ path, headers: { secret: agent.secrets.header } }), { status: 200 })
  t.match(await send({ path: `${path}&clientid=`, headers: { secret: agent.secrets.header } }), {
    status: 200,
  })
  t.match(await send({ path, headers: { secret: 'no' } }), { status: 401 })
})

t.test(
  'refusals have the status after which SDKs stop, failures that after which they retry',
  async (t) => {
    const { send, provider, clock } = await startTestAgent(t)
    const connector = (
      ...[code, reason, extra]: [...ConstructorParameters<typeof ConnectorError>]
    ) => new ConnectorError(code, reason, extra).toFileSystemError('abfs://data')
    const cases = [
      {
        error: connector('access_denied', 'permission_not_granted', {
          detail: 'no',
          auditId: 'audit-7',
        }),
        expected: {
          status: 403,
          body: { message: /no \(audit audit-7\)/, correlationId: 'audit-7' },
        },
      },
      {
        error: connector('access_denied', 'credential_kind_not_granted', { detail: 'no bearer' }),
        expected: { status: 403, body: { message: /operator must add 'bearer'/ } },
      },
      {
        error: connector('temporarily_unavailable', 'throttled', {
          detail: 'slow',
          retryable: true,
          status: 429,
        }),
        expected: { status: 429, headers: { 'retry-after': '5' } },
      },
      {
        error: connector('temporarily_unavailable', 'identity_unavailable', {
          detail: 'down',
          retryable: true,
        }),
        expected: { status: 503, headers: { 'retry-after': '1' } },
      },
      {
        error: new FileSystemError('EIO', 'connector.credentials', {
          detail: 'silent',
          retryable: true,
        }),
        expected: { status: 503, body: { message: /silent/ } },
      },
      {
        error: new Error('a secret detail'),
        expected: { status: 500, body: { message: 'the agent failed' } },
      },
    ]
    for (const { error, expected } of cases) {
      provider.answer = () => error
      t.match(await send(), expected, error.message)
      await clock.advance(20_000)
    }
  },
)
