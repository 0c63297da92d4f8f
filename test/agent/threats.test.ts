import { execFile } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { connect } from 'node:net'
import { inspect, promisify } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { agentChannel } from '../../src/telemetry.ts'
import { testBearer } from '../support/scripted-provider.ts'
import {
  appServicePath,
  sendRaw,
  startTestAgent,
  storageResource,
  type TestAgent,
} from '../support/test-agent.ts'

const run = promisify(execFile)

function proofOf({ agent }: TestAgent): Record<string, string> {
  return { 'x-identity-header': agent.secrets.header }
}

t.test('the agent listens on 127.0.0.1, on a port of the system’s choice', async (t) => {
  const [one, two] = [await startTestAgent(t), await startTestAgent(t)]

  t.equal(one.agent.url.hostname, '127.0.0.1')
  t.not(one.agent.url.port, two.agent.url.port)
})

t.test('secrets have 256 bits and are other ones with each agent', async (t) => {
  const [one, two] = [await startTestAgent(t), await startTestAgent(t)]

  const secrets = [one, two].flatMap(({ agent }) => [agent.secrets.header, agent.secrets.path])
  for (const secret of secrets) t.match(secret, /^[0-9a-f]{64}$/)
  t.equal(new Set(secrets).size, 4)
  const stolen = await two.send({ headers: { 'x-identity-header': one.agent.secrets.header } })
  t.equal(stolen.status, 401, 'the secret of an agent before or beside this one')
})

t.test('a name that resolves to this machine is refused: DNS rebinding', async (t) => {
  const test = await startTestAgent(t)
  const { port } = test.agent.url

  for (const host of [
    `evil.example:${port}`,
    '127.0.0.1',
    `127.0.0.1:${Number(port) + 1}`,
    `127.0.0.1.evil.example:${port}`,
    `[::1]:${port}`,
    `127.1:${port}`,
    '169.254.169.254',
  ]) {
    const { status } = await test.send({ headers: { ...proofOf(test), host } })
    t.equal(status, 403, host)
  }
  const named = await test.send({ headers: { ...proofOf(test), host: `localhost:${port}` } })
  t.equal(named.status, 200)
  t.equal(test.provider.calls.length, 1)
})

t.test('what a browser or a proxy adds is refused, with the right secret too', async (t) => {
  const test = await startTestAgent(t)

  for (const header of [
    'Origin',
    'Referer',
    'Sec-Fetch-Site',
    'Sec-Fetch-Storage-Access',
    'Sec-Fetch-Dest',
    'Sec-CH-UA',
    'X-Forwarded-For',
    'X-Forwarded-Host',
    'X-Forwarded-Proto',
    'X-Real-IP',
    'Forwarded',
    'Via',
    'Proxy-Connection',
    'X-Original-URL',
    'True-Client-IP',
  ]) {
    const { status, body } = await test.send({ headers: { ...proofOf(test), [header]: 'x' } })
    t.equal(status, 403, header)
    t.match(body['message'], header.toLowerCase())
  }
  t.equal(test.provider.calls.length, 0)
})

t.test('Node’s fetch is no browser, though it sends Sec-Fetch-Mode', async (t) => {
  const test = await startTestAgent(t)

  const answer = await fetch(new URL(appServicePath(), test.agent.url), {
    headers: proofOf(test),
  })

  t.equal(answer.status, 200)
  await answer.body?.cancel()
})

t.test('a CORS preflight gets no permission and no token', async (t) => {
  const test = await startTestAgent(t)

  const { status, headers, text } = await test.send({
    method: 'OPTIONS',
    headers: { origin: 'https://evil.example', 'access-control-request-method': 'GET' },
  })

  t.equal(status, 403)
  t.strictSame(
    Object.keys(headers).filter((name) => name.startsWith('access-control')),
    [],
  )
  t.notMatch(text, /token-/)
})

