import { fileCommands } from './file-commands.ts'
import { runCommands } from './run-commands.ts'

/** Runs the command line, which names a command on files: what `dist/quick` begins with. */
export function runMain(): Promise<number> {
  return runCommands([fileCommands])
}
