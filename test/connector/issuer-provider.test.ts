import { test } from 'tap'
import { generateCallerKey } from '../../src/connector/authenticate.ts'
import { policyOf } from '../../src/connector/config.ts'
import { Issuance } from '../../src/connector/issuance.ts'
import { IssuerProvider } from '../../src/connector/issuer-provider.ts'
import { credentialConformance } from '../conformance/credentials.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FakeIssuer } from '../support/fake-issuer.ts'
import { MemoryAudit } from '../support/memory-audit.ts'
import { testConfig } from '../support/test-connector.ts'

test('in one process', (t) => {
  credentialConformance(t, async () => {
    const clock = new FakeClock()
    const issuer = new FakeIssuer(clock)
    const policy = policyOf(testConfig(generateCallerKey()))
    const issuance = new Issuance({ policy, issuer, audit: new MemoryAudit(), clock })
    const provider = (name: string): IssuerProvider =>
      new IssuerProvider({ issuance, principal: { name }, clock })
    return {
      provider: provider('trainer'),
      stranger: provider('stranger'),
      nowMs: () => clock.nowMs(),
      failWith: (error) => {
        issuer.failure = error
      },
      close: async () => undefined,
    }
  })
  t.end()
})
