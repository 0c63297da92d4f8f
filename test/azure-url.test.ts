import fc from 'fast-check'
import t from 'tap'
import { dfsEndpointOf, parseAzureUrl } from '../src/azure-url.ts'
import { formatPath } from '../src/path.ts'

const accountHosts = [
  ['core.windows.net', 'acct.dfs.core.windows.net', 'acct.blob.core.windows.net'],
  ['core.chinacloudapi.cn', 'acct.dfs.core.chinacloudapi.cn', 'acct.blob.core.chinacloudapi.cn'],
  ['core.usgovcloudapi.net', 'acct.dfs.core.usgovcloudapi.net', 'acct.blob.core.usgovcloudapi.net'],
  ['core.cloudapi.de', 'acct.dfs.core.cloudapi.de', 'acct.blob.core.cloudapi.de'],
  ['a DNS zone', 'acct.z01.dfs.storage.azure.net', 'acct.z01.blob.storage.azure.net'],
  [
    'a private link',
    'acct.privatelink.dfs.core.windows.net',
    'acct.privatelink.blob.core.windows.net',
  ],
] as const

for (const [cloud, dfs, blob] of accountHosts) {
  for (const host of [dfs, blob]) {
    for (const url of [
      `abfs://box@${host}/a/b`,
      `abfss://box@${host}/a/b`,
      `wasbs://box@${host}/a/b`,
      `abfs://${host}/box/a/b`,
      `box@${host}/a/b`,
      `${host}/box/a/b`,
      `https://${host}/box/a/b`,
      `https://${host}:443/box/a/b`,
      `ABFS://box@${host.toUpperCase()}/a/b`,
    ]) {
      t.test(`${url} is in account acct (${cloud})`, async (t) => {
        t.match(parseAzureUrl(url), {
          account: 'acct',
          container: 'box',
          name: 'a/b',
          endpoint: { blob: `https://${blob}`, dfs: `https://${dfs}` },
        })
      })
    }
  }
}

for (const host of ['onelake.dfs.fabric.microsoft.com', 'onelake.blob.fabric.microsoft.com']) {
  t.test(`${host} is OneLake, whose containers are workspaces`, async (t) => {
    t.match(parseAzureUrl(`abfss://workspace@${host}/lake.Lakehouse/Files/x.csv`), {
      account: 'onelake',
      container: 'workspace',
      name: 'lake.Lakehouse/Files/x.csv',
    })
  })
}

for (const url of [
  'abfs://box/a/b',
  'abfss://box/a/b',
  'az://box/a/b',
  'wasb://box/a/b',
  'box/a/b',
  '/box/a/b',
]) {
  t.test(`${url} names a container of no certain account`, async (t) => {
    t.strictSame(parseAzureUrl(url), { container: 'box', name: 'a/b' })
  })
}

for (const url of ['', '/', 'abfs://', 'az:///']) {
  t.test(`'${url}' is the root of the account`, async (t) => {
    t.strictSame(parseAzureUrl(url), { container: '', name: '' })
  })
}

t.test('a path-style URL of an emulator gives account and endpoint', async (t) => {
  t.strictSame(parseAzureUrl('https://127.0.0.1:10000/devstoreaccount1/box/a%20b'), {
    account: 'devstoreaccount1',
    endpoint: { blob: 'https://127.0.0.1:10000/devstoreaccount1' },
    container: 'box',
    name: 'a b',
  })
})

t.test('http is for this machine alone', async (t) => {
  t.equal(parseAzureUrl('http://localhost:10000/acct/box/a').account, 'acct')
  t.throws(() => parseAzureUrl('http://acct.blob.core.windows.net/box/a'), {
    name: 'TypeError',
    message: /'http' to a host that is not this machine/,
  })
})

t.test('the secondary endpoint is of the same account', async (t) => {
  t.equal(parseAzureUrl('https://acct-secondary.blob.core.windows.net/box/a').account, 'acct')
})

for (const name of [
  'a%20b',
  'a#b',
  'a?b',
  'a+b',
  '[x].txt',
  'é/ü',
  'a b',
  'a?versionid=1',
  'a:b@c',
]) {
  t.test(`'${name}' is literal in a path`, async (t) => {
    t.equal(parseAzureUrl(`abfs://box/${name}`).name, name)
    t.equal(parseAzureUrl(`box/${name}`).name, name)
  })
}

t.test('a name in an https URL is decoded once', async (t) => {
  const url = 'https://acct.blob.core.windows.net/box/a%2520b%23c%3Fd+e%C3%A9%2Ff'
  t.equal(parseAzureUrl(url).name, 'a%20b#c?d+eé/f')
})

t.test('a name in a URL object is decoded once, whatever its scheme', async (t) => {
  t.equal(parseAzureUrl(new URL('abfs://box/a b%23')).name, 'a b#')
  t.equal(parseAzureUrl(new URL('https://acct.blob.core.windows.net/box/a b')).name, 'a b')
  t.throws(() => parseAzureUrl(new URL('abfs://box/a#b')), /write '\?' as %3F and '#' as %23/)
})

