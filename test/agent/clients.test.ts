import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { RestError } from '@azure/storage-blob'
import { decodeJwt } from 'jose'
import t, { type Test } from 'tap'
import { MiB } from '../../src/byte-range.ts'
import { systemClock } from '../../src/clock.ts'
import { ConnectorClient } from '../../src/connector/client.ts'
import { undiciHandler } from '../../src/http/undici-handler.ts'
import { outputOf, startAbfs, until, type Variables, whyNoCli } from '../support/cli.ts'
import { blobServiceOf } from '../support/sandbox-clients.ts'
import { type SandboxConnector, startSandboxConnector } from '../support/sandbox-connector.ts'

/*
 * Clients that are not ours, unmodified, beside `abfs exec`: each reads and writes, outlives the
 * token it had, and reads and writes again. Tokens live five seconds, so that the blob service
 * refuses the first one by then.
 */

const run = promisify(execFile)
const program = (name: string): string =>
  fileURLToPath(new URL(`../support/${name}`, import.meta.url))
const lifetimeMs = 5_000

const noCli = whyNoCli()
const azcopy = process.env['AZCOPY'] ?? 'azcopy'
const python = process.env['PYTHON'] ?? 'python3'
const zenmlPython = process.env['ZENML_PYTHON'] ?? python
/** How a client finds its own libraries; nothing of Azure. */
const inherited = Object.fromEntries(
  ['PYTHONPATH', 'LD_LIBRARY_PATH'].flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value]]
  }),
)

async function works(command: string, ...argv: string[]): Promise<boolean> {
  return run(command, argv).then(
    () => true,
    () => false,
  )
}

// Finding a module is quick; importing some takes seconds.
const find =
  'import sys; from importlib.util import find_spec as f; assert all(map(f, sys.argv[1:]))'
const hasPython = (...modules: string[]): Promise<boolean> => works(python, '-c', find, ...modules)
const noAdlfs = (await hasPython('adlfs', 'aiohttp', 'azure.identity'))
  ? false
  : 'needs the Python packages adlfs, aiohttp and azure-identity (PYTHON names an interpreter)'
const noBlob = (await hasPython('azure.identity', 'azure.storage.blob'))
  ? false
  : 'needs the Python packages azure-identity and azure-storage-blob'
const noDatalake = (await hasPython('azure.identity', 'azure.storage.filedatalake'))
  ? false
  : 'needs the Python packages azure-identity and azure-storage-file-datalake'
const noZenml = (await works(zenmlPython, '-c', find, 'zenml', 'adlfs'))
  ? false
  : 'needs the Python packages zenml and adlfs (ZENML_PYTHON names an interpreter)'
const noCliCore = (await hasPython('azure.cli.core', 'azure.storage.blob'))
  ? false
  : 'needs the Python packages azure-cli-core and azure-storage-blob'
const noAzcopy = (await works(azcopy, '--version')) ? false : 'needs azcopy (AZCOPY names it)'

/** Built anew, with its modules from where Go has them or gets them. */
async function builtGoClient(): Promise<{ readonly path: string } | { readonly why: string }> {
  if (process.env['ABFS_LONG_TESTS'] !== '1')
    return { why: 'is built with ABFS_LONG_TESTS=1 alone' }
  if (!(await works('go', 'version'))) return { why: 'needs Go' }
  const path = join(t.testdir(), 'go-client')
  try {
    await run('go', ['build', '-o', path, '.'], { cwd: program('go-client'), timeout: 240_000 })
    return { path }
  } catch (error) {
    return { why: `needs Azure's modules for Go: ${String(error).split('\n')[1] ?? ''}` }
  }
}
const go = await builtGoClient()

const clients = [
  { kind: 'go', argv: ['path' in go ? go.path : ''], skip: noCli || ('why' in go && go.why) },
  { kind: 'node-default', argv: [process.execPath, program('agent-client.mjs')], skip: noCli },
  { kind: 'node-imds', argv: [process.execPath, program('agent-client.mjs')], skip: noCli },
  { kind: 'adlfs', argv: [python, program('agent-client.py')], skip: noCli || noAdlfs },
  { kind: 'azure-storage-blob', argv: [python, program('agent-client.py')], skip: noCli || noBlob },
  { kind: 'imds', argv: [python, program('agent-client.py')], skip: noCli || noBlob },
  { kind: 'azure-cli', argv: [python, program('agent-client.py')], skip: noCli || noCliCore },
  { kind: 'datalake', argv: [python, program('agent-client.py')], skip: noCli || noDatalake },
  { kind: 'zenml', argv: [zenmlPython, program('agent-client.py')], skip: noCli || noZenml },
]

let azure: SandboxConnector
let env: Variables

