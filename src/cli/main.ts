#!/usr/bin/env -S node --
// The two dashes keep Node from taking `--env-file` of `abfs sandbox` for its own option.
import { processContext } from './context.ts'
import { exitCodes } from './exit-codes.ts'
import { Interruption } from './interruption.ts'
import { createProgram, runProgram } from './program.ts'

process.exitCode = await main()

/** Runs the command line; a reader that went away (`abfs ls | head`) ends it quietly. */
function main(): Promise<number> {
  process.stdout.on('error', endQuietlyOnBrokenPipe)
  const interruption = new Interruption()
  interruption.listen()
  const context = processContext(interruption)
  return runProgram(createProgram(context), process.argv, context)
}

function endQuietlyOnBrokenPipe(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(exitCodes.ok)
  throw error
}
