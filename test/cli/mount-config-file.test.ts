import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { parseBlobfuseConfig } from '../../src/cli/drive/blobfuse-config.ts'
import { adoptBlobfuseVariables, checkAuthType } from '../../src/cli/drive/blobfuse-variables.ts'
import {
  failsWith,
  runAbfs,
  startCliSandbox,
  temporaryDirectory,
  whyNoCli,
} from '../support/cli.ts'
import { whyNoMounts } from '../support/temp-mount.ts'

const yaml = `
logging: { type: base, level: log_warning, file-path: /var/log/drive.log }
components: [libfuse, block_cache, attr_cache, azstorage]
libfuse: { attribute-expiration-sec: 120, entry-expiration-sec: 60, negative-entry-expiration-sec: 240 }
block_cache: { path: /var/cache/abfs, disk-size-mb: 512 }
attr_cache: { timeout-sec: 7200 }
azstorage:
  type: adls
  account-name: { ACCOUNT }
  endpoint: https://lake.dfs.core.windows.net
  mode: msi
  container: data
  subdirectory: /train/
read-only: true
allow-other: false
`

t.test('keys of blobfuse2 become flags of the same meaning', async (t) => {
  const { url, settings } = parseBlobfuseConfig(yaml, 'c.yaml', { ACCOUNT: 'lake' })

  t.equal(url, 'abfs://data/train')
  t.strictSame(Object.fromEntries(settings.map(({ flag, value }) => [flag, value])), {
    logLevel: 'warn',
    logFile: '/var/log/drive.log',
    cacheDir: '/var/cache/abfs',
    cacheSize: '512M',
    hns: 'true',
    account: 'lake',
    blobEndpoint: 'https://lake.blob.core.windows.net',
    readOnly: true,
    attrTtl: '60',
  })
})

t.test('what is so here anyway is taken, and what is the same by another name', async (t) => {
  const { settings } = parseBlobfuseConfig(
    `logging: { type: silent }
libfuse: { uid: 7, gid: 8, kernel-list-cache-expiration-sec: 3, direct-io: false, ignore-open-flags: true }
entry_cache: { timeout-sec: 30 }
file_cache: { sync-to-flush: true, create-empty-file: false }
azstorage: { virtual-directory: true, fail-unsupported-op: true }
lazy-write: true
mountall: { container-denylist: [a, b-*] }`,
    'c.yaml',
    {},
  )

  t.strictSame(Object.fromEntries(settings.map(({ flag, value }) => [flag, value])), {
    logLevel: 'silent',
    uid: '7',
    gid: '8',
    writeBack: true,
    deny: 'a,b-*',
    attrTtl: '3',
  })
})

t.test('variables of blobfuse2 are taken where ours are not set', async (t) => {
  const environment: NodeJS.ProcessEnv = {
    AZURE_STORAGE_SPN_TENANT_ID: 'theirs',
    AZURE_STORAGE_SPN_CLIENT_ID: 'theirs',
    AZURE_CLIENT_ID: 'ours',
    AZURE_STORAGE_BLOB_ENDPOINT: 'https://account.blob.core.windows.net',
  }

  adoptBlobfuseVariables(environment)

  t.match(environment, {
    AZURE_TENANT_ID: 'theirs',
    AZURE_CLIENT_ID: 'ours',
    ABFS_BLOB_ENDPOINT: 'https://account.blob.core.windows.net',
  })
  const key = { AZURE_STORAGE_AUTH_TYPE: 'Key' }
  t.throws(() => checkAuthType(key), { message: /AZURE_STORAGE_AUTH_TYPE is key, a secret/ })
  t.doesNotThrow(() => checkAuthType({ ...key, ABFS_CONNECTOR_URL: 'https://connector' }))
  t.doesNotThrow(() => checkAuthType({ AZURE_STORAGE_AUTH_TYPE: 'msi' }))
})

