import { inspect } from 'node:util'
import { test } from 'tap'
import { CachedCredentialProvider } from '../../src/credential/cached-provider.ts'
import type { Credential, Scope } from '../../src/credential/credential.ts'
import { FileSystemError } from '../../src/errors.ts'
import { type FaultEvent, faultChannel } from '../../src/telemetry.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'
import { ScriptedProvider, testBearer } from '../support/scripted-provider.ts'

const minute = 60_000
const scope: Scope = {
  account: 'acct',
  service: 'blob',
  container: 'data',
  permissions: ['read', 'list'],
}

interface Bench {
  clock: FakeClock
  source: ScriptedProvider
  cache: CachedCredentialProvider
}

function bench(): Bench {
  const clock = new FakeClock()
  const source = new ScriptedProvider()
  return { clock, source, cache: new CachedCredentialProvider(source, { clock, random: () => 0 }) }
}

function unreachable(): FileSystemError {
  return new FileSystemError('EIO', 'connector.credentials', { retryable: true })
}

function tokenOf(credential: Credential): string {
  return credential.kind === 'bearer' ? credential.token : credential.query
}

function seen(cache: CachedCredentialProvider, asked: Scope): string | undefined {
  const credential = cache.peek(asked)
  return credential === undefined ? undefined : tokenOf(credential)
}

test('calls for one scope share one request, whatever the order of permissions', async (t) => {
  const { clock, source, cache } = bench()

  const waiting = Array.from({ length: 32 }, (_, index) =>
    cache.getCredential(index % 2 === 0 ? scope : { ...scope, permissions: ['list', 'read'] }),
  )
  await settle()
  source.call(0).resolve(testBearer('one', clock.nowMs() + 60 * minute))
  const credentials = await Promise.all(waiting)

  t.equal(source.calls.length, 1)
  t.same(new Set(credentials.map(tokenOf)), new Set(['one']))
})

test('another account, service, container, prefix or permission is another credential', async (t) => {
  const { clock, source, cache } = bench()
  source.answer = (asked) => testBearer(JSON.stringify(asked), clock.nowMs() + 60 * minute)
  const scopes: Scope[] = [
    scope,
    { ...scope, account: 'other' },
    { ...scope, service: 'dfs' },
    { ...scope, container: 'other' },
    { ...scope, container: undefined },
    { ...scope, prefix: 'a' },
    { ...scope, permissions: ['read'] },
  ]

  const tokens = await Promise.all(
    scopes.map(async (each) => tokenOf(await cache.getCredential(each))),
  )

  t.equal(source.calls.length, scopes.length)
  t.same(
    tokens,
    scopes.map((each) => JSON.stringify(each)),
  )
})

test('a credential is renewed in the background at half its life', async (t) => {
  const { clock, source, cache } = bench()
  source.answer = () => testBearer('one', clock.nowMs() + 60 * minute)
  await cache.getCredential(scope)
  source.answer = undefined

  await clock.advance(30 * minute - 1)
  t.equal(tokenOf(await cache.getCredential(scope)), 'one')
  t.equal(source.calls.length, 1, 'not before half its life')
  await clock.advance(1)
  const served = await Promise.all([cache.getCredential(scope), cache.getCredential(scope)])
  t.equal(source.calls.length, 2, 'one renewal for all calls')
  source.call(1).resolve(testBearer('two', clock.nowMs() + 60 * minute))
  await settle()

  t.same(served.map(tokenOf), ['one', 'one'], 'the old one serves meanwhile')
  t.equal(tokenOf(await cache.getCredential(scope)), 'two')
})

test('a short credential is renewed five minutes before its end, not in its first quarter', async (t) => {
  const { clock, source, cache } = bench()
  source.answer = () => testBearer('short', clock.nowMs() + 8 * minute)
  await cache.getCredential(scope)

  await clock.advance(3 * minute - 1)
  await cache.getCredential(scope)
  t.equal(source.calls.length, 1)
  await clock.advance(1)
  await cache.getCredential(scope)
  t.equal(source.calls.length, 2)

  source.answer = () => testBearer('shorter', clock.nowMs() + 2 * minute)
  await cache.getCredential(scope, { refresh: true })
  await clock.advance(29_999)
  await cache.getCredential(scope)
  t.equal(source.calls.length, 3, 'two minutes of life: not before thirty seconds')
})

