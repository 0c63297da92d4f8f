import t from 'tap'
import { TokenSource, type TokenTarget } from '../../src/agent/token-source.ts'
import { CachedCredentialProvider } from '../../src/credential/cached-provider.ts'
import { sasCredential } from '../../src/credential/credential.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { ScriptedProvider, testBearer } from '../support/scripted-provider.ts'

const minuteMs = 60_000

interface Bench {
  readonly clock: FakeClock
  readonly provider: ScriptedProvider
  readonly source: TokenSource
  readonly target: TokenTarget
}

function bench(lifeMs: number): Bench {
  const clock = new FakeClock()
  const provider = new ScriptedProvider()
  provider.answer = () => testBearer(`t${provider.calls.length}`, clock.nowMs() + lifeMs)
  const target = {
    provider: new CachedCredentialProvider(provider, { clock }),
    scope: { account: 'acct', service: 'blob', permissions: ['read'] },
  } as const
  return { clock, provider, source: new TokenSource(clock), target }
}

t.test('a token with ten minutes left is handed out, one with less is renewed first', async (t) => {
  const { clock, source, target } = bench(60 * minuteMs)
  await source.get(target)

  await clock.advance(29 * minuteMs)
  t.match(await source.get(target), { token: 't1' })
  // Past half of its life the cache renews behind its callers; keep that from answering here.
  const idle = bench(60 * minuteMs)
  await idle.source.get(idle.target)
  await idle.clock.advance(51 * minuteMs)

  const { token, expiresAtMs } = await idle.source.get(idle.target)

  t.equal(expiresAtMs - idle.clock.nowMs(), 60 * minuteMs, 'whole again')
  t.not(token, 't1')
})

t.test('tokens that never live ten minutes are not asked for with each request', async (t) => {
  const { source, target, provider } = bench(2 * minuteMs)

  for (let count = 0; count < 50; count += 1) await source.get(target)

  t.equal(provider.calls.length, 1)
})

t.test('an issuer that repeats its token is not asked with each request', async (t) => {
  const { clock, source, target, provider } = bench(60 * minuteMs)
  const endMs = clock.nowMs() + 60 * minuteMs
  provider.answer = () => testBearer('same', endMs)
  await source.get(target)
  await clock.advance(52 * minuteMs)
  for (let count = 0; count < 50; count += 1) {
    t.match(await source.get(target), { token: 'same', expiresAtMs: endMs })
  }

  t.ok(provider.calls.length <= 3, `${provider.calls.length} requests`)
})

t.test('while renewals fail the old token serves to its end, and no longer', async (t) => {
  const { clock, source, target, provider } = bench(60 * minuteMs)
  await source.get(target)
  provider.answer = () => new Error('down')

  await clock.advance(59 * minuteMs + 59_000)
  t.match(await source.get(target), { token: 't1' })
  await clock.advance(2_000)
  await t.rejects(source.get(target), { message: 'down' })
})

t.test('a signature is no token', async (t) => {
  const { clock, source, target, provider } = bench(0)
  provider.answer = () => sasCredential('sv=1&sig=hidden', clock.nowMs() + minuteMs)

  await t.rejects(source.get(target), { code: 'EACCES', message: /'bearer'/ })
})
