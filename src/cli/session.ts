import type { Command } from 'commander'
import type { AzureUrl } from '../azure-url.ts'
import type { AccountTree } from '../filesystem/account-tree.ts'
import type { AzureBlobFileSystem } from '../filesystem/azure-blob-file-system.ts'
import type { Account } from './compose.ts'
import { type CliContext, configOf } from './context.ts'
import { targetOf } from './location.ts'
import type { AccessKind } from './request-scope.ts'

/** What a command is about to do, and where. */
export interface SessionOptions {
  readonly access: AccessKind
  /** The places in Azure that were named. */
  readonly urls: readonly AzureUrl[]
  /** As `AccountOptions`. */
  readonly abandoned?: (() => AbortSignal | undefined) | undefined
}

/**
 * Connects as the flags of `command` and the environment say, for the time of `use`, and closes
 * everything afterwards. With `--stats-file` what went over the wire is written there at the end.
 */
export async function withAccount<T>(
  command: Command,
  context: CliContext,
  options: SessionOptions,
  use: (account: Account) => Promise<T>,
): Promise<T> {
  const config = await configOf(command, context)
  const { openAccount, usualRequests } = await import('./compose.ts')
  const finish = await countTraffic(command.opts<{ statsFile?: string }>().statsFile)
  const target = targetOf(config, options.urls)
  const { access, abandoned } = options
  const requestBudget = config.requestBudget ?? usualRequests
  const account = await openAccount(config, { target, access, abandoned, requestBudget })
  try {
    return await use(account)
  } finally {
    await account.close()
    finish()
  }
}

/** As {@link withAccount}, with the file system of the account. */
export function withFileSystem<T>(
  command: Command,
  context: CliContext,
  options: SessionOptions,
  use: (fileSystem: AzureBlobFileSystem) => Promise<T>,
): Promise<T> {
  return withAccount(command, context, options, async (account) => {
    const { composeFileSystem } = await import('./compose-file-system.ts')
    return use(composeFileSystem(account))
  })
}

/** As {@link withFileSystem}, for commands that need names alone: they load no more than that. */
export function withTree<T>(
  command: Command,
  context: CliContext,
  options: SessionOptions,
  use: (tree: AccountTree) => Promise<T>,
): Promise<T> {
  return withAccount(command, context, options, async (account) => {
    const { composeTree } = await import('./compose.ts')
    return use(composeTree(account))
  })
}

/** Counts until the function it gives is called, which writes `file`; nothing without a file. */
export async function countTraffic(file: string | undefined): Promise<() => void> {
  if (file === undefined) return () => undefined
  const { Traffic, writeReport } = await import('./traffic.ts')
  const { systemClock } = await import('../clock.ts')
  const traffic = new Traffic(systemClock)
  return () => {
    writeReport(file, traffic.report())
    traffic.close()
  }
}