test('an error is not remembered beyond a pause that doubles', async (t) => {
  const { clock, source, cache } = bench()
  source.answer = unreachable

  await t.rejects(cache.getCredential(scope), { code: 'EIO' })
  await t.rejects(cache.getCredential(scope), { code: 'EIO' })
  t.equal(source.calls.length, 1, 'a dead connector is not asked again at once')
  await clock.advance(500)
  await t.rejects(cache.getCredential(scope), { code: 'EIO' })
  t.equal(source.calls.length, 2)
  await clock.advance(999)
  await t.rejects(cache.getCredential(scope), { code: 'EIO' })
  t.equal(source.calls.length, 2)
  await clock.advance(1)
  source.answer = () => testBearer('back', clock.nowMs() + 60 * minute)

  t.equal(tokenOf(await cache.getCredential(scope)), 'back')
})

test('one failing scope does not pause another', async (t) => {
  const { clock, source, cache } = bench()
  source.answer = (asked) =>
    asked.container === 'data' ? unreachable() : testBearer('fine', clock.nowMs() + 60 * minute)

  await t.rejects(cache.getCredential(scope))

  t.equal(tokenOf(await cache.getCredential({ ...scope, container: 'logs' })), 'fine')
})

test('a credential serves to its end while renewals fail, then the error comes through', async (t) => {
  const { clock, source, cache } = bench()
  const faults: FaultEvent[] = []
  const onFault = (event: unknown): void => void faults.push(event as FaultEvent)
  faultChannel.subscribe(onFault)
  t.teardown(() => faultChannel.unsubscribe(onFault))
  source.answer = () => testBearer('one', clock.nowMs() + 60 * minute)
  await cache.getCredential(scope)
  source.answer = unreachable

  await clock.advance(40 * minute)
  t.equal(tokenOf(await cache.getCredential(scope)), 'one')
  await clock.advance(20 * minute - 1)
  t.equal(tokenOf(await cache.getCredential(scope)), 'one', 'even in its last millisecond')
  await clock.advance(1)
  await t.rejects(cache.getCredential(scope), { code: 'EIO', retryable: true })

  t.equal(faults[0]?.operation, 'credential.refresh')
  t.equal(faults[0]?.error instanceof FileSystemError, true)
})

test('a call waits for the renewal when the credential is about to end', async (t) => {
  const { clock, source, cache } = bench()
  source.answer = () => testBearer('one', clock.nowMs() + 60 * minute)
  await cache.getCredential(scope)
  source.answer = () => testBearer('two', clock.nowMs() + 60 * minute)

  await clock.advance(60 * minute - 10_000)

  t.equal(tokenOf(await cache.getCredential(scope)), 'two')
})

test('a forced refresh asks anew once for all who force it', async (t) => {
  const { clock, source, cache } = bench()
  source.answer = () => testBearer('refused', clock.nowMs() + 60 * minute)
  await cache.getCredential(scope)
  source.answer = undefined

  const waiting = Array.from({ length: 8 }, () => cache.getCredential(scope, { refresh: true }))
  await settle()
  source.call(1).resolve(testBearer('fresh', clock.nowMs() + 60 * minute))
  const tokens = (await Promise.all(waiting)).map(tokenOf)
  const late = await cache.getCredential(scope, { refresh: true })

  t.same(new Set(tokens), new Set(['fresh']))
  t.equal(source.calls.length, 2)
  t.equal(source.call(1).options.refresh, true, 'the caches behind are skipped too')
  t.equal(tokenOf(late), 'fresh', 'a refusal that was noticed late does not ask again')
  t.equal(tokenOf(await cache.getCredential(scope)), 'fresh')
})

