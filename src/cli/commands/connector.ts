import type { Command } from 'commander'
import type { ServeFlags } from '../connector/serve.ts'
import type { VerifyFlags } from '../connector/verify.ts'
import type { StoredFlags } from '../connector/verify-registered.ts'
import { addConnectionOptions, type CliContext } from '../context.ts'
import { defineConnectorAdministration } from './connector-admin.ts'

const HELP = `
The connector keeps the identity that may use a storage account, and vends credentials that live
for an hour at most, to callers that it knows, for what its policy allows.

Examples:
  abfs connector key --out /run/secrets/abfs-key   a key for a caller; prints its hash for the config
  abfs connector serve --config connector.yaml     audit lines go where the config says
  abfs connector check --container datasets        what this caller gets, from the client's side`

const CHECK_HELP = `
Asks the configured connector for credentials, and says what came. No credential is printed.

Examples:
  abfs connector check
  abfs connector check --container datasets --write
  abfs connector check --json --container datasets | jq .lifeSeconds`

const VERIFY_HELP = `
Asks the configured connector for credentials, uses what comes, and tries it on the parent and on a
sibling whose name begins alike, where it must be refused. With --write one small blob is written,
read and deleted. Ends with 1 when a check failed. No credential is printed.

Examples:
  abfs connector verify --container datasets
  abfs connector verify --container lake --prefix teams/blue --write
  abfs connector verify --registry team5.azurecr.io --repository app --cluster ml/train
  abfs connector verify --container datasets --json | jq .passed
  abfs connector verify --connector prod --config connector.yaml`

/** Adds `abfs connector`. */
export function defineConnector(program: Command, context: CliContext): void {
  const connector = program
    .command('connector')
    .description('Run a service connector, or ask one.')
    .addHelpText('after', HELP)
  connector
    .command('serve')
    .description('Serve credentials in the foreground until SIGTERM or Ctrl-C.')
    .option('-c, --config <file>', 'YAML configuration (ABFS_CONNECTOR_CONFIG)')
    .option('--log-level <level>', 'trace, debug, info, warn, error or silent (ABFS_LOG_LEVEL)')
    .option(
      '--otlp-endpoint <url>',
      'send metrics by OTLP (OTEL_EXPORTER_OTLP_ENDPOINT, and others of its kind)',
    )
    .addHelpText('after', '\nExample:\n  abfs connector serve --config connector.yaml')
    .action(async (flags: ServeFlags) => {
      const { serveConnector } = await import('../connector/serve.ts')
      await serveConnector(flags, context)
    })
  const check = connector
    .command('check')
    .description('Ask for credentials as the other commands do, and say what came.')
    .option('--container <name>', 'for this container; the account when absent')
    .option('--write', 'permissions to change things too')
    .option('--json', 'print one JSON object')
    .addHelpText('after', CHECK_HELP)
    .action(async (flags: { container?: string; write?: true; json?: true }) => {
      const { checkConnector } = await import('../connector/check.ts')
      await checkConnector(flags, check, context)
    })
  addConnectionOptions(check)
  defineVerify(connector, context)
  defineConnectorAdministration(connector, context)
  connector
    .command('openapi')
    .description('Print the OpenAPI 3.1 document of what a connector answers.')
    .addHelpText('after', '\nExample:\n  abfs connector openapi > connector.openapi.json')
    .action(async () => {
      const { printOpenApi } = await import('../connector/openapi.ts')
      await printOpenApi(context)
    })
  connector
    .command('key')
    .description('Make a key for a caller.')
    .requiredOption('-o, --out <file>', 'where the key goes; it must not exist')
    .addHelpText('after', '\nExample:\n  abfs connector key --out /run/secrets/abfs-key')
    .action(async (flags: { out: string }) => {
      const { makeKey } = await import('../connector/key.ts')
      await makeKey(flags.out, context)
    })
}

function defineVerify(connector: Command, context: CliContext): void {
  const command = connector
    .command('verify')
    .description('Check what a connector gives: that it works, and that it reaches no further.')
    .option('--container <name>', 'for this container')
    .option('--registry <name>', 'for this container registry: NAME.azurecr.io')
    .option('--repository <name>', 'the repository of the registry to pull from')
    .option('--cluster <group/name>', 'for this Kubernetes cluster')
    .option('--connector <name>', 'have a registered connector try itself; for administrators')
    .option('-c, --config <file>', 'with --connector: its configuration, where it does not run')
    .option('--resource <id>', 'with --connector: this resource of it alone')
    .option('--write', 'permissions to change things too')
    .option('--json', 'print one JSON object')
    .addHelpText('after', VERIFY_HELP)
    .action(async (flags: VerifyFlags & StoredFlags) => {
      if (flags.connector !== undefined) {
        const { verifyRegistered } = await import('../connector/verify-registered.ts')
        return verifyRegistered(flags.connector, flags, context)
      }
      const { verify } = await import('../connector/verify.ts')
      await verify(flags, command, context)
    })
  addConnectionOptions(command)
}
