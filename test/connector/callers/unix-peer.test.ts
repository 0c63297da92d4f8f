import { execFile } from 'node:child_process'
import { chmod, mkdtemp, rm, stat } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { generateCallerKey } from '../../../src/connector/authenticate.ts'
import { type ConnectorConfig, parseConnectorConfig } from '../../../src/connector/config.ts'
import { canTellPeerCredentials, peerCredentials } from '../../../src/peer-credentials.ts'
import { granted } from '../../conformance/credentials.ts'
import { startTestConnector, type TestConnector } from '../../support/test-connector.ts'

/* Callers that the kernel names: who is at the other end of a Unix socket. */

const skip = canTellPeerCredentials() ? false : 'the addon is not built'
const asOthers = process.getuid?.() === 0 ? false : 'only root can be other users'
const [own, ownGroup] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0]

function configOn(path: string, callers: string): ConnectorConfig {
  const key = generateCallerKey()
  return parseConnectorConfig(
    `
listen: { unixSocket: ${path} }
identity: { kind: service-principal, tenantId: t, clientId: c, clientSecretEnv: S }
accounts: [{ name: acct }]
callers:
  - { name: keyed, keySha256: ${key.keySha256} }
${callers}
policy:
  - { caller: trainer, account: acct, container: data, permissions: [read, list] }
`,
    { file: 'test.yaml' },
  )
}

async function start(
  t: Test,
  callers: string,
): Promise<{ readonly bench: TestConnector; readonly path: string }> {
  // Not in the test's own directory: the path of a socket has 107 bytes at most.
  const directory = await mkdtemp(join(tmpdir(), 'abfs-'))
  await chmod(directory, 0o755)
  const path = join(directory, 'c.sock')
  const bench = await startTestConnector({ config: configOn(path, callers) })
  t.teardown(async () => {
    await bench.close()
    await rm(directory, { recursive: true })
  })
  return { bench, path }
}

interface Answer {
  readonly status: number
  readonly principal?: string
  readonly reason?: string
}

/** Asks as another process; `as` are the arguments of setpriv(1), or none for this user. */
async function ask(path: string, as: readonly string[] = []): Promise<Answer> {
  const script = `
    const request = require('node:http').request({
      socketPath: ${JSON.stringify(path)}, path: '/v1/credentials', method: 'POST',
      headers: { 'content-type': 'application/json' },
    }, async (response) => {
      const { principal, reason } = JSON.parse(await response.toArray().then((all) => Buffer.concat(all)))
      console.log(JSON.stringify({ status: response.statusCode, principal, reason }))
    })
    request.on('error', ({ code }) => console.log(JSON.stringify({ status: 0, reason: code })))
    request.end(${JSON.stringify(JSON.stringify({ scope: granted }))})`
  const [command = '', ...argv] = [
    ...(as.length === 0 ? [] : ['setpriv', ...as]),
    process.execPath,
    '-e',
    script,
  ]
  const { stdout } = await promisify(execFile)(command, argv, { timeout: 20_000 })
  return JSON.parse(stdout)
}

t.test('the kernel tells user, group and process of a peer', { skip }, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'abfs-'))
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(join(directory, 's'), resolve))
  const client = connect(join(directory, 's'))
  const accepted = await new Promise<ReturnType<typeof connect>>((resolve) =>
    server.once('connection', resolve),
  )
  t.match(peerCredentials(accepted), { pid: process.pid, uid: own, gid: ownGroup })
  const groups = new Set([...(peerCredentials(accepted)?.groups ?? []), ownGroup])
  t.same([...groups].sort(), [...new Set(process.getgroups?.())].sort())
  client.destroy()
  accepted.destroy()
  t.equal(peerCredentials(accepted), undefined, 'a closed socket has none')
  server.close()
  await rm(directory, { recursive: true })
})

t.test('a user id is a caller, and stands in the audit log', { skip }, async (t) => {
  const { bench, path } = await start(t, `  - { name: trainer, unixPeer: { uid: ${own} } }`)
  t.equal((await stat(path)).mode & 0o777, 0o666, 'anybody may open it: the kernel tells who')
  t.match(await ask(path), { status: 200, principal: 'trainer' })
  t.match(bench.audit.records.at(-1), { peer: new RegExp(`^uid ${own} pid [0-9]+$`) })
})

t.test('users, groups and both are told apart', { skip: skip || asOthers }, async (t) => {
  const user = (uid: number, gid: number, groups = ''): string[] => [
    `--reuid=${uid}`,
    `--regid=${gid}`,
    groups === '' ? '--clear-groups' : `--groups=${groups}`,
  ]
  const refused = { status: 401, reason: 'caller_unknown' }
  const cases: [string, string[], object][] = [
    ['{ uid: 30001 }', user(30001, 1), { status: 200 }],
    ['{ uid: 30001 }', user(30002, 30001), refused],
    ['{ uid: 30001 }', [], refused],
    ['{ gid: 30005 }', user(30002, 30005), { status: 200 }],
    ['{ gid: 30005 }', user(30002, 1, '30004,30005'), { status: 200 }],
    ['{ gid: 30005 }', user(30005, 1, '30004'), refused],
    ['{ uid: 30001, gid: 30005 }', user(30001, 1, '30005'), { status: 200 }],
    ['{ uid: 30001, gid: 30005 }', user(30001, 1), refused],
    ['{ uid: 30001, gid: 30005 }', user(30002, 30005), refused],
  ]
  for (const rule of new Set(cases.map(([each]) => each))) {
    const { path } = await start(t, `  - { name: trainer, unixPeer: ${rule} }`)
    for (const [, as, expected] of cases.filter(([each]) => each === rule)) {
      t.match(await ask(path, as), expected, `${rule} as ${as.join(' ')}`)
    }
  }
})

t.test(
  'beside rules for peers, unixSocket: true is still the owner alone',
  { skip: skip || asOthers },
  async (t) => {
    const { path } = await start(
      t,
      '  - { name: other, unixPeer: { uid: 30009 } }\n  - { name: trainer, unixSocket: true }',
    )
    t.match(await ask(path), { status: 200, principal: 'trainer' })
    const stranger = ['--reuid=30001', '--regid=30001', '--clear-groups']
    t.match(await ask(path, stranger), { status: 401 })
    const { path: closed } = await start(t, '  - { name: trainer, unixSocket: true }')
    t.match(await ask(closed, stranger), { status: 0, reason: 'EACCES' }, 'mode 0600')
  },
)

t.test('a rule that cannot be kept is refused', (t) => {
  const rejected = (text: string, message: RegExp): void => {
    const yaml = `${text}\nidentity: { kind: service-principal, tenantId: t, clientId: c, clientSecretEnv: S }\n`
    t.throws(() => parseConnectorConfig(yaml, { file: 'test.yaml' }), { code: 'EINVAL', message })
  }
  rejected('callers: [{ name: a, unixPeer: { uid: 1 } }]', /unixPeer.*needs listen.unixSocket/)
  rejected('callers: [{ name: a, unixSocket: true }]', /unixSocket.*needs listen.unixSocket/)
  rejected('callers: [{ name: a, unixPeer: {} }]', /give uid or gid/)
  rejected('callers: [{ name: a, unixPeer: { uid: -1 } }]', /unixPeer.uid/)
  rejected('callers: [{ name: a, unixPeer: { user: root } }]', /'user' is not a key/)
  rejected('callers: [{ name: a, unixSocket: true, unixPeer: { uid: 1 } }]', /give one of/)
  t.end()
})
