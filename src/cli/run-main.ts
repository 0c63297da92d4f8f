import { commandGroups } from './command-table.ts'
import { runCommands } from './run-commands.ts'

/** Runs the command line. */
export function runMain(): Promise<number> {
  return runCommands(commandGroups)
}
