import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import {
  type AccountKind,
  type ClientServer,
  type CredentialKind,
  startClientServer,
} from '../support/client-server.ts'
import { startConnectProxy } from '../support/connect-proxy.ts'

// Programs that are not ours, unmodified, each with every credential that it can use here. What they
// cannot do, and whose limit that is, stands in docs/sandbox.md.

const run = promisify(execFile)
const MiB = 1024 * 1024
const largeBytes = 40 * MiB
const azcopy = process.env['AZCOPY'] ?? 'azcopy'
const rclone = process.env['RCLONE'] ?? 'rclone'
const python = process.env['PYTHON'] ?? 'python3'
const program = (name: string) => fileURLToPath(new URL(`../support/${name}`, import.meta.url))

type Variables = Readonly<Record<string, string>>

/** How a client finds its own libraries; nothing of Azure. */
const inherited: Variables = Object.fromEntries(
  ['PATH', 'PYTHONPATH', 'LD_LIBRARY_PATH'].flatMap((name) => {
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
const hasAzcopy = await works(azcopy, '--version')
const hasRclone = await works(rclone, 'version')
const hasAdlfs = await works(python, '-c', find, 'adlfs', 'aiohttp')
const hasDatalake =
  hasAdlfs && (await works(python, '-c', find, 'azure.storage.filedatalake', 'azure.identity'))

const noAzcopy = hasAzcopy ? false : 'needs azcopy (AZCOPY names it)'
const noRclone = hasRclone ? false : 'needs rclone (RCLONE names it)'
const noAdlfs = hasAdlfs ? false : 'needs the Python packages adlfs and aiohttp (PYTHON names one)'
const noDatalake = hasDatalake
  ? false
  : 'needs the Python packages azure-storage-file-datalake and azure-identity'

// Up to 20 seconds for each client, on a machine with other things to do.
t.setTimeout(300_000)

let server: ClientServer
let proxy: string

t.before(async () => {
  server = await startClientServer(t)
  proxy = await startConnectProxy(t)
})

/** A program with its environment; rejects with what it printed when it fails. */
async function command(argv: readonly string[], env: Variables): Promise<string> {
  const [file = '', ...rest] = argv
  const options = { env: { ...inherited, ...server.environment, ...env }, maxBuffer: 10 * MiB }
  const { stdout, stderr } = await run(file, rest, options).catch(async (error) => {
    // The message would repeat the arguments, signatures among them.
    const printed = `${error.stdout}${error.stderr}`.slice(-2000)
    const logged = await failuresIn(env['AZCOPY_LOG_LOCATION'])
    const told = `${printed}${logged}`.replace(/sig=[^&\s]+/gu, 'sig=…')
    throw new Error(`${file} ${rest[0]} failed: ${told}`)
  })
  return `${stdout}${stderr}`
}

/** azcopy prints how much has failed; why is in its logs alone. */
async function failuresIn(directory: string | undefined): Promise<string> {
  if (directory === undefined) return ''
  const names = (await readdir(directory)).filter((name) => name.endsWith('.log'))
  const logs = await Promise.all(names.map((name) => readFile(join(directory, name), 'utf8')))
  const lines = logs.join('\n').split('\n')
  return lines
    .filter((line) => /FAILED: |ERROR CODE|RESPONSE Status: [45]/u.test(line))
    .join('\n')
    .slice(-4000)
}

/** A tree to send, of an hour ago: services know times to the second. */
async function sourceTree(directory: string): Promise<string> {
  const root = join(directory, 'source')
  await mkdir(join(root, 'deep', 'with space'), { recursive: true })
  const files = {
    'large.bin': randomBytes(largeBytes),
    'deep/small.txt': 'small',
    'deep/with space/ü & +.txt': 'odd',
  }
  const anHourAgo = new Date(Date.now() - 3_600_000)
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(root, name), content)
    await utimes(join(root, name), anHourAgo, anHourAgo)
  }
  return root
}

const treeBytes = largeBytes + 8

async function sameTree(t: Test, one: string, other: string): Promise<void> {
  const filesOf = async (root: string) =>
    (await readdir(root, { recursive: true })).filter((name) => /\.\w+$/u.test(name)).sort()
  const names = await filesOf(one)
  t.strictSame(await filesOf(other), names)
  for (const name of names) {
    const equal = (await readFile(join(one, name))).equals(await readFile(join(other, name)))
    t.ok(equal, name)
  }
}

interface AzcopyCase {
  readonly kind: AccountKind
  readonly face: 'Blob' | 'BlobFS'
  readonly credential: CredentialKind
}

const azcopyCases: readonly AzcopyCase[] = [
  { kind: 'flat', face: 'Blob', credential: 'sas' },
  { kind: 'flat', face: 'Blob', credential: 'token' },
  { kind: 'hierarchical', face: 'BlobFS', credential: 'sas' },
  { kind: 'hierarchical', face: 'BlobFS', credential: 'token' },
  { kind: 'hierarchical', face: 'BlobFS', credential: 'key' },
]

t.test('azcopy', { skip: noAzcopy }, async (t) => {
  t.jobs = azcopyCases.length
  for (const each of azcopyCases) {
    const title = `${each.kind} account, ${each.face}, ${each.credential}`
    t.test(title, (t) => copiesByAzcopy(t, each))
  }
})

async function copiesByAzcopy(t: Test, { kind, face, credential }: AzcopyCase): Promise<void> {
  const directory = t.testdir()
  const source = await sourceTree(directory)
  const env = { ...azcopyEnvironment(directory), ...azcopyLogin(kind, credential) }
  const trusted = `--trusted-microsoft-suffixes=${new URL(server.url).host.replace('127.0.', '')}`
  const options = credential === 'sas' ? [] : [trusted]
  const call = (...argv: string[]) => command([azcopy, ...argv, ...options], env)
  const query = credential === 'sas' ? `?${server.signature(kind)}` : ''
  const at = (path: string) =>
    `${server.url}/${kind}/${server.containerName}/${face}-${credential}/${path}${query}`
  const sent = (output: string) => Number(/Bytes Transferred: (\d+)/u.exec(output)?.[1])
  const back = join(directory, 'back')

  const first = await call('sync', source, at('a'), `--from-to=Local${face}`)
  const second = await call('sync', source, at('a'), `--from-to=Local${face}`)
  const listed = await call('list', at('a'), `--location=${face}`)
  await call('copy', at('a/*'), back, '--recursive', `--from-to=${face}Local`)

  t.equal(sent(first), treeBytes)
  t.match(second, /Final Job Status: Completed/u)
  t.equal(sent(second), 0)
  t.match(listed, /large\.bin; Content Length: 40\.00 MiB/u)
  t.match(listed, /deep\/with space\/ü & \+\.txt; Content Length: 3/u)
  await sameTree(t, source, back)

  // azcopy has no Shared Key for copies within the service.
  if (credential !== 'key') {
    // A signature for a container says nothing of the account's tiers.
    const copy = ['--recursive', `--from-to=${face}${face}`, '--s2s-preserve-access-tier=false']
    t.equal(sent(await call('copy', at('a/*'), at('b'), ...copy)), treeBytes)
  }
  await call('remove', at('a'), '--recursive', `--from-to=${face}Trash`)
  const left = await call('list', at(''), `--location=${face}`)
  t.notMatch(left, /^a\//mu)
}

function azcopyEnvironment(directory: string): Variables {
  return {
    HOME: directory,
    AZCOPY_LOG_LOCATION: directory,
    AZCOPY_JOB_PLAN_LOCATION: directory,
    AZCOPY_DISABLE_SYSLOG: 'true',
    AZCOPY_CONCURRENCY_VALUE: '4',
  }
}

function azcopyLogin(kind: AccountKind, credential: CredentialKind): Variables {
  if (credential === 'sas') return {}
  if (credential === 'key') return { ACCOUNT_NAME: kind, ACCOUNT_KEY: server.key }
  const { environment } = server
  return {
    AZCOPY_AUTO_LOGIN_TYPE: 'SPN',
    AZCOPY_TENANT_ID: environment['AZURE_TENANT_ID'] ?? '',
    AZCOPY_ACTIVE_DIRECTORY_ENDPOINT: environment['AZURE_AUTHORITY_HOST'] ?? '',
    AZCOPY_SPA_APPLICATION_ID: environment['AZURE_CLIENT_ID'] ?? '',
    AZCOPY_SPA_CLIENT_SECRET: environment['AZURE_CLIENT_SECRET'] ?? '',
  }
}

t.test('rclone', { skip: noRclone }, async (t) => {
  for (const kind of ['flat', 'hierarchical'] as const) {
    for (const credential of ['key', 'sas'] as const) {
      t.test(`${kind} account, ${credential}`, (t) => syncsByRclone(t, kind, credential))
    }
  }
})

async function syncsByRclone(t: Test, kind: AccountKind, credential: 'key' | 'sas'): Promise<void> {
  const directory = t.testdir()
  const source = await sourceTree(directory)
  const env = { HOME: directory, RCLONE_CONFIG: '/dev/null', ...rcloneRemote(kind, credential) }
  const call = (...argv: string[]) =>
    command([rclone, ...argv, '--retries=1', '--low-level-retries=1', '-v'], env)
  const at = (path: string) => `AZ:${server.containerName}/rclone-${credential}/${path}`
  const back = join(directory, 'back')

  const first = await call('sync', source, at('a'))
  const second = await call('sync', source, at('a'))
  const flat = await call('lsf', at('a'))
  const all = await call('lsf', '-R', '--files-only', at('a'))
  await call('check', source, at('a'))
  await call('copy', at('a'), back)
  const copied = await call('copy', at('a'), at('b'))
  await call('moveto', at('b/deep/small.txt'), at('b/moved.txt'))
  const moved = await call('lsf', '-R', '--files-only', at('b'))
  for (const path of ['a', 'b']) await call('purge', at(path))
  // Directories above the files stay on hierarchical accounts.
  const left = await call('lsf', '-R', '--files-only', `AZ:${server.containerName}`)

  t.match(first, /large\.bin: Copied \(new\)/u)
  t.match(second, /There was nothing to transfer/u)
  t.match(flat, /deep\/\nlarge\.bin|large\.bin\ndeep\//u)
  t.match(all, 'deep/with space/ü & +.txt')
  await sameTree(t, source, back)
  t.match(copied, /large\.bin: Copied \(server-side copy\)/u)
  t.match(moved, /moved\.txt/u)
  t.notMatch(moved, /small\.txt/u)
  t.notMatch(left, `rclone-${credential}`)
}

function rcloneRemote(kind: AccountKind, credential: 'key' | 'sas'): Variables {
  const remote = { RCLONE_CONFIG_AZ_TYPE: 'azureblob' }
  if (credential === 'sas') {
    const url = `${server.url}/${kind}/${server.containerName}?${server.signature(kind)}`
    return { ...remote, RCLONE_CONFIG_AZ_SAS_URL: url }
  }
  return {
    ...remote,
    RCLONE_CONFIG_AZ_ACCOUNT: kind,
    RCLONE_CONFIG_AZ_KEY: server.key,
    // It puts the account's name before this.
    RCLONE_CONFIG_AZ_ENDPOINT: `blob.localhost:${new URL(server.url).port}`,
    HTTPS_PROXY: proxy,
  }
}

const credentials = ['key', 'sas', 'token'] as const

t.test('@azure/storage-blob', async (t) => {
  for (const kind of ['flat', 'hierarchical'] as const) {
    for (const credential of credentials) {
      t.test(`${kind} account, ${credential}`, (t) => runsLibrary(t, 'blob', kind, credential))
    }
  }
})

t.test('@azure/storage-file-datalake', async (t) => {
  for (const credential of credentials) {
    const title = `hierarchical account, ${credential}`
    t.test(title, (t) => runsLibrary(t, 'datalake', 'hierarchical', credential))
  }
})

t.test('adlfs', { skip: noAdlfs }, async (t) => {
  t.jobs = 2
  for (const kind of ['flat', 'hierarchical'] as const) {
    for (const credential of credentials) {
      t.test(`${kind} account, ${credential}`, (t) => runsLibrary(t, 'adlfs', kind, credential))
    }
  }
})

t.test('azure-storage-file-datalake', { skip: noDatalake }, async (t) => {
  for (const credential of credentials) {
    const title = `hierarchical account, ${credential}`
    t.test(title, (t) => runsLibrary(t, 'python-datalake', 'hierarchical', credential))
  }
})

const node = [process.execPath, program('clients.mjs')]
const moved = ['access lists of a tree', 'rename', 'delete']
const large = ['create', 'upload large', 'download large']

/** How a library's program is called, and what it prints when all holds. */
const libraries = {
  blob: { argv: [...node, 'blob'], verbs: [...large, 'list flat', 'list', 'copy', 'delete'] },
  datalake: { argv: [...node, 'datalake'], verbs: [...large, 'list flat', 'list', ...moved] },
  adlfs: {
    argv: [python, program('clients.py'), 'adlfs'],
    verbs: [
      ...large,
      ...['list', 'find', 'walk', 'du', 'glob', 'copy', 'rename', 'copy tree', 'delete'],
    ],
  },
  'python-datalake': {
    argv: [python, program('clients.py'), 'datalake'],
    verbs: [...large, 'list', 'list flat', 'access list', ...moved],
  },
}

async function runsLibrary(
  t: Test,
  library: keyof typeof libraries,
  kind: AccountKind,
  credential: CredentialKind,
): Promise<void> {
  const { argv, verbs } = libraries[library]
  const output = await command([...argv, kind, credential], {
    ENDPOINT: `${server.url}/${kind}`,
    CONTAINER: server.containerName,
    ROOT: `${library}-${credential}`,
    KEY: server.key,
    SAS: server.signature(kind),
    SIZE: String(largeBytes),
    SPREAD: '50',
  })

  t.strictSame(output.trim().split('\n'), verbs)
}
