import type { ChildProcess } from 'node:child_process'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Test, test } from 'tap'
import { stringify } from 'yaml'
import { systemClock } from '../../../src/clock.ts'
import { generateCallerKey } from '../../../src/connector/authenticate.ts'
import { ConnectorClient } from '../../../src/connector/client.ts'
import { generateRingLine } from '../../../src/connector/state/seal.ts'
import { CachedCredentialProvider } from '../../../src/credential/cached-provider.ts'
import type { Credential, Scope } from '../../../src/credential/credential.ts'
import { undiciHandler } from '../../../src/http/undici-handler.ts'
import { type Sandbox, startSandbox } from '../../../src/sandbox/sandbox.ts'
import { whyNoCli } from '../../support/cli.ts'
import { postgresPrograms, startPostgres } from '../../support/postgres-server.ts'
import { serveConnector } from '../../support/served-connector.ts'
import { stateDirectory } from '../../support/temp-state.ts'

/* A connector with a state is killed (SIGKILL) while it vends, registers and makes keys. */

const operator = generateCallerKey()
const trainer = generateCallerKey()
const secretOf = (name: string): string => `SEEDED-SECRET-${name}-8471`
/** With ABFS_LONG_TESTS=1 it is killed ten times. */
const rounds = process.env['ABFS_LONG_TESTS'] === '1' ? 10 : 2

interface Bench {
  readonly sandbox: Sandbox
  readonly file: string
  readonly scope: Scope
}

async function openBench(t: Test, state: object, url = ''): Promise<Bench> {
  const sandbox = await startSandbox({ containers: ['data'] })
  t.teardown(() => sandbox.close())
  const directory = t.testdir({
    'ca.pem': sandbox.caPem,
    'sealing.keys': generateRingLine('a'),
    secret: sandbox.clientSecret,
    url,
  })
  const auth = { kind: 'service-principal', tenantId: sandbox.tenantId, clientId: sandbox.clientId }
  const file = join(directory, 'connector.yaml')
  const config = {
    listen: { port: 0 },
    identity: {
      ...auth,
      clientSecretFile: join(directory, 'secret'),
      authorityHost: sandbox.authorityHost.href,
      disableInstanceDiscovery: true,
    },
    caFile: join(directory, 'ca.pem'),
    accounts: [{ name: sandbox.account, blobEndpoint: sandbox.blobEndpoint.href }],
    state: { ...state, sealingKeysFile: join(directory, 'sealing.keys') },
    callers: [
      { name: 'operator', admin: true, keySha256: operator.keySha256 },
      { name: 'trainer', keySha256: trainer.keySha256 },
    ],
    policy: [
      { caller: 'trainer', account: sandbox.account, container: 'data', permissions: ['read'] },
    ],
    requestsPerMinute: 100_000_000,
  }
  await writeFile(file, stringify(config))
  const scope = {
    account: sandbox.account,
    service: 'blob',
    container: 'data',
    permissions: ['read'],
  } as const
  return { sandbox, file, scope }
}

interface Answer {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: the test looks at whatever stands there
  readonly json: any
}

