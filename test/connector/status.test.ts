import { test } from 'tap'
import { ConnectorError } from '../../src/connector/connector-error.ts'
import { Metrics } from '../../src/connector/metrics.ts'
import { ReadinessCheck } from '../../src/connector/readiness.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { startTestConnector, type TestConnector } from '../support/test-connector.ts'

async function get(bench: TestConnector, path: string): Promise<{ status: number; text: string }> {
  const response = await fetch(new URL(path, bench.connector.url))
  return { status: response.status, text: await response.text() }
}

async function ask(bench: TestConnector, key: string, container: string): Promise<void> {
  const scope = { account: 'acct', service: 'blob', container, permissions: ['read'] }
  const response = await fetch(new URL('/v1/credentials', bench.connector.url), {
    method: 'POST',
    body: JSON.stringify({ scope }),
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
  })
  await response.arrayBuffer()
}

test('a connector that runs is healthy whatever its identity is', async (t) => {
  const bench = await startTestConnector()
  t.teardown(() => bench.close())
  bench.issuer.failure = new Error('AADSTS7000215 secret-text')

  t.same(await get(bench, '/healthz'), { status: 200, text: '{"status":"ok"}' })
})

test('readiness is whether the identity signs in, without saying who it is', async (t) => {
  const bench = await startTestConnector()
  t.teardown(() => bench.close())

  bench.issuer.failure = new ConnectorError('temporarily_unavailable', 'identity_refused', {
    detail: 'AADSTS7000215 client 1234 secret-text',
  })
  const refused = await get(bench, '/readyz')
  t.same(refused, { status: 503, text: '{"status":"not ready","reason":"identity_refused"}' })
  t.match((await get(bench, '/metrics')).text, /^abfs_connector_identity_ready 0$/m)
})

test('a connector whose identity signs in is ready', async (t) => {
  const bench = await startTestConnector()
  t.teardown(() => bench.close())

  t.notMatch((await get(bench, '/metrics')).text, /identity_ready/)
  t.same(await get(bench, '/readyz'), { status: 200, text: '{"status":"ready"}' })
  t.match((await get(bench, '/metrics')).text, /^abfs_connector_identity_ready 1$/m)
})

test('many probes are one question, asked again after five seconds', async (t) => {
  const clock = new FakeClock()
  let asked = 0
  const checkIdentity = async (): Promise<void> => {
    asked += 1
    if (asked > 1) throw new Error('gone')
  }
  const readiness = new ReadinessCheck({ issue: () => Promise.reject(), checkIdentity }, clock)

  await Promise.all(Array.from({ length: 10 }, () => readiness.get()))
  t.equal(asked, 1)
  t.match(await readiness.get(), { ready: true })
  await clock.advance(5000)
  t.match(await readiness.get(), { ready: false, reason: 'identity_unavailable' })
  t.equal(asked, 2)
  t.equal(readiness.last, false)
})

test('an identity that does not answer is not ready', async (t) => {
  const clock = new FakeClock()
  const never = { issue: () => Promise.reject(), checkIdentity: () => new Promise<void>(() => {}) }
  const answer = new ReadinessCheck(never, clock).get()
  await clock.advance(5000)

  t.match(await answer, { ready: false, reason: 'identity_unavailable' })
})

test('requests are counted by outcome, and no label names a caller or a scope', async (t) => {
  const bench = await startTestConnector()
  t.teardown(() => bench.close())
  await ask(bench, bench.trainer.key, 'data')
  await ask(bench, bench.trainer.key, 'data')
  await ask(bench, bench.trainer.key, 'forbidden')
  await ask(bench, 'abfs_unknown', 'data')

  const { status, text } = await get(bench, '/metrics')

  t.equal(status, 200)
  const total = (outcome: string, reason: string): string =>
    `abfs_connector_requests_total{action="credentials.issue",outcome="${outcome}",reason="${reason}"}`
  t.match(text, `${total('granted', '')} 2\n`)
  t.match(text, `${total('denied', 'permission_not_granted')} 1\n`)
  t.match(text, `${total('denied', 'caller_unknown')} 1\n`)
  t.match(text, 'duration_seconds_count{action="credentials.issue",outcome="granted"} 2\n')
  t.notMatch(text, /trainer|acct|forbidden|abfs_unknown|signature/)
})

test('latencies fall into cumulative buckets', async (t) => {
  const metrics = new Metrics()
  const outcome = { action: 'tokens.issue', decision: 'failed', reason: 'internal' } as const
  for (const ms of [0, 7, 30_000]) metrics.observe(outcome, ms)

  const text = metrics.format(undefined)

  const labels = 'action="tokens.issue",outcome="failed"'
  for (const [le, n] of [
    ['0.005', 1],
    ['0.01', 2],
    ['20', 2],
    ['+Inf', 3],
  ]) {
    t.match(text, `_bucket{${labels},le="${le}"} ${n}\n`)
  }
  t.match(text, `_sum{${labels}} 30.007\n`)
})
