import { fdatasyncSync } from 'node:fs'
import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { z } from 'zod'
import type { Clock } from '../../../src/clock.ts'
import type { AuditRecord } from '../../../src/connector/audit.ts'
import type { ConnectorBody } from '../../../src/connector/model/connector.ts'
import { etagOf } from '../../../src/connector/model/record.ts'
import { openEmbeddedDatabase } from '../../../src/connector/state/embedded-database.ts'
import { openPostgresDatabase } from '../../../src/connector/state/postgres-database.ts'
import { generateRingLine, parseKeyRing } from '../../../src/connector/state/seal.ts'
import {
  DatabaseSessionStore,
  MemorySessionStore,
} from '../../../src/connector/state/session-store.ts'
import { openState, type State } from '../../../src/connector/state/state.ts'
import { postgresPrograms, startPostgres } from '../../support/postgres-server.ts'
import { stateDirectory } from '../../support/temp-state.ts'

const clock: Clock = { nowMs: () => 1_700_000_000_000, sleep: async () => undefined }
const ring = parseKeyRing(generateRingLine('a'), 'memory')
const secret = 'SEEDED-SECRET-8471'

function body(name: string): ConnectorBody {
  return {
    name,
    type: 'azure',
    description: '',
    auth: { method: 'service-principal', tenantId: 'contoso', clientId: 'app' },
    resources: [
      {
        type: 'blob-container',
        id: 'abfss://data@acct.dfs.core.windows.net',
        permissions: ['read', 'list'],
        credentials: ['sas'],
        maxTtlSeconds: 3600,
        onUnscopable: 'deny',
        enforceBearerTtl: false,
      },
    ],
    labels: { team: 'blue' },
  }
}

function line(n: number, caller: string): AuditRecord {
  return {
    time: new Date(clock.nowMs() + n).toISOString(),
    auditId: `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`,
    action: 'credentials.issue',
    decision: n % 2 === 0 ? 'granted' : 'denied',
    caller,
  }
}