t.test('audiences that were not asked for are 403, and the connector hears nothing', async (t) => {
  const test = await startTestAgent(t)

  for (const resource of [
    'https://graph.microsoft.com',
    'https://management.azure.com/',
    'https://vault.azure.net',
    'https://other.blob.core.windows.net',
    'https://acct.blob.core.windows.net.evil.example',
    'https://acct.queue.core.windows.net',
    'https://storage.azure.com//',
    'https://storage.azure.com/.default',
    'HTTPS://STORAGE.AZURE.COM',
    'https://storage.azure.com\r\nX: y',
    '*',
  ]) {
    const { status, body } = await test.send({ path: appServicePath(resource) })
    t.equal(status, 403, resource)
    t.match(body, { error: { code: 'audience_not_allowed' } })
  }
  t.equal(test.provider.calls.length, 0)
})

t.test('blob and dfs get tokens of their own: no audience gets another’s', async (t) => {
  const { send, provider, clock } = await startTestAgent(t)
  provider.answer = (scope) => testBearer(`for-${scope.service}`, clock.nowMs() + 3_600_000)
  const tokenFor = async (resource: string) =>
    (await send({ path: appServicePath(resource) })).body['access_token']

  t.equal(await tokenFor('https://acct.dfs.core.windows.net'), 'for-dfs')
  t.equal(await tokenFor('https://acct.blob.core.windows.net/'), 'for-blob')
  t.equal(await tokenFor(storageResource), 'for-blob')
  t.equal(await tokenFor('https://acct.dfs.core.windows.net/'), 'for-dfs')
  t.strictSame(
    provider.calls.map(({ scope }) => scope),
    ['dfs', 'blob'].map((service) => ({
      account: 'acct',
      service,
      container: 'data',
      permissions: ['read', 'list'],
    })),
    'exactly what the agent was started for',
  )
})

t.test('a hundred clients at once cause one request to the connector', async (t) => {
  const { send, provider } = await startTestAgent(t)

  const answers = await Promise.all(Array.from({ length: 100 }, () => send()))

  t.strictSame(new Set(answers.map(({ body }) => body['access_token'])), new Set(['token-1']))
  t.equal(provider.calls.length, 1)
})

t.test('a refused renewal ends with the old token: revocation reaches clients', async (t) => {
  const { send, provider, clock } = await startTestAgent(t)
  await send()
  provider.answer = () => new Error('revoked')

  await clock.advance(3_595_000)
  const late = await send()
  await clock.advance(6_000)
  const after = await send()

  t.match(late, { status: 200, body: { access_token: 'token-1', expires_in: '5' } })
  t.equal(after.status, 500)
})

t.test(
  'a client’s clock is this machine’s: the end is told by it, whatever the issuer’s says',
  async (t) => {
    const { send, provider, clock } = await startTestAgent(t)
    // A connector answers with a relative life; its clock is ten minutes off either way.
    for (const lifeMs of [50 * 60_000, 70 * 60_000]) {
      provider.answer = () => testBearer(`life-${lifeMs}`, clock.nowMs() + lifeMs)
      await clock.advance(4 * 3_600_000)
      const { body } = await send()

      t.equal(Number(body['expires_on']), Math.floor((clock.nowMs() + lifeMs) / 1000))
    }
  },
)

t.test('events and what prints the agent hold neither token nor secret', async (t) => {
  const events: unknown[] = []
  const keep = (message: unknown): void => void events.push(message)
  subscribe(agentChannel.name, keep)
  t.teardown(() => unsubscribe(agentChannel.name, keep))
  const test = await startTestAgent(t, { cloudShell: true })
  const { header, path } = test.agent.secrets
  await test.send()
  await test.send({ headers: { 'x-identity-header': `${header}x` } })
  await test.send({
    path: `/${path}/metadata/identity/oauth2/token`,
    headers: { metadata: 'true' },
  })
  await test.send({ path: `/${path}/nothing` })
  await test.send({ path: appServicePath('https://vault.azure.net') })
  test.provider.answer = () => new Error('broken')
  await test.clock.advance(4_000_000)
  await test.send()

  const seen = inspect([events, test.agent], { depth: 20 }) + JSON.stringify([events, test.agent])
  t.equal(events.length, 6)
  t.match(seen, /audience_not_allowed/)
  for (const secret of [header, path, 'token-1']) t.notMatch(seen, secret)
})

