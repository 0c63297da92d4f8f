import fc from 'fast-check'
import { test } from 'tap'
import { parseConnectorConfig } from '../../src/connector/config.ts'
import { ConnectorError } from '../../src/connector/connector-error.ts'
import { decideToken, type TokenRule, targetName } from '../../src/connector/token-policy.ts'
import { aksServerApplication, tokenTarget } from '../../src/connector/token-target.ts'

const rules: readonly TokenRule[] = [
  { caller: 'app', resource: 'azure-generic', audiences: ['https://vault.azure.net'] },
  { caller: 'app', resource: 'kubernetes-cluster', clusters: ['ml/train'] },
  {
    caller: 'app',
    resource: 'docker-registry',
    registry: 'team5.azurecr.io',
    repositories: ['app', 'team/*'],
    actions: ['pull'],
  },
  {
    caller: 'app',
    resource: 'docker-registry',
    registry: 'team5.azurecr.io',
    repositories: ['team/out'],
    actions: ['pull', 'push'],
  },
  { caller: 'other', resource: 'azure-generic', audiences: ['https://management.azure.com'] },
]
const aks = `${aksServerApplication}/.default`
const registry = 'team5.azurecr.io'

const rows: [string, string | undefined, string | undefined, string][] = [
  ['an audience that is listed', undefined, 'https://vault.azure.net/.default', 'grant'],
  [
    'another spelling of it',
    undefined,
    'https://vault.azure.net//.default',
    'audience_not_allowed',
  ],
  ['in capitals', undefined, 'https://VAULT.azure.net/.default', 'audience_not_allowed'],
  ['below it', undefined, 'https://vault.azure.net/x/.default', 'audience_not_allowed'],
  [
    'one that begins alike',
    undefined,
    'https://vault.azure.net.evil/.default',
    'audience_not_allowed',
  ],
  ['another caller’s', undefined, 'https://management.azure.com/.default', 'audience_not_allowed'],
  ['Graph', undefined, 'https://graph.microsoft.com/.default', 'audience_not_allowed'],
  ['the API server of all clusters', undefined, aks, 'audience_not_allowed'],
  ['a wildcard', undefined, 'https://*.azure.net/.default', 'path_invalid'],
  ['a user in the URL', undefined, 'https://a@vault.azure.net/.default', 'path_invalid'],
  [
    'two scopes',
    undefined,
    'https://vault.azure.net/.default https://b.net/.default',
    'path_invalid',
  ],
  ['a scope of a user', undefined, 'https://vault.azure.net/user_impersonation', 'path_invalid'],
  ['nothing', undefined, undefined, 'path_invalid'],
  ['a cluster', 'ml/train', aks, 'grant'],
  ['a cluster in capitals', 'ML/Train', aks, 'grant'],
  ['another cluster', 'ml/train2', aks, 'permission_not_granted'],
  ['a cluster of another group', 'ml2/train', aks, 'permission_not_granted'],
  ['a cluster with another scope', 'ml/train', 'https://vault.azure.net/.default', 'path_invalid'],
  ['a path', 'ml/train/x', aks, 'path_invalid'],
  ['a repository', registry, 'repository:app:pull', 'grant'],
  ['one below a rule', registry, 'repository:team/a/b:pull', 'grant'],
  ['one that begins alike', registry, 'repository:app2:pull', 'permission_not_granted'],
  ['the name of what is above', registry, 'repository:team:pull', 'permission_not_granted'],
  ['a push that is not granted', registry, 'repository:team/a:push', 'permission_not_granted'],
  ['a push that is', registry, 'repository:team/out:pull,push', 'grant'],
  ['two repositories', registry, 'repository:app:pull repository:team/a:pull', 'grant'],
  [
    'more than one rule grants',
    registry,
    'repository:app:pull repository:team/out:push',
    'permission_not_granted',
  ],
  ['deletion', registry, 'repository:app:pull,delete', 'path_invalid'],
  ['everything', registry, 'repository:app:*', 'path_invalid'],
  ['the catalog', registry, 'registry:catalog:*', 'path_invalid'],
  ['no repository', registry, undefined, 'unsupported_auth_for_resource'],
  ['a way out of the name', registry, 'repository:team/../app:pull', 'path_invalid'],
  ['another registry', 'team55.azurecr.io', 'repository:app:pull', 'permission_not_granted'],
  ['another host', 'team5.azurecr.io.evil.net', 'repository:app:pull', 'path_invalid'],
]

