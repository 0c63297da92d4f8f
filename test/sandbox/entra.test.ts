import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createRemoteJWKSet, customFetch, jwtVerify, SignJWT } from 'jose'
import t from 'tap'
import { Agent, fetch, request } from 'undici'
import { createClientCertificate } from '../../src/sandbox/certificate-authority.ts'
import { type Sandbox, startSandbox } from '../../src/sandbox/sandbox.ts'
import { tokensFrom } from '../support/identity-process.ts'

const nobody = '11111111-2222-3333-4444-555555555555'
const environmentCredential = 'new identity.EnvironmentCredential(offline)'

let sandbox: Sandbox
let agent: Agent

t.before(async () => {
  sandbox = await startSandbox()
  agent = new Agent({ connect: { ca: sandbox.caPem } })
})

t.teardown(async () => {
  await agent?.close()
  await sandbox?.close()
})

function secretCredential(tenantId: string, clientId: string, secret: string): string {
  return `new identity.ClientSecretCredential('${tenantId}', '${clientId}', '${secret}', offline)`
}

function certificateCredential(file: string): string {
  return `new identity.ClientCertificateCredential('${sandbox.tenantId}', '${sandbox.clientId}', '${file}', offline)`
}

async function workloadCredential(name: string, assertion: string): Promise<string> {
  const tokenFilePath = join(sandbox.runDirectory, name)
  await writeFile(tokenFilePath, assertion)
  const { tenantId, clientId } = sandbox
  return `new identity.WorkloadIdentityCredential({ ...offline, ...${JSON.stringify({ tenantId, clientId, tokenFilePath })} })`
}

async function requestToken(
  form: Readonly<Record<string, string>>,
  tenant = sandbox.tenantId,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const { statusCode, body } = await request(
    new URL(`${tenant}/oauth2/v2.0/token`, sandbox.authorityHost),
    {
      dispatcher: agent,
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams(form).toString(),
    },
  )
  const answer: unknown = await body.json()
  return { status: statusCode, body: Object(answer) }
}

function goodForm(): Record<string, string> {
  return {
    grant_type: 'client_credentials',
    client_id: sandbox.clientId,
    client_secret: sandbox.clientSecret,
    scope: 'https://storage.azure.com/.default',
  }
}

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

async function certificateAssertion(claims: Readonly<Record<string, unknown>>): Promise<string> {
  const pem = await readFile(sandbox.clientCertificateFile, 'utf8')
  const now = Math.floor(Date.now() / 1000)
  const thumbprint = Buffer.from(new X509Certificate(pem).fingerprint256.replaceAll(':', ''), 'hex')
  return new SignJWT({
    iss: sandbox.clientId,
    sub: sandbox.clientId,
    aud: new URL(`${sandbox.tenantId}/oauth2/v2.0/token`, sandbox.authorityHost).href,
    nbf: now,
    exp: now + 300,
    ...claims,
  })
    .setProtectedHeader({ alg: 'RS256', 'x5t#S256': thumbprint.toString('base64url') })
    .sign(createPrivateKey(pem))
}

async function requestWithAssertion(assertion: string): Promise<ReturnType<typeof requestToken>> {
  const { client_secret: _secret, ...form } = goodForm()
  return requestToken({
    ...form,
    client_assertion: assertion,
    client_assertion_type: assertionType,
  })
}

t.test('@azure/identity gets tokens by secret, certificate and workload identity', async (t) => {
  const { tenantId, clientId, clientSecret, clientCertificateFile } = sandbox
  const federated = await readFile(sandbox.federatedTokenFile, 'utf8')

  const outcomes = await tokensFrom(sandbox, [
    secretCredential(tenantId, clientId, clientSecret),
    certificateCredential(clientCertificateFile),
    await workloadCredential('good', federated),
    environmentCredential,
    'new identity.DefaultAzureCredential(offline)',
  ])

  for (const { claims, error } of outcomes) {
    t.equal(error, undefined)
    t.match(claims, {
      aud: 'https://storage.azure.com',
      iss: `https://sts.windows.net/${tenantId}/`,
      tid: tenantId,
      appid: clientId,
      idtyp: 'app',
      ver: '1.0',
    })
    t.equal(claims?.sub, claims?.['oid'])
  }
  t.strictSame(
    outcomes.map(({ claims }) => claims?.['appidacr']),
    ['1', '2', '2', '1', '1'],
  )
})

