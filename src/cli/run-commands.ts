import type { CommandGroup } from './command-group.ts'
import { processContext } from './context.ts'
import { exitCodes } from './exit-codes.ts'
import { Interruption } from './interruption.ts'
import { createProgram, runProgram } from './program.ts'

/** Runs the command line with the commands of `groups`; a reader that went away (`abfs ls | head`) ends it quietly. */
export async function runCommands(groups: readonly CommandGroup[]): Promise<number> {
  process.stdout.on('error', endQuietlyOnBrokenPipe)
  const interruption = new Interruption()
  interruption.listen()
  const context = processContext(interruption)
  return runProgram(await createProgram(groups, process.argv, context), process.argv, context)
}

function endQuietlyOnBrokenPipe(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(exitCodes.ok)
  throw error
}