/** A billion words in a few lines. */
const bomb = `a0: &a0 [x, x]\n${Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`).join('\n')}`

t.test('sections without keys say nothing, and words may be in capitals', async (t) => {
  const text =
    'azstorage: { mode: MSI, type: ADLS, container: c }\nlibfuse:\nlogging:\n  level: LOG_ERR'
  const { url, settings } = parseBlobfuseConfig(text, 'c.yaml', {})
  t.equal(url, 'abfs://c')
  const told = Object.fromEntries(settings.map(({ flag, value }) => [flag, value]))
  t.strictSame(told, { hns: 'true', logLevel: 'error' })
})

t.test('what means nothing here is refused by its name, secrets without their value', async (t) => {
  const refused: [string, RegExp][] = [
    ['azstorage: { account-key: hush }', /'azstorage.account-key' would be a secret/],
    ['azstorage: { mode: key }', /'azstorage.mode' would be a secret/],
    ['block_cache: { prefetch: 12 }', /'block_cache.prefetch' has no meaning/],
    ['libfuse: { default-permission: 0777 }', /--file-mode/],
    ['logging: { type: syslog }', /'logging.type' is base, or silent: Node cannot write to syslog/],
    ['file_cache: { create-empty-file: true }', /files before their content/],
    ['libfuse: { direct-io: true }', /'libfuse.direct-io' is not there/],
    ['surprise: 1', /'surprise' is not a key/],
    ['azstorage: { container: { NOWHERE } }', /'azstorage.container' is to come from NOWHERE/],
    ['azstorage: { container: x }\na: [', /is no YAML, line 2: /],
    ['', /c.yaml is empty: blobfuse2’s configuration has sections such as azstorage/],
    ['- azstorage', /c.yaml has no keys at its top/],
    ['azstorage: hush', /'azstorage' must be a section/],
    ['azstorage: { container: [a, b] }', /'azstorage.container' must be one value, not a list/],
    ['azstorage: { mode: sometimes }', /'azstorage.mode' must be of msi, spn, azcli, workloadid/],
    ['read-only: maybe', /'read-only' must be of true, false to mean the same here/],
    ['libfuse: { uid: root }', /'libfuse.uid' must be a whole number/],
    [bomb, /c.yaml cannot be used: Excessive alias count/],
  ]
  for (const [text, message] of refused) {
    t.throws(() => parseBlobfuseConfig(text, 'c.yaml', {}), { message }, text)
  }
  try {
    parseBlobfuseConfig('azstorage: { sas: hush }', 'c.yaml', {})
    t.fail('a secret is taken')
  } catch (error) {
    t.notMatch(String(error), /hush/)
  }
})

t.test('abfs mount --config-file', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const directory = await temporaryDirectory(t)
  const file = join(await temporaryDirectory(t), 'c.yaml')
  await writeFile(
    file,
    'azstorage: { container: data }\nattr_cache: { timeout-sec: 9 }\nread-only: true',
  )
  const abfs = (...argv: string[]) => runAbfs(['mount', ...argv], { env: client })

  t.test('names the place and the settings, which flags beat', async (t) => {
    const from = async (...flags: string[]) => {
      const { stdout } = await abfs('--config-file', file, directory, '--plan', '--json', ...flags)
      const { ok, settings } = JSON.parse(stdout)
      const ttl = settings.find(({ name }: { name: string }) => name === 'attrTtlMs')
      return { ok, value: ttl.value, origin: ttl.origin }
    }
    const origin = `${file}: attr_cache.timeout-sec`
    t.strictSame(await from(), { ok: true, value: 9000, origin })
    t.strictSame(await from('--attr-ttl=2'), { ok: true, value: 2000, origin: '--attr-ttl' })
  })

  t.test('AZURE_STORAGE_ACCOUNT_CONTAINER is the place where none is named', async (t) => {
    const env = { ...client, AZURE_STORAGE_ACCOUNT_CONTAINER: 'data' }
    const flags = ['--plan=read', '--json']

    const { code, stdout } = await runAbfs(['mount', directory, ...flags], { env })

    t.equal(code, 0, stdout)
    t.match((await runAbfs(['mount', directory, ...flags], { env: client })).code, 2)
  })

  t.test('flags of rclone are refused with what to write', async (t) => {
    const refused = await abfs('abfs://data', directory, '--vfs-cache-max-size', '1G')
    failsWith(t, refused, { code: 2, line: /'--vfs-cache-max-size': it is --cache-size here/ })
  })
})