t.test('by the environment alone, credentials work with instance discovery on', async (t) => {
  const { clientId, clientCertificateFile, federatedTokenFile } = sandbox
  const workload = JSON.stringify({ tokenFilePath: federatedTokenFile })

  const outcomes = await tokensFrom(sandbox, [
    'new identity.DefaultAzureCredential()',
    `new identity.ClientCertificateCredential('adfs', '${clientId}', '${clientCertificateFile}')`,
    `new identity.WorkloadIdentityCredential(${workload})`,
  ])

  for (const { claims, error } of outcomes) {
    t.equal(error, undefined)
    t.match(claims, { appid: clientId, tid: sandbox.tenantId })
  }
})

t.test('@azure/identity shows the AADSTS code of what it was refused for', async (t) => {
  const { tenantId, clientId, clientSecret } = sandbox
  const { certificatePem, privateKeyPem } = await createClientCertificate('stranger')
  const strangerFile = join(sandbox.runDirectory, 'stranger.pem')
  await writeFile(strangerFile, privateKeyPem + certificatePem)
  const sign = sandbox.controls.signFederatedToken
  const longAgo = 1_600_000_000

  const outcomes = await tokensFrom(sandbox, [
    secretCredential(tenantId, clientId, 'wrong'),
    secretCredential(tenantId, nobody, clientSecret),
    secretCredential(nobody, clientId, clientSecret),
    certificateCredential(strangerFile),
    await workloadCredential('expired', await sign({ expiresAt: longAgo })),
    await workloadCredential('issuer', await sign({ issuer: 'https://elsewhere.example' })),
    await workloadCredential('audience', await sign({ audience: 'api://other' })),
    await workloadCredential('subject', await sign({ subject: 'system:serviceaccount:a:b' })),
    { credential: environmentCredential, scope: 'https://graph.microsoft.com/.default' },
    { credential: environmentCredential, scope: 'https://storage.azure.com/user_impersonation' },
  ])

  const expected = [
    ['invalid_client', 7000215],
    ['unauthorized_client', 700016],
    ['invalid_request', 90002],
    ['invalid_client', 700027],
    ['invalid_client', 700024],
    ['invalid_client', 700211],
    ['invalid_client', 700212],
    ['invalid_client', 700213],
    ['invalid_resource', 500011],
    ['invalid_scope', 1002012],
  ]
  for (const [index, [word, code]] of expected.entries()) {
    t.match(outcomes[index]?.error, new RegExp(`${word}: .*AADSTS${code}:`))
  }
})

t.test('the audience is the scope up to /.default, to the slash', async (t) => {
  const audiences = [
    'https://storage.azure.com',
    'https://storage.azure.com/',
    'https://other.blob.core.windows.net',
    'https://other.dfs.core.windows.net',
    'https://management.azure.com',
    'https://containerregistry.azure.net',
    'e406a681-f3d4-42a8-90b6-c2b029497af1',
  ]

  const outcomes = await tokensFrom(
    sandbox,
    audiences.map((audience) => ({
      credential: environmentCredential,
      scope: `${audience}/.default`,
    })),
  )

  t.strictSame(
    outcomes.map(({ claims }) => claims?.aud),
    audiences,
  )
})

t.test('the keys that the OpenID configuration names verify a token', async (t) => {
  const { body } = await requestToken(goodForm())
  const { body: document } = await request(
    new URL(`${sandbox.tenantId}/v2.0/.well-known/openid-configuration`, sandbox.authorityHost),
    { dispatcher: agent },
  )
  const configuration: Record<string, unknown> = Object(await document.json())
  const keys = createRemoteJWKSet(new URL(String(configuration['jwks_uri'])), {
    [customFetch]: async (url: string) => {
      const answer = await fetch(url, { dispatcher: agent })
      return new Response(await answer.text())
    },
  })

  const { payload } = await jwtVerify(String(body['access_token']), keys, {
    issuer: `https://sts.windows.net/${sandbox.tenantId}/`,
    audience: 'https://storage.azure.com',
  })

  t.equal(payload['appid'], sandbox.clientId)
})

