import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { parseBlobfuseConfig } from '../../src/cli/drive/blobfuse-config.ts'
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

t.test('what means nothing here is refused by its name, secrets without their value', async (t) => {
  const refused: [string, RegExp][] = [
    ['azstorage: { account-key: hush }', /'azstorage.account-key' would be a secret/],
    ['azstorage: { mode: key }', /'azstorage.mode' would be a secret/],
    ['block_cache: { prefetch: 12 }', /'block_cache.prefetch' has no meaning/],
    ['libfuse: { default-permission: 0777 }', /--file-mode/],
    ['logging: { type: syslog }', /'logging.type' must match/],
    ['surprise: 1', /'surprise' is not a key/],
    ['azstorage: { container: { NOWHERE } }', /'azstorage.container' is to come from NOWHERE/],
    ['a: [', /is no YAML/],
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

  t.test('flags of rclone are refused with what to write', async (t) => {
    const refused = await abfs('abfs://data', directory, '--vfs-cache-max-size', '1G')
    failsWith(t, refused, { code: 2, line: /'--vfs-cache-max-size': it is --cache-size here/ })
  })
})
