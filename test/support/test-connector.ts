import { systemClock } from '../../src/clock.ts'
import { type CallerKey, generateCallerKey } from '../../src/connector/authenticate.ts'
import { ConnectorClient } from '../../src/connector/client.ts'
import { type ConnectorConfig, parseConnectorConfig } from '../../src/connector/config.ts'
import {
  type Connector,
  type ConnectorOptions,
  startConnector,
} from '../../src/connector/server.ts'
import type { CredentialProvider } from '../../src/credential/credential.ts'
import { undiciHandler } from '../../src/http/undici-handler.ts'
import { FakeIssuer } from './fake-issuer.ts'
import { MemoryAudit } from './memory-audit.ts'

/** A connector with a made-up issuer, on a free port of this machine. */
export interface TestConnector {
  readonly connector: Connector
  readonly issuer: FakeIssuer
  readonly audit: MemoryAudit
  readonly trainer: CallerKey
  /** A provider over the wire that proves itself with `key`. */
  client(key?: string): CredentialProvider
  close(): Promise<void>
}

/** Key of the caller without a rule. */
export const strangerKey: CallerKey = generateCallerKey()

/** A configuration that grants `trainer` to read container `data` of account `acct`. */
export function testConfig(trainer: CallerKey, extra: string = ''): ConnectorConfig {
  const yaml = `
listen: { port: 0 }
identity: { kind: service-principal, tenantId: t, clientId: c, clientSecretEnv: S }
accounts: [{ name: acct }]
callers:
  - { name: trainer, keySha256: ${trainer.keySha256} }
  - { name: stranger, keySha256: ${strangerKey.keySha256} }
policy:
  - { caller: trainer, account: acct, container: data, permissions: [read, list] }
${extra}`
  return parseConnectorConfig(yaml, { file: 'test.yaml' })
}

/** Starts a connector; `options` replace parts of it. */
export async function startTestConnector(
  options: Partial<ConnectorOptions> = {},
): Promise<TestConnector> {
  const trainer = generateCallerKey()
  const issuer = new FakeIssuer(options.clock ?? systemClock)
  const audit = new MemoryAudit()
  const connector = await startConnector({ config: testConfig(trainer), issuer, audit, ...options })
  const http = undiciHandler()
  const client = (key: string = trainer.key): CredentialProvider =>
    new ConnectorClient({
      endpoint: connector.url,
      callerProof: async () => `${key}\n`,
      http: http.handle,
      clock: systemClock,
    })
  const close = async (): Promise<void> => {
    await http.close()
    await connector.close()
  }
  return { connector, issuer, audit, trainer, client, close }
}
