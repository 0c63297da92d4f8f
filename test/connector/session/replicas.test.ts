import t from 'tap'
import { generateCallerKey } from '../../../src/connector/authenticate.ts'
import { parseConnectorConfig } from '../../../src/connector/config.ts'
import { openPostgresDatabase } from '../../../src/connector/state/postgres-database.ts'
import { generateRingLine, parseKeyRing } from '../../../src/connector/state/seal.ts'
import { openState } from '../../../src/connector/state/state.ts'
import { DpopClient } from '../../support/dpop-client.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { postgresPrograms, startPostgres } from '../../support/postgres-server.ts'
import { startTestConnector } from '../../support/test-connector.ts'

const trainer = generateCallerKey()
// Replicas stand behind one name, for which proofs are signed.
const service = 'https://abfs.example.org'
const config = parseConnectorConfig(
  `
listen: { port: 0, publicUrl: '${service}' }
identity: { kind: service-principal, tenantId: t, clientId: c, clientSecretEnv: S }
accounts: [{ name: acct, hierarchicalNamespace: true }]
callers: [{ name: trainer, keySha256: ${trainer.keySha256} }]
policy:
  - { caller: trainer, account: acct, container: data, permissions: [read, list] }
`,
  { file: 'test.yaml' },
)
const scope = { account: 'acct', service: 'blob', container: 'data', permissions: ['read'] }

t.test('a proof shown to one replica is used at the other', async (t) => {
  const programs = await postgresPrograms()
  if (programs === undefined) {
    // The embedded database is one process's alone: only PostgreSQL has replicas.
    t.pass('skipped: PostgreSQL is not installed (script/setup --tests)', { skip: true })
    return
  }
  const server = await startPostgres(programs)
  t.teardown(() => server.stop())
  const clock = new FakeClock(1_800_000_000_000)
  const ring = parseKeyRing(generateRingLine('test'), 'memory')
  const replica = async (): Promise<URL> => {
    const state = await openState({ database: await openPostgresDatabase(server.url), ring, clock })
    const bench = await startTestConnector({ config, clock, state })
    t.teardown(() => bench.close())
    return bench.connector.url
  }
  const [first, second] = [await replica(), await replica()]
  const client = await DpopClient.make(() => clock.nowMs())
  const bearer = `Bearer ${trainer.key}`
  const open = async () => {
    const proof = await client.proof('POST', new URL('/v1/sessions', service))
    const body = { grants: [scope] }
    return client.send('POST', new URL('/v1/sessions', first), bearer, { body, proof })
  }
  t.equal((await open()).status, 401, 'the nonce comes with the first refusal')
  const { status, json, text } = await open()
  t.equal(status, 201, text)

  const path = `/v1/sessions/${json.sessionId}/credentials`
  const dpop = `DPoP ${json.accessToken}`
  const body = { needs: [{ scope }] }
  const made = () => client.proof('POST', new URL(path, service), json.accessToken)
  const ask = (replica: URL, proof: string) =>
    client.send('POST', new URL(path, replica), dpop, { body, proof })

  for (const [one, other] of [
    [first, second],
    [second, first],
  ] as const) {
    const proof = await made()
    const given = await ask(one, proof)
    t.equal(given.status, 200, given.text)
    t.match(await ask(other, proof), { status: 401, json: { detail: /used before/ } })
    t.match(await ask(one, proof), { status: 401, json: { detail: /used before/ } })
  }
  const proof = await made()
  const both = await Promise.all([ask(first, proof), ask(second, proof)])
  t.same(both.map((each) => each.status).sort(), [200, 401], 'at the same time too')
})
