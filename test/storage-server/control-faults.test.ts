import t, { type Test } from 'tap'
import { request as send } from 'undici'
import type { AccessControl } from '../../src/storage-server/access/access.ts'
import type { FaultRule } from '../../src/storage-server/control/fault-rule.ts'
import { Ledger, type LedgerEntry } from '../../src/storage-server/control/ledger.ts'
import { ServerControl } from '../../src/storage-server/control/server-control.ts'
import { createStorageServer } from '../../src/storage-server/server.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'
import { accountName, addContainer, testAccount } from '../support/storage-request.ts'

const everybody: AccessControl = {
  authenticate: async () => ({ kind: 'sharedKey' }),
  authorize: () => undefined,
}
const content = Buffer.from(Array.from({ length: 1000 }, (_, index) => index % 251))

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
}

interface Subject {
  readonly clock: FakeClock
  readonly control: ServerControl
  call(
    method: string,
    path: string,
    body?: Buffer,
    headers?: Record<string, string>,
  ): Promise<Answer>
}

async function start(t: Test, ledger = new Ledger()): Promise<Subject> {
  const clock = new FakeClock()
  const control = new ServerControl({ clock, ledger })
  const account = testAccount(clock)
  addContainer(account, 'box')
  const server = createStorageServer({
    accounts: new Map([[accountName, account]]),
    access: everybody,
    hooks: control,
    clock: control.clock,
  })
  t.teardown(async () => {
    control.close()
    await server.close()
  })
  const base = `${await server.listen()}/${accountName}`
  const call: Subject['call'] = async (method, path, body, headers = {}) => {
    const all = {
      'x-ms-version': '2024-11-04',
      ...(body && { 'x-ms-blob-type': 'BlockBlob' }),
      ...headers,
    }
    const options = { method: method as 'GET', headers: all, ...(body && { body }) }
    const answer = await send(`${base}${path}`, options)
    return {
      status: answer.statusCode,
      headers: answer.headers,
      body: Buffer.from(await answer.body.arrayBuffer()),
    }
  }
  await call('PUT', '/box/a', content)
  ledger.clear()
  return { clock, control, call }
}

const statuses: readonly (readonly [FaultRule['effect'] & { kind: 'status' }, string])[] = [
  [{ kind: 'status', status: 429, retryAfterSeconds: 3 }, 'TooManyRequests'],
  [{ kind: 'status', status: 500 }, 'InternalError'],
  [{ kind: 'status', status: 503, retryAfterSeconds: 1 }, 'ServerBusy'],
  [{ kind: 'status', status: 503, code: 'OperationTimedOut' }, 'OperationTimedOut'],
  [{ kind: 'status', status: 412 }, 'ConditionNotMet'],
  [{ kind: 'status', status: 401, claims: '{"x":1}' }, 'InvalidAuthenticationInfo'],
]

for (const [effect, code] of statuses) {
  t.test(`a fault answers ${effect.status} ${code}`, async (t) => {
    const { control, call } = await start(t)
    control.replaceFaults([{ verb: 'GetBlob', effect }])

    const answer = await call('GET', '/box/a')

    t.equal(answer.status, effect.status)
    t.equal(answer.headers['x-ms-error-code'], code)
    t.equal(answer.headers['retry-after'], effect.retryAfterSeconds?.toString())
    const challenge = String(answer.headers['www-authenticate'] ?? '')
    t.equal(
      challenge.includes(`claims="${Buffer.from('{"x":1}').toString('base64')}"`),
      effect.claims !== undefined,
    )
    t.equal((await call('HEAD', '/box/a')).status, 200, 'other verbs are left alone')
  })
}

t.test('a rule disturbs the nth matching request and as many as it counts', async (t) => {
  const { control, call } = await start(t)
  const effect = { kind: 'status', status: 503 } as const
  control.replaceFaults([{ path: '^/box/a$', verb: 'GetBlob', nth: 2, count: 2, effect }])

  const seen: number[] = []
  for (let turn = 0; turn < 5; turn += 1) {
    await call('GET', '/box/other').catch(() => undefined)
    seen.push((await call('GET', '/box/a')).status)
  }

  t.same(seen, [200, 503, 503, 200, 200])
  t.equal(control.faults.active[0]?.matched, 5)
})

t.test('rules match by face and account, and the first that is due wins', async (t) => {
  const { control, call } = await start(t)
  control.replaceFaults([
    { face: 'dfs', effect: { kind: 'status', status: 500 } },
    { account: 'another', effect: { kind: 'status', status: 500 } },
    { face: 'blob', account: accountName, count: 1, effect: { kind: 'status', status: 429 } },
    { effect: { kind: 'status', status: 503 } },
  ])

  t.equal((await call('GET', '/box/a')).status, 429)
  t.equal((await call('GET', '/box/a')).status, 503)
  control.replaceFaults([])
  t.equal((await call('GET', '/box/a')).status, 200)
})

t.test('a reset closes the connection before a byte', async (t) => {
  const { control, call } = await start(t)
  control.replaceFaults([{ effect: { kind: 'reset' } }])

  await t.rejects(call('GET', '/box/a'), { code: 'UND_ERR_SOCKET' })
  t.match(control.ledger.entries(), [{ verb: 'GetBlob', status: 0, bytesOut: 0, fault: '1' }])
})

