import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { generateCallerKey } from '../../src/connector/authenticate.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import {
  failsWith,
  outputOf,
  runAbfs,
  startAbfs,
  startCliSandbox,
  temporaryDirectory,
  until,
  whyNoCli,
} from '../support/cli.ts'

t.test('what can go wrong with credentials and names', { skip: whyNoCli() }, async (t) => {
  const { client, variables } = await startCliSandbox(t)

  t.test('a connector that is down is told with its address', async (t) => {
    const env = { ...client, ABFS_CONNECTOR_URL: 'http://127.0.0.1:9/' }

    const result = await runAbfs(['ls', 'abfs://data'], { env })

    failsWith(t, result, {
      code: 5,
      line: /the connector at http:\/\/127\.0\.0\.1:9\/ does not answer/,
    })
  })

  t.test('a caller that the connector does not know is denied', async (t) => {
    const file = join(await temporaryDirectory(t), 'key')
    const { key } = generateCallerKey()
    await writeFile(file, key)

    const env = { ...client, ABFS_CONNECTOR_KEY_FILE: file }
    const result = await runAbfs(['ls', 'abfs://data'], { env })

    failsWith(t, result, { code: 4, line: /EACCES/ })
    t.notMatch(result.stderr, new RegExp(key))
  })

  t.test('a key file that is missing is named', async (t) => {
    const env = { ...client, ABFS_CONNECTOR_KEY_FILE: '/nowhere/key' }

    failsWith(t, await runAbfs(['ls'], { env }), {
      code: 2,
      line: /ENOENT: cannot read the key file \/nowhere\/key/,
    })
  })

  t.test('an account that policy does not name is denied, and told who to ask', async (t) => {
    const result = await runAbfs(['ls', '--account', 'other', 'abfs://data'], { env: client })

    failsWith(t, result, { code: 4, line: /caller 'developer'.*'other'/ })
    t.match(result.stderr, /hint: .*operator/)
  })

  t.test('permissions that policy does not give are denied', async (t) => {
    const directory = await temporaryDirectory(t)
    const config = join(directory, 'connector.yaml')
    const yaml = readFileSync(variables['ABFS_CONNECTOR_CONFIG'] ?? '', 'utf8')
    await writeFile(config, yaml.replace(/ {6}- (create|write|delete)\n/g, ''))
    const connector = startAbfs(['connector', 'serve', '--config', config])
    t.teardown(() => connector.kill())
    const output = outputOf(connector)
    await until(() => output.stderr.includes('listens on'))
    const [, url = ''] = /listens on (\S+);/.exec(output.stderr) ?? []
    const env = { ...client, ABFS_CONNECTOR_URL: url }

    t.equal((await runAbfs(['ls', 'abfs://data'], { env })).code, 0)
    const result = await runAbfs(['cp', '-', 'abfs://data/x'], { env, input: 'x' })

    failsWith(t, result, { code: 4, line: /not granted|permission/ })
  })

  t.test('a container that is missing is told with what to do', async (t) => {
    const result = await runAbfs(['ls', 'abfs://missing'], { env: client })

    failsWith(t, result, { code: 3, line: /container does not exist/ })
    t.match(result.stderr, /hint: .*abfs mkdir/)
  })

  t.test('a blob that is missing is told with its path', async (t) => {
    failsWith(t, await runAbfs(['cat', 'abfs://data/missing'], { env: client }), {
      code: 3,
      line: /ENOENT: .*abfs:\/\/data\/missing/,
    })
  })

  t.test('names that Azure refuses are told before anything is sent', async (t) => {
    failsWith(t, await runAbfs(['ls', 'abfs://No_Good'], { env: client }), {
      code: 2,
      line: /name that Azure refuses/,
    })
    const tooLong = `abfs://data/${'x'.repeat(1100)}`
    failsWith(t, await runAbfs(['cp', '-', tooLong], { env: client, input: 'x' }), {
      code: 2,
      line: /ENAMETOOLONG/,
    })
  })

  t.test('a path outside the root of artifacts is refused', async (t) => {
    const argv = ['artifact', 'delete', '--root', 'abfs://data/root', '../x']

    failsWith(t, await runAbfs(argv, { env: client }), {
      code: 2,
      line: /'\.\.' segment.*'\.\.\/x'/,
    })
  })

  t.test('an unknown authority of certificates is told', async (t) => {
    const { ABFS_CA_FILE: _, ...env } = client

    failsWith(t, await runAbfs(['ls', 'abfs://data'], { env }), {
      code: 1,
      line: /certificate .* is not trusted/,
    })
  })

  t.test('a local file that is missing is told as such', async (t) => {
    failsWith(t, await runAbfs(['cp', '/nowhere/x', 'abfs://data/x'], { env: client }), {
      code: 3,
      line: /ENOENT: .*\/nowhere\/x/,
    })
  })

  t.test('a port in use is told by the connector with its number', async (t) => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    const { port } = server.address() as AddressInfo
    const config = join(await temporaryDirectory(t), 'connector.yaml')
    const yaml = readFileSync(variables['ABFS_CONNECTOR_CONFIG'] ?? '', 'utf8')
    await writeFile(config, yaml.replace('port: 0', `port: ${port}`))

    failsWith(t, await runAbfs(['connector', 'serve', '--config', config]), {
      code: 6,
      line: new RegExp(`port ${port} on 127\\.0\\.0\\.1 is in use`),
    })
  })

  t.test('a mistake in the connector’s configuration is told with file and key', async (t) => {
    const config = join(await temporaryDirectory(t), 'connector.yaml')
    await writeFile(config, 'identity: { kind: nonsense }\n')

    failsWith(t, await runAbfs(['connector', 'serve', '--config', config]), {
      code: 2,
      line: /identity\.kind.*connector\.yaml/,
    })
  })
})

