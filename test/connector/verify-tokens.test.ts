import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import {
  type TokenVerification,
  verifyCluster,
  verifyRegistry,
} from '../../src/connector/verify-tokens.ts'
import { bearerCredential } from '../../src/credential/credential.ts'
import { undiciHandler } from '../../src/http/undici-handler.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { AzureClient } from '../support/azure-client.ts'

t.test('the report of a registry and of a cluster', async (t) => {
  const sandbox = await startSandbox({
    azure: { registries: [{ name: 'team5' }], clusters: [{ group: 'ml', name: 'train' }] },
  })
  t.teardown(() => sandbox.close())
  const azure = new AzureClient(sandbox)
  t.teardown(() => azure.close())
  const http = undiciHandler({ ca: sandbox.caPem })
  t.teardown(() => http.close())
  const [registry] = sandbox.azure?.registries ?? []
  const [cluster] = sandbox.azure?.clusters ?? []
  if (registry === undefined || cluster === undefined) throw new Error('the sandbox has both')
  const place = { registry: 'team5.azurecr.io', repository: 'app', url: registry.url }
  const tokens = (scope: string): TokenVerification => ({
    exchange: async () => {
      const { json } = await azure.registryToken(registry.url, 'team5.azurecr.io', scope)
      return bearerCredential(String(json['access_token']), systemClock.nowMs() + 60_000)
    },
    http: http.handle,
    clock: systemClock,
    nonce: 'abc',
  })
  const report = async (scope: string, change: Partial<TokenVerification> = {}) => {
    const results = await verifyRegistry(place, { ...tokens(scope), ...change })
    t.notMatch(JSON.stringify(results), /eyJ/, 'no token is told')
    return Object.fromEntries(results.map(({ name, status }) => [name, status]))
  }
  const refused = async (): Promise<never> => {
    throw new Error('no rule')
  }

  t.same(await report('repository:app:pull'), {
    'acr-exchange': 'passed',
    'acr-pull': 'passed',
    'scope-enforced-parent': 'passed',
    'scope-enforced-sibling': 'passed',
  })
  t.match(await report('repository:app-abc:pull'), {
    'acr-pull': 'failed',
    'scope-enforced-sibling': 'failed',
  })
  t.match(await report('registry:catalog:*'), { 'scope-enforced-parent': 'failed' })
  t.same(await report('', { exchange: refused }), {
    'acr-exchange': 'failed',
    'acr-pull': 'skipped',
    'scope-enforced-parent': 'skipped',
    'scope-enforced-sibling': 'skipped',
  })

  const probe = async (resource: string, change: Partial<TokenVerification> = {}) => {
    const exchange = async () =>
      bearerCredential(await azure.token(resource), systemClock.nowMs() + 60_000)
    const find = async () => ({ server: cluster.url.origin, http: http.handle })
    const options = { ...tokens(''), exchange, ...change }
    const results = await verifyCluster({ cluster: 'ml/train', find }, options)
    return Object.fromEntries(results.map(({ name, status }) => [name, status]))
  }
  const own = '6dae42f8-4368-4678-94ff-3960e28e3630'
  t.same(await probe(own), { 'aks-token': 'passed', 'aks-reachable': 'passed' })
  t.match(await probe('https://management.azure.com'), { 'aks-reachable': 'failed' })
  t.same(await probe(own, { exchange: refused }), {
    'aks-token': 'failed',
    'aks-reachable': 'skipped',
  })
})
