import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { request as send } from 'undici'
import { startControlPort } from '../../src/storage-server/control/control-port.ts'
import { Ledger } from '../../src/storage-server/control/ledger.ts'
import { openLedgerFile } from '../../src/storage-server/control/ledger-file.ts'
import { ServerControl } from '../../src/storage-server/control/server-control.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { accountName, storageRequest, testAccount } from '../support/storage-request.ts'

type Ask = (
  method: string,
  path: string,
  body?: unknown,
  secret?: string,
) => Promise<{ status: number; body: Record<string, unknown> }>

async function start(
  t: Test,
): Promise<{ control: ServerControl; clock: FakeClock; ask: Ask; secret: string }> {
  const clock = new FakeClock()
  const control = new ServerControl({ clock })
  const port = await startControlPort(control)
  t.teardown(() => port.close())
  const ask: Ask = async (method, path, body, secret = port.secret) => {
    const answer = await send(new URL(path, port.url), {
      method: method as 'GET',
      headers: { authorization: `Bearer ${secret}` },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    return {
      status: answer.statusCode,
      body: (await answer.body.json()) as Record<string, unknown>,
    }
  }
  return { control, clock, ask, secret: port.secret }
}

t.test('nobody without the secret gets anything', async (t) => {
  const { ask, control } = await start(t)

  for (const secret of ['', 'x', 'undefined']) {
    t.equal((await ask('PUT', '/clock', { skewMs: 5 }, secret)).status, 401)
  }
  t.equal(control.clock.skewMs, 0)
})

t.test('faults are put, shown and taken away', async (t) => {
  const { ask, control } = await start(t)
  const rule = {
    id: 'f',
    verb: 'PutBlob',
    path: 'x$',
    nth: 3,
    count: 1,
    effect: { kind: 'status', status: 503, retryAfterSeconds: 1 },
  }

  const put = await ask('PUT', '/faults', { faults: [rule] })

  t.same(put, { status: 200, body: { faults: [{ id: 'f', rule, matched: 0 }] } })
  t.same((await ask('GET', '/faults')).body, put.body)
  t.equal(control.faults.active.length, 1)
  t.same((await ask('DELETE', '/faults')).body, { faults: [] })
})

t.test('clock, link, roles and revocations are put and shown', async (t) => {
  const { ask, control, clock } = await start(t)
  const account = testAccount(clock)
  const principal = { objectId: 'o', tenantId: 't' }
  const period = { expiresMs: clock.nowMs() + 1000, version: '2024-11-04' }
  const key = control.delegationKeys.issue(account, principal, period)
  const assignments = [
    {
      objectId: 'o',
      role: 'Storage Blob Data Reader',
      account: 'a',
      container: 'c',
      pathPrefix: 'p/',
    },
  ]

  t.same((await ask('PUT', '/clock', { skewMs: -5000 })).body, {
    skewMs: -5000,
    nowMs: clock.nowMs() - 5000,
  })
  t.same((await ask('PUT', '/latency', { latencyMs: 5, bytesPerSecond: 10 })).status, 200)
  t.same((await ask('PUT', '/roles', { assignments })).status, 200)
  t.same(
    (await ask('PUT', '/revoked', { tokens: [{ tokenId: 'j' }], delegationKeysOf: [accountName] }))
      .status,
    200,
  )

  t.equal(control.clock.nowMs(), clock.nowMs() - 5000)
  t.same(control.link, { latencyMs: 5, bytesPerSecond: 10 })
  t.same((await ask('GET', '/latency')).body, control.link)
  t.same((await ask('GET', '/roles')).body, { assignments })
  t.same((await ask('GET', '/revoked')).body, { tokens: [{ tokenId: 'j' }] })
  t.ok(control.revocations.includes({ objectId: 'x', tokenId: 'j', issuedMs: 0 }))
  t.not(control.delegationKeys.valueOf(account, key), key.value)
  await ask('DELETE', '/revoked')
  t.same(control.revocations.list, [])
})

t.test('the ledger is read with filters and cleared', async (t) => {
  const { ask, control } = await start(t)
  const request = storageRequest(`https://${accountName}.blob.localhost/box/a?sig=SECRET`)
  for (const verb of ['GetBlob', 'PutBlob']) {
    const exchange = await control.begin(request, verb)
    exchange.end({ status: 200, bytesIn: 1, bytesOut: 2 })
  }

  const { body } = await ask('GET', '/ledger?verb=PutBlob')

  t.match(body, {
    entries: [{ verb: 'PutBlob', path: '/box/a', bytesOut: 2 }],
    counters: { GetBlob: { requests: 1 } },
  })
  t.same((body['entries'] as unknown[]).length, 1)
  t.notMatch(JSON.stringify(body), /SECRET/)
  await ask('DELETE', '/ledger')
  t.same((await ask('GET', '/ledger')).body, { entries: [], counters: {} })
})

t.test('what cannot be understood is refused with the reason and changes nothing', async (t) => {
  const { ask, control } = await start(t)
  const table = [
    ['PUT', '/faults', { faults: [{ effect: { kind: 'explode' } }] }, /kind/],
    ['PUT', '/faults', { faults: [{ verbs: 'x', effect: { kind: 'reset' } }] }, /verbs/],
    [
      'PUT',
      '/faults',
      { faults: [{ path: '(', effect: { kind: 'reset' } }] },
      /regular expression/,
    ],
    ['PUT', '/faults', { faults: [{ nth: 0, effect: { kind: 'reset' } }] }, /nth/],
    ['PUT', '/faults', 'not json', /JSON/],
    ['PUT', '/clock', {}, /skewMs/],
    ['PUT', '/latency', { bytesPerSecond: 0 }, /bytesPerSecond/],
    ['PUT', '/roles', { assignments: [{ objectId: 'o', role: 'King' }] }, /role/],
    ['PUT', '/revoked', { tokens: [{ before: 'x' }] }, /before/],
  ] as const
  for (const [method, path, body, reason] of table) {
    t.match(
      await ask(method, path, body),
      { status: 400, body: { error: reason } },
      JSON.stringify(body),
    )
  }
  t.equal((await ask('POST', '/faults')).status, 404)
  t.equal((await ask('PUT', '/faults', 'x'.repeat(1024 * 1024 + 1))).status, 400)
  t.same([control.faults.active, control.link, control.clock.skewMs], [[], {}, 0])
})

t.test('a ledger’s file gets a line of JSON for each request', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'abfs-ledger-'))
  t.teardown(() => rm(directory, { recursive: true }))
  const path = join(directory, 'ledger.jsonl')
  const file = openLedgerFile(path, (error) => t.error(error))
  const control = new ServerControl({
    clock: new FakeClock(),
    ledger: new Ledger({ onEntry: file.write }),
  })
  const request = storageRequest(`https://${accountName}.dfs.localhost/box/a`)
  for (let turn = 0; turn < 3; turn += 1) {
    const exchange = await control.begin(request, 'Path - Read')
    exchange.end({ status: 200, bytesIn: 0, bytesOut: turn })
  }
  await file.close()

  const lines = (await readFile(path, 'utf8')).trim().split('\n')

  t.match(
    lines.map((line) => JSON.parse(line)),
    [{ bytesOut: 0 }, { bytesOut: 1 }, { bytesOut: 2, face: 'dfs' }],
  )
})
