import { once } from 'node:events'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import {
  failsWith,
  outputOf,
  runAbfs,
  startAbfs,
  temporaryDirectory,
  until,
  whyNoCli,
} from '../support/cli.ts'
import { type SandboxConnector, startSandboxConnector } from '../support/sandbox-connector.ts'
import { appServicePath, sendRaw } from '../support/test-agent.ts'

const skip = whyNoCli()

t.jobs = 3

let azure: SandboxConnector

t.before(async () => {
  if (skip === false) azure = await startSandboxConnector(t)
})

t.test('exec ends with the code of its command', { skip }, async (t) => {
  const env = azure.client
  const sh = (script: string) => runAbfs(['exec', '--', 'sh', '-c', script], { env })

  const [seven, killed, missing, plain] = await Promise.all([
    sh('echo out; echo err >&2; exit 7'),
    sh('kill -KILL $$'),
    runAbfs(['exec', '--', '/nonexistent/program'], { env }),
    runAbfs(['exec', '--', '/etc'], { env }),
  ])

  t.match(seven, { code: 7, stdout: 'out\n', stderr: 'err\n' })
  t.match(killed, { code: 137 })
  t.match(missing, { code: 127, stderr: 'abfs: /nonexistent/program: command not found\n' })
  t.match(plain, { code: 126, stderr: /cannot be run/ })
})

t.test('exec passes streams, arguments and signals to its command', { skip }, async (t) => {
  const env = azure.client
  const cat = await runAbfs(['exec', '--', 'cat', '-'], { env, input: 'typed' })
  t.equal(cat.stdout, 'typed')
  const echo = await runAbfs(['exec', '--', 'echo', '--write', '-x', 'a b'], { env })
  t.equal(echo.stdout, '--write -x a b\n')

  const signals = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2'] as const
  const outcomes = signals.map(async (signal) => {
    const trap = `trap 'echo got; exit 9' ${signal.slice(3)}; echo up; while :; do sleep 0.05; done`
    const child = startAbfs(['exec', '--', 'sh', '-c', trap], { env })
    const output = outputOf(child)
    await until(() => output.stdout.includes('up'))
    child.kill(signal)
    const [code] = await once(child, 'close')
    t.strictSame([code, output.stdout], [9, 'up\ngot\n'], signal)
  })
  await Promise.all(outcomes)
})

t.test('the command knows an agent and none of what the agent knows', { skip }, async (t) => {
  const secrets = { AZURE_CLIENT_SECRET: 'azure-secret', ABFS_CONNECTOR_KEY: '' }
  const env = { ...azure.client, ...secrets }

  const { stdout, stderr } = await runAbfs(['exec', '--', 'env'], { env })

  t.match(stdout, /^IDENTITY_ENDPOINT=http:\/\/127\.0\.0\.1:\d+\/msi\/token$/m)
  t.match(stdout, /^IDENTITY_HEADER=[0-9a-f]{64}$/m)
  t.notMatch(stdout, /azure-secret|ABFS_CONNECTOR/)
  t.equal(stderr, '')
})

t.test('the agent of exec is gone when its command is', { skip }, async (t) => {
  const { stdout } = await runAbfs(['exec', '--', 'printenv', 'IDENTITY_ENDPOINT'], {
    env: azure.client,
  })

  await t.rejects(sendRaw(new URL(stdout.trim()), {}), { code: 'ECONNREFUSED' })
})

t.test('a refusal by the connector is told at once, with its reason', { skip }, async (t) => {
  const key = `abfs_${'0'.repeat(43)}`
  const { ABFS_CONNECTOR_KEY_FILE: _file, ...rest } = azure.client
  const env = { ...rest, ABFS_CONNECTOR_KEY: key }

  const result = await runAbfs(['exec', '--', 'sleep', '1'], { env })

  t.equal(result.code, 0)
  t.match(result.stderr, /^abfs: EACCES: .*\nhint: /)
  t.notMatch(result.stderr, key)
})

