import type { Command } from 'commander'
import type { CliContext } from '../context.ts'

/** The flags of `abfs sandbox`. */
export interface SandboxFlags {
  readonly envFile?: string
  readonly directory?: string
  readonly accessLog?: string
  readonly container: readonly string[]
}

const HELP = `
Starts a blob service, a stand-in for Entra and managed identity, and a connector with a caller's
key, all on free loopback ports, and stays in the foreground. Nothing is left when it ends.

Examples:
  abfs sandbox --env-file sandbox.env     then, in another terminal:
    set -a; . ./sandbox.env; set +a
    abfs ls
  abfs sandbox --container data --container models --directory ./azure`

/** Adds `abfs sandbox`. */
export function defineSandbox(program: Command, context: CliContext): void {
  program
    .command('sandbox')
    .description('Run a local Azure to try things on.')
    .option('-e, --env-file <file>', 'write NAME=value lines for Azure clients and abfs there')
    .option('-d, --directory <directory>', 'keep blobs there; in memory when absent')
    .option('--access-log <file>', 'append one line per request to the blob service there')
    .option(
      '-c, --container <name>',
      'make this container; may be repeated',
      (name: string, names: readonly string[]) => [...names, name],
      [],
    )
    .addHelpText('after', HELP)
    .action(async (flags: SandboxFlags) => {
      const { runSandbox } = await import('../sandbox/run.ts')
      await runSandbox(flags, context)
    })
}
