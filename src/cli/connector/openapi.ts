import { systemClock } from '../../clock.ts'
import { describeConnector } from '../../connector/routes.ts'
import type { CliContext } from '../context.ts'

/** Prints the description of the interface, generated from the code that serves it. */
export async function printOpenApi(context: CliContext): Promise<void> {
  await context.stdout.json(describeConnector(systemClock))
}
