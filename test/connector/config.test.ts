import { test } from 'tap'
import { parseConnectorConfig } from '../../src/connector/config.ts'
import { isFileSystemError } from '../../src/errors.ts'

const good = `
listen: { port: 0 }
identity:
  kind: service-principal
  tenantId: contoso
  clientId: app
  clientSecretFile: /run/secret
accounts:
  - name: acct
  - name: lake
    hierarchicalNamespace: true
callers:
  - name: trainer
    keySha256: ${'ab'.repeat(32)}
  - name: pod
    jwt: { issuer: 'https://issuer', audience: abfs, subject: 'system:sa:x', jwksFile: /run/jwks }
policy:
  - { caller: trainer, account: acct, container: data, permissions: [write, read] }
  - { caller: pod, account: lake, container: zone, prefix: a/b, permissions: [read], credentials: [sas, bearer], maxTtlSeconds: 600 }
`
const source = { file: 'connector.yaml' }

function faultOf(yaml: string): string {
  try {
    parseConnectorConfig(yaml, source)
    return 'accepted'
  } catch (error) {
    return isFileSystemError(error, 'EINVAL') ? error.message : `not EINVAL: ${error}`
  }
}

test('a configuration is read with its defaults', async (t) => {
  const config = parseConnectorConfig(good, source)

  t.match(config, {
    listen: { host: '127.0.0.1', port: 0 },
    cloud: 'core.windows.net',
    identity: { kind: 'service-principal', tenantId: 'contoso', disableInstanceDiscovery: false },
    accounts: [{ hierarchicalNamespace: false }, { hierarchicalNamespace: true }],
  })
  t.match(config.policy[0], {
    permissions: ['read', 'write'],
    credentials: ['sas'],
    maxTtlMs: 3_600_000,
    enforceBearerTtl: false,
  })
  t.match(config.policy[1], { prefix: 'a/b', credentials: ['sas', 'bearer'], maxTtlMs: 600_000 })
})

const faults: [string, (yaml: string) => string, RegExp][] = [
  ['text that is no YAML', () => 'a: [', /is not YAML/],
  ['an empty file', () => '', /expected object/],
  [
    'a missing section',
    (y) => y.replace(/accounts:[\s\S]*?callers/, 'callers'),
    /'policy\.0\.account': no account is named/,
  ],
  ['a misspelt key', (y) => y.replace('audience:', 'audiense:'), /callers\.1/],
  ['an unknown key at the top', (y) => `${y}\nextra: 1`, /'extra' is not a key at the top/],
  [
    'an unknown key deeper',
    (y) => y.replace('{ port: 0 }', '{ prot: 0 }'),
    /'prot' is not a key in 'listen'/,
  ],
  ['a port out of range', (y) => y.replace('port: 0', 'port: 70000'), /'listen\.port'/],
  [
    'a beyond-loopback host without TLS',
    (y) => y.replace('port: 0', "host: '0.0.0.0'"),
    /'listen\.host'.*listen\.tls/,
  ],
  [
    'no secret source',
    (y) => y.replace('clientSecretFile: /run/secret', ''),
    /clientSecretFile or clientSecretEnv/,
  ],
  [
    'two secret sources',
    (y) => y.replace('clientSecretFile: /run/secret', 'clientSecretFile: a\n  clientSecretEnv: B'),
    /either/,
  ],
  [
    'an unknown permission',
    (y) => y.replace('[write, read]', '[write, everything]'),
    /'policy\.0\.permissions\.1'/,
  ],
  [
    'an unknown caller in a rule',
    (y) => y.replace('caller: pod', 'caller: pots'),
    /'policy\.1\.caller': no caller is named 'pots'/,
  ],
  [
    'an unknown account in a rule',
    (y) => y.replace('account: lake', 'account: lakes'),
    /'policy\.1\.account'/,
  ],
  [
    'a caller named twice',
    (y) => y.replace('name: pod', 'name: trainer'),
    /'trainer' is named twice/,
  ],
  [
    'a prefix on a flat account',
    (y) => y.replace('container: data,', 'container: data, prefix: a,'),
    /flat namespace/,
  ],
  [
    'a prefix that only a token would be given for',
    (y) => y.replace('[sas, bearer]', '[bearer]'),
    /'policy\.1\.credentials'.*cannot be limited to a prefix/,
  ],
  ['a prefix with dots', (y) => y.replace('a/b', 'a/../b'), /'policy\.1\.prefix'.*'\.\.'/],
  ['a short life', (y) => y.replace('600', '5'), /maxTtlSeconds/],
  ['a hash that is none', (y) => y.replace(/keySha256: \w+/, 'keySha256: abc'), /callers\.0/],
  [
    'a key set over http',
    (y) => y.replace('jwksFile: /run/jwks', "jwksUri: 'http://issuer/keys'"),
    /callers\.1/,
  ],
  [
    'an http endpoint',
    (y) => y.replace('- name: acct', "- name: acct\n    blobEndpoint: 'http://acct'"),
    /'accounts\.0\.blobEndpoint'.*https/,
  ],
  [
    'an account that is a host',
    (y) => y.replace('name: acct', 'name: evil.example'),
    /'accounts\.0\.name'/,
  ],
]

for (const [title, change, expected] of faults) {
  test(`${title} is refused with its key`, async (t) => {
    const message = faultOf(change(good))

    t.match(message, expected)
    t.match(message, /connector\.yaml/)
  })
}

test('a caller with both proofs or neither is refused', async (t) => {
  t.match(faultOf(good.replace(/keySha256: \w+/, '')), /'callers\.0': give one of keySha256, jwt/)
  t.match(
    faultOf(good.replace('name: pod', `name: pod\n    keySha256: ${'ab'.repeat(32)}`)),
    /'callers\.1'/,
  )
})

test('a secret in the file is refused without being repeated', async (t) => {
  for (const key of ['clientSecret', 'accountKey', 'password', 'sas']) {
    const message = faultOf(
      good.replace('clientId: app', `clientId: app\n  ${key}: hunter2-hunter2`),
    )

    t.match(message, new RegExp(`'identity\\.${key}' would hold a secret`))
    t.notMatch(message, /hunter2/)
  }
})

test('an identity of the machine is refused until it is allowed', async (t) => {
  const identity = /identity:[\s\S]*?accounts:/
  for (const kind of ['managed-identity', 'default']) {
    const yaml = good.replace(identity, `identity: { kind: ${kind} }\naccounts:`)

    t.match(faultOf(yaml), /allowImplicitIdentity: true/)
    t.equal(faultOf(`${yaml}\nallowImplicitIdentity: true`), 'accepted')
  }
})

test('every kind of identity has its own keys', async (t) => {
  const identity = /identity:[\s\S]*?accounts:/
  const kinds = [
    '{ kind: certificate, tenantId: t, clientId: c, certificateFile: /f }',
    "{ kind: workload-identity, tenantId: t, clientId: c, federatedTokenFile: /f, authorityHost: 'https://login.example' }",
    '{ kind: service-principal, tenantId: t, clientId: c, clientSecretEnv: SECRET }',
  ]
  for (const kind of kinds) {
    t.equal(faultOf(good.replace(identity, `identity: ${kind}\naccounts:`)), 'accepted', kind)
  }
})