t.test('when credentials run out', { skip: whyNoCli() }, async (t) => {
  const sandbox = await startSandbox({ containers: ['data'], tokenLifetimeMs: 4000 })
  t.teardown(() => sandbox.close())
  const directory = await temporaryDirectory(t)
  const { key, keySha256 } = generateCallerKey()
  await writeFile(join(directory, 'key'), key)
  await writeFile(join(directory, 'secret'), sandbox.clientSecret)
  const config = {
    listen: { port: 0 },
    identity: {
      kind: 'service-principal',
      tenantId: sandbox.tenantId,
      clientId: sandbox.clientId,
      clientSecretFile: join(directory, 'secret'),
      authorityHost: sandbox.authorityHost.href,
      disableInstanceDiscovery: true,
    },
    caFile: sandbox.caFile,
    accounts: [{ name: sandbox.account, blobEndpoint: sandbox.blobEndpoint.href }],
    callers: [{ name: 'tester', keySha256 }],
    policy: [
      {
        caller: 'tester',
        account: sandbox.account,
        container: 'data',
        permissions: ['read', 'list', 'create', 'write', 'delete'],
        credentials: ['bearer'],
      },
    ],
    audit: join(directory, 'audit.jsonl'),
  }
  // JSON is YAML.
  await writeFile(join(directory, 'connector.yaml'), JSON.stringify(config))
  const startConnector = async () => {
    const child = startAbfs(['connector', 'serve', '--config', join(directory, 'connector.yaml')])
    const output = outputOf(child)
    t.teardown(() => child.kill())
    await until(() => output.stderr.includes('listens on') || child.exitCode !== null)
    const [, url = ''] = /listens on (\S+);/.exec(output.stderr) ?? []
    return { child, url }
  }
  const environment = (url: string) => ({
    ABFS_ACCOUNT: sandbox.account,
    ABFS_BLOB_ENDPOINT: sandbox.blobEndpoint.href,
    ABFS_CA_FILE: sandbox.caFile,
    ABFS_CONNECTOR_URL: url,
    ABFS_CONNECTOR_KEY_FILE: join(directory, 'key'),
  })
  const block = Buffer.alloc(9 * 1024 * 1024)

  const countGrants = () =>
    existsSync(config.audit) ? readFileSync(config.audit, 'utf8').split('"granted"').length : 0

  /** Begins a copy from standard input, lets `between` happen after its first block, and ends it. */
  const copyAround = async (url: string, name: string, between: () => Promise<void>) => {
    const child = startAbfs(['cp', '-', `abfs://data/${name}`], { env: environment(url) })
    const output = outputOf(child)
    const closed = once(child, 'close')
    const before = countGrants()
    // A copy that has failed reads no further.
    child.stdin?.on('error', () => undefined)
    child.stdin?.write(block)
    await until(() => countGrants() > before)
    await between()
    child.stdin?.end(block)
    const [code] = (await closed) as [number | null]
    return { code, ...output }
  }

  t.test('a token that expired and whose renewal Entra refuses fails the copy', async (t) => {
    const { url } = await startConnector()

    const result = await copyAround(url, 'refused', async () => {
      sandbox.controls.setFailure({
        status: 401,
        error: 'invalid_client',
        description: 'AADSTS7000222: The provided client secret keys are expired.',
      })
      await expiry()
    })
    sandbox.controls.setFailure(undefined)

    failsWith(t, result, { code: 1, line: /no credential was given.*AADSTS7000222/ })
    const { code } = await runAbfs(['cat', 'abfs://data/refused'], { env: environment(url) })
    t.equal(code, 3, 'nothing half-written is there')
  })

  t.test('a connector that goes down in the middle of a copy fails it', async (t) => {
    const { child, url } = await startConnector()

    const result = await copyAround(url, 'downed', async () => {
      child.kill('SIGKILL')
      await once(child, 'exit')
      await expiry()
    })

    failsWith(t, result, { code: 5, line: /the connector at .* does not answer/ })
  })

  /** The tokens of this sandbox live for four seconds, by Azurite's own clock. */
  const expiry = () => new Promise<void>((resolve) => setTimeout(resolve, 4500))
})
