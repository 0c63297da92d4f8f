import t from 'tap'
import { type Sandbox, startSandbox } from '../../../src/sandbox/sandbox.ts'
import { AzureClient } from '../../support/azure-client.ts'

const armAudience = 'https://management.azure.com'
const version = 'api-version=2023-05-01'

let sandbox: Sandbox
let client: AzureClient
let token: string

t.before(async () => {
  sandbox = await startSandbox({
    account: { name: 'lake', hierarchical: true },
    moreAccounts: [{ name: 'plain' }],
    containers: ['data', 'models', 'runs'],
    azure: {
      registries: [{ name: 'team5' }, { name: 'oldteam', armAudience: true }],
      clusters: [
        { group: 'ml', name: 'train' },
        { group: 'ml', name: 'old', localAccounts: true },
      ],
      pageSize: 2,
    },
  })
  client = new AzureClient(sandbox)
  token = await client.token(armAudience)
})

t.teardown(async () => {
  await client?.close()
  await sandbox?.close()
})

function azure() {
  if (sandbox.azure === undefined) throw new Error('the sandbox has a management')
  return sandbox.azure
}

function url(path: string, query = version): URL {
  return new URL(
    `${path.replace('{s}', `subscriptions/${azure().subscriptionId}`)}?${query}`,
    azure().managementUrl,
  )
}

/** Follows `nextLink` and gives all entries, page by page. */
async function pages(first: URL): Promise<readonly Record<string, unknown>[][]> {
  const found: Record<string, unknown>[][] = []
  let next: string | undefined = first.href
  while (next !== undefined && found.length < 10) {
    const { status, json } = await client.send('GET', next, { token })
    t.equal(status, 200)
    found.push(json['value'] as Record<string, unknown>[])
    next = json['nextLink'] as string | undefined
  }
  return found
}