t.test('a refusal has every field that Entra sends', async (t) => {
  const { status, body } = await requestToken({ ...goodForm(), client_secret: 'wrong' })

  t.equal(status, 401)
  t.match(body, {
    error: 'invalid_client',
    error_description: /^AADSTS7000215: .* Trace ID: \S+ Correlation ID: \S+ Timestamp: /,
    error_codes: [7000215],
    timestamp: /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ$/,
    trace_id: /^[0-9a-f-]{36}$/,
    correlation_id: /^[0-9a-f-]{36}$/,
    error_uri: /\/error\?code=7000215$/,
  })
  t.notMatch(JSON.stringify(body), sandbox.clientSecret)
})

t.test('a malformed request is refused for the field that is wrong', async (t) => {
  const { client_secret: _secret, ...noSecret } = goodForm()
  const { scope: _scope, ...noScope } = goodForm()
  const cases: [Record<string, string>, number, number][] = [
    [noSecret, 401, 7000218],
    [noScope, 400, 900144],
    [{ ...goodForm(), grant_type: 'password' }, 400, 70003],
    [
      {
        ...goodForm(),
        scope: 'https://storage.azure.com/.default https://management.azure.com/.default',
      },
      400,
      28000,
    ],
  ]
  for (const [form, status, code] of cases) {
    const answer = await requestToken(form)

    t.equal(answer.status, status)
    t.strictSame(answer.body['error_codes'], [code])
  }
})

t.test('OpenID scopes beside the resource are ignored', async (t) => {
  const scope = 'https://storage.azure.com/.default openid offline_access profile'

  const { status } = await requestToken({ ...goodForm(), scope })

  t.equal(status, 200)
})

t.test(
  'a certificate assertion must be in time, for this client and for this endpoint',
  async (t) => {
    const now = Math.floor(Date.now() / 1000)
    const cases: [Record<string, unknown>, number | undefined][] = [
      [{}, undefined],
      [{ nbf: now - 900, exp: now - 600 }, 700024],
      [{ nbf: now + 600, exp: now + 900 }, 700024],
      [{ sub: nobody }, 700021],
      [{ aud: 'https://login.microsoftonline.com/x/oauth2/v2.0/token' }, 700023],
    ]
    for (const [claims, code] of cases) {
      const { body } = await requestWithAssertion(await certificateAssertion(claims))

      t.strictSame(body['error_codes'], code === undefined ? undefined : [code])
    }
  },
)

t.test('an assertion without a valid signature is refused', async (t) => {
  const [header, claims] = (await certificateAssertion({})).split('.')
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${claims}.`

  for (const assertion of [`${header}.${claims}.AAAA`, unsigned, 'not a token']) {
    const { status, body } = await requestWithAssertion(assertion)

    t.equal(status, 401)
    t.strictSame(body['error_codes'], [700027])
  }
})

t.test('a rotated secret holds and the old one is refused', async (t) => {
  const own = await startSandbox()
  t.teardown(() => own.close())
  const old = own.clientSecret

  const next = own.controls.rotateClientSecret()

  const outcomes = await tokensFrom(
    own,
    [old, next].map(
      (secret) =>
        `new identity.ClientSecretCredential('${own.tenantId}', '${own.clientId}', '${secret}', offline)`,
    ),
  )
  t.match(outcomes[0]?.error, /AADSTS7000215/)
  t.equal(outcomes[1]?.error, undefined)
})

t.test('a failure that was set is answered until it is lifted', async (t) => {
  t.teardown(() => sandbox.controls.setFailure(undefined))
  sandbox.controls.setFailure({
    status: 503,
    error: 'temporarily_unavailable',
    description: 'AADSTS90033: A transient error has occurred.',
    retryAfterSeconds: 1,
  })

  const during = await requestToken(goodForm())
  sandbox.controls.setFailure(undefined)
  const after = await requestToken(goodForm())

  t.match(during, { status: 503, body: { error: 'temporarily_unavailable' } })
  t.equal(after.status, 200)
})

t.test('tokens live as long as was set', async (t) => {
  t.teardown(() => sandbox.controls.setTokenLifetimeMs(3_600_000))
  sandbox.controls.setTokenLifetimeMs(120_000)

  const [outcome] = await tokensFrom(sandbox, [environmentCredential])

  t.equal(Number(outcome?.claims?.exp) - Number(outcome?.claims?.iat), 120)
})
