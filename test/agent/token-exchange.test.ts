import t from 'tap'
import { answerDocker, type DockerCredentialOptions } from '../../src/agent/docker-credential.ts'
import { aksServerId, execCredential, execVersion } from '../../src/agent/exec-credential.ts'
import { TokenExchange } from '../../src/agent/token-exchange.ts'
import { bearerCredential } from '../../src/credential/credential.ts'
import type { HttpRequest } from '../../src/http/handler.ts'
import { undiciHandler } from '../../src/http/undici-handler.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { startTestConnector } from '../support/test-connector.ts'

const accessToken = 'urn:ietf:params:oauth:token-type:access_token'
const jwt = 'urn:ietf:params:oauth:token-type:jwt'

interface Scripted {
  readonly exchange: TokenExchange
  readonly clock: FakeClock
  readonly requests: HttpRequest[]
}

function scripted(status: number, body: unknown): Scripted {
  const clock = new FakeClock()
  const requests: HttpRequest[] = []
  const exchange = new TokenExchange({
    endpoint: new URL('https://connector.example/base/'),
    callerProof: async () => 'abfs_key\n',
    http: async (request) => {
      requests.push(request)
      return { status, headers: {}, body: Buffer.from(JSON.stringify(body)) }
    },
    clock,
  })
  return { exchange, clock, requests }
}

const answer = { access_token: 'vended', issued_token_type: accessToken, expires_in: 600 }

t.test('an exchange is sent in the words of RFC 8693 and read back', async (t) => {
  const { exchange, clock, requests } = scripted(200, answer)

  const credential = await exchange.get({ audience: 'group/cluster', scope: 'x/.default' })

  t.match(credential, { kind: 'bearer', token: 'vended', expiresAtMs: clock.nowMs() + 600_000 })
  const [request] = requests
  t.equal(request?.url.href, 'https://connector.example/base/v1/token')
  t.match(request?.headers, {
    authorization: 'Bearer abfs_key',
    'content-type': 'application/x-www-form-urlencoded',
  })
  const form = new URLSearchParams(Buffer.from(request?.body ?? []).toString())
  t.strictSame(Object.fromEntries(form), {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: 'abfs_key',
    subject_token_type: accessToken,
    requested_token_type: accessToken,
    audience: 'group/cluster',
    scope: 'x/.default',
  })
})

t.test('an answer of another type than was asked for is not used', async (t) => {
  const { exchange } = scripted(200, answer)

  await t.rejects(exchange.get({ audience: 'a', type: 'assertion' }), { code: 'EIO' })
  const assertion = scripted(200, { ...answer, issued_token_type: jwt }).exchange
  t.match(await assertion.get({ audience: 'a', type: 'assertion' }), { token: 'vended' })
})

t.test('answers that are no token are refused without being repeated', async (t) => {
  for (const body of [
    { ...answer, access_token: 'two\r\nlines' },
    { ...answer, expires_in: -1 },
    { ...answer, issued_token_type: 'urn:other' },
    'text',
  ]) {
    const error = await scripted(200, body).exchange.get({ audience: 'a' }).catch(String)
    t.match(error, /something else than a token/)
    t.notMatch(error, /vended|two/)
  }
})

t.test('refusals of OAuth are EACCES, failures are retryable EIO', async (t) => {
  const denied = scripted(403, { error: 'invalid_target', error_description: 'not granted' })
  const failing = scripted(503, { error: 'temporarily_unavailable' })

  await t.rejects(denied.exchange.get({ audience: 'a' }), {
    code: 'EACCES',
    message: /invalid_target: not granted/,
  })
  await t.rejects(failing.exchange.get({ audience: 'a' }), { code: 'EIO', retryable: true })
})

t.test('a proof is not sent in the clear', (t) => {
  const { clock } = scripted(200, answer)
  const make = (endpoint: string): TokenExchange =>
    new TokenExchange({
      endpoint: new URL(endpoint),
      callerProof: async () => 'abfs_key',
      http: () => Promise.reject(new Error('not reached')),
      clock,
    })

  t.throws(() => make('http://connector.example/'), { name: 'TypeError', message: /in the clear/ })
  t.ok(make('http://127.0.0.1:1/'))
  t.end()
})

