import { readFile } from 'node:fs/promises'
import t from 'tap'
import { parse, stringify } from 'yaml'
import { AzureBlobStore } from '../../src/blob/azure-store.ts'
import { type ListEntry, listPages } from '../../src/blob/store.ts'
import { systemClock } from '../../src/clock.ts'
import { PrefixClient } from '../../src/connector/prefix-client.ts'
import { type HttpHandler, intercept } from '../../src/http/handler.ts'
import { socketHandler } from '../../src/http/socket-handler.ts'
import { listPagesDivided } from '../../src/namespace/divided-listing.ts'
import { AzureClient } from '../support/azure-client.ts'
import { startSandboxConnector } from '../support/sandbox-connector.ts'

const account = 'plain'
const container = 'data'
const prefix = { container, name: 'teams/blue/' }
const shape = { maxResults: 4 }
const division = { pages: 2, lanes: 3 }

async function namesOf(pages: AsyncIterable<readonly ListEntry[]>): Promise<string[]> {
  const names: string[] = []
  for await (const page of pages) names.push(...page.map(({ name }) => name))
  return names
}

t.test('a long list through a connector is divided, and tells what one chain tells', async (t) => {
  const bench = await startSandboxConnector(t, {
    account: { name: account },
    engine: 'abfs',
    editYaml: (yaml) => {
      const config = parse(yaml)
      const [rule] = config.policy
      const own = { ...rule, container, prefix: 'teams/blue', permissions: ['list'] }
      config.policy = [{ ...own, credentials: ['sas'], onUnscopable: 'sign' }]
      return stringify(config)
    },
  })
  const azure = new AzureClient(bench.sandbox)
  t.teardown(() => azure.close())
  const token = await azure.token('https://storage.azure.com')
  const headers = { 'x-ms-blob-type': 'BlockBlob', 'x-ms-version': '2023-11-03' }
  const { blobEndpoint: endpoint } = bench.sandbox
  for (let index = 0; index < 60; index++) {
    const url = `${endpoint.href}/${container}/teams/blue/d${index % 12}/f${index}`
    t.equal((await azure.send('PUT', url, { token, headers, body: 'x' })).status, 201)
  }
  const sockets = socketHandler({ ca: bench.sandbox.caPem })
  t.teardown(() => sockets.close())
  const client = new PrefixClient({
    endpoint: new URL(bench.client['ABFS_CONNECTOR_URL'] ?? ''),
    callerProof: () => readFile(bench.client['ABFS_CONNECTOR_KEY_FILE'] ?? '', 'utf8'),
    // Without the time to the first byte: a service that is near is not worth dividing for.
    http: async (request) => ({ ...(await sockets.handle(request)), firstByteMs: undefined }),
    clock: systemClock,
    prefix: 'teams/blue',
  })
  const bodies: string[] = []
  const noted: HttpHandler = (request) => {
    bodies.push(request.url.search)
    return sockets.handle(request)
  }
  const http = intercept(noted, client.mediateLists(account, endpoint))
  const store = new AzureBlobStore({ account, endpoint, http })

  const chain = await namesOf(listPages(store, prefix, shape))
  const before = bench.audit.records.length
  const divided = await namesOf(listPagesDivided(store, prefix, shape, division))

  t.equal(chain.length, 60)
  t.strictSame(divided, chain)
  t.ok(bench.audit.records.length - before > 15, 'parts were listed, and directories')
  t.same(bodies, [], 'no list goes to the account')
  const later = await store.listPage(prefix, { startFrom: 'teams/blue/d9' })
  t.equal(later.entries.length, 5)
})

t.test(
  'a connector or an account that cannot begin at a name is listed in one chain',
  async (t) => {
    const asked: string[] = []
    const names = Array.from({ length: 60 }, (_, index) => `teams/blue/d${10 + (index % 12)}/f`)
    const xml = (name: string, next: string) =>
      `<?xml version="1.0"?><EnumerationResults><Blobs><Blob><Name>${name}</Name><Properties><Etag>1</Etag><Content-Length>1</Content-Length></Properties></Blob></Blobs><NextMarker>${next}</NextMarker></EnumerationResults>`
    const connector: HttpHandler = async ({ body }) => {
      const { startFrom, marker = '0' } = JSON.parse(Buffer.from(body ?? []).toString())
      asked.push(startFrom)
      const refusal = {
        type: 'about:blank',
        code: 'invalid_request',
        reason: 'malformed',
        detail: '',
      }
      const index = Number(marker)
      const next = index + 1 < names.length ? `${index + 1}` : ''
      const text = startFrom === undefined ? xml(names[index] ?? '', next) : JSON.stringify(refusal)
      const status = startFrom === undefined ? 200 : 400
      return { status, headers: {}, body: Buffer.from(text) }
    }
    const endpoint = new URL('https://plain.blob.core.windows.net/')
    const client = new PrefixClient({
      endpoint: new URL('https://connector.example'),
      callerProof: async () => 'key',
      http: connector,
      clock: systemClock,
    })
    const http = intercept(
      async () => {
        throw new Error('no list goes to the account')
      },
      client.mediateLists(account, endpoint),
    )
    const store = new AzureBlobStore({ account, endpoint, http })

    const found = await namesOf(listPagesDivided(store, prefix, shape, division))

    t.same(found, names)
    t.equal(asked.filter((startFrom) => startFrom !== undefined).length, 1, 'it is tried once')
    await t.rejects(store.listPage(prefix, { startFrom: 'x' }), { code: 'EINVAL' })
  },
)
