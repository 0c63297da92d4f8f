import { once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { generateCallerKey } from '../../connector/authenticate.ts'
import { FileSystemError } from '../../errors.ts'
import { makeDirectories } from '../../make-directories.ts'
import { writeEnvFile } from '../../sandbox/env-file.ts'
import { type Sandbox, type SandboxOptions, startSandbox } from '../../sandbox/sandbox.ts'
import type { SandboxFlags } from '../commands/sandbox.ts'
import type { CliContext } from '../context.ts'
import { formatTable } from '../output.ts'
import { type ConnectorProcess, spawnConnector } from './connector-process.ts'
import { connectorYaml } from './connector-yaml.ts'

/** Where the connector of a sandbox is, and the files it runs on. */
interface ConnectorFiles {
  readonly config: string
  readonly key: string
  readonly audit: string
}

/** Runs a local Azure with a connector beside it until a signal, or until one of them dies. */
export async function runSandbox(flags: SandboxFlags, context: CliContext): Promise<void> {
  const directory = flags.directory === undefined ? undefined : resolve(flags.directory)
  if (directory !== undefined) await makeDirectories(directory)
  const sandbox = await start({
    ...accountsOf(flags),
    ...azureOf(flags),
    ...(flags.engine === undefined ? {} : { engine: flags.engine }),
    ...(flags.controlPort === undefined ? {} : { controlPort: flags.controlPort }),
    ...(flags.changeFeed === undefined ? {} : feedOf(flags.changeFeed)),
    containers: flags.container,
    ...(directory === undefined ? {} : { directory }),
    ...(flags.accessLog === undefined ? {} : { accessLogFile: resolve(flags.accessLog) }),
  })
  let connector: ConnectorProcess | undefined
  const envFile = flags.envFile === undefined ? undefined : resolve(flags.envFile)
  try {
    const files = await writeConnectorFiles(sandbox)
    connector = await spawnConnector(files.config)
    const variables = variablesOf(sandbox, connector, files)
    if (envFile !== undefined) await writeEnvFile(envFile, variables)
    await announce(variables, { files, envFile, sandbox }, context)
    await untilEnd(sandbox, connector, context.signal)
  } finally {
    await connector?.close()
    if (envFile !== undefined) await rm(envFile, { force: true })
    await sandbox.close()
  }
}

function feedOf(delay: number | true): SandboxOptions {
  return { changeFeedDelayMs: (delay === true ? 1 : delay) * 1000 }
}

async function start(options: SandboxOptions): Promise<Sandbox> {
  try {
    return await startSandbox(options)
  } catch (error) {
    throw error instanceof RangeError ? mistakeOf(error) : error
  }
}

/** A wrong option is the user's to mend. */
function mistakeOf(cause: RangeError): FileSystemError {
  return new FileSystemError('EINVAL', 'sandbox', { detail: cause.message, cause })
}

/** `--account` as given; `--hns` makes hierarchical those that do not say what they are. */
function accountsOf({ account, hns }: SandboxFlags): SandboxOptions {
  const asked = account.length === 0 ? [{ name: 'devstoreaccount1' }] : account
  const [first, ...others] = asked.map(({ name, versioning, hierarchical = hns ?? false }) => ({
    name,
    hierarchical,
    ...(versioning === undefined ? {} : { versioning }),
  }))
  return first === undefined ? {} : { account: first, moreAccounts: others }
}

/** Management comes with what it shows, or alone. */
function azureOf({ management, registry, cluster }: SandboxFlags): SandboxOptions {
  if (management !== true && registry.length === 0 && cluster.length === 0) return {}
  return { azure: { registries: registry.map((name) => ({ name })), clusters: cluster } }
}

async function writeConnectorFiles(sandbox: Sandbox): Promise<ConnectorFiles> {
  const place = (name: string): string => `${sandbox.runDirectory}/${name}`
  const files = {
    config: place('connector.yaml'),
    key: place('caller.key'),
    audit: place('audit.jsonl'),
  }
  const { key, keySha256 } = generateCallerKey()
  const secretFile = place('client-secret')
  const yaml = connectorYaml(sandbox, { keySha256, secretFile, auditFile: files.audit })
  await writeFile(secretFile, sandbox.clientSecret, { mode: 0o600 })
  await writeFile(files.key, `${key}\n`, { mode: 0o600 })
  await writeFile(files.config, yaml, { mode: 0o600 })
  return files
}

function variablesOf(
  sandbox: Sandbox,
  connector: ConnectorProcess,
  files: ConnectorFiles,
): Record<string, string> {
  return {
    ...sandbox.environment(),
    ABFS_CONNECTOR_URL: connector.url,
    ABFS_CONNECTOR_KEY_FILE: files.key,
    ABFS_CONNECTOR_CONFIG: files.config,
  }
}

interface Places {
  readonly sandbox: Sandbox
  readonly files: ConnectorFiles
  readonly envFile: string | undefined
}

async function announce(
  variables: Readonly<Record<string, string>>,
  { sandbox, files, envFile }: Places,
  { stdout }: CliContext,
): Promise<void> {
  const rows = [
    ...sandbox.accounts.map(({ blobEndpoint, hierarchical }) => [
      hierarchical ? 'hierarchical account' : 'flat account',
      blobEndpoint.href,
    ]),
    ...(sandbox.controlPort === undefined ? [] : [['control port', sandbox.controlPort.url.href]]),
    ...azureRows(sandbox),
    ['Entra', sandbox.authorityHost.href],
    ['managed identity', sandbox.imdsEndpoint.href],
    ['connector', variables['ABFS_CONNECTOR_URL'] ?? ''],
    ['its configuration', files.config],
    ['its audit log', files.audit],
    ['caller’s key', files.key],
    ['authority', sandbox.caFile],
    ['variables', envFile ?? '(--env-file FILE writes them)'],
  ]
  await stdout.line(formatTable(rows).join('\n'))
  await stdout.line('ready; Ctrl-C ends it and removes all of this')
}

function azureRows({ azure }: Sandbox): string[][] {
  if (azure === undefined) return []
  const { registries, clusters, managementUrl } = azure
  return [
    ['management', managementUrl.href],
    ...registries.map(({ name, url }) => [`registry ${name}.azurecr.io`, url.href]),
    ...clusters.map(({ group, name, url }) => [`cluster ${group}/${name}`, url.href]),
  ]
}

/** Rejects when the blob service or the connector ends by itself. */
async function untilEnd(
  sandbox: Sandbox,
  connector: ConnectorProcess,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) return
  await Promise.race([once(signal, 'abort'), sandbox.failed, connector.failed])
}
