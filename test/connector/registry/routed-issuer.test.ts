import t from 'tap'
import type { Auth } from '../../../src/connector/model/auth.ts'
import type { ConnectorBody } from '../../../src/connector/model/connector.ts'
import type { StoredRecord } from '../../../src/connector/model/record.ts'
import { RoutedIssuer } from '../../../src/connector/registry/routed-issuer.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { FakeIssuer } from '../../support/fake-issuer.ts'

const grant = {
  decision: 'grant',
  scope: { account: 'acct', service: 'blob', container: 'data', permissions: ['read'] },
  kind: 'sas',
  maxTtlMs: 60_000,
  enforceBearerTtl: false,
  connector: 'id-1',
} as const
const options = { auditId: '00000000-0000-4000-8000-000000000000' }
const refused = { reason: 'implicit_auth_disabled' }

function recordOf(auth: Auth): StoredRecord<ConnectorBody> {
  const body = {
    name: 'prod',
    type: 'azure',
    description: '',
    auth,
    resources: [],
    labels: {},
  } as const
  return { id: 'id-1', revision: 1, createdAtMs: 0, updatedAtMs: 0, body, declared: false }
}

t.test(
  'a connector lends the identity of the machine only where the operator names it',
  async (t) => {
    const methods: Auth[] = [
      { method: 'implicit' },
      { method: 'managed-identity' },
      { method: 'workload-identity' },
      { method: 'environment' },
      { method: 'cli' },
    ]
    for (const auth of methods) {
      const opened: string[] = []
      const allowed = new Set<string>()
      const issuer = new RoutedIssuer({
        find: async () => recordOf(auth),
        secrets: async () => ({}),
        open: async ({ method }) => {
          opened.push(method)
          return new FakeIssuer(new FakeClock(1_800_000_000_000))
        },
        mayBeImplicit: ({ body }) => allowed.has(body.name),
      })
      const refusal = () => issuer.issue(grant, options).catch((error: unknown) => error)
      t.match(await refusal(), refused, auth.method)
      t.same(opened, [], 'it is not even opened')
      allowed.add('prod')
      t.equal((await issuer.issue(grant, options)).credential.kind, 'sas')
      t.same(opened, [auth.method])
      allowed.clear()
      t.match(await refusal(), refused, 'nor is one that is open used when the name was taken back')
    }
  },
)
