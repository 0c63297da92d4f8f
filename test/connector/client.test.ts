import { test } from 'tap'
import { credentialConformance } from '../conformance/credentials.ts'
import { startTestConnector, strangerKey } from '../support/test-connector.ts'

test('over the wire', (t) => {
  credentialConformance(t, async () => {
    const { client, issuer, close } = await startTestConnector()
    return {
      provider: client(),
      stranger: client(strangerKey.key),
      nowMs: Date.now,
      failWith: (error) => {
        issuer.failure = error
      },
      close,
    }
  })
  t.end()
})