function outcomeOf(audience: string | undefined, scope: string | undefined): string {
  try {
    const outcome = decideToken(rules, { name: 'app' }, tokenTarget(audience, scope))
    return outcome.decision === 'grant' ? 'grant' : outcome.reason
  } catch (error) {
    return error instanceof ConnectorError ? error.reason : String(error)
  }
}

test('what a caller gets tokens for', async (t) => {
  for (const [title, audience, scope, outcome] of rows) {
    t.equal(outcomeOf(audience, scope), outcome, title)
  }
})

test('nothing is granted that no rule of the caller names', async () => {
  const word = fc.constantFrom(
    'app',
    'team',
    'team/out',
    'a',
    'x/y',
    '*',
    'https://vault.azure.net',
  )
  fc.assert(
    fc.property(word, word, fc.constantFrom('pull', 'push', 'pull,push'), (name, host, actions) => {
      for (const scope of [`${name}/.default`, `repository:${name}:${actions}`]) {
        for (const audience of [undefined, host, registry]) {
          if (outcomeOf(audience, scope) !== 'grant') continue
          const told = targetName(tokenTarget(audience, scope))
          const known =
            /^(https:\/\/vault\.azure\.net|ml\/train|team5\.azurecr\.io repository:(app|team\/.+):pull|team5\.azurecr\.io repository:team\/out:.*)$/
          if (!known.test(told)) return false
        }
      }
      return true
    }),
  )
})

function parsed(tokens: string): ReturnType<typeof parseConnectorConfig>['tokens'] {
  return parseConnectorConfig(
    `
identity: { kind: service-principal, tenantId: t, clientId: c, clientSecretEnv: S }
accounts: [{ name: acct }]
callers: [{ name: app, keySha256: '${'0'.repeat(64)}' }]
policy: []
tokens: [${tokens}]`,
    { file: 'test.yaml' },
  ).tokens
}

test('rules are read from the configuration', async (t) => {
  t.match(
    parsed(`
  { caller: app, resource: azure-generic, audiences: ['https://vault.azure.net'], maxTtlSeconds: 7200 },
  { caller: app, resource: kubernetes-cluster, clusters: [ML/Train] },
  { caller: app, resource: docker-registry, registry: Team5.azurecr.io, repositories: ['team/*'] }`),
    [
      { resource: 'azure-generic', audiences: ['https://vault.azure.net'], maxTtlMs: 7_200_000 },
      { resource: 'kubernetes-cluster', clusters: ['ml/train'] },
      { resource: 'docker-registry', registry, actions: ['pull'] },
    ],
  )
})

test('a rule that would grant more than it says is refused', async (t) => {
  const faulty: [string, RegExp][] = [
    ["{ caller: app, resource: azure-generic, audiences: ['*'] }", /wildcard/],
    ["{ caller: app, resource: azure-generic, audiences: ['https://*.azure.net'] }", /wildcard/],
    [
      "{ caller: app, resource: azure-generic, audiences: ['https://storage.azure.com'] }",
      /storage/,
    ],
    [
      "{ caller: app, resource: azure-generic, audiences: ['https://a.blob.core.windows.net'] }",
      /storage/,
    ],
    [
      "{ caller: app, resource: azure-generic, audiences: ['https://vault.azure.net/.default'] }",
      /default/,
    ],
    ['{ caller: nobody, resource: kubernetes-cluster, clusters: [a/b] }', /no caller/],
    ["{ caller: app, resource: kubernetes-cluster, clusters: ['a/*'] }", /no cluster/],
    [
      "{ caller: app, resource: docker-registry, registry: team5.azurecr.io, repositories: ['te*'] }",
      /no repository/,
    ],
    [
      '{ caller: app, resource: docker-registry, registry: evil.example, repositories: [a] }',
      /no container registry/,
    ],
    [
      '{ caller: app, resource: docker-registry, registry: team5.azurecr.io, repositories: [a], actions: [delete] }',
      /actions/,
    ],
  ]
  for (const [rule, message] of faulty) t.throws(() => parsed(rule), { code: 'EINVAL', message })
})
