import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../../src/clock.ts'
import { ConnectorClient } from '../../src/connector/client.ts'
import { ClientSessions } from '../../src/connector/client-session.ts'
import { CachedCredentialProvider } from '../../src/credential/cached-provider.ts'
import { undiciHandler } from '../../src/http/undici-handler.ts'

const { url, key, scope } = workerData
const http = undiciHandler()
const asking = {
  endpoint: new URL(url),
  callerProof: async () => key,
  http: http.handle,
  clock: systemClock,
}
const client = new ConnectorClient({ ...asking, sessions: new ClientSessions(asking) })
const cache = new CachedCredentialProvider(client, { clock: systemClock })
const [one, two] = await Promise.all([cache.getCredential(scope), cache.getCredential(scope)])
await http.close()
parentPort?.postMessage({ kind: one.kind, same: one === two, lives: one.expiresAtMs > Date.now() })