async function send(url: URL, key: string, body?: object): Promise<Answer> {
  const response = await fetch(url, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return { status: response.status, json: await response.json() }
}

/** All that the connector has said that it did. */
class Acknowledged {
  readonly audits = new Set<string>()
  readonly connectors = new Set<string>()
  readonly keys = new Map<string, string>()
}

/** Asks, registers and makes keys until the connector is dead. */
async function load(
  { scope }: Bench,
  { child, url }: { child: ChildProcess; url: URL },
  done: Acknowledged,
): Promise<void> {
  const until = done.audits.size + 150
  const forever = async (step: (n: number) => Promise<void>): Promise<void> => {
    for (let n = 0; ; n += 1) await step(n)
  }
  const vend = async (): Promise<void> => {
    const { status, json } = await send(new URL('/v1/credentials', url), trainer.key, { scope })
    if (status === 200) done.audits.add(json.auditId)
    const isEnough = done.audits.size >= until && done.keys.size > 0 && done.connectors.size > 0
    if (isEnough) child.kill('SIGKILL')
  }
  const register = async (n: number): Promise<void> => {
    const name = `c${child.pid}-${n}`
    const { status } = await send(new URL('/v1/connectors', url), operator.key, {
      name,
      auth: {
        method: 'service-principal',
        tenantId: 't',
        clientId: 'c',
        clientSecret: secretOf(name),
      },
      resources: [{ type: 'azure-generic', id: 'https://vault.azure.net' }],
    })
    if (status === 201) done.connectors.add(name)
  }
  const makeKey = async (n: number): Promise<void> => {
    const caller = `k${child.pid}-${n}`
    const { status, json } = await send(new URL('/v1/keys', url), operator.key, { caller })
    if (status === 201) done.keys.set(json.key, caller)
  }
  const work = [...Array.from({ length: 6 }, () => vend), register, makeKey]
  await Promise.allSettled(work.map(forever))
}

/** A client that asks wherever the connector is at the moment. */
function clientOf(t: Test, place: () => URL): ConnectorClient {
  const http = undiciHandler()
  t.teardown(() => http.close())
  return new ConnectorClient({
    endpoint: new URL('http://127.0.0.1:1/'),
    callerProof: async () => trainer.key,
    http: (request) => http.handle({ ...request, url: new URL(request.url.pathname, place()) }),
    clock: systemClock,
  })
}

async function auditIds(url: URL): Promise<ReadonlySet<string>> {
  const ids = new Set<string>()
  for (let before = ''; ; ) {
    const page = new URL(`/v1/audit?limit=1000${before}`, url)
    const { json } = await send(page, operator.key)
    for (const { auditId } of json.records) ids.add(auditId)
    if (json.next === undefined) return ids
    before = `&before=${json.next}`
  }
}

/** Whatever was acknowledged before the kill is there after it. */
async function checkKept(t: Test, url: URL, done: Acknowledged): Promise<void> {
  const written = await auditIds(url)
  const lost = [...done.audits].filter((id) => !written.has(id))
  t.equal(lost.length, 0, `none of ${done.audits.size} audit lines is lost`)
  const { json } = await send(new URL('/v1/connectors', url), operator.key)
  const names = new Set(json.connectors.map(({ name }: { name: string }) => name))
  t.same(
    [...done.connectors].filter((name) => !names.has(name)),
    [],
    `none of ${done.connectors.size} connectors is lost`,
  )
  for (const [key] of done.keys) {
    const { status } = await send(new URL('/v1/resources?type=azure-generic', url), key)
    if (status !== 200) t.fail('a key that was given is not known')
  }
  t.ok(done.keys.size > 0, `none of ${done.keys.size} keys is lost`)
}

async function killedAgainAndAgain(t: Test, bench: Bench): Promise<Acknowledged> {
  const done = new Acknowledged()
  let served = await serveConnector(t, bench.file)
  const direct = clientOf(t, () => served.url)
  const cache = new CachedCredentialProvider(direct, { clock: systemClock })
  const held: Credential = await cache.getCredential(bench.scope)
  for (let round = 0; round < rounds; round += 1) {
    await load(bench, served, done)
    t.equal(await cache.getCredential(bench.scope), held, 'the client goes on with what it has')
    served = await serveConnector(t, bench.file)
    await checkKept(t, served.url, done)
    t.match(await direct.getCredential(bench.scope), { kind: 'sas' }, 'and it vends')
  }
  served.child.kill('SIGKILL')
  return done
}

async function filesWith(directory: string, texts: readonly string[]): Promise<readonly string[]> {
  const found = new Set<string>()
  const entries = await readdir(directory, { withFileTypes: true, recursive: true })
  for (const entry of entries.filter((each) => each.isFile())) {
    const bytes = await readFile(join(entry.parentPath, entry.name))
    for (const text of texts) if (bytes.includes(text)) found.add(text)
  }
  return [...found]
}

test('with an embedded database nothing that was acknowledged is lost, and no secret is in it', {
  skip: whyNoCli(),
}, async (t) => {
  const directory = await stateDirectory()
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const bench = await openBench(t, { directory })
  const done = await killedAgainAndAgain(t, bench)

  const [name = ''] = done.connectors
  t.same(await filesWith(directory, [name]), [name], 'the search finds what is there')
  const keys = [...done.keys.keys()].flatMap((key) => [key, key.slice(-43)])
  const secrets = [...done.connectors].map(secretOf)
  const own = [bench.sandbox.clientSecret, trainer.key, operator.key]
  t.same(await filesWith(directory, [...keys, ...secrets, ...own]), [])
})

/** `undefined` where it is not installed, which is told. */
async function onPostgres(t: Test) {
  const programs = await postgresPrograms()
  if (programs === undefined) {
    t.pass('skipped: PostgreSQL is not installed (script/setup --tests)', { skip: true })
    return undefined
  }
  const server = await startPostgres(programs)
  t.teardown(() => server.stop())
  const state = { postgresUrlFile: join(t.testdirName, 'url') }
  return { server, bench: await openBench(t, state, server.url) }
}

test('with PostgreSQL neither', { skip: whyNoCli() }, async (t) => {
  const opened = await onPostgres(t)
  if (opened === undefined) return
  const { server, bench } = opened
  const done = await killedAgainAndAgain(t, bench)

  const dump = await server.dump()
  const [name = ''] = done.connectors
  t.ok(dump.includes(name), 'the dump has what is there')
  const keys = [...done.keys.keys()].flatMap((key) => [key, key.slice(-43)])
  const secrets = [...done.connectors].map(secretOf)
  for (const secret of [...keys, ...secrets, bench.sandbox.clientSecret, trainer.key]) {
    if (dump.includes(secret)) t.fail('a secret stands in the dump')
  }
})

/** What a balancer does: the first replica that answers. */
async function byEither(urls: readonly URL[], ask: (url: URL) => Promise<Answer>): Promise<Answer> {
  let failure: unknown
  for (const url of urls) {
    try {
      return await ask(url)
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

test('of two replicas on one PostgreSQL one is killed: clients go on with the other, and nothing is lost', {
  skip: whyNoCli(),
}, async (t) => {
  const opened = await onPostgres(t)
  if (opened === undefined) return
  const { bench } = opened
  const mortal = await serveConnector(t, bench.file)
  const other = await serveConnector(t, bench.file)
  const done = new Acknowledged()
  const vends = { before: 0, after: 0, moved: 0 }
  const goal = 300
  const client = async (index: number): Promise<void> => {
    const replicas = index % 2 === 0 ? [mortal.url, other.url] : [other.url, mortal.url]
    while (vends.after < goal) {
      const isDead = mortal.child.killed
      const { status, json } = await byEither(replicas, (url) => {
        if (url === other.url && index % 2 === 0) vends.moved += 1
        return send(new URL('/v1/credentials', url), trainer.key, { scope: bench.scope })
      })
      if (status !== 200) throw new Error(`a vend was answered by ${status}`)
      done.audits.add(json.auditId)
      vends[isDead ? 'after' : 'before'] += 1
    }
  }
  const administer = async (): Promise<void> => {
    for (let n = 0; vends.before < 200 || n === 0; n += 1) {
      const key = await send(new URL('/v1/keys', mortal.url), operator.key, { caller: `r-${n}` })
      if (key.status === 201) done.keys.set(key.json.key, `r-${n}`)
    }
    mortal.child.kill('SIGKILL')
  }

  await Promise.all([administer(), ...Array.from({ length: 8 }, (_, index) => client(index))])

  t.ok(vends.moved > 0, `${vends.moved} requests went to the other replica`)
  t.ok(vends.after >= goal, `${vends.before} vends before the kill and ${vends.after} after it`)
  await checkKept(t, other.url, done)
  other.child.kill('SIGKILL')
})