t.test('a body where none belongs, and headers without end, are refused', async (t) => {
  const test = await startTestAgent(t)

  const body = await test.send({
    headers: { ...proofOf(test), 'content-length': '5' },
    body: 'GET /',
  })
  const chunked = await test.send({
    headers: { ...proofOf(test), 'transfer-encoding': 'chunked' },
    body: 'x',
  })
  const long = await test.send({ headers: { ...proofOf(test), x: 'y'.repeat(9000) } })

  t.strictSame([body.status, chunked.status, long.status], [400, 400, 431])
})

t.test('a connection that never finishes its request does not keep the agent open', async (t) => {
  const { agent } = await startTestAgent(t)
  const socket = connect(Number(agent.url.port), '127.0.0.1')
  await new Promise((resolve) => socket.once('connect', resolve))
  socket.write('GET /msi/token HTTP/1.1\r\nHost: ')
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.on('error', () => undefined)

  await agent.close()

  await closed
  await t.rejects(sendRaw(agent.url, { path: '/' }), { code: 'ECONNREFUSED' })
})

t.test('clients that wait when the agent ends are told so', async (t) => {
  const test = await startTestAgent(t)
  test.provider.answer = undefined
  const waiting = test.send()
  while (test.provider.calls.length === 0) await new Promise((resolve) => setImmediate(resolve))

  await test.agent.close()

  t.match(await waiting, { status: 503, body: { message: /ending/ } })
})

t.test('no request without a secret gets a token, whatever it looks like', async (t) => {
  const test = await startTestAgent(t, { azureMl: true, cloudShell: true })
  const seed = Date.now()
  t.comment(`seed ${seed}`)
  const words = ['msi', 'token', 'metadata', 'identity', 'oauth2', '..', '%2e', '', '0'.repeat(64)]
  const path = fc
    .array(fc.oneof(fc.constantFrom(...words), fc.webSegment()), { maxLength: 6 })
    .map((segments) => `/${segments.join('/')}`)
  const query = fc.webQueryParameters()
  const header = fc.oneof(
    fc.stringMatching(/^[0-9a-f]{0,64}$/),
    fc.base64String(),
    fc.constant('true'),
  )
  const names = ['x-identity-header', 'secret', 'metadata', 'authorization']
  const headers = fc.dictionary(fc.constantFrom(...names), header)
  const method = fc.constantFrom('GET', 'POST', 'PUT', 'OPTIONS')

  await fc.assert(
    fc.asyncProperty(method, path, query, headers, async (method, path, query, headers) => {
      const full = `${path}?${query}&api-version=2018-02-01&resource=${storageResource}`
      const { status, text } = await test.send({ method, path: full, headers })
      return status >= 400 && status < 500 && !text.includes('token-')
    }),
    { seed, numRuns: 300 },
  )
  t.equal(test.provider.calls.length, 0)
  t.equal((await test.send()).status, 200, 'and the agent still serves')
})

const script = `
const [url, header] = process.argv.slice(1)
if (process.getuid() === 0) { process.setgid(65534); process.setuid(65534) }
const headers = header === '' ? { metadata: 'true' } : { 'x-identity-header': header }
fetch(url, { headers }).then(async (answer) => console.log(answer.status, process.getuid(), await answer.text()))
`

t.test(
  'a process of another user gets no token, not even from IMDS without a secret',
  { skip: process.getuid?.() === 0 ? false : 'only root can become another user' },
  async (t) => {
    const { agent } = await startTestAgent(t, { openImds: true })
    const imds = `${agent.url}metadata/identity/oauth2/token?api-version=2018-02-01&resource=${storageResource}`
    const appService = new URL(appServicePath(), agent.url).href
    const asOther = async (url: string, header: string) =>
      (await run(process.execPath, ['-e', script, '--', url, header], { env: {} })).stdout

    t.match(await asOther(imds, ''), /^403 65534 .*its own user/)
    t.match(await asOther(appService, 'guess'), /^401 65534 .*X-IDENTITY-HEADER/)
  },
)
