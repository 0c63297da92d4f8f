import t from 'tap'
import { examineClock } from '../../../src/cli/drive/examine-clock.ts'
import type { HttpHandler, HttpRequest } from '../../../src/http/handler.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const endpoint = new URL('https://a.example/')
const { signal } = new AbortController()

/** What is found with a service whose clock is `seconds` ahead, and which takes `tripMs` to answer. */
async function found(seconds: number, tripMs = 0) {
  const clock = new FakeClock()
  const asked: HttpRequest[] = []
  const http: HttpHandler = async (request) => {
    asked.push(request)
    await clock.advance(tripMs)
    const date = new Date(clock.nowMs() - tripMs / 2 + seconds * 1000).toUTCString()
    return { status: 400, headers: { date }, body: Buffer.alloc(0) }
  }
  return { finding: await examineClock(endpoint, http, clock, signal), asked }
}

t.test('clocks that agree are fine, also over a slow network', async (t) => {
  t.match((await found(0)).finding, { name: 'clock', verdict: 'ok', detail: /within 1 s/ })
  t.match((await found(-20)).finding, { verdict: 'ok', detail: /within 20 s/ })
  t.match((await found(0, 90_000)).finding, { verdict: 'ok' })
})

t.test('a clock that is off is told with how far and which way', async (t) => {
  t.match((await found(90)).finding, { verdict: 'warned', detail: /is 9[01] s behind the service/ })
  t.match((await found(-90)).finding, { verdict: 'warned', detail: /is (89|90) s ahead of the s/ })
})

t.test('one that is further off than credentials are renewed ahead fails', async (t) => {
  t.match((await found(600)).finding, { verdict: 'failed', detail: /timedatectl/ })
})

t.test('the service is asked once, without a credential', async (t) => {
  const { asked } = await found(0)

  t.equal(asked.length, 1)
  t.strictSame(asked[0]?.headers, {})
})

t.test('a service that tells no time is a warning', async (t) => {
  const http: HttpHandler = async () => ({ status: 200, headers: {}, body: Buffer.alloc(0) })

  t.match(await examineClock(endpoint, http, new FakeClock(), signal), { verdict: 'warned' })
})
