import { join } from 'node:path'
import type { Command } from 'commander'
import { parseAzureUrl } from '../../azure-url.ts'
import { FileSystemError } from '../../errors.ts'
import { type CliContext, configOf } from '../context.ts'
import { targetOf } from '../location.ts'
import { withAccount } from '../session.ts'
import type { DrivePlace } from './serve.ts'
import { StartWatch, type StartWatchOptions } from './start-watch.ts'

/** Which containers of an account are shown: patterns with `*` and `?`; absent: all. */
export interface ContainerChoice {
  readonly allow: readonly string[] | undefined
  readonly deny: readonly string[] | undefined
}

/**
 * A place for each container that is chosen: in a directory of its name in `directory`. Not empty.
 */
export async function everyContainer(
  directory: string,
  choice: ContainerChoice,
  patience: Omit<StartWatchOptions, 'connector' | 'blobEndpoint'>,
  command: Command,
  context: CliContext,
): Promise<DrivePlace[]> {
  const { signal } = context
  const config = await configOf(command, context)
  const { blobEndpoint } = targetOf(config, [])
  const start = new StartWatch({ ...patience, connector: config.connector, blobEndpoint })
  const session = { access: 'read', urls: [], abandoned: () => start.signal } as const
  const names: string[] = []
  await withAccount(command, context, session, async ({ store }) => {
    await start.run(async () => {
      for await (const { name } of store.listContainers({ signal })) names.push(name)
    })
  })
  const chosen = names.filter((name) => isChosen(name, choice))
  if (chosen.length === 0) {
    const detail = `of ${names.length} containers that the account has, none is chosen`
    throw new FileSystemError('ENOENT', 'mount', { path: directory, detail })
  }
  return chosen.map((name) => {
    return { url: parseAzureUrl(`abfs://${name}`), directory: join(directory, name) }
  })
}

function isChosen(name: string, { allow, deny }: ContainerChoice): boolean {
  // `$logs`, `$web` and their kin are the service's.
  if (name.startsWith('$') && allow?.includes(name) !== true) return false
  if (deny?.some((pattern) => matches(name, pattern)) === true) return false
  return allow === undefined || allow.some((pattern) => matches(name, pattern))
}

function matches(name: string, pattern: string): boolean {
  const source = pattern.replace(/[^\w*?-]/g, '\\$&')
  return new RegExp(`^${source.replaceAll('*', '.*').replaceAll('?', '.')}$`).test(name)
}
