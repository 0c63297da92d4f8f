import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { TokenExchange } from '../../src/agent/token-exchange.ts'
import { systemClock } from '../../src/clock.ts'
import { generateCallerKey } from '../../src/connector/authenticate.ts'
import { ConnectorClient } from '../../src/connector/client.ts'
import { ClientSessions } from '../../src/connector/client-session.ts'
import { type ConnectorConfig, parseConnectorConfig } from '../../src/connector/config.ts'
import { findCluster } from '../../src/connector/resource-client.ts'
import { CachedCredentialProvider } from '../../src/credential/cached-provider.ts'
import type { HttpRequest } from '../../src/http/handler.ts'
import { undiciHandler } from '../../src/http/undici-handler.ts'
import { credentialConformance, granted } from '../conformance/credentials.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { startTestConnector, type TestConnector, testConfig } from '../support/test-connector.ts'

const trainer = generateCallerKey()
const stranger = generateCallerKey()

function configOn(port: number, more = ''): ConnectorConfig {
  return parseConnectorConfig(
    `
listen: { port: ${port}${more} }
identity: { kind: service-principal, tenantId: t, clientId: c, clientSecretEnv: S }
accounts: [{ name: acct }]
callers:
  - { name: trainer, keySha256: ${trainer.keySha256} }
  - { name: stranger, keySha256: ${stranger.keySha256} }
policy:
  - { caller: trainer, account: acct, container: data, permissions: [read, list], maxTtlSeconds: 7200 }
  - { caller: trainer, account: acct, container: other, permissions: [read] }
`,
    { file: 'test.yaml' },
  )
}

interface Bench {
  readonly clock: FakeClock
  readonly sent: HttpRequest[]
  readonly client: ConnectorClient
  readonly server: () => TestConnector
  stop(): Promise<void>
  restart(): Promise<void>
}

/** A connector on a fake clock, and a client that asks it in sessions. */
async function openBench(t: Test): Promise<Bench> {
  const clock = new FakeClock(1_800_000_000_000)
  let server = await startTestConnector({ config: configOn(0), clock })
  const endpoint = server.connector.url
  const http = undiciHandler()
  const sent: HttpRequest[] = []
  const asking = {
    endpoint,
    callerProof: async () => trainer.key,
    http: (request: HttpRequest) => {
      sent.push(request)
      return http.handle(request)
    },
    clock,
  }
  const client = new ConnectorClient({ ...asking, sessions: new ClientSessions(asking) })
  const stop = (): Promise<void> => server.close()
  t.teardown(async () => {
    await http.close()
    await stop()
  })
  const restart = async (): Promise<void> => {
    server = await startTestConnector({ config: configOn(Number(endpoint.port)), clock })
  }
  return { clock, sent, client, server: () => server, stop, restart }
}

const bearers = (sent: readonly HttpRequest[]): number =>
  sent.filter(({ headers }) => headers['authorization']?.startsWith('Bearer ')).length

t.test('in sessions over the wire', (t) => {
  credentialConformance(t, async () => {
    const server = await startTestConnector()
    const http = undiciHandler()
    const clock = { nowMs: Date.now, sleep: async () => undefined }
    const open = (key: string): ConnectorClient => {
      const asking = {
        endpoint: server.connector.url,
        callerProof: async () => key,
        http: http.handle,
        clock,
      }
      return new ConnectorClient({ ...asking, sessions: new ClientSessions(asking) })
    }
    return {
      provider: open(server.trainer.key),
      stranger: open(stranger.key),
      nowMs: Date.now,
      failWith: (error) => {
        server.issuer.failure = error
      },
      close: async () => {
        await http.close()
        await server.close()
      },
    }
  })
  t.end()
})

t.test('the caller’s proof opens a session for a scope, and is not sent again', async (t) => {
  const { client, sent, server } = await openBench(t)
  await client.getCredential(granted)
  t.equal(bearers(sent), 2, 'once without a nonce, once with it')
  await Promise.all([1, 2, 3].map(() => client.getCredential(granted)))
  t.equal(bearers(sent), 2)
  t.equal(sent.length, 6)
  t.match(server().audit.records.at(-1), { session: /^[0-9a-f-]{36}$/, caller: 'trainer' })
  const proofs = sent.map(({ headers }) => headers['dpop'])
  t.equal(new Set(proofs).size, proofs.length, 'each request has a proof of its own')
  await client.getCredential({ ...granted, container: 'other', permissions: ['read'] })
  t.equal(bearers(sent), 3, 'another scope is another session')
})

t.test('those who ask together share one session', async (t) => {
  const { client, server } = await openBench(t)
  await Promise.all(Array.from({ length: 20 }, () => client.getCredential(granted)))
  const sessions = new Set(
    server().audit.records.flatMap(({ session }) => (session === undefined ? [] : [session])),
  )
  t.equal(sessions.size, 1)
})

t.test('an access token that ends is refreshed without the caller’s proof', async (t) => {
  const { client, sent, clock } = await openBench(t)
  await client.getCredential(granted)
  for (let quarter = 0; quarter < 4; quarter += 1) {
    await clock.advance(15 * 60_000)
    await Promise.all([client.getCredential(granted), client.getCredential(granted)])
  }
  t.equal(bearers(sent), 2)
  const refreshes = sent.filter(({ url }) => url.pathname.endsWith('/refresh'))
  t.equal(refreshes.length, 8, 'four, each once more for the nonce that had ended')
})