t.test('a trailing slash stays, slashes before a name go', async (t) => {
  t.equal(parseAzureUrl('abfs://box/a/').name, 'a/')
  t.equal(parseAzureUrl('abfs://box//a').name, 'a')
  t.equal(parseAzureUrl('abfs://box/').name, '')
})

t.test('a versionid of an https URL is told', async (t) => {
  const url = 'https://acct.blob.core.windows.net/box/a?versionid=2024-01-01T00:00:00.0000000Z'
  t.equal(parseAzureUrl(url).versionId, '2024-01-01T00:00:00.0000000Z')
})

for (const url of [
  'https://acct.blob.core.windows.net/box/a?sv=2024-01-01&se=x&sig=S3CRET%3D',
  'https://acct.blob.core.windows.net/box/a?SIG=S3CRET',
  'abfs://box/a?sv=2024&sig=S3CRET',
  'box/a?sig=S3CRET',
  new URL('abfs://box/a?sv=2024&sig=S3CRET'),
]) {
  t.test(
    `a SAS is refused and not repeated: ${url instanceof URL ? 'URL ' : ''}${String(url).slice(0, 24)}`,
    async (t) => {
      const error = t.throws(() => parseAzureUrl(url), {
        name: 'TypeError',
        message: /carries a SAS/,
      })
      t.notMatch(String(error), /S3CRET/)
    },
  )
}

for (const [input, problem] of [
  ['s3://box/a', /has the scheme 's3'/],
  ['abfs://some.host.com/box/a', /neither a container nor a known host/],
  ['abfs://box@some.host.com/a', /no host of Azure Storage/],
  ['abfs://@acct.dfs.core.windows.net/a', /no container before '@'/],
  ['https://example.com/box/a', /not one of Azure Storage/],
  ['https://fabric.dfs.fabric.microsoft.com/box/a', /not one of Azure Storage/],
  ['https://acct.blob.core.windows.net.evil.com/box/a', /not one of Azure Storage/],
  ['https://acct.blob.core.windows.net/box/a%', /begins no UTF-8 escape/],
  ['https://acct.blob.core.windows.net/box/a#b', /fragment/],
  ['https://acct.blob.core.windows.net/box/a?x=1', /query that is not a versionid/],
  ['https://127.0.0.1:10000', /no account after the host/],
  ['./box/a', /neither a container nor a known host/],
] as const) {
  t.test(`'${input}' is a mistake that is explained`, async (t) => {
    t.throws(() => parseAzureUrl(input), { name: 'TypeError', message: problem })
    t.throws(() => parseAzureUrl(input), /^.*expected abfs:\/\/container\/path/)
  })
}

t.test('passwords and connection strings are not repeated', async (t) => {
  for (const input of [
    'https://user:S3CRET@acct.blob.core.windows.net/box/a',
    'DefaultEndpointsProtocol=https;AccountName=a.b;AccountKey=S3CRET==',
  ]) {
    const error = t.throws(() => parseAzureUrl(input), { name: 'TypeError' })
    t.notMatch(String(error), /S3CRET/)
  }
})

t.test('what is no string is named', async (t) => {
  // @ts-expect-error a caller without types
  t.throws(() => parseAzureUrl(42), /url: 42 is neither a string nor a URL/)
})

t.test('what formatPath prints is read back as it was', async (t) => {
  const container = fc.stringMatching(/^[a-z0-9][a-z0-9-]{1,20}[a-z0-9]$/)
  const name = fc.string({ unit: 'grapheme' }).filter((text) => {
    return !text.startsWith('/') && !/[?&]sig=/i.test(text)
  })
  const property = fc.property(container, name, (container, name) => {
    t.strictSame(parseAzureUrl(formatPath({ container, name })), { container, name })
  })
  fc.assert(property, { verbose: 1 })
})

t.test('a dfs endpoint is that of its blob endpoint', async (t) => {
  const pairs = [
    ['https://acct.blob.core.windows.net', 'https://acct.dfs.core.windows.net/'],
    ['https://acct.blob.core.chinacloudapi.cn', 'https://acct.dfs.core.chinacloudapi.cn/'],
    ['https://acct.blob.core.usgovcloudapi.net', 'https://acct.dfs.core.usgovcloudapi.net/'],
    ['https://acct.z12.blob.storage.azure.net', 'https://acct.z12.dfs.storage.azure.net/'],
    [
      'https://acct.privatelink.blob.core.windows.net',
      'https://acct.privatelink.dfs.core.windows.net/',
    ],
    ['https://onelake.blob.fabric.microsoft.com', 'https://onelake.dfs.fabric.microsoft.com/'],
    ['https://acct.blob.localhost:10000', 'https://acct.dfs.localhost:10000/'],
    ['https://127.0.0.1:10000/acct', 'https://127.0.0.1:10000/acct'],
    ['http://[::1]:10000/acct', 'http://[::1]:10000/acct'],
  ] as const
  for (const [blob, dfs] of pairs) t.equal(dfsEndpointOf(new URL(blob)).href, dfs)
})

t.test('a URL of a snapshot is refused with the call that reads it', async (t) => {
  const url = 'https://acct.blob.core.windows.net/box/a?snapshot=2026-01-01T00%3A00%3A00.0000000Z'
  t.throws(() => parseAzureUrl(url), { message: /openVersion\(path, \{ snapshot \}\)/ })
})
