import { type Command, Option } from 'commander'
import { addConnectionOptions } from '../context.ts'

/** The flags of commands that run an agent. */
export interface AgentFlags {
  readonly container?: string
  readonly write?: true
  readonly service: 'blob' | 'dfs'
  readonly audience: readonly string[]
  readonly identity: readonly string[]
  readonly cloudShell?: true
  readonly azureMl?: true
  readonly openImds?: true
  readonly federatedTokenFile?: string
  readonly clientId?: string
  readonly tenantId?: string
  readonly logLevel?: string
  readonly statsFile?: string
}

const collect = (value: string, values: readonly string[]): string[] => [...values, value]

/** Adds the flags that say what an agent gives, and how. */
export function addAgentOptions(command: Command): Command {
  command
    .optionsGroup('Tokens:')
    .option('--container <name>', 'ask the connector for this container; the account when absent')
    .option('-w, --write', 'ask for permissions to change things too')
    .addOption(
      new Option(
        '--service <name>',
        'whose token answers https://storage.azure.com: one token is for one of them',
      )
        .choices(['blob', 'dfs'])
        .default('blob'),
    )
    .option(
      '--audience <url>',
      'another audience that the connector vends; may be repeated',
      collect,
      [],
    )
    .option(
      '--identity <id>',
      'a managed identity that clients may name; may be repeated',
      collect,
      [],
    )
    .optionsGroup('Protocols beside App Service’s and IMDS with a secret in its path:')
    .option('--cloud-shell', 'Cloud Shell’s')
    .option('--azure-ml', 'Azure Machine Learning’s, and App Service’s before 2019')
    .option('--open-imds', 'IMDS without a secret, for processes of this user (Linux)')
    .option('--federated-token-file <file>', 'keep a token for Entra in this file')
    .option('--client-id <id>', 'the application that trusts that token')
    .option('--tenant-id <id>', 'its tenant')
    .optionsGroup('Options:')
    .option('--log-level <level>', 'trace, debug, info, warn, error or silent (ABFS_LOG_LEVEL)')
  return addConnectionOptions(command)
}