t.test('a session that ended, or was lost in a restart, is opened again', async (t) => {
  const { client, sent, clock, stop, restart } = await openBench(t)
  await client.getCredential(granted)
  await clock.advance(25 * 3600_000)
  await client.getCredential(granted)
  t.ok(bearers(sent) > 2, 'it had ended')
  const before = bearers(sent)
  await stop()
  await t.rejects(client.getCredential(granted), { code: 'EIO', message: /does not answer/ })
  await restart()
  await client.getCredential(granted)
  t.ok(bearers(sent) > before, 'this connector does not know it')
})

t.test('an hour without a connector passes unnoticed while a credential lives', async (t) => {
  const { client, clock, stop, restart } = await openBench(t)
  const cache = new CachedCredentialProvider(client, { clock, random: () => 0 })
  const first = await cache.getCredential(granted)
  await stop()
  for (let minute = 0; minute < 60; minute += 5) {
    await clock.advance(5 * 60_000)
    t.equal(await cache.getCredential(granted), first, `minute ${minute + 5}`)
  }
  await restart()
  await clock.advance(58 * 60_000)
  t.equal(await cache.getCredential(granted), first)
  await clock.advance(2 * 60_000)
  const second = await cache.getCredential(granted)
  t.ok(second.expiresAtMs > first.expiresAtMs, 'a new one, from a connector that knew no session')
})

t.test('claims of a challenge go along, and a refusal opens no second session', async (t) => {
  const { client, sent, server } = await openBench(t)
  const claims = '{"access_token":{"nbf":{"essential":true}}}'
  await client.getCredential(granted, { refresh: true, challenge: { claims } })
  t.match(server().issuer.options.at(-1), { refresh: true, claims })
  const before = sent.length
  await t.rejects(client.getCredential({ ...granted, container: 'none' }), { code: 'EACCES' })
  t.equal(sent.length, before + 1, 'what policy refuses is asked once')
})

t.test('behind a proxy with another name, proofs are for the name that clients use', async (t) => {
  const ask = async (more: string): Promise<unknown> => {
    const server = await startTestConnector({ config: configOn(0, more) })
    t.teardown(() => server.close())
    const http = undiciHandler()
    t.teardown(() => http.close())
    const { port } = server.connector.url
    const asking = {
      endpoint: new URL('https://vend.example/abfs'),
      callerProof: async () => trainer.key,
      http: (request: HttpRequest) =>
        http.handle({
          ...request,
          url: new URL(request.url.pathname.replace('/abfs', ''), `http://127.0.0.1:${port}`),
        }),
      clock: systemClock,
    }
    const client = new ConnectorClient({ ...asking, sessions: new ClientSessions(asking) })
    return client.getCredential(granted)
  }
  t.match(await ask(', publicUrl: "https://vend.example/abfs"'), { kind: 'sas' })
  await t.rejects(ask(''), { code: 'EACCES', message: /another URL/ })
})

t.test('tokens beyond storage and lists of resources are asked for in sessions too', async (t) => {
  const clock = new FakeClock(1_800_000_000_000)
  const tokens = `
tokens:
  - { caller: trainer, resource: azure-generic, audiences: ['https://vault.azure.net'] }
  - { caller: trainer, resource: kubernetes-cluster, clusters: [ml/train] }
`
  const server = await startTestConnector({ config: testConfig(trainer, tokens), clock })
  const http = undiciHandler()
  t.teardown(async () => {
    await http.close()
    await server.close()
  })
  const sent: HttpRequest[] = []
  const asking = {
    endpoint: server.connector.url,
    callerProof: async () => trainer.key,
    http: (request: HttpRequest) => {
      sent.push(request)
      return http.handle(request)
    },
    clock,
  }
  const inSessions = { ...asking, sessions: new ClientSessions(asking) }
  const exchange = new TokenExchange(inSessions)
  t.match(await exchange.get({ scope: 'https://vault.azure.net/.default' }), { kind: 'bearer' })
  t.match(await exchange.get({ audience: 'ml/train' }), { kind: 'bearer' })
  await t.rejects(exchange.get({ audience: 'ml/other' }), { code: 'EACCES' })
  await t.rejects(findCluster(inSessions, 'ml/train'), { code: 'EIO', message: /management/ })
  const opened = sent.filter(({ url }) => url.pathname === '/v1/sessions')
  t.equal(bearers(sent), opened.length, 'the key opens sessions, and does nothing else')
  for (const { url, body } of sent) {
    const holds = Buffer.from(body ?? []).includes(trainer.key)
    t.equal(holds, false, `${url.pathname} has no key in its body`)
  }
})

t.test('it works in a worker thread', async (t) => {
  const server = await startTestConnector()
  t.teardown(() => server.close())
  const workerData = { url: server.connector.url.href, key: server.trainer.key, scope: granted }
  const worker = new Worker(new URL('../support/session-worker.ts', import.meta.url), {
    workerData,
  })
  const [answer] = await once(worker, 'message')
  t.same(answer, { kind: 'sas', same: true, lives: true })
  await once(worker, 'exit')
})
