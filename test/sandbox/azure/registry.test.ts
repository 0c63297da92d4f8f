import { createHash } from 'node:crypto'
import { decodeJwt } from 'jose'
import t from 'tap'
import { type Sandbox, startSandbox } from '../../../src/sandbox/sandbox.ts'
import { AzureClient } from '../../support/azure-client.ts'

const service = 'team5.azurecr.io'

let sandbox: Sandbox
let client: AzureClient
let registry: URL

t.before(async () => {
  sandbox = await startSandbox({
    azure: {
      registries: [{ name: 'team5' }, { name: 'oldteam', armAudience: true }],
      clusters: [{ group: 'ml', name: 'train' }],
    },
  })
  client = new AzureClient(sandbox)
  registry = urlOf('team5')
})

t.teardown(async () => {
  await client?.close()
  await sandbox?.close()
})

function urlOf(name: string): URL {
  const found = sandbox.azure?.registries.find((each) => each.name === name)
  if (found === undefined) throw new Error(`no registry ${name}`)
  return found.url
}

async function tokenFor(scope: string): Promise<string> {
  const { json } = await client.registryToken(registry, service, scope)
  return String(json['access_token'])
}

function digestOf(bytes: Buffer | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

async function push(repository: string, tag: string): Promise<string> {
  const token = await tokenFor(`repository:${repository}:pull,push`)
  const base = new URL(`/v2/${repository}/`, registry)
  const layer = Buffer.from(`layer of ${repository}`)
  const begun = await client.send('POST', new URL('blobs/uploads/', base), { token })
  t.equal(begun.status, 202)
  const upload = new URL(String(begun.headers['location']), base)
  const headers = { 'content-type': 'application/octet-stream' }
  t.equal((await client.send('PATCH', upload, { token, headers, body: layer })).status, 202)
  upload.searchParams.set('digest', digestOf(layer))
  t.equal((await client.send('PUT', upload, { token })).status, 201)
  const body = JSON.stringify({ schemaVersion: 2, layers: [{ digest: digestOf(layer) }] })
  const type = { 'content-type': 'application/vnd.oci.image.manifest.v1+json' }
  const put = await client.send('PUT', new URL(`manifests/${tag}`, base), {
    token,
    headers: type,
    body,
  })
  t.equal(put.status, 201)
  return digestOf(layer)
}

t.test('without a token the registry says where one is to be had, and for what', async (t) => {
  const { status, headers, json } = await client.send('GET', new URL('/v2/', registry))
  t.equal(status, 401)
  t.equal(
    headers['www-authenticate'],
    `Bearer realm="${registry.origin}/oauth2/token",service="${service}"`,
  )
  t.match(json, { errors: [{ code: 'UNAUTHORIZED' }] })
  const blob = await client.send('GET', new URL('/v2/app/tags/list', registry))
  t.match(blob.headers['www-authenticate'], /scope="repository:app:pull"$/)
})

t.test(
  'only tokens for the registry audience are exchanged, and the management’s where allowed',
  async (t) => {
    const exchange = async (url: URL, name: string, resource: string) =>
      client.post(new URL('/oauth2/exchange', url), {
        grant_type: 'access_token',
        service: `${name}.azurecr.io`,
        access_token: await client.token(resource),
      })
    const arm = 'https://management.azure.com'
    t.equal((await exchange(registry, 'team5', arm)).status, 401)
    t.equal((await exchange(registry, 'team5', 'https://storage.azure.com')).status, 401)
    t.equal((await exchange(urlOf('oldteam'), 'oldteam', arm)).status, 200)
    t.equal(
      (await exchange(registry, 'oldteam', 'https://containerregistry.azure.net')).status,
      400,
    )
    const { status, json } = await exchange(
      registry,
      'team5',
      'https://containerregistry.azure.net',
    )
    t.equal(status, 200)
    t.match(decodeJwt(String(json['refresh_token'])), {
      aud: service,
      grant_type: 'refresh_token',
      iss: 'Azure Container Registry',
    })
  },
)

t.test('an access token opens its repository and no other', async (t) => {
  const layer = await push('app', 'v1')
  await push('secret', 'v1')
  const token = await tokenFor('repository:app:pull')
  const claims = decodeJwt(token)
  t.same(claims['access'], [{ type: 'repository', name: 'app', actions: ['pull'] }])
  t.equal(Number(claims.exp) - Number(claims.iat), 4500)
  const manifest = await client.send('GET', new URL('/v2/app/manifests/v1', registry), { token })
  t.equal(manifest.status, 200)
  t.match(manifest.headers['content-type'], 'application/vnd.oci.image.manifest.v1+json')
  const blob = await client.send('GET', new URL(`/v2/app/blobs/${layer}`, registry), { token })
  t.equal(blob.text, 'layer of app')
  for (const [method, path] of [
    ['GET', '/v2/secret/manifests/v1'],
    ['GET', '/v2/secret/tags/list'],
    ['GET', '/v2/app/app/tags/list'],
    ['GET', '/v2/_catalog'],
    ['POST', '/v2/app/blobs/uploads/'],
    ['PUT', '/v2/app/manifests/v2'],
  ] as const) {
    t.equal((await client.send(method, new URL(path, registry), { token })).status, 401, path)
  }
})

t.test('an access token serves as a password, for no more than it is for', async (t) => {
  const password = await tokenFor('repository:app:pull')
  const user = '00000000-0000-0000-0000-000000000000'
  const ask = (name: string, scope: string) => {
    const authorization = `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`
    const url = new URL('/oauth2/token', registry)
    url.search = new URLSearchParams({ service, scope }).toString()
    return client.send('GET', url, { headers: { authorization } })
  }
  const { json } = await ask(user, 'repository:app:pull,push')
  t.same(decodeJwt(String(json['access_token']))['access'], [
    { type: 'repository', name: 'app', actions: ['pull'] },
  ])
  t.equal((await ask(user, 'repository:secret:pull')).status, 403)
  t.equal((await ask('admin', 'repository:app:pull')).status, 401)
})

t.test('catalog and tags come in pages', async (t) => {
  const token = await tokenFor('registry:catalog:*')
  const first = await client.send('GET', new URL('/v2/_catalog?n=1', registry), { token })
  t.same(first.json, { repositories: ['app'] })
  const link = /^<([^>]+)>; rel="next"$/.exec(String(first.headers['link']))?.[1] ?? ''
  const second = await client.send('GET', new URL(link, registry), { token })
  t.same(second.json, { repositories: ['secret'] })
  t.equal(second.headers['link'], undefined)
})

t.test('roles decide what a registry gives', async (t) => {
  const assignments = sandbox.azure?.assignments
  const before = assignments?.all ?? []
  const [first] = before
  t.teardown(() => assignments?.replace(before))
  const { objectId = '', scope = '' } = first ?? {}
  assignments?.replace([{ objectId, role: 'AcrPull', scope }])
  t.equal((await client.registryToken(registry, service, 'repository:app:push')).status, 403)
  const both = await tokenFor('repository:app:pull,push')
  t.match(decodeJwt(both)['access'], [{ actions: ['pull'] }])
  assignments?.replace([])
  t.equal((await client.registryToken(registry, service, 'repository:app:pull')).status, 401)
})

t.test('a cluster takes Entra’s tokens for clusters alone, and its roles decide', async (t) => {
  const cluster = sandbox.azure?.clusters[0]?.url
  const token = await client.token('6dae42f8-4368-4678-94ff-3960e28e3630')
  const namespaces = new URL('/api/v1/namespaces', cluster)
  t.match(await client.send('GET', namespaces, { token }), {
    status: 200,
    json: { kind: 'NamespaceList' },
  })
  const other = await client.token('https://management.azure.com')
  t.match(await client.send('GET', namespaces, { token: other }), {
    status: 401,
    json: { reason: 'Unauthorized' },
  })
  t.equal((await client.send('GET', namespaces)).status, 401)
  const assignments = sandbox.azure?.assignments
  const before = assignments?.all ?? []
  t.teardown(() => assignments?.replace(before))
  assignments?.replace([])
  t.match(await client.send('GET', namespaces, { token }), {
    status: 403,
    json: { reason: 'Forbidden' },
  })
})
