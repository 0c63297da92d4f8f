import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { systemClock } from '../../clock.ts'
import { loadConfig } from '../../config.ts'
import { type ConnectorConfig, parseConnectorConfig } from '../../connector/config.ts'
import { openConnector } from '../../connector/open-connector.ts'
import { diskSources } from '../../connector/sources.ts'
import { FileSystemError } from '../../errors.ts'
import type { CliContext } from '../context.ts'
import { openLog } from '../drive/log.ts'
import { openOtlp } from '../otlp/open-otlp.ts'
import type { OtlpFigures } from '../otlp/otlp-request.ts'
import { chooseOtlp } from '../otlp/otlp-settings.ts'
import { usageError } from '../usage.ts'

/** What `abfs connector serve` takes. */
export interface ServeFlags {
  readonly config?: string
  readonly logLevel?: string
  readonly otlpEndpoint?: string
}

/** Serves until a signal. A parent process with a channel to this one is told the URL. */
export async function serveConnector(flags: ServeFlags, context: CliContext): Promise<void> {
  const settings = loadConfig({ logLevel: flags.logLevel }, context.environment)
  const file = flags.config === undefined ? settings.connectorConfigFile : resolve(flags.config)
  if (file === undefined) {
    throw usageError('no configuration is named: set --config or ABFS_CONNECTOR_CONFIG')
  }
  const choice = chooseOtlp(flags.otlpEndpoint, context.environment, 'abfs-connector')
  const sources = diskSources(context.environment)
  const config = await readConfig(file)
  const logger = openLog({ level: settings.logLevel })
  const sinceMs = systemClock.nowMs()
  const connector = await openConnector({ config, sources, logger })
  const figures = (): OtlpFigures => {
    const atMs = systemClock.nowMs()
    return { scope: 'abfs.connector', metrics: connector.metrics(), sinceMs, atMs }
  }
  const otlp = await openOtlp(choice, figures, logger)
  context.stderr.write(`abfs: connector listens on ${connector.url.href}; Ctrl-C ends it\n`)
  process.send?.({ kind: 'listening', url: connector.url.href })
  // A parent that dies takes its connector along.
  process.once('disconnect', () => context.interruption.interrupt())
  try {
    if (!context.signal.aborted) await once(context.signal, 'abort')
  } finally {
    await connector.close()
    // After the last answer, which is counted too.
    await otlp?.close()
    // The channel would keep this process alive.
    if (process.connected) process.disconnect()
  }
}

async function readConfig(file: string): Promise<ConnectorConfig> {
  return parseConnectorConfig(await readText(file), { file })
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw unreadable(file, cause)
  }
}

function unreadable(path: string, cause: unknown): FileSystemError {
  const detail = 'the connector’s configuration cannot be read: check --config'
  return new FileSystemError('ENOENT', 'connector.config', { path, detail, cause })
}
