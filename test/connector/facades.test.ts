import { test } from 'tap'
import { generateCallerKey } from '../../src/connector/authenticate.ts'
import {
  startTestConnector,
  strangerKey,
  type TestConnector,
  testConfig,
} from '../support/test-connector.ts'

const trainer = generateCallerKey()
const connectors = '/api/v1/service_connectors'
const account = { configuration: { storage_account: 'acct' } }
const registration = {
  name: 'mine',
  connector_type: 'azure',
  auth_method: 'implicit',
  resource_types: ['blob-container'],
  ...account,
}

/** Nothing listens where the account would be: what is issued cannot be tried. */
async function start(): Promise<TestConnector> {
  const config = testConfig(trainer)
  const accounts = config.accounts.map((each) => ({
    ...each,
    blobEndpoint: new URL('https://127.0.0.1:1/acct'),
  }))
  return startTestConnector({ config: { ...config, accounts } })
}

/** As deep as the tests look. */
interface Body {
  readonly access_token: string
  readonly id: string
  readonly items: readonly Body[]
  readonly expiration_time: number
}

interface Answer {
  readonly status: number
  readonly body: Body
}

async function call(
  bench: TestConnector,
  bearer: string | undefined,
  route: string,
  body?: unknown,
): Promise<Answer> {
  const [method = 'GET', path = '/'] = route.split(' ')
  const isForm = body instanceof URLSearchParams
  const response = await fetch(new URL(path, bench.connector.url), {
    method,
    headers: {
      'user-agent': 'zenml/0.98.0',
      ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
      ...(body === undefined || isForm ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: isForm ? body : JSON.stringify(body) }),
  })
  return { status: response.status, body: JSON.parse(await response.text()) }
}

async function logIn(bench: TestConnector, key = trainer.key): Promise<string> {
  const form = new URLSearchParams({ grant_type: 'zenml-api-key', password: key })
  const { body } = await call(bench, undefined, 'POST /api/v1/login', form)
  return body.access_token
}

test('ZenML: a key becomes a session, for ZenML’s paths alone', async (t) => {
  const bench = await start()
  t.teardown(() => bench.close())
  const session = await logIn(bench)

  t.match(await call(bench, undefined, 'GET /api/v1/info'), {
    status: 200,
    body: { version: '0.98.0', analytics_enabled: false },
  })
  t.equal((await call(bench, session, `GET ${connectors}`)).status, 200)
  t.equal(session.includes(trainer.key), false)
  const scope = { account: 'acct', service: 'blob', container: 'data', permissions: ['read'] }
  t.equal((await call(bench, session, 'POST /v1/credentials', { scope })).status, 401)
  for (const forged of [
    `${session}x`,
    session.replace(/\.[^.]+\./, '.e30.'),
    'abfsz..',
    'abfsz.',
  ]) {
    t.match(await call(bench, forged, `GET ${connectors}`), {
      status: 401,
      body: { detail: ['CredentialsNotValid', /does not know this caller/] },
    })
  }
  const wrong = new URLSearchParams({ grant_type: 'zenml-api-key', password: 'guess' })
  t.equal((await call(bench, undefined, 'POST /api/v1/login', wrong)).status, 401)
})

