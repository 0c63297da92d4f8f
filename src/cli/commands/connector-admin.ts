import type { Command } from 'commander'
import type { AdminFlags } from '../connector/admin-api.ts'
import type { AddFlags } from '../connector/administer.ts'
import type { CliContext } from '../context.ts'

type Administer = typeof import('../connector/administer.ts')
type Flags<K extends keyof Administer> = Parameters<Administer[K]>[0]

const load = (): Promise<Administer> => import('../connector/administer.ts')

/** Adds the commands that administer a connector, running or by its configuration. */
export function defineConnectorAdministration(connector: Command, context: CliContext): void {
  defineInit(connector, context)
  defineReseal(connector, context)
  defineObjects(connector, context)
  definePolicy(connector, context)
  defineKeys(connector, context)
  const audit = connector
    .command('audit')
    .description('Print decisions, newest first.')
    .option('--caller <name>', 'of this caller')
    .option('--action <name>', 'such as credentials.issue or connectors.change')
    .option('--decision <word>', 'granted, denied or failed')
    .option('--since <time>', 'ISO 8601, UTC')
    .option('--limit <n>', 'at most so many, up to 1000', '100')
  administer(audit, 'abfs connector audit --config connector.yaml --decision denied --json').action(
    async (flags: Parameters<Administer['findAudit']>[0]) =>
      (await load()).findAudit(flags, context),
  )
}

function defineInit(connector: Command, context: CliContext): void {
  connector
    .command('init')
    .description('Write a configuration with an embedded state, and the keys that it needs.')
    .argument('<directory>', 'where they go; nothing there is replaced')
    .addHelpText('after', '\nExample:\n  abfs connector init /etc/abfs')
    .action(async (directory: string) => {
      const { initConnector } = await import('../connector/init.ts')
      await initConnector(directory, context)
    })
}

function defineReseal(connector: Command, context: CliContext): void {
  connector
    .command('reseal')
    .description('Seal the secrets of the state anew, after a new first line in the ring of keys.')
    .requiredOption('-c, --config <file>', 'the configuration that names state and ring')
    .addHelpText('after', '\nExample:\n  abfs connector reseal --config connector.yaml')
    .action(async ({ config }: { config: string }) => {
      const { resealState } = await import('../connector/reseal.ts')
      await resealState(config, context)
    })
}

function defineObjects(connector: Command, context: CliContext): void {
  const add = connector
    .command('add')
    .description('Register a connector; its secret is sealed and never shown.')
    .argument('[name]')
    .option('-f, --file <file>', 'YAML or JSON as POST /v1/connectors takes it')
    .option('--auth <method>', 'service-principal, certificate, managed-identity, cli, …')
    .option('--tenant-id <id>', 'of the identity: its Entra tenant')
    .option('--client-id <id>', 'of the identity: application or managed identity')
    .option('--secret-file <file>', 'the client secret, or the certificate with its key')
    .option('--resource <id...>', 'abfss://CONTAINER@ACCOUNT.dfs…[/PATH], GROUP/CLUSTER, …')
    .option('--permissions <list>', 'for containers; read,list when absent')
  administer(
    add,
    'abfs connector add prod --config connector.yaml --auth service-principal --tenant-id T \\\n    --client-id C --secret-file secret --resource abfss://data@acct.dfs.core.windows.net',
  ).action(async (name: string | undefined, flags: AddFlags) =>
    (await load()).addConnector(name, flags, context),
  )
  administer(
    connector.command('list').description('List the connectors.'),
    'abfs connector list --config connector.yaml',
  ).action(async (flags: AdminFlags) => (await load()).listConnectors(flags, context))
  administer(
    connector
      .command('show')
      .description('Show a connector, without its secrets.')
      .argument('<name>'),
    'abfs connector show prod --connector-url https://abfs.example.org --connector-key-file key',
  ).action(async (name: string, flags: AdminFlags) =>
    (await load()).showConnector(name, flags, context),
  )
  administer(
    connector
      .command('remove')
      .description('Remove a connector and its secrets.')
      .argument('<name>'),
    'abfs connector remove prod --config connector.yaml',
  ).action(async (name: string, flags: AdminFlags) =>
    (await load()).removeObject('connectors', name, flags, context),
  )
}

