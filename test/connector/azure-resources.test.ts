import { execFile, spawnSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { decodeJwt } from 'jose'
import t, { type Test } from 'tap'
import { AzureClient } from '../support/azure-client.ts'
import { runAbfs, whyNoCli } from '../support/cli.ts'
import { writeImage } from '../support/image.ts'
import { type SandboxConnector, startSandboxConnector } from '../support/sandbox-connector.ts'

/* Registries, clusters and the list of resources: a connector on a local Azure, over the wire. */

const run = promisify(execFile)
const hasSkopeo = spawnSync('skopeo', ['--version']).status === 0
const registry = 'team5.azurecr.io'
const accessToken = 'urn:ietf:params:oauth:token-type:access_token'

let bench: SandboxConnector
let azure: AzureClient

t.before(async () => {
  bench = await startSandboxConnector(t, {
    account: { name: 'lake', hierarchical: true },
    azure: {
      registries: [{ name: 'team5' }, { name: 'oldteam', armAudience: true }, { name: 'strict' }],
      clusters: [{ group: 'ml', name: 'train' }],
      pageSize: 1,
    },
    editYaml: (yaml) =>
      yaml.replace(
        /(name: (?:oldteam|strict)\.azurecr\.io\n +endpoint: \S+)/g,
        '$1\n    audience: management',
      ),
  })
  azure = new AzureClient(bench.sandbox)
})

t.teardown(() => azure?.close())

async function exchange(fields: Record<string, string>) {
  const response = await fetch(new URL('/v1/token', bench.client['ABFS_CONNECTOR_URL']), {
    method: 'POST',
    headers: { authorization: `Bearer ${bench.key}` },
    body: new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: bench.key,
      subject_token_type: accessToken,
      ...fields,
    }),
  })
  const answer: Record<string, unknown> = JSON.parse(await response.text())
  return { status: response.status, headers: response.headers, answer }
}

async function resources(query: Record<string, string>) {
  const url = new URL('/v1/resources', bench.client['ABFS_CONNECTOR_URL'])
  url.search = new URLSearchParams(query).toString()
  const response = await fetch(url, { headers: { authorization: `Bearer ${bench.key}` } })
  const answer: Record<string, unknown> = JSON.parse(await response.text())
  return { status: response.status, answer }
}

function urlOf(name: string): URL {
  const found = bench.sandbox.azure?.registries.find((each) => each.name === name)
  if (found === undefined) throw new Error(`no registry ${name}`)
  return found.url
}

/** Assigns other roles until the test ends. */
function withRoles(t: Test, roles: readonly string[]): void {
  const { assignments } = bench.sandbox.azure ?? {}
  const before = assignments?.all ?? []
  t.teardown(() => assignments?.replace(before))
  assignments?.replace(before.filter(({ role }) => roles.includes(role)))
}

t.test(
  'a registry token is for what was asked, ends when it says, and opens no more',
  async (t) => {
    const scope = 'repository:app:pull,push'
    const { status, answer } = await exchange({ audience: registry, scope })
    t.equal(status, 200)
    const token = String(answer['access_token'])
    const claims = decodeJwt(token)
    t.same(claims['access'], [{ type: 'repository', name: 'app', actions: ['pull', 'push'] }])
    t.equal(claims['grant_type'], 'access_token', 'the refresh token stays with the connector')
    const lifeSeconds = Number(answer['expires_in'])
    t.ok(lifeSeconds > 4490 && lifeSeconds <= 4500, 'the life is the token’s own, not its parent’s')
    const begin = (repository: string) =>
      azure.send('POST', new URL(`/v2/${repository}/blobs/uploads/`, urlOf('team5')), { token })
    t.equal((await begin('app')).status, 202)
    t.equal((await begin('application')).status, 401)
    const record = bench.audit.records.at(-1)
    t.match(record, { decision: 'granted', reach: 'repository', target: { registry } })
    t.notMatch(JSON.stringify(record), token)
  },
)