test('a forced refresh does not take the answer of an ordinary request under way', async (t) => {
  const { clock, source, cache } = bench()

  const ordinary = cache.getCredential(scope)
  const forced = cache.getCredential(scope, { refresh: true })
  await settle()
  source.call(1).resolve(testBearer('fresh', clock.nowMs() + 60 * minute))
  await forced
  source.call(0).resolve(testBearer('stale', clock.nowMs() + 60 * minute))
  await ordinary

  t.equal(tokenOf(await cache.getCredential(scope)), 'fresh', 'the later request wins')
})

test('an ordinary request that fails late does not pause what a forced one began', async (t) => {
  const { clock, source, cache } = bench()
  source.answer = () => testBearer('one', clock.nowMs() + 60 * minute)
  await cache.getCredential(scope)
  source.answer = undefined
  await clock.advance(45 * minute)

  await cache.getCredential(scope)
  const forced = cache.getCredential(scope, { refresh: true })
  source.call(2).resolve(testBearer('two', clock.nowMs() + 60 * minute))
  await forced
  await clock.advance(2000)
  source.call(1).reject(unreachable())
  await settle()
  source.answer = () => testBearer('three', clock.nowMs() + 60 * minute)

  t.equal(tokenOf(await cache.getCredential(scope, { refresh: true })), 'three')
})

test('aborting ends the wait of one caller and not the request of the others', async (t) => {
  const { clock, source, cache } = bench()
  const controller = new AbortController()

  const impatient = cache.getCredential(scope, { signal: controller.signal })
  const patient = cache.getCredential(scope)
  controller.abort(new Error('enough'))
  await t.rejects(impatient, { message: 'enough' })
  source.call(0).resolve(testBearer('one', clock.nowMs() + 60 * minute))

  t.equal(tokenOf(await patient), 'one')
  await t.rejects(cache.getCredential(scope, { signal: controller.signal }), { message: 'enough' })
})

test('the longest life left is that of the latest credential', async (t) => {
  const { clock, source, cache } = bench()
  t.equal(cache.longestLifeMs(), 0)
  source.answer = () => testBearer('hour', clock.nowMs() + 60 * minute)
  await cache.getCredential(scope)
  source.answer = () => testBearer('quarter', clock.nowMs() + 15 * minute)
  await cache.getCredential({ ...scope, container: 'logs' })

  t.equal(cache.longestLifeMs(), 60 * minute)
  await clock.advance(50 * minute)
  t.equal(cache.longestLifeMs(), 10 * minute)
  await clock.advance(50 * minute)
  t.equal(cache.longestLifeMs(), 0)
})

test('neither the cache nor a credential shows its token when printed', async (t) => {
  const { clock, source, cache } = bench()
  source.answer = () => testBearer('very-secret', clock.nowMs() + 60 * minute)

  const credential = await cache.getCredential(scope)
  const shown =
    inspect({ cache, credential }, { depth: 10 }) + JSON.stringify({ cache, credential })

  t.notMatch(shown, /very-secret/)
  t.match(shown, /bearer/)
})

test('clients that began together renew apart, within a tenth of the time', async (t) => {
  const renewedAfterMinutes = async (jitter: number): Promise<number> => {
    const clock = new FakeClock()
    const source = new ScriptedProvider()
    source.answer = () => testBearer(`${source.calls.length}`, clock.nowMs() + 60 * minute)
    const cache = new CachedCredentialProvider(source, { clock, random: () => jitter })
    await cache.getCredential(scope)
    for (let minutes = 0; ; minutes += 0.25) {
      await cache.getCredential(scope)
      if (source.calls.length > 1) return minutes
      await clock.advance(minute / 4)
    }
  }

  t.equal(await renewedAfterMinutes(0), 30)
  t.equal(await renewedAfterMinutes(0.5), 28.5)
  t.equal(await renewedAfterMinutes(0.999), 27.25)
})