t.test('a request without a token is told where tokens are to be had', async (t) => {
  const { status, headers, json } = await client.send('GET', url('/subscriptions'))
  t.equal(status, 401)
  t.match(headers['www-authenticate'], /^Bearer authorization_uri="https:\/\/127\.0\.0\.1:\d+\//)
  t.match(json, { error: { code: 'AuthenticationFailed' } })
})

t.test('tokens for storage, of another time or of nobody are refused', async (t) => {
  const other = await client.token('https://storage.azure.com')
  const wrong = await client.send('GET', url('/subscriptions'), { token: other })
  t.match(wrong, { status: 401, json: { error: { code: 'InvalidAuthenticationTokenAudience' } } })
  sandbox.controls.setTokenLifetimeMs(-1000)
  const late = await client.token(armAudience)
  sandbox.controls.setTokenLifetimeMs(3_600_000)
  const expired = await client.send('GET', url('/subscriptions'), { token: late })
  t.match(expired, { status: 401, json: { error: { code: 'ExpiredAuthenticationToken' } } })
  const forged = await client.send('GET', url('/subscriptions'), {
    token: `${token.slice(0, -8)}AAAAAAAA`,
  })
  t.match(forged, { status: 401, json: { error: { code: 'InvalidAuthenticationToken' } } })
})

t.test('subscriptions, accounts, registries and clusters are listed in pages', async (t) => {
  const [[subscription] = []] = await pages(url('/subscriptions'))
  t.match(subscription, { subscriptionId: azure().subscriptionId, state: 'Enabled' })
  const accounts = await pages(url('/{s}/providers/Microsoft.Storage/storageAccounts'))
  t.match(accounts.flat(), [
    { name: 'lake', properties: { isHnsEnabled: true } },
    { name: 'plain', properties: { isHnsEnabled: false } },
  ])
  const registries = await pages(url('/{s}/providers/Microsoft.ContainerRegistry/registries'))
  t.match(registries.flat(), [
    { properties: { loginServer: 'team5.azurecr.io', adminUserEnabled: false } },
    { properties: { policies: { azureADAuthenticationAsArmPolicy: { status: 'enabled' } } } },
  ])
  const clusters = await pages(
    url('/{s}/resourcegroups/ML/providers/Microsoft.ContainerService/managedClusters'),
  )
  t.match(clusters.flat(), [
    { name: 'train', properties: { disableLocalAccounts: true } },
    { name: 'old', properties: { disableLocalAccounts: false } },
  ])
})

t.test('the containers of an account come in pages', async (t) => {
  const account = '/{s}/resourceGroups/sandbox/providers/Microsoft.Storage/storageAccounts/lake'
  const found = await pages(url(`${account}/blobServices/default/containers`))
  t.same(
    found.map((page) => page.map(({ name }) => name)),
    [['data', 'models'], ['runs']],
  )
})

t.test(
  'a resource that is not there, a wrong subscription and no api-version have codes',
  async (t) => {
    const none = '/{s}/resourceGroups/ml/providers/Microsoft.ContainerService/managedClusters/none'
    const missing = await client.send('GET', url(none), { token })
    t.match(missing, { status: 404, json: { error: { code: 'ResourceNotFound' } } })
    const other = url(
      '/subscriptions/00000000-0000-0000-0000-000000000000/providers/Microsoft.Storage/storageAccounts',
    )
    t.match(await client.send('GET', other, { token }), {
      status: 404,
      json: { error: { code: 'SubscriptionNotFound' } },
    })
    t.match(await client.send('GET', url('/subscriptions', ''), { token }), {
      status: 400,
      json: { error: { code: 'MissingApiVersionParameter' } },
    })
  },
)

t.test('a kubeconfig names the server and its authority; an administrator has none', async (t) => {
  const cluster = (name: string) =>
    `/{s}/resourceGroups/ml/providers/Microsoft.ContainerService/managedClusters/${name}`
  const user = await client.send('POST', url(`${cluster('train')}/listClusterUserCredential`), {
    token,
  })
  const [kubeconfig] = user.json['kubeconfigs'] as { value: string }[]
  const text = Buffer.from(kubeconfig?.value ?? '', 'base64').toString('utf8')
  t.match(text, `server: ${azure().clusters[0]?.url.origin}`)
  t.match(text, 'certificate-authority-data:')
  t.match(text, 'command: kubelogin')
  const admin = await client.send('POST', url(`${cluster('train')}/listClusterAdminCredential`), {
    token,
  })
  t.match(admin, { status: 400, json: { error: { message: /disable local accounts/ } } })
  const old = await client.send('POST', url(`${cluster('old')}/listClusterAdminCredential`), {
    token,
  })
  t.equal(old.status, 200)
})

t.test('roles decide what is seen, and a refusal names action and scope', async (t) => {
  const before = azure().assignments.all
  const objectId = before[0]?.objectId ?? ''
  const scope = `/subscriptions/${azure().subscriptionId}/resourceGroups/ml`
  azure().assignments.replace([
    { objectId, role: 'Azure Kubernetes Service Cluster User Role', scope },
  ])
  t.teardown(() => azure().assignments.replace(before))
  const registries = await pages(url('/{s}/providers/Microsoft.ContainerRegistry/registries'))
  t.same(registries, [[]])
  const clusters = await pages(url('/{s}/providers/Microsoft.ContainerService/managedClusters'))
  t.equal(clusters.flat().length, 2)
  const train = `${scope}/providers/Microsoft.ContainerService/managedClusters/train`
  const admin = await client.send('POST', url(`${train}/listClusterAdminCredential`), { token })
  t.equal(admin.status, 403)
  t.match(admin.json, {
    error: {
      code: 'AuthorizationFailed',
      message: /listClusterAdminCredential\/action' over scope '.*\/train'/,
    },
  })
  azure().assignments.replace([])
  t.same(await pages(url('/subscriptions')), [[]])
})

t.test('throttling and claims challenges are answered as told', async (t) => {
  const { disturbance } = azure()
  t.teardown(() =>
    Object.assign(disturbance, { throttledSeconds: undefined, requiredContext: undefined }),
  )
  disturbance.throttledSeconds = 7
  const throttled = await client.send('GET', url('/subscriptions'), { token })
  t.match(throttled, { status: 429, headers: { 'retry-after': '7' } })
  disturbance.throttledSeconds = undefined
  disturbance.requiredContext = 'c1'
  const challenged = await client.send('GET', url('/subscriptions'), { token })
  t.equal(challenged.status, 401)
  const header = String(challenged.headers['www-authenticate'])
  t.match(header, /error="insufficient_claims"/)
  const claims = Buffer.from(/claims="([^"]+)"/.exec(header)?.[1] ?? '', 'base64').toString('utf8')
  const better = await client.token(armAudience, { claims })
  t.equal((await client.send('GET', url('/subscriptions'), { token: better })).status, 200)
})