t.before(async () => {
  if (noCli !== false) return
  azure = await startSandboxConnector(t, { tokenLifetimeMs: lifetimeMs })
  env = { ...inherited, ...azure.client }
})

t.test('clients work beside exec, and go on when their token has ended', async (t) => {
  t.jobs = clients.length + 2
  t.test(
    'azcopy uploads longer than a token lives, lists and downloads',
    { skip: noCli || noAzcopy },
    copiesByAzcopy,
  )
  for (const { kind, argv, skip } of clients) {
    t.test(kind, { skip }, (t) => outlivesItsToken(t, kind, argv))
  }
  t.test('the control: a token that is kept is refused by then', { skip: noCli }, async (t) => {
    const http = undiciHandler()
    t.teardown(() => http.close())
    const connector = new ConnectorClient({
      endpoint: new URL(azure.client['ABFS_CONNECTOR_URL'] ?? ''),
      callerProof: async () => azure.key,
      http: http.handle,
      clock: systemClock,
      kind: 'bearer',
    })
    const { account } = azure.sandbox
    const scope = { account, service: 'blob', permissions: ['read'] } as const
    const credential = await connector.getCredential(scope)
    const token = credential.kind === 'bearer' ? credential.token : ''
    const expiresOnTimestamp = Number(decodeJwt(token).exp) * 1000
    const keep = { getToken: async () => ({ token, expiresOnTimestamp: expiresOnTimestamp + 1e6 }) }
    const container = blobServiceOf(azure.sandbox, keep).getContainerClient('data')
    await t.resolves(container.getProperties())

    await until(() => Date.now() > expiresOnTimestamp + 1_100)

    const refused = await container.getProperties().catch((error: RestError) => error.statusCode)
    t.equal(refused, 403)
  })
})

async function outlivesItsToken(t: Test, kind: string, argv: readonly string[]): Promise<void> {
  const child = startAbfs(['exec', '--write', '--', ...argv, kind], { env })
  const output = outputOf(child)
  await until(() => /^ready$/m.test(output.stdout) || child.exitCode !== null)
  const readyMs = Date.now()
  await until(() => Date.now() > readyMs + lifetimeMs + 1_000)
  child.stdin?.end('\n')
  if (child.exitCode === null) await once(child, 'close')

  t.equal(child.exitCode, 0, output.stderr.slice(-500))
  const line = (word: string): string | undefined =>
    output.stdout.split('\n').find((each) => each.startsWith(`${word} `))
  const seen = kind === 'datalake' ? "\\['data'\\]" : `${kind}/file.txt`
  t.match(line('first'), new RegExp(`${seen}.* .*one`))
  t.match(line('second'), new RegExp(`${seen}.* .*two`))
}

async function copiesByAzcopy(t: Test): Promise<void> {
  const directory = t.testdir()
  const content = randomBytes(3 * MiB)
  await writeFile(join(directory, 'up.bin'), content)
  const { blobEndpoint } = azure.sandbox
  // azcopy sends tokens to hosts of Azure, and to those that end in a name it is told.
  const trusted = `--trusted-microsoft-suffixes=${blobEndpoint.host.replace(/^127\.0\./, '')}`
  const places = { AZCOPY_LOG_LOCATION: directory, AZCOPY_JOB_PLAN_LOCATION: directory }
  const copy = async (...argv: string[]): Promise<string> => {
    const options = { env: { ...env, ...places, HOME: directory } }
    const child = startAbfs(['exec', '--write', '--', azcopy, ...argv, trusted], options)
    const output = outputOf(child)
    await once(child, 'close')
    t.equal(child.exitCode, 0, output.stdout.slice(-500))
    return output.stdout
  }
  const blob = `${blobEndpoint.href}/data/azcopy/up.bin`
  const down = join(directory, 'down.bin')

  const slowly = ['--block-size-mb=0.25', '--cap-mbps=4']
  await copy('copy', join(directory, 'up.bin'), blob, '--from-to=LocalBlob', ...slowly)
  const listed = await copy('list', `${blobEndpoint.href}/data/azcopy`, '--location=Blob')
  await copy('copy', blob, down, '--from-to=BlobLocal')

  t.match(listed, /up\.bin; Content Length: 3/)
  t.ok(content.equals(await readFile(down)))
}

t.test(
  'all that was given out were tokens that the connector wrote down, and none a signature',
  { skip: noCli },
  (t) => {
    const { records } = azure.audit

    const given = records.filter(({ decision }) => decision === 'granted')
    t.ok(given.length > 0)
    for (const record of given) t.match(record, { kind: 'bearer' })
    // A token that is late on a busy machine is a failure, after which a client asks again; none was denied one.
    for (const record of records) t.not(record.decision, 'denied', JSON.stringify(record))
    t.end()
  },
)