test('what is in memory is there at once, and its renewal begins behind it', async (t) => {
  const { clock, source, cache } = bench()
  source.answer = () => testBearer('one', clock.nowMs() + 60 * minute)

  t.equal(cache.peek(scope), undefined)
  t.equal(source.calls.length, 0, 'looking asks nobody')
  await cache.getCredential(scope)
  t.equal(seen(cache, scope), 'one')
  t.equal(seen(cache, { ...scope }), 'one', 'an equal scope is the same one')
  t.equal(
    cache.getCredential(scope),
    cache.getCredential(scope),
    'a call makes no promise of its own',
  )

  source.answer = undefined
  await clock.advance(30 * minute)
  t.equal(seen(cache, scope), 'one')
  t.equal(seen(cache, scope), 'one')
  t.equal(source.calls.length, 2, 'one renewal for all who look')
  await clock.advance(30 * minute)
  t.equal(cache.peek(scope), undefined, 'what has ended is not there')
  source.call(1).reject(unreachable())
  await settle()
})

test('a scope that made room for others is found again by its object', async (t) => {
  const clock = new FakeClock()
  const source = new ScriptedProvider()
  source.answer = ({ container = '' }) => testBearer(container, clock.nowMs() + 60 * minute)
  const cache = new CachedCredentialProvider(source, { clock, maxScopes: 1 })
  const other = { ...scope, container: 'other' }

  await cache.getCredential(scope)
  await cache.getCredential(other)
  t.equal(cache.peek({ ...scope }), undefined, 'there is room for one')
  await cache.getCredential(scope)

  t.equal(seen(cache, scope), 'data')
  t.equal(seen(cache, { ...scope }), 'data')
})

test('a claims challenge just after a refresh, or under one, is answered with its claims, once', async (t) => {
  const { clock, source, cache } = bench()
  const claims = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'
  source.answer = (_scope, { challenge }) =>
    testBearer(challenge?.claims ?? `plain ${source.calls.length}`, clock.nowMs() + 60 * minute)
  await cache.getCredential(scope)
  await cache.getCredential(scope, { refresh: true })
  t.equal(source.calls.length, 2)

  const wished = { refresh: true, challenge: { claims } }
  const answers = await Promise.all([
    cache.getCredential(scope, { refresh: true }),
    ...Array.from({ length: 8 }, () => cache.getCredential(scope, wished)),
  ])
  t.strictSame(answers.map(tokenOf), ['plain 2', ...Array.from({ length: 8 }, () => claims)])
  t.equal(source.calls.length, 3, 'one request for all who wish the same')
  t.equal(tokenOf(await cache.getCredential(scope, wished)), claims)
  t.equal(tokenOf(await cache.getCredential(scope)), claims)
  t.equal(tokenOf(await cache.getCredential(scope, { refresh: true })), claims)
  t.equal(source.calls.length, 3)

  source.answer = undefined
  await clock.advance(2000)
  const plain = cache.getCredential(scope, { refresh: true })
  const other = cache.getCredential(scope, { refresh: true, challenge: { claims: '{"a":1}' } })
  source.call(4).resolve(testBearer('other', clock.nowMs() + 60 * minute))
  source.call(3).resolve(testBearer('late', clock.nowMs() + 60 * minute))
  t.strictSame((await Promise.all([plain, other])).map(tokenOf), ['late', 'other'])
  t.equal(seen(cache, scope), 'other', 'the answer to the wish is kept')
})

test('a claims challenge is asked for in the pause after a failure without it', async (t) => {
  const { clock, source, cache } = bench()
  const claims = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'
  source.answer = (_scope, { challenge }) =>
    challenge === undefined
      ? new FileSystemError('EACCES', 'credential.token')
      : testBearer('wished', clock.nowMs() + 60 * minute)
  await t.rejects(cache.getCredential(scope, { refresh: true }), { code: 'EACCES' })
  await t.rejects(cache.getCredential(scope, { refresh: true }), { code: 'EACCES' })
  t.equal(source.calls.length, 1, 'the pause holds')

  const wished = await cache.getCredential(scope, { refresh: true, challenge: { claims } })
  t.equal(tokenOf(wished), 'wished')
  t.equal(source.calls.length, 2)
})
