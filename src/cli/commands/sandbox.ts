import { type Command, InvalidArgumentError, Option } from 'commander'
import type { CliContext } from '../context.ts'

/** The flags of `abfs sandbox`. */
export interface SandboxFlags {
  readonly envFile?: string
  readonly directory?: string
  readonly accessLog?: string
  readonly container: readonly string[]
  readonly hns?: boolean
  readonly engine?: 'abfs' | 'azurite'
  readonly account: readonly AccountFlag[]
  readonly controlPort?: number
  readonly changeFeed?: number | true
  readonly management?: boolean
  readonly registry: readonly string[]
  readonly cluster: readonly ClusterFlag[]
}

/** A `--cluster`. */
export interface ClusterFlag {
  readonly group: string
  readonly name: string
}

/** An `--account`. */
export interface AccountFlag {
  readonly name: string
  /** As `--hns` says when absent. */
  readonly hierarchical?: boolean
  readonly versioning?: boolean
}

const HELP = `
Starts a blob service, a stand-in for Entra and managed identity, and a connector with a caller's
key, all on free loopback ports, and stays in the foreground. Nothing is left when it ends.

Examples:
  abfs sandbox --env-file sandbox.env     then, in another terminal:
    set -a; . ./sandbox.env; set +a
    abfs ls
  abfs sandbox --container data --container models --directory ./azure
  abfs sandbox --hns --container data     a hierarchical account, with dfs
  abfs sandbox --account lake:hns --account plain:flat --control-port 0
  abfs sandbox --registry team5 --cluster ml/train     with Azure Resource Manager`

/** Adds `abfs sandbox`. */
export function defineSandbox(program: Command, context: CliContext): void {
  program
    .command('sandbox')
    .description('Run a local Azure to try things on.')
    .option('-e, --env-file <file>', 'write NAME=value lines for Azure clients and abfs there')
    .option('--hns', 'hierarchical namespace and dfs, on the engine abfs')
    .addOption(
      new Option(
        '--engine <engine>',
        'what runs the accounts: azurite (flat only) or abfs, which --hns needs',
      ).choices(['abfs', 'azurite']),
    )
    .option(
      '--account <name[:kind]>',
      'make this account, of kind flat, versioned (flat, keeps versions) or hns; may be repeated',
      readAccount,
      [],
    )
    .option('--control-port <port>', 'faults, ledger and clock over HTTP; 0: any free', readPort)
    .option(
      '--change-feed [seconds]',
      'flat accounts keep a change feed, which has a change so much later (default: 1)',
      readDelay,
    )
    .option('--management', 'run a stand-in for Azure Resource Manager')
    .option(
      '--registry <name>',
      'and a container registry NAME.azurecr.io; may be repeated',
      readName,
      [],
    )
    .option(
      '--cluster <group/name>',
      'and a Kubernetes API server; may be repeated',
      readCluster,
      [],
    )
    .option('-d, --directory <directory>', 'keep blobs there; in memory when absent')
    .option('--access-log <file>', 'append one line per request to the blob service there')
    .option('-c, --container <name>', 'make this container; may be repeated', readName, [])
    .addHelpText('after', HELP)
    .action(async (flags: SandboxFlags) => {
      const { runSandbox } = await import('../sandbox/run.ts')
      await runSandbox(flags, context)
    })
}

function readAccount(text: string, others: readonly AccountFlag[]): readonly AccountFlag[] {
  const [name = '', kind, ...rest] = text.split(':')
  const isKnown = kind === undefined || accountKinds.has(kind)
  if (!isKnown || rest.length > 0) {
    throw new InvalidArgumentError('expected NAME, NAME:flat, NAME:versioned or NAME:hns')
  }
  const versioning = kind === 'versioned' ? { versioning: true } : {}
  const said = kind === undefined ? {} : { hierarchical: kind === 'hns', ...versioning }
  return [...others, { name, ...said }]
}

const accountKinds: ReadonlySet<string> = new Set(['flat', 'versioned', 'hns'])

function readName(name: string, names: readonly string[]): readonly string[] {
  return [...names, name]
}

function readCluster(text: string, others: readonly ClusterFlag[]): readonly ClusterFlag[] {
  const [group = '', name = '', ...rest] = text.split('/')
  if (group === '' || name === '' || rest.length > 0) {
    throw new InvalidArgumentError('expected GROUP/NAME')
  }
  return [...others, { group, name }]
}

function readDelay(text: string): number {
  const seconds = Number(text)
  if (text.trim() === '' || !(seconds >= 0 && seconds <= 3600)) {
    throw new InvalidArgumentError('expected seconds from 0 to 3600')
  }
  return seconds
}

function readPort(text: string): number {
  const port = Number(text)
  if (!/^\d+$/.test(text) || port > 65_535) throw new InvalidArgumentError('expected 0 to 65535')
  return port
}