/** The same behaviour of every database that a state stands on. */
function conforms(t: Test, name: string, state: State): void {
  const on = (title: string, check: (t: Test, state: State) => Promise<void>): void => {
    t.test(`${name}: ${title}`, async (t) => {
      for (const table of ['connectors', 'policies', 'api_keys', 'sessions', 'audit']) {
        await state.database.query(`delete from ${table}`)
      }
      await check(t, state)
    })
  }

  on('a record is found by id and by name, and listed by name', async (t, state) => {
    const b = await state.connectors.add(body('b'))
    const a = await state.connectors.add(body('a'))
    t.same(await state.connectors.get(b.id), b)
    t.same(await state.connectors.get('b'), b)
    t.same(await state.connectors.list(), [a, b])
    t.same(b.body, body('b'))
    t.equal(b.revision, 1)
    t.equal(b.createdAtMs, clock.nowMs())
    t.equal(await state.connectors.get('c'), undefined)
    t.equal(await state.connectors.get("a' or '1'='1"), undefined)
  })

  on('a name is given once', async (t, state) => {
    await state.connectors.add(body('a'))
    await t.rejects(state.connectors.add(body('a')), {
      name: 'ConnectorError',
      reason: 'conflict',
      status: 409,
    })
    const both = [state.connectors.add(body('x')), state.connectors.add(body('x'))]
    const settled = await Promise.allSettled(both)
    t.equal(settled.filter(({ status }) => status === 'fulfilled').length, 1)
  })

  on('a change needs the revision that it was made from', async (t, state) => {
    const old = await state.connectors.add(body('a'))
    const edit = (was: ConnectorBody) => ({ body: { ...was, description: 'new' } })
    const changed = await state.connectors.change('a', 1, edit)
    t.equal(changed.revision, 2)
    t.equal(changed.body.description, 'new')
    t.not(etagOf(changed), etagOf(old))
    const late = state.connectors.change('a', 1, edit)
    await t.rejects(late, { name: 'ConnectorError', reason: 'conflict', status: 412 })
    await t.rejects(state.connectors.remove('a', 1), {
      name: 'ConnectorError',
      reason: 'conflict',
    })
    await t.rejects(state.connectors.change('b', 1, edit), {
      name: 'ConnectorError',
      reason: 'not_found',
      status: 404,
    })
    t.equal((await state.connectors.remove('a', 2)).revision, 2)
    t.same(await state.connectors.list(), [])
  })

  on('concurrent changes of one revision: one wins', async (t, state) => {
    await state.connectors.add(body('a'))
    const change = (n: number) =>
      state.connectors.change('a', 1, (was) => ({ body: { ...was, description: String(n) } }))
    const settled = await Promise.allSettled([1, 2, 3, 4, 5].map(change))
    t.equal(settled.filter(({ status }) => status === 'fulfilled').length, 1)
    t.equal((await state.connectors.get('a'))?.revision, 2)
  })

  on('secrets are sealed, opened, kept by a change and replaced by one', async (t, state) => {
    const { id } = await state.connectors.add(body('a'), { clientSecret: secret })
    const [row] = await state.database.query('select secrets from connectors')
    t.notMatch(JSON.stringify(row), secret)
    t.same(await state.connectors.secrets(id), { clientSecret: secret })
    await state.connectors.change('a', 1, (was) => ({ body: was }))
    t.same(await state.connectors.secrets(id), { clientSecret: secret })
    await state.connectors.change('a', 2, (was) => ({ body: was, secrets: { token: 'other' } }))
    t.same(await state.connectors.secrets(id), { token: 'other' })
  })

  on('rotation seals everything with the first key, and the old one can go', async (t, state) => {
    const { id } = await state.connectors.add(body('a'), { clientSecret: secret })
    const added = parseKeyRing(generateRingLine('b'), 'memory')
    const both = { current: 'b', keys: new Map([...ring.keys, ...added.keys]) }
    const shared = { ...state.database, query: state.database.query.bind(state.database) }
    const transaction = state.database.transaction.bind(state.database)
    const database = { ...shared, transaction, shared: true, close: async () => undefined }
    const rotated = await openState({ database, ring: both, clock })
    t.equal(await rotated.reseal(), 1)
    t.equal(await rotated.reseal(), 0)
    const alone = await openState({ database, ring: added, clock })
    t.same(await alone.connectors.secrets(id), { clientSecret: secret })
    await t.rejects(openState({ database, ring, clock }), { code: 'EACCES', message: /'b'/ })
    const back = { current: 'a', keys: both.keys }
    t.equal(await (await openState({ database, ring: back, clock })).reseal(), 1)
  })

  on('each change counts up the generation, by which replicas notice', async (t, state) => {
    const before = await state.generation()
    await state.policies.add({ name: 'p', caller: 'c', connector: 'a' })
    await state.policies.change('p', 1, (was) => ({ body: was }))
    await state.policies.remove('p', 2)
    t.equal(await state.generation(), before + 3)
  })

  on('audit lines are found by who, what, when, and page by page', async (t, state) => {
    const writes = Array.from({ length: 1200 }, (_, n) =>
      state.audit.write(line(n, n < 600 ? 'trainer' : 'pod')),
    )
    await Promise.all(writes)
    const page = await state.audit.find({ limit: 100 })
    t.equal(page.records.length, 100)
    t.equal(page.records[0]?.auditId, line(1199, '').auditId)
    const next = await state.audit.find({ limit: 100, before: page.next })
    t.equal(next.records[0]?.auditId, line(1099, '').auditId)
    const some = await state.audit.find({ caller: 'trainer', decision: 'denied', limit: 1000 })
    t.equal(some.records.length, 300)
    t.equal(some.next, undefined)
    t.same((await state.audit.find({ auditId: line(7, '').auditId, limit: 9 })).records, [
      line(7, 'trainer'),
    ])
    const sinceMs = clock.nowMs() + 1190
    t.equal((await state.audit.find({ sinceMs, limit: 100 })).records.length, 10)
    t.equal(await state.audit.prune(sinceMs), 1190)
    t.equal((await state.audit.find({ limit: 100 })).records.length, 10)
  })

  on('a database of a later version is left alone', async (t, state) => {
    await state.database.query('insert into schema_version values (99, 0)')
    await t.rejects(openState({ database: state.database, ring, clock }), { code: 'ENOTSUP' })
    await state.database.query('delete from schema_version where version = 99')
  })

  on('sessions', async (t, state) => {
    const schema = z.object({ caller: z.string() })
    const stores = [new DatabaseSessionStore(state.database, schema), new MemorySessionStore()]
    for (const store of stores) {
      const session = {
        id: '00000000-0000-4000-8000-000000000001',
        body: { caller: 'trainer' },
        refreshHash: 'h1',
        revision: 1,
        expiresAtMs: 1000,
      }
      await store.add(session)
      t.same(await store.get(session.id), session)
      const turned = { ...session, refreshHash: 'h2', revision: 2, expiresAtMs: 2000 }
      const both = await Promise.all([store.replace(turned), store.replace(turned)])
      t.same(both.sort(), [false, true], 'one of two that refresh together')
      t.same(await store.get(session.id), turned)
      t.equal(await store.count(), 1)
      t.equal(await store.sweep(1999), 0)
      t.equal(await store.sweep(2000), 1)
      await store.add(session)
      t.equal(await store.remove(session.id), true)
      t.equal(await store.remove(session.id), false)
      t.equal(await store.get(session.id), undefined)
    }
  })
}