t.test('one exchange serves many tokens; a refused refresh token is replaced once', async (t) => {
  const before = bench.sandbox.controls.tokensIssued
  const all = await Promise.all(
    Array.from({ length: 16 }, (_, index) =>
      exchange({ audience: registry, scope: `repository:many/${index}:pull` }),
    ),
  )
  t.same(new Set(all.map(({ status }) => status)), new Set([200]))
  t.ok(bench.sandbox.controls.tokensIssued - before <= 1)
})

t.test(
  'the management’s audience serves only where it is told, and where the registry takes it',
  async (t) => {
    const scope = 'repository:app:pull'
    t.equal((await exchange({ audience: 'oldteam.azurecr.io', scope })).status, 200)
    const strict = await exchange({ audience: 'strict.azurecr.io', scope })
    t.match(strict, { status: 403, answer: { reason: 'acr_arm_audience_disabled' } })
  },
)

t.test('without its role the refusal names the role and the command', async (t) => {
  withRoles(t, ['Reader'])
  const { status, answer } = await exchange({ audience: registry, scope: 'repository:role:push' })
  t.equal(status, 403)
  t.match(answer, {
    code: 'access_denied',
    reason: 'rbac_missing',
    required: {
      role: 'AcrPush',
      command:
        /^az role assignment create --role 'AcrPush' .*--scope \$\(az acr show --name team5 /,
    },
  })
})

t.test('clusters are found with server and authority, and take the token', async (t) => {
  const { status, answer } = await resources({ type: 'kubernetes-cluster', id: 'train' })
  t.equal(status, 200)
  const cluster = bench.sandbox.azure?.clusters[0]
  t.match(answer, {
    resources: [
      {
        id: 'ml/train',
        cluster: { server: cluster?.url.origin, certificateAuthorityPem: bench.sandbox.caPem },
      },
    ],
  })
  const { answer: given } = await exchange({ audience: 'ml/train' })
  const namespaces = new URL('/api/v1/namespaces', cluster?.url)
  const asked = await azure.send('GET', namespaces, { token: String(given['access_token']) })
  t.match(asked, { status: 200, json: { kind: 'NamespaceList' } })
})

t.test('what there is for the caller is listed in one spelling', async (t) => {
  const ids = async (type: string) => {
    const { answer } = await resources({ type })
    return (answer['resources'] as { id: string }[]).map(({ id }) => id)
  }
  t.same(await ids('blob-container'), ['abfss://data@lake.dfs.core.windows.net'])
  t.same(await ids('docker-registry'), [
    'oldteam.azurecr.io',
    'strict.azurecr.io',
    'team5.azurecr.io',
  ])
  t.same(await ids('kubernetes-cluster'), ['ml/train'])
  t.same(await ids('azure-generic'), ['https://vault.azure.net'])
  for (const id of ['az://data', 'data', 'abfss://data@lake.dfs.core.windows.net/']) {
    const { answer } = await resources({ type: 'blob-container', id })
    t.same(
      answer,
      { resources: [{ type: 'blob-container', id: 'abfss://data@lake.dfs.core.windows.net' }] },
      id,
    )
  }
  t.match(await resources({ type: 'azure-generic', id: 'https://graph.microsoft.com/.default' }), {
    status: 403,
    answer: { reason: 'audience_not_allowed' },
  })
  t.match(await resources({ type: 'docker-registry', id: 'evil.example/x' }), { status: 400 })
  t.match(await resources({ type: 'secrets' }), { status: 400, answer: { reason: 'malformed' } })
})

t.test('the management’s refusals become the connector’s own words', async (t) => {
  const { disturbance } = bench.sandbox.azure ?? {}
  if (disturbance === undefined) throw new Error('the sandbox has a management')
  t.teardown(() =>
    Object.assign(disturbance, { throttledSeconds: undefined, requiredContext: undefined }),
  )
  disturbance.requiredContext = 'c7'
  t.equal(
    (await resources({ type: 'blob-container' })).status,
    200,
    'a claims challenge is answered',
  )
  disturbance.requiredContext = undefined
  withRoles(t, [])
  const missing = await resources({ type: 'blob-container' })
  t.match(missing, { status: 404, answer: { reason: 'not_found', hint: /role Reader/ } })
})

t.test(
  'the docker helper gives a token that skopeo pushes and pulls with',
  { skip: hasSkopeo ? whyNoCli() : 'skopeo is not installed' },
  async (t) => {
    const home = t.testdir({ certs: {}, image: {}, back: {} })
    const host = urlOf('team5').host
    await writeFile(join(home, 'certs', 'ca.crt'), bench.sandbox.caPem)
    await writeImage(join(home, 'image'))
    const skopeoEnvironment = { PATH: process.env['PATH'], HOME: home, TMPDIR: home }
    const copy = async (from: string, to: string, scope: string) => {
      await writeFile(join(home, 'auth.json'), await authFile(host, scope))
      const options = [
        '--src-cert-dir',
        join(home, 'certs'),
        '--dest-cert-dir',
        join(home, 'certs'),
      ]
      const flags = ['--insecure-policy', 'copy', '-q', '--authfile', join(home, 'auth.json')]
      return run('skopeo', [...flags, ...options, from, to], {
        env: skopeoEnvironment,
        timeout: 30_000,
      })
    }
    await copy(
      `dir:${join(home, 'image')}`,
      `docker://${host}/tools/app:v1`,
      'repository:tools/app:pull,push',
    )
    await copy(
      `docker://${host}/tools/app:v1`,
      `dir:${join(home, 'back')}`,
      'repository:tools/app:pull',
    )
    t.same(
      JSON.parse(await readFile(join(home, 'back', 'manifest.json'), 'utf8')).layers,
      JSON.parse(await readFile(join(home, 'image', 'manifest.json'), 'utf8')).layers,
    )
    const other = copy(
      `docker://${host}/tools/app:v1`,
      `dir:${join(home, 'no')}`,
      'repository:tools/ap:pull',
    )
    await t.rejects(other, /unauthorized|denied|Forbidden/, 'a token of another repository')
    const push = copy(
      `dir:${join(home, 'back')}`,
      `docker://${host}/tools/app:v2`,
      'repository:tools/app:pull',
    )
    await t.rejects(push, /unauthorized|denied|Forbidden/, 'a token to pull with')
  },
)

t.test(
  'a kubectl plugin answers with what the API server takes',
  { skip: whyNoCli() },
  async (t) => {
    const info = {
      kind: 'ExecCredential',
      apiVersion: 'client.authentication.k8s.io/v1',
      spec: { interactive: false },
    }
    const env = { ...bench.client, KUBERNETES_EXEC_INFO: JSON.stringify(info) }
    const argv = ['credential', 'kubernetes', '--cluster', 'ml/train']
    const { stdout } = await runAbfs(argv, { env })
    const answer = JSON.parse(stdout)
    t.match(answer, { kind: 'ExecCredential', apiVersion: info.apiVersion })
    const end = Date.parse(answer.status.expirationTimestamp)
    const leftMs = Number(decodeJwt(answer.status.token).exp) * 1000 - end
    t.ok(leftMs >= 0 && leftMs <= 3000, 'it ends no later than its token')
    const cluster = bench.sandbox.azure?.clusters[0]
    const review = new URL('/apis/authentication.k8s.io/v1/selfsubjectreviews', cluster?.url)
    const reviewed = await azure.send('POST', review, { token: answer.status.token })
    t.equal(reviewed.status, 201)
  },
)

/** What Docker's clients read credentials from, as the helper gave them. */
async function authFile(host: string, scope: string): Promise<string> {
  const { stdout } = await runAbfs(['credential', 'docker', 'get'], {
    env: { ...bench.client, ABFS_REGISTRY_SCOPE: scope },
    input: host,
  })
  const { Username, Secret } = JSON.parse(stdout)
  const auth = Buffer.from(`${Username}:${Secret}`).toString('base64')
  return JSON.stringify({ auths: { [host]: { auth } } })
}