function definePolicy(connector: Command, context: CliContext): void {
  const policy = connector.command('policy').description('Who may use which connector.')
  administer(
    policy.command('list').description('List the policies.'),
    'abfs connector policy list --config connector.yaml',
  ).action(async (flags: AdminFlags) => (await load()).listPolicies(flags, context))
  const add = policy
    .command('add')
    .description('Let a caller use a connector, or a part of it.')
    .argument('<name>')
    .requiredOption('--caller <name>', 'who may use it')
    .requiredOption('--connector <name>', 'what may be used')
    .option('--resource <id>', 'this resource of it alone')
    .option('--permissions <list>', 'these alone')
    .option('--max-ttl <seconds>', 'credentials live so long at most')
  administer(add, 'abfs connector policy add train-prod --caller train --connector prod').action(
    async (name: string, flags: Parameters<Administer['addPolicy']>[1]) =>
      (await load()).addPolicy(name, flags, context),
  )
  administer(
    policy.command('remove').description('Take back what a policy gave.').argument('<name>'),
    'abfs connector policy remove train-prod --config connector.yaml',
  ).action(async (name: string, flags: AdminFlags) =>
    (await load()).removeObject('policies', name, flags, context),
  )
  const test = policy
    .command('test')
    .description('Say what a caller would be answered, and why; nothing is issued.')
    .requiredOption('--caller <name>', 'who would ask')
    .requiredOption('--account <name>', 'the storage account')
    .option('--container <name>', 'a container of it; absent: the account itself')
    .option('--prefix <path>', 'a directory in the container')
    .option('--permissions <list>', 'what the caller would ask for', 'read,list')
    .option('--service <name>', 'blob or dfs', 'blob')
  administer(
    test,
    'abfs connector policy test --config connector.yaml --caller train --account acct --container data',
  ).action(async (flags: Flags<'testPolicy'>) => (await load()).testPolicy(flags, context))
}

function defineKeys(connector: Command, context: CliContext): void {
  const keys = connector.command('keys').description('Keys of callers.')
  const create = keys
    .command('create')
    .description('Make a key for a caller; it is shown once.')
    .requiredOption('--caller <name>', 'whose key it is')
    .option('--admin', 'it may administer the connector')
    .option('--expires-in <seconds>', 'how long it is good; absent: until it is revoked')
  administer(create, 'abfs connector keys create --config connector.yaml --caller train').action(
    async (flags: Flags<'createKey'>) => (await load()).createKey(flags, context),
  )
  administer(
    keys.command('list').description('List the keys, without what is secret in them.'),
    'abfs connector keys list --config connector.yaml --json',
  ).action(async (flags: AdminFlags) => (await load()).listKeys(flags, context))
  const rotate = keys
    .command('rotate')
    .description('Make a new key for the same caller; the old one ends after an overlap.')
    .argument('<key>', 'its public part, as list prints it')
    .option('--overlap <seconds>', 'how long both are good', '86400')
  administer(rotate, 'abfs connector keys rotate 1k2m3n4p5q6r --overlap 3600').action(
    async (name: string, flags: AdminFlags & { overlap: string }) =>
      (await load()).rotateKey(name, flags, context),
  )
  administer(
    keys.command('revoke').description('Revoke a key at once.').argument('<key>'),
    'abfs connector keys revoke 1k2m3n4p5q6r --config connector.yaml',
  ).action(async (name: string, flags: AdminFlags) =>
    (await load()).removeObject('keys', name, flags, context),
  )
}

function administer(command: Command, example: string): Command {
  return command
    .option(
      '-c, --config <file>',
      'work on the state of this configuration (ABFS_CONNECTOR_CONFIG)',
    )
    .option('--connector-url <url>', 'or ask the connector that runs there (ABFS_CONNECTOR_URL)')
    .option('--connector-key-file <file>', 'an administrator’s key (ABFS_CONNECTOR_KEY_FILE)')
    .option('--ca-file <file>', 'certificate authorities to trust as well, PEM (ABFS_CA_FILE)')
    .option('--json', 'print JSON')
    .addHelpText('after', `\nExample:\n  ${example}`)
}