t.test('embedded', async (t) => {
  const directory = await stateDirectory()
  t.teardown(() => rm(directory, { recursive: true }))
  await t.test('conforms', async (t) => {
    const state = await openState({ database: await openEmbeddedDatabase(directory), ring, clock })
    t.teardown(() => state.close())
    conforms(t, 'embedded', state)
  })

  t.test('what is committed is on the disk, unless that is not wanted', async (t) => {
    const statement = 'insert into changes_of_test values (1)'
    let synced = 0
    const sync = (descriptor: number): void => {
      fdatasyncSync(descriptor)
      synced += 1
    }
    const wary = await openEmbeddedDatabase(directory, { sync })
    await wary.query('create table changes_of_test (n int)')
    synced = 0
    for (let n = 1; n <= 5; n += 1) {
      await wary.query(statement)
      t.equal(synced, n, 'each commit is one fdatasync of the log')
    }
    await wary.transaction(async ({ query }) => {
      for (let n = 0; n < 5; n += 1) await query(statement)
    })
    t.equal(synced, 6, 'a transaction is one')
    await wary.query('checkpoint')
    t.ok(synced > 7, 'a checkpoint puts tables on the disk')
    await wary.close()
    const quick = await openEmbeddedDatabase(directory, { sync: false })
    t.same(await quick.query('show fsync'), [{ fsync: 'off' }])
    t.same(await quick.query('select count(*) from changes_of_test'), [{ count: 10 }])
    await quick.close()
  })

  t.test('one process at a time has it open', async (t) => {
    const database = await openEmbeddedDatabase(directory)
    await t.rejects(openEmbeddedDatabase(directory), { code: 'EBUSY', path: directory })
    await database.close()
    await (await openEmbeddedDatabase(directory)).close()
  })

  t.test('its files are for their owner alone and hold no secret in clear', async (t) => {
    const state = await openState({ database: await openEmbeddedDatabase(directory), ring, clock })
    await state.connectors.add(body('grep'), { clientSecret: secret })
    await state.database.query('checkpoint')
    await state.close()
    t.equal((await stat(directory)).mode & 0o777, 0o700)
    t.equal(await filesWith(directory, 'grep'), true, 'the search finds what is there')
    t.equal(await filesWith(directory, secret), false)
    t.equal(await filesWith(directory, Buffer.from(secret).toString('base64').slice(0, 20)), false)
  })
})

t.test('PostgreSQL', async (t) => {
  const programs = await postgresPrograms()
  if (programs === undefined) {
    t.pass('skipped: PostgreSQL is not installed (script/setup --tests)', { skip: true })
    return
  }
  const server = await startPostgres(programs)
  const state = await openState({ database: await openPostgresDatabase(server.url), ring, clock })
  t.teardown(() => state.close())
  t.teardown(() => server.stop())
  conforms(t, 'PostgreSQL', state)

  t.test('replicas that start together migrate once', async (t) => {
    const admin = await openPostgresDatabase(server.url)
    await admin.query('create database fresh')
    await admin.close()
    const url = server.url.replace(/postgres$/, 'fresh')
    const states = await Promise.all(
      [1, 2, 3, 4].map(async () =>
        openState({ database: await openPostgresDatabase(url), ring, clock }),
      ),
    )
    const [first, second] = states
    await first?.connectors.add(body('shared'), { clientSecret: secret })
    const found = await second?.connectors.get('shared')
    t.same(await second?.connectors.secrets(found?.id ?? ''), { clientSecret: secret })
    for (const state of states) await state.close()
  })

  t.test('a server that is not there is told without the URL', async (t) => {
    const url = 'postgres://user:hunter2@127.0.0.1:1/none'
    const error = await openPostgresDatabase(url).catch((thrown: unknown) => thrown)
    t.match(error, { code: 'EIO', retryable: true })
    t.notMatch(String(error), /hunter2/)
  })
})

async function filesWith(directory: string, text: string): Promise<boolean> {
  const files = await readdir(directory, { recursive: true, withFileTypes: true })
  for (const file of files) {
    if (!file.isFile()) continue
    if ((await readFile(join(file.parentPath, file.name))).includes(text)) return true
  }
  return false
}
