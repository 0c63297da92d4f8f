import { randomBytes } from 'node:crypto'
import { chmodSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { inspect } from 'node:util'
import t from 'tap'
import { loadConfig, runtimeDirectory, stateDirectory } from '../src/config.ts'

const connector = {
  ABFS_CONNECTOR_URL: 'https://127.0.0.1:1',
  ABFS_CONNECTOR_KEY: 'k3y-of-a-caller',
}

t.test('without flags and variables everything is a default', async (t) => {
  const config = loadConfig({}, {})

  t.equal(config.account, undefined)
  t.equal(config.connector, undefined)
  t.equal(config.logLevel, 'info')
  t.strictSame([...new Set(Object.values(config.origins))], ['default'])
})

t.test('a flag beats the variable of the same value', async (t) => {
  const config = loadConfig({ account: 'fromflag' }, { ABFS_ACCOUNT: 'fromvariable' })

  t.equal(config.account, 'fromflag')
  t.equal(config.origins['account'], '--account')
})

t.test('of the variables that name an account abfs’s own comes first', async (t) => {
  const all = { ABFS_ACCOUNT: 'a', AZURE_STORAGE_ACCOUNT_NAME: 'b', AZURE_STORAGE_ACCOUNT: 'c' }

  t.equal(loadConfig({}, all).account, 'a')
  t.equal(loadConfig({}, { ...all, ABFS_ACCOUNT: '' }).account, 'b')
  t.equal(
    loadConfig({}, { AZURE_STORAGE_ACCOUNT: 'c' }).origins['account'],
    'AZURE_STORAGE_ACCOUNT',
  )
})

t.test('an origin names the flag as it is typed', async (t) => {
  const config = loadConfig({ blobEndpoint: 'https://127.0.0.1:1/devstoreaccount1' }, {})

  t.equal(config.origins['blobEndpoint'], '--blob-endpoint')
})

t.test('file names become absolute', async (t) => {
  t.equal(loadConfig({ cacheDir: 'x/y' }, {}).cacheDir, resolve('x/y'))
})

t.test('a configuration cannot be changed', async (t) => {
  const config = loadConfig({}, connector)

  t.ok(Object.isFrozen(config))
  t.ok(Object.isFrozen(config.connector))
  t.ok(Object.isFrozen(config.origins))
})

t.test('a connector’s key does not show when the configuration is printed', async (t) => {
  const config = loadConfig({}, connector)

  t.notMatch(inspect(config, { depth: 9, showHidden: true }), /k3y/)
  t.notMatch(JSON.stringify(config), /k3y/)
  t.match(config.connector?.proof, { kind: 'key' })
  t.equal(
    config.connector?.proof.kind === 'key' && config.connector.proof.key.reveal(),
    connector.ABFS_CONNECTOR_KEY,
  )
})

t.test('the key is read from its file without the line break at its end', async (t) => {
  const file = join(t.testdir({ key: 'the-key\n' }), 'key')

  const { connector: settings } = loadConfig(
    {},
    { ABFS_CONNECTOR_URL: 'https://h:1', ABFS_CONNECTOR_KEY_FILE: file },
  )

  t.equal(settings?.proof.kind === 'key' && settings.proof.key.reveal(), 'the-key')
})

t.test('sessions are asked for by one word', async (t) => {
  t.equal(loadConfig({}, connector).connector?.session, false)
  const asked = { ...connector, ABFS_CONNECTOR_SESSION: '1' }
  t.equal(loadConfig({}, asked).connector?.session, true)
  t.equal(loadConfig({ connectorSession: '0' }, asked).connector?.session, false)
  const wrong = { ...connector, ABFS_CONNECTOR_SESSION: 'yes' }
  t.throws(() => loadConfig({}, wrong), { message: /ABFS_CONNECTOR_SESSION must be one of 0, 1/ })
})

t.test('a proof given by flag hides those of the environment', async (t) => {
  const { connector: settings, origins } = loadConfig(
    { connectorTokenFile: '/run/token' },
    connector,
  )

  t.strictSame(settings?.proof, { kind: 'token-file', file: '/run/token' })
  t.equal(origins['connectorProof'], '--connector-token-file')
})

const refused: readonly [string, Parameters<typeof loadConfig>, RegExp][] = [
  [
    'an endpoint that is no URL',
    [{ blobEndpoint: 'nonsense' }, {}],
    /--blob-endpoint must be a URL/,
  ],
  [
    'an endpoint of another protocol',
    [{}, { ABFS_BLOB_ENDPOINT: 'ftp://h' }],
    /ABFS_BLOB_ENDPOINT must be a URL/,
  ],
  ['an unknown log level', [{ logLevel: 'loud' }, {}], /--log-level must be one of trace, debug/],
  [
    'a connector without a proof',
    [{}, { ABFS_CONNECTOR_URL: 'https://h' }],
    /nothing proves who is calling/,
  ],
  [
    'a connector over plain http',
    [{}, { ...connector, ABFS_CONNECTOR_URL: 'http://connector.example.org' }],
    /ABFS_CONNECTOR_URL must be an https URL, or http on 127\.0\.0\.1/,
  ],
  [
    'two proofs',
    [{}, { ...connector, ABFS_CONNECTOR_TOKEN_FILE: '/t' }],
    /ABFS_CONNECTOR_TOKEN_FILE are both set/,
  ],
]
for (const [name, args, message] of refused) {
  t.test(`${name} is refused with EINVAL and the name of its setting`, async (t) => {
    t.throws(() => loadConfig(...args), { code: 'EINVAL', syscall: 'config', message })
  })
}

t.test('a query in an endpoint is refused and not repeated', async (t) => {
  const endpoint = 'https://h/?sig=s3cret'

  t.throws(() => loadConfig({ blobEndpoint: endpoint }, {}), { message: /no secrets in URLs/ })
  t.throws(() => loadConfig({ blobEndpoint: 'x:?sig=s3cret' }, {}), {
    message: /^((?!s3cret).)*$/,
  })
})

t.test('a key file that is missing is refused with ENOENT and its name', async (t) => {
  const environment = { ABFS_CONNECTOR_URL: 'https://h', ABFS_CONNECTOR_KEY_FILE: '/nowhere/key' }

  t.throws(() => loadConfig({}, environment), {
    code: 'ENOENT',
    message: /key file \/nowhere\/key/,
  })
})

t.test('an empty key file is refused', async (t) => {
  const file = join(t.testdir({ key: '\n' }), 'key')

  t.throws(() => loadConfig({ connectorUrl: 'https://h', connectorKeyFile: file }, {}), {
    code: 'EINVAL',
    message: /empty file/,
  })
})

t.test(
  'logs go to the state directory and drives are noted in the runtime directory',
  async (t) => {
    const environment = { XDG_STATE_HOME: '/s', XDG_RUNTIME_DIR: '/r' }

    t.equal(stateDirectory(environment), '/s/abfs')
    t.equal(runtimeDirectory(environment, 1000), '/r/abfs')
    t.equal(runtimeDirectory(environment, 0), '/run/abfs')
    t.equal(runtimeDirectory({ XDG_STATE_HOME: '/s' }, 1000), '/s/abfs/run')
  },
)

t.test('the transport is socket unless a known word says otherwise', async (t) => {
  t.equal(loadConfig({}, {}).transport, 'socket')
  t.equal(loadConfig({}, { ABFS_HTTP_TRANSPORT: 'undici' }).transport, 'undici')
  t.equal(
    loadConfig({ transport: 'socket' }, { ABFS_HTTP_TRANSPORT: 'undici' }).transport,
    'socket',
  )
  t.throws(() => loadConfig({}, { ABFS_HTTP_TRANSPORT: 'carrier pigeon' }), {
    code: 'EINVAL',
    message: /ABFS_HTTP_TRANSPORT must be one of socket, undici/,
  })
})

t.test('the prefix has no slashes at its ends, and none is no prefix', async (t) => {
  t.equal(loadConfig({}, {}).prefix, undefined)
  t.equal(loadConfig({}, { ABFS_PREFIX: '/teams/blue/' }).prefix, 'teams/blue')
  t.equal(loadConfig({ prefix: 'a' }, { ABFS_PREFIX: 'b' }).prefix, 'a')
  t.equal(loadConfig({ prefix: '/' }, {}).prefix, undefined)
})

t.test('the kind of namespace is asked for, or told', async (t) => {
  t.equal(loadConfig({}, {}).hns, 'auto')
  t.equal(loadConfig({}, { ABFS_HNS: 'true' }).hns, 'true')
  t.equal(loadConfig({ hns: 'false' }, { ABFS_HNS: 'true' }).hns, 'false')
  t.throws(() => loadConfig({}, { ABFS_HNS: 'yes' }), {
    code: 'EINVAL',
    message: /ABFS_HNS must be one of auto, true, false, not 'yes'/,
  })
})

t.test('budgets and sums are of the flag, then the variable, then nobody', async (t) => {
  const variables = {
    ABFS_MEMORY_BUDGET: '64M',
    ABFS_REQUEST_BUDGET: '4',
    ABFS_INTEGRITY: 'md5',
  }
  t.match(loadConfig({}, variables), {
    memoryBudgetBytes: 64 * 1024 ** 2,
    requestBudget: 4,
    integrity: 'md5',
  })
  t.match(loadConfig({ memoryBudget: '1GiB', requestBudget: '2', integrity: 'none' }, variables), {
    memoryBudgetBytes: 1024 ** 3,
    requestBudget: 2,
    integrity: 'none',
    origins: { memoryBudget: '--memory-budget', requestBudget: '--request-budget' },
  })
  t.match(loadConfig({}, {}), {
    memoryBudgetBytes: undefined,
    requestBudget: undefined,
    integrity: undefined,
  })
})

t.test('a budget or a sum that cannot be is refused by its name', async (t) => {
  for (const [name, text] of [
    ['ABFS_MEMORY_BUDGET', 'much'],
    ['ABFS_MEMORY_BUDGET', '1K'],
    ['ABFS_REQUEST_BUDGET', '0'],
    ['ABFS_REQUEST_BUDGET', '1.5'],
    ['ABFS_INTEGRITY', 'sha1'],
  ] as const) {
    t.throws(() => loadConfig({}, { [name]: text }), {
      code: 'EINVAL',
      path: name,
      message: new RegExp(`${name} must be .*not '${text}'`),
    })
  }
})

t.test('endpoints of the environment are those of its account alone', async (t) => {
  const environment = {
    ABFS_ACCOUNT: 'prod',
    ABFS_BLOB_ENDPOINT: 'https://127.0.0.1:1/prod',
    ABFS_DFS_ENDPOINT: 'https://127.0.0.1:1/prod',
    ABFS_HNS: 'true',
  }
  const other = loadConfig({ account: 'dev' }, environment)
  t.equal(other.blobEndpoint, undefined)
  t.equal(other.dfsEndpoint, undefined)
  t.equal(other.hns, 'auto')
  t.equal(loadConfig({}, environment).hns, 'true')

  t.equal(loadConfig({ account: 'prod' }, environment).blobEndpoint?.pathname, '/prod')
  const unnamed = { ABFS_BLOB_ENDPOINT: 'https://127.0.0.1:1/dev' }
  t.equal(loadConfig({ account: 'dev' }, unnamed).blobEndpoint?.pathname, '/dev')
  const said = loadConfig({ account: 'dev', blobEndpoint: 'https://127.0.0.1:2/dev' }, environment)
  t.equal(said.blobEndpoint?.port, '2')
})

t.test('a name that is no account cannot choose a host', async (t) => {
  for (const account of ['evil.example/', 'a b', 'A', 'x_y', 'u@h']) {
    t.throws(() => loadConfig({ account }, {}), { code: 'EINVAL', path: '--account' })
    t.throws(() => loadConfig({}, { ABFS_ACCOUNT: account }), {
      code: 'EINVAL',
      path: 'ABFS_ACCOUNT',
    })
  }
})

t.test(
  'a key of the customer’s is read from a file of its owner’s, or the environment',
  async (t) => {
    const directory = t.testdir()
    const bytes = randomBytes(32)
    const file = join(directory, 'key')
    const config = (flags: object, environment = {}) => loadConfig(flags, environment)
    for (const content of [bytes, `${bytes.toString('base64')}\n`]) {
      writeFileSync(file, content, { mode: 0o600 })
      const { customerKey, origins } = config({ encryptionKeyFile: file })
      t.equal(customerKey?.reveal(), bytes.toString('base64'))
      t.equal(origins['encryptionKeyFile'], '--encryption-key-file')
    }
    const own = { ABFS_ENCRYPTION_KEY: bytes.toString('base64') }
    t.equal(config({}, own).customerKey?.reveal(), bytes.toString('base64'))
    t.equal(config({}, own).origins['encryptionKeyFile'], 'ABFS_ENCRYPTION_KEY')
    t.ok(
      config({ encryptionKeyFile: file }, { ABFS_ENCRYPTION_KEY: 'hidden by the flag' })
        .customerKey,
    )
    t.notMatch(inspect(config({}, own), { depth: 9, showHidden: true }), own.ABFS_ENCRYPTION_KEY)

    const both = { ...own, ABFS_ENCRYPTION_KEY_FILE: file }
    t.throws(() => config({}, both), { code: 'EINVAL', message: /are both set: keep one/ })
    t.throws(() => config({}, { ABFS_ENCRYPTION_KEY: 'short' }), { code: 'EINVAL' })
    t.throws(() => config({ encryptionKeyFile: join(directory, 'none') }), { code: 'ENOENT' })
    for (const mode of [0o644, 0o660, 0o620, 0o602]) {
      chmodSync(file, mode)
      t.throws(() => config({ encryptionKeyFile: file }), { code: 'EACCES', message: /chmod 600/ })
    }
    chmodSync(file, 0o440)
    t.ok(config({ encryptionKeyFile: file }).customerKey)
  },
)
