import type { Command } from 'commander'
import type { Config, ConfigFlags, Environment } from '../config.ts'
import type { Interruption } from './interruption.ts'
import { Output } from './output.ts'

/** What the process gives a command. */
export interface CliContext {
  readonly environment: Environment
  readonly stdin: NodeJS.ReadStream
  readonly stdout: Output
  readonly stderr: NodeJS.WriteStream
  readonly interruption: Interruption
  /** Aborted by the first SIGINT, SIGTERM or SIGHUP. */
  readonly signal: AbortSignal
}

/** The context of this process. */
export function processContext(interruption: Interruption): CliContext {
  const { env: environment, stdin, stderr } = process
  const stdout = new Output(process.stdout)
  return { environment, stdin, stdout, stderr, interruption, signal: interruption.signal }
}

/** Adds the flags that say how to reach Azure; `configOf` reads them. */
export function addConnectionOptions(command: Command): Command {
  return command
    .optionsGroup('Connection (each beats its variable):')
    .option('--account <name>', 'storage account (ABFS_ACCOUNT)')
    .option('--blob-endpoint <url>', 'blob service, when not the public cloud (ABFS_BLOB_ENDPOINT)')
    .option('--dfs-endpoint <url>', 'dfs service, when not beside blob (ABFS_DFS_ENDPOINT)')
    .option('--hns <choice>', 'hierarchical namespace: auto, true or false (ABFS_HNS)')
    .option('--prefix <path>', 'ask for credentials below this directory alone (ABFS_PREFIX)')
    .option('--ca-file <file>', 'certificate authorities to trust as well, PEM (ABFS_CA_FILE)')
    .option('--connector-url <url>', 'the connector that vends credentials (ABFS_CONNECTOR_URL)')
    .option('--connector-key-file <file>', 'file with the caller’s key (ABFS_CONNECTOR_KEY_FILE)')
    .option(
      '--connector-token-file <file>',
      'file with the workload’s token (ABFS_CONNECTOR_TOKEN_FILE)',
    )
    .option(
      '--connector-session <0|1>',
      'ask in sessions bound to a key of this process (ABFS_CONNECTOR_SESSION)',
    )
    .option(
      '--memory-budget <size>',
      'bytes that transfers hold, such as 256M (ABFS_MEMORY_BUDGET)',
    )
    .option('--request-budget <n>', 'requests under way at once (ABFS_REQUEST_BUDGET)')
    .option('--integrity <sum>', 'sums of uploads: crc64, md5 or none (ABFS_INTEGRITY)')
    .option(
      '--encryption-key-file <file>',
      'AES-256 key that encrypts blobs and reads them, mode 600 (ABFS_ENCRYPTION_KEY_FILE)',
    )
    .option('--stats-file <file>', 'write what went over the wire as JSON at the end')
    .optionsGroup('Options:')
}

/** The configuration that the flags of `command` and the environment make. */
export async function configOf(command: Command, context: CliContext): Promise<Config> {
  const { loadConfig } = await import('../config.ts')
  return loadConfig(command.opts<ConfigFlags>(), context.environment)
}