test('ZenML: what the policy grants is listed, named, verified and given as a client', async (t) => {
  const bench = await start()
  t.teardown(() => bench.close())
  const session = await logIn(bench)
  const zenml = (route: string, body?: unknown): Promise<Answer> =>
    call(bench, session, route, body)

  const listed = await zenml(`GET ${connectors}?name=equals:abfs-acct`)
  t.match(listed.body, {
    total: 1,
    items: [{ name: 'abfs-acct', body: { auth_method: 'implicit' } }],
  })
  const made = await zenml(`POST ${connectors}`, registration)
  t.match(made, { status: 200, body: { name: 'mine', metadata: account } })
  t.match(await zenml(`POST ${connectors}`, registration), {
    status: 409,
    body: { detail: ['EntityExistsError', /another name/] },
  })
  const one = `${connectors}/${made.body.id}`
  t.match(await zenml(`GET ${one}`), { status: 200, body: { name: 'mine' } })
  const verified = await zenml(`PUT ${one}/verify?list_resources=true`)
  t.match(verified, {
    status: 200,
    body: { error: /does not do what it should: .*list-root/, resources: [{ resource_ids: [] }] },
  })
  t.notMatch(JSON.stringify(verified), /sig=|signature-\d/)
  t.match(await zenml(`GET ${connectors}/resources?resource_type=blob-container`), {
    body: [{ name: 'abfs-acct' }, { name: 'mine', resources: [{ resource_ids: ['az://data'] }] }],
  })
  const client = await zenml(`GET ${one}/client?resource_type=blob-container&resource_id=data`)
  t.match(client, {
    status: 200,
    body: {
      body: { auth_method: 'implicit', resource_id: 'az://data', expires_at: null },
      metadata: account,
    },
  })
  t.notMatch(JSON.stringify(client), /sig=|signature-\d|abfs_|"(token|secret)/)
  t.match(bench.audit.records.at(-1), { decision: 'granted', requested: { container: 'data' } })
  t.match(await zenml(`PUT ${one}`, { ...registration, description: 'new' }), { status: 200 })
  t.match(await zenml(`DELETE ${one}`), { status: 200, body: null })
  t.match(await zenml(`GET ${one}`), { status: 404, body: { detail: ['KeyError', /no such/] } })
})

test('ZenML: what is not granted is refused, and others’ connectors do not exist', async (t) => {
  const bench = await start()
  t.teardown(() => bench.close())
  const session = await logIn(bench)
  const stranger = await logIn(bench, strangerKey.key)
  const { body } = await call(bench, session, `POST ${connectors}`, registration)
  const one = `${connectors}/${body.id}`
  const [policys] = (await call(bench, session, `GET ${connectors}`)).body.items
  const rows: [string, string, string, unknown, number, string][] = [
    ['a stranger sees none', stranger, `GET ${one}`, undefined, 404, 'KeyError'],
    ['nor takes it', stranger, `DELETE ${one}`, undefined, 404, 'KeyError'],
    ['nor registers', stranger, `POST ${connectors}`, registration, 403, 'IllegalOperationError'],
    [
      'the policy’s is kept',
      session,
      `DELETE ${connectors}/${policys?.id}`,
      undefined,
      403,
      'Illegal',
    ],
    [
      'a secret is not taken',
      session,
      `POST ${connectors}`,
      {
        ...registration,
        name: 's',
        auth_method: 'service-principal',
        configuration: { client_secret: 'hush-hush' },
      },
      422,
      'ValueError',
    ],
    [
      'another container',
      session,
      `GET ${one}/client?resource_type=blob-container&resource_id=az://other`,
      undefined,
      403,
      'IllegalOperationError',
    ],
    [
      'a path for a name',
      session,
      `GET ${one}/client?resource_id=az://..`,
      undefined,
      400,
      'ValueError',
    ],
    [
      'a cluster',
      session,
      `GET ${one}/client?resource_type=kubernetes-cluster`,
      undefined,
      422,
      'ValueError',
    ],
    ['no resource', session, `GET ${one}/client`, undefined, 422, 'ValueError'],
    [
      'another type',
      session,
      'GET /api/v1/service_connector_types/aws',
      undefined,
      404,
      'KeyError',
    ],
  ]
  for (const [title, bearer, route, sent, status, name] of rows) {
    const answer = await call(bench, bearer, route, sent)
    t.match(answer, { status, body: { detail: [new RegExp(name), /audit|[0-9a-f-]{36}/] } }, title)
    t.notMatch(JSON.stringify(answer), /hush-hush/)
  }
  t.notMatch(JSON.stringify(bench.audit.records), /hush-hush/)
  const refused = `${connectors}/${body.id}/verify?resource_id=az://other`
  const report = await call(bench, session, `PUT ${refused}`)
  t.match(report, { status: 200, body: { error: /not granted read on container 'other'/ } })
})

const unity = 'POST /api/2.1/unity-catalog/temporary-path-credentials'
const lake = (path: string, operation = 'PATH_READ') => ({
  url: `abfss://data@acct.dfs.core.windows.net${path}`,
  operation,
})

test('Unity Catalog: a path is answered with a signature', async (t) => {
  const bench = await start()
  t.teardown(() => bench.close())

  const { status, body } = await call(bench, trainer.key, unity, lake('/'))

  t.equal(status, 200)
  t.match(body, { azure_user_delegation_sas: { sas_token: /^sv=fake/ }, url: lake('/').url })
  t.equal(body.expiration_time - Date.now() > 3_500_000, true)
  t.same(bench.issuer.grants[0]?.scope.permissions, ['read', 'list'])
})

test('Unity Catalog: refusals are in its words, and a path is never widened', async (t) => {
  const bench = await start()
  t.teardown(() => bench.close())
  const rows: [string, string, object, number, string][] = [
    ['writing', trainer.key, lake('/', 'PATH_READ_WRITE'), 403, 'PERMISSION_DENIED'],
    ['a flat account’s path', trainer.key, lake('/run'), 400, 'INVALID_ARGUMENT'],
    ['dots', trainer.key, lake('/a/../b'), 400, 'INVALID_ARGUMENT'],
    ['escaped dots', trainer.key, lake('/%2e%2e/b'), 400, 'INVALID_ARGUMENT'],
    [
      'a bucket',
      trainer.key,
      { url: 's3://data/x', operation: 'PATH_READ' },
      400,
      'INVALID_ARGUMENT',
    ],
    ['another operation', trainer.key, lake('/', 'PATH_OWN'), 400, 'INVALID_ARGUMENT'],
    ['a stranger', strangerKey.key, lake('/'), 403, 'PERMISSION_DENIED'],
    ['nobody', generateCallerKey().key, lake('/'), 401, 'UNAUTHENTICATED'],
  ]
  for (const [title, key, sent, status, error_code] of rows) {
    t.match(await call(bench, key, unity, sent), { status, body: { error_code } }, title)
  }
  t.equal(bench.issuer.grants.length, 0)
})
