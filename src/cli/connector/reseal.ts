import { readFile } from 'node:fs/promises'
import { parseConnectorConfig } from '../../connector/config.ts'
import { openParts } from '../../connector/open-connector.ts'
import { diskSources } from '../../connector/sources.ts'
import type { CliContext } from '../context.ts'
import { usageError } from '../usage.ts'

/** Seals every secret of the state anew with the first key of the ring. */
export async function resealState(file: string, context: CliContext): Promise<void> {
  const config = parseConnectorConfig(await readFile(file, 'utf8'), { file })
  const { state, issuer } = await openParts({ config, sources: diskSources(context.environment) })
  if (state === undefined) throw usageError(`'${file}' has no state`)
  try {
    const count = await state.reseal()
    await context.stdout.line(`${count} sealed anew; keys after the first can be taken out`)
  } finally {
    await state.close()
    await issuer.close?.()
  }
}
