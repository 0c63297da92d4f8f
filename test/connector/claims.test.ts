import { decodeJwt } from 'jose'
import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { ConnectorClient } from '../../src/connector/client.ts'
import { authorize } from '../../src/credential/authorize.ts'
import { CachedCredentialProvider } from '../../src/credential/cached-provider.ts'
import type { Scope } from '../../src/credential/credential.ts'
import { type HttpHandler, intercept } from '../../src/http/handler.ts'
import { undiciHandler } from '../../src/http/undici-handler.ts'
import { startSandboxConnector } from '../support/sandbox-connector.ts'

const wanted = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'
const encoded = Buffer.from(wanted).toString('base64')
const challenge = `Bearer realm="", error="insufficient_claims", claims="${encoded}"`

t.test(
  'a challenge of the service goes through client and connector to Entra, and back',
  async (t) => {
    const bench = await startSandboxConnector(t, { account: { name: 'plain' }, engine: 'abfs' })
    const http = undiciHandler()
    t.teardown(() => http.close())
    const client = new ConnectorClient({
      endpoint: new URL(bench.client['ABFS_CONNECTOR_URL'] ?? ''),
      callerProof: async () => bench.key,
      http: http.handle,
      clock: systemClock,
      kind: 'bearer',
    })
    const provider = new CachedCredentialProvider(client, { clock: systemClock })
    const contexts: unknown[] = []
    const service: HttpHandler = async ({ headers }) => {
      const { acrs } = decodeJwt((headers['authorization'] ?? '').slice('Bearer '.length))
      contexts.push(acrs)
      const isEnough = Array.isArray(acrs) && acrs.includes('c1')
      const answer = isEnough ? {} : { 'www-authenticate': challenge }
      return { status: isEnough ? 200 : 401, headers: answer, body: new Uint8Array(0) }
    }
    const scope: Scope = {
      account: 'plain',
      service: 'blob',
      container: 'data',
      permissions: ['read'],
    }
    const send = intercept(service, authorize({ provider, scopeOf: () => scope }))
    const request = {
      method: 'GET',
      url: new URL('https://plain.example/data/a'),
      headers: {},
      operation: 'blob.get',
    } as const
    t.equal((await send(request)).status, 200)
    t.same(contexts, [undefined, ['c1']])
    t.equal((await send(request)).status, 200)
    t.equal(contexts.length, 3, 'the token with the claims is kept')
  },
)
