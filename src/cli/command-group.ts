import type { Command } from 'commander'
import type { CliContext } from './context.ts'

/** Adds one command to the program. */
type DefineCommand = (program: Command, context: CliContext) => void

/** Commands that help shows together. */
export interface CommandGroup {
  readonly heading: string
  /** By the names of commands, what loads them. */
  readonly commands: Readonly<Record<string, () => Promise<DefineCommand>>>
}

/** A group whose commands are loaded. */
interface LoadedGroup {
  readonly heading: string
  readonly defines: readonly DefineCommand[]
}

/** What adds those commands of `groups` that `argv` names; all of them where it names none, as help shows all. */
export function loadCommands(
  groups: readonly CommandGroup[],
  argv: readonly string[],
): Promise<readonly LoadedGroup[]> {
  const [, , name = ''] = argv
  const isNamed = groups.some(({ commands }) => Object.hasOwn(commands, name))
  return Promise.all(
    groups.map(async ({ heading, commands }) => {
      const wanted = Object.keys(commands).filter((other) => !isNamed || other === name)
      const loads = wanted.map((other) => commands[other]?.())
      const defines = await Promise.all(loads)
      return { heading, defines: defines.filter((define) => define !== undefined) }
    }),
  )
}