t.test('a connector that vends nothing but storage is told from one that refuses', async (t) => {
  const connector = await startTestConnector()
  const http = undiciHandler()
  t.teardown(async () => {
    await http.close()
    await connector.close()
  })
  const exchange = new TokenExchange({
    endpoint: connector.connector.url,
    callerProof: async () => connector.trainer.key,
    http: http.handle,
    clock: new FakeClock(),
  })

  const outcome = await exchange.get({ audience: 'registry.azurecr.io' }).then(
    () => undefined,
    (error: { code: string; message: string }) => error,
  )

  t.match(outcome, { code: /^(ENOTSUP|EACCES)$/, message: /registry\.azurecr\.io/ })
  t.notMatch(outcome?.message, connector.trainer.key)
})

function docker(options: Partial<DockerCredentialOptions> = {}): {
  readonly asked: unknown[]
  readonly run: (
    verb: 'get' | 'list' | 'store' | 'erase' | 'version',
    input?: string,
  ) => Promise<unknown>
} {
  const asked: unknown[] = []
  const full = {
    registries: [],
    version: '1.2.3',
    exchange: async (target: unknown) => {
      asked.push(target)
      return bearerCredential('acr-token', 0)
    },
    ...options,
  }
  return { asked, run: (verb, input = '') => answerDocker(verb, input, full) }
}

t.test('docker gets a token of the registry for the user without a name', async (t) => {
  const { run, asked } = docker({ scope: 'repository:team/app:pull' })

  for (const url of [
    'Registry1.azurecr.io',
    'https://registry1.azurecr.io',
    'registry1.azurecr.io/v2/\n',
  ]) {
    const { stdout } = Object(await run('get', url))
    t.strictSame(JSON.parse(stdout), {
      ServerURL: url.trim(),
      Username: '00000000-0000-0000-0000-000000000000',
      Secret: 'acr-token',
    })
  }
  t.strictSame(asked[0], { audience: 'registry1.azurecr.io', scope: 'repository:team/app:pull' })
})

t.test(
  'docker hears its own words for registries that are not served, and nobody is asked',
  async (t) => {
    const { run, asked } = docker({ registries: ['mine12.azurecr.io'] })

    for (const url of [
      'https://index.docker.io/v1/',
      'other1.azurecr.io',
      'mine12.azurecr.io.evil.example',
      'mine12.azurecr.io:5000',
      'http://mine12.azurecr.io',
      'user@mine12.azurecr.io',
    ]) {
      t.strictSame(
        await run('get', url),
        { stdout: 'credentials not found in native keychain', exitCode: 1 },
        url,
      )
    }
    t.strictSame(asked, [])
  },
)

t.test('docker’s other verbs store nothing', async (t) => {
  const { run, asked } = docker({ registries: ['mine12.azurecr.io'] })

  t.strictSame(await run('list'), {
    stdout: '{"https://mine12.azurecr.io":"00000000-0000-0000-0000-000000000000"}',
    exitCode: 0,
  })
  t.match(await run('store', '{"Secret":"typed"}'), { exitCode: 1, stdout: /not needed/ })
  t.strictSame(await run('erase', 'mine12.azurecr.io'), { stdout: '', exitCode: 0 })
  t.match(await run('version'), { stdout: /1\.2\.3/, exitCode: 0 })
  t.match(await run('get', ''), { exitCode: 1, stdout: 'no credentials server URL' })
  t.strictSame(asked, [])
})

t.test('kubectl gets an ExecCredential of the version it asks for', (t) => {
  const info = (apiVersion: string): string =>
    JSON.stringify({ kind: 'ExecCredential', apiVersion })
  const v1 = 'client.authentication.k8s.io/v1'
  const beta = 'client.authentication.k8s.io/v1beta1'

  t.equal(execVersion(undefined), v1)
  t.equal(execVersion(info(v1)), v1)
  t.equal(execVersion(info(beta)), beta)
  for (const text of [info('client.authentication.k8s.io/v1alpha1'), '{}', 'x', 'null']) {
    t.throws(() => execVersion(text), { code: 'EINVAL', message: /kubeconfig/ })
  }
  t.strictSame(JSON.parse(execCredential(beta, bearerCredential('k', 1_767_225_600_900))), {
    kind: 'ExecCredential',
    apiVersion: beta,
    status: { expirationTimestamp: '2026-01-01T00:00:00Z', token: 'k' },
  })
  t.match(aksServerId, /^[0-9a-f-]{36}$/)
  t.end()
})
