import t, { type Test } from 'tap'
import { StartWatch } from '../../../src/cli/drive/start-watch.ts'
import { credentialChannel, httpChannel } from '../../../src/telemetry.ts'
import { FakeClock } from '../../support/fake-clock.ts'

function watched(t: Test, connector: { readonly url: URL } | undefined) {
  const clock = new FakeClock()
  const told: string[] = []
  const tell = (line: string): void => void told.push(line)
  const blobEndpoint = new URL('https://a.example/')
  const start = new StartWatch({ connector, blobEndpoint, timeoutMs: 10_000, tell, clock })
  const never = start.run(() => new Promise<never>(() => undefined))
  never.catch(() => undefined)
  t.teardown(() => passSeconds(60))
  const passSeconds = async (seconds: number): Promise<void> => {
    for (let half = 0; half < seconds * 2; half++) await clock.advance(500)
  }
  return { start, never, told, passSeconds, clock }
}

const connector = { url: new URL('http://connector.example/') }

t.test('who is waited for is told after five seconds, once, and given up in time', async (t) => {
  const { never, told, passSeconds } = watched(t, connector)

  await passSeconds(4.5)
  t.strictSame(told, [])
  await passSeconds(5)
  t.strictSame(told, ['waiting for the connector at http://connector.example/; giving up in 5 s'])
  await passSeconds(0.5)

  const message = /waited 10 s for the connector at http:\/\/connector\.example\/.*--start-timeout/
  await t.rejects(never, { code: 'ETIMEDOUT', message })
})

t.test('every answer begins the time anew, and what ended without one does not', async (t) => {
  const { never, told, passSeconds } = watched(t, undefined)

  for (let page = 0; page < 5; page++) {
    await passSeconds(4)
    httpChannel.publish({ status: 200 })
  }
  t.strictSame(told, [])
  await passSeconds(6)
  httpChannel.publish({ status: undefined })
  await passSeconds(4)

  await t.rejects(never, { code: 'ETIMEDOUT', message: /for Entra/ })
})

t.test('with a credential it is the service that is waited for', async (t) => {
  const { told, passSeconds } = watched(t, connector)

  credentialChannel.publish({})
  await passSeconds(5)

  t.match(told, [/^waiting for the blob service at https:\/\/a\.example\/;/])
})

t.test('a process that was stopped gives nothing up for it', async (t) => {
  const { start, told, clock } = watched(t, connector)

  await clock.advance(3_600_000)

  t.strictSame(told, [])
  t.equal(start.signal?.aborted, false)
})

t.test('what is sent is aborted when it is given up, and nothing once it has begun', async (t) => {
  const { start, never, passSeconds } = watched(t, connector)
  await passSeconds(10)
  await t.rejects(never)
  t.equal(start.signal?.aborted, true)

  t.equal(await start.run(async (signal) => signal.aborted), false)

  t.equal(start.signal, undefined)
})
