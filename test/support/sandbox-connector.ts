import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { connectorYaml } from '../../src/cli/sandbox/connector-yaml.ts'
import { generateCallerKey } from '../../src/connector/authenticate.ts'
import { parseConnectorConfig } from '../../src/connector/config.ts'
import { openIssuer } from '../../src/connector/open-issuer.ts'
import { startConnector } from '../../src/connector/server.ts'
import { type Sandbox, type SandboxOptions, startSandbox } from '../../src/sandbox/sandbox.ts'
import type { Variables } from './cli.ts'
import { MemoryAudit } from './memory-audit.ts'

/** A local Azure and a connector on it, both in this process. */
export interface SandboxConnector {
  readonly sandbox: Sandbox
  readonly audit: MemoryAudit
  /** The caller's key. */
  readonly key: string
  /** What a client needs, and the programs it runs: no secret of Azure's. */
  readonly client: Variables
}

export interface SandboxConnectorOptions
  extends Pick<
    SandboxOptions,
    'account' | 'azure' | 'clock' | 'engine' | 'perAccountAudiences' | 'tokenLifetimeMs'
  > {
  /** What to make of the connector's configuration. */
  readonly editYaml?: (yaml: string) => string
}

/** Starts both with the container `data`; they end with the test. */
export async function startSandboxConnector(
  t: Test,
  { editYaml = (yaml) => yaml, ...options }: SandboxConnectorOptions = {},
): Promise<SandboxConnector> {
  const sandbox = await startSandbox({ containers: ['data'], ...options })
  t.teardown(() => sandbox.close())
  const place = (name: string): string => join(sandbox.runDirectory, name)
  const { key, keySha256 } = generateCallerKey()
  const secretFile = place('client-secret')
  await writeFile(secretFile, sandbox.clientSecret, { mode: 0o600 })
  await writeFile(place('caller.key'), `${key}\n`, { mode: 0o600 })
  const yaml = connectorYaml(sandbox, { keySha256, secretFile, auditFile: 'stdout' })
  const config = parseConnectorConfig(editYaml(yaml), { file: 'connector.yaml' })
  const audit = new MemoryAudit()
  const connector = await startConnector({ config, issuer: await openIssuer(config), audit })
  t.teardown(() => connector.close())
  const inherited = ['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE', 'REQUESTS_CA_BUNDLE', 'ABFS_CA_FILE']
  const named = [
    ...inherited,
    'ABFS_ACCOUNT',
    'ABFS_REGISTRIES',
    'ABFS_BLOB_ENDPOINT',
    'AZURE_STORAGE_BLOB_ENDPOINT',
  ]
  const variables = sandbox.environment()
  const client = {
    ...Object.fromEntries(named.map((name) => [name, variables[name] ?? ''])),
    ABFS_CONNECTOR_URL: connector.url.href,
    ABFS_CONNECTOR_KEY_FILE: place('caller.key'),
  }
  return { sandbox, audit, key, client }
}