t.test('a lost answer leaves what the verb did', async (t) => {
  const { control, call } = await start(t)
  for (const effect of [{ kind: 'reset' }, { kind: 'status', status: 500 }] as const) {
    control.replaceFaults([{ verb: 'PutBlob', runsVerb: true, effect }])
    const name = `/box/lost-${effect.kind}`

    const outcome = await call('PUT', name, content).then(
      (answer) => answer.status,
      () => 0,
    )

    t.equal(outcome, effect.kind === 'reset' ? 0 : 500)
    t.equal((await call('GET', name)).status, 200)
  }
})

t.test('bodies are cut, shortened and falsified without touching what is stored', async (t) => {
  const { control, call } = await start(t)
  for (const kind of ['resetInBody', 'truncate'] as const) {
    control.replaceFaults([{ count: 1, effect: { kind, afterBytes: 10 } }])
    const answer = call('GET', '/box/a')
    await t.rejects(answer, kind)
    t.match(control.ledger.entries().at(-1), { status: 200, bytesOut: 10 }, kind)
  }
  control.replaceFaults([{ count: 1, effect: { kind: 'corrupt', at: 7 } }])
  const wrong = await call('GET', '/box/a')
  t.equal(wrong.headers['content-length'], '1000')
  t.same(wrong.body.compare(content) === 0, false)
  t.equal(wrong.body[7], 7 ^ 0xff)
  t.same((await call('GET', '/box/a')).body, content)
})

t.test('a stall lasts until its time, or until the faults are replaced', async (t) => {
  const { clock, control, call } = await start(t)
  control.replaceFaults([{ effect: { kind: 'stall', ms: 5000 } }])
  const timed = call('GET', '/box/a')
  await untilSleeping(clock, 1)
  await clock.advance(5000)
  t.equal((await timed).status, 200)

  control.replaceFaults([{ count: 1, effect: { kind: 'stallInBody', afterBytes: 3 } }])
  const endless = call('GET', '/box/a')
  while (control.faults.active[0]?.matched !== 1) await settle()
  control.replaceFaults([])
  t.same((await endless).body, content)
})

t.test('closing the control cuts what is stalled', async (t) => {
  const { control, call } = await start(t)
  control.replaceFaults([{ effect: { kind: 'stall' } }])
  const stalled = call('GET', '/box/a')
  while (control.faults.active[0]?.matched !== 1) await settle()

  control.close()

  await t.rejects(stalled)
})

t.test('latency and bandwidth delay every request both ways', async (t) => {
  const { clock, control, call } = await start(t)
  control.link = { latencyMs: 100, bytesPerSecond: 1000 }

  const put = call('PUT', '/box/b', content)
  await untilSleeping(clock, 1)
  await clock.advance(1099)
  t.equal(clock.sleeping, 1, 'the verb waits for the whole transfer')
  await clock.advance(1)
  t.equal((await put).status, 201)

  const get = call('GET', '/box/b')
  await untilSleeping(clock, 1)
  await clock.advance(100)
  await untilSleeping(clock, 1)
  await clock.advance(1000)
  t.equal((await get).body.byteLength, 1000)
  t.match(control.ledger.entries({ verb: 'GetBlob' }), [{ ms: 1100 }])
})

t.test('a slow body is paced by its rule alone', async (t) => {
  const { clock, control, call } = await start(t)
  control.replaceFaults([{ effect: { kind: 'slowBody', bytesPerSecond: 500 } }])

  const get = call('GET', '/box/a')
  await untilSleeping(clock, 1)
  await clock.advance(2000)

  t.same((await get).body, content)
})

t.test('the ledger tells who asked what, without queries, and counts by verb', async (t) => {
  const written: LedgerEntry[] = []
  const ledger = new Ledger({ maxEntries: 2, onEntry: (entry) => written.push(entry) })
  const { call } = await start(t, ledger)
  written.length = 0
  await call('GET', '/box/a?sig=SECRET&x=1', undefined, { 'x-ms-client-request-id': 'mine' })
  await call('PUT', '/box/dir%20x/b', content)
  await call('GET', '/box/none')

  t.same(
    ledger.entries().map(({ verb }) => verb),
    ['PutBlob', 'GetBlob'],
    'only the last two are kept',
  )
  t.match(written, [
    {
      verb: 'GetBlob',
      face: 'blob',
      method: 'GET',
      account: accountName,
      path: '/box/a',
      status: 200,
      bytesOut: 1000,
      clientRequestId: 'mine',
    },
    { verb: 'PutBlob', path: '/box/dir x/b', status: 201, bytesIn: 1000 },
    { verb: 'GetBlob', path: '/box/none', status: 404, errorCode: 'BlobNotFound' },
  ])
  t.notMatch(JSON.stringify(written), /SECRET/)
  t.match(ledger.counters(), {
    GetBlob: { requests: 2, failures: 1 },
    PutBlob: { requests: 1, failures: 0, bytesIn: 1000 },
  })
  t.same(ledger.entries({ verb: 'PutBlob' }).length, 1)
  t.same(ledger.entries({ clientRequestId: 'mine' }).length, 0)
  ledger.clear()
  t.same([ledger.entries(), ledger.counters()], [[], {}])
})

/** Lets the request arrive over its socket. */
async function untilSleeping(clock: FakeClock, count: number): Promise<void> {
  while (clock.sleeping < count) await settle()
}