t.test(
  'agent writes its variables for one user, serves, and leaves nothing',
  { skip },
  async (t) => {
    const envFile = join(await temporaryDirectory(t), 'agent.env')
    const child = startAbfs(['agent', '--env-file', envFile, '--log-level', 'trace'], {
      env: azure.client,
    })
    const output = outputOf(child)
    await until(() => existsSync(envFile) || child.exitCode !== null)
    const text = readFileSync(envFile, 'utf8')
    const variable = (name: string): string =>
      new RegExp(`^${name}=(.*)$`, 'm').exec(text)?.[1] ?? ''
    const [endpoint, header] = [variable('IDENTITY_ENDPOINT'), variable('IDENTITY_HEADER')]

    t.equal(statSync(envFile).mode & 0o777, 0o600)
    const headers = { 'x-identity-header': header }
    const path = appServicePath()
    const answer = await sendRaw(new URL(endpoint), { path, headers })
    const refused = await sendRaw(new URL(endpoint), { path, headers: {} })
    const foreign = await sendRaw(new URL(endpoint), {
      path: appServicePath('https://vault.azure.net'),
      headers,
    })
    child.kill('SIGTERM')
    const [code] = await once(child, 'close')

    t.strictSame([answer.status, refused.status, foreign.status], [200, 401, 403])
    t.equal(code, 0)
    t.notOk(existsSync(envFile))
    t.equal(output.stdout, '')
    t.match(output.stderr, /audience_not_allowed/, 'refusals are logged')
    const token = String(answer.body['access_token'])
    const key = (await readFile(azure.client['ABFS_CONNECTOR_KEY_FILE'] ?? '', 'utf8')).trim()
    for (const secret of [header, token, token.split('.')[2] ?? '', key, azure.key]) {
      t.ok(secret.length > 40)
      t.notOk(output.stderr.includes(secret), 'no secret in the log at its most talkative')
    }
    await t.rejects(sendRaw(new URL(endpoint), {}), { code: 'ECONNREFUSED' })
  },
)

t.test('agent prints JSON, and warns of credentials that would come first', { skip }, async (t) => {
  const env = { ...azure.client, AZURE_CLIENT_SECRET: 'hidden' }
  const child = startAbfs(['agent', '--json'], { env })
  const output = outputOf(child)
  await until(() => output.stdout.endsWith('\n') || child.exitCode !== null)
  child.kill('SIGINT')
  await once(child, 'close')

  t.match(JSON.parse(output.stdout), {
    account: azure.sandbox.account,
    pid: child.pid,
    unset: ['AZURE_CLIENT_SECRET'],
    variables: { IDENTITY_HEADER: /^[0-9a-f]{64}$/ },
  })
  t.notMatch(output.stdout, 'hidden')
})

t.test('mistakes are told by flag', { skip }, async (t) => {
  const env = azure.client
  const run = (...argv: string[]) => runAbfs(argv, { env })

  failsWith(t, await run('exec'), { code: 2, line: /missing required argument 'command'/ })
  failsWith(t, await run('exec', '--service', 'queue', '--', 'true'), {
    code: 2,
    line: /blob, dfs/,
  })
  failsWith(t, await run('exec', '--federated-token-file', 'f', '--', 'true'), {
    code: 2,
    line: /--client-id and --tenant-id/,
  })
  failsWith(t, await runAbfs(['exec', '--', 'true']), { code: 2, line: /ABFS_ACCOUNT/ })
})

t.test('helpers refuse clearly what the connector does not vend', { skip }, async (t) => {
  const env = azure.client
  const registry = 'registry1.azurecr.io'

  const docker = await runAbfs(['credential', 'docker', 'get'], { env, input: registry })
  const hub = await runAbfs(['credential', 'docker', 'get'], { env, input: 'docker.io' })
  const kubectl = await runAbfs(['credential', 'kubernetes', '--cluster', 'g/c'], { env })
  const directory = await temporaryDirectory(t)
  const file = join(directory, 'token')
  const federation = ['--federated-token-file', file, '--client-id', 'c', '--tenant-id', 't']
  const federated = await runAbfs(['exec', ...federation, '--', 'true'], { env })

  t.match(docker, { code: 1, stdout: /^abfs: E[A-Z]+: .*registry1\.azurecr\.io/ })
  t.match(hub, { code: 1, stdout: 'credentials not found in native keychain\n' })
  t.notOk(kubectl.code === 0)
  t.match(kubectl.stderr, /^abfs: E[A-Z]+: .*g\/c/)
  t.match(federated.stderr, /AzureADTokenExchange/)
  t.notOk(existsSync(file))
})
