import { subscribe } from 'node:diagnostics_channel'
import { dirname } from 'node:path'
import { destination, type Logger, pino } from 'pino'
import type { LogLevel } from '../../config.ts'
import { isFileSystemError } from '../../errors.ts'
import { makeDirectoriesSync } from '../../make-directories.ts'
import {
  type CredentialEvent,
  credentialChannel,
  type FaultEvent,
  faultChannel,
  type HiddenFileEvent,
  type HttpEvent,
  hiddenFileChannel,
  httpChannel,
} from '../../telemetry.ts'
import { codeOf } from '../exit-codes.ts'

/** Where the log goes and how much of it. */
export interface LogOptions {
  readonly level: LogLevel
  /** Standard error when absent. */
  readonly file?: string | undefined
}

/** What waits for a disk that takes no more. */
const maxLength = 1024 * 1024

/** As {@link openLogFile}, for good. */
export function openLog(options: LogOptions): Logger {
  return openLogFile(options).log
}

/** A log, and what opens its file anew when another program has moved it away. */
export interface OpenedLog {
  readonly log: Logger
  readonly reopen: () => void
}

/**
 * Opens the log of a process that serves: one JSON line per event. Faults are errors, credentials
 * information, requests debugging. Lines are written at once, so that none is lost at exit.
 */
export function openLogFile(options: LogOptions): OpenedLog {
  if (options.file !== undefined) {
    makeDirectoriesSync(dirname(options.file), 0o700)
  }
  const file = destination({ dest: options.file ?? 2, sync: true, mode: 0o600, maxLength })
  // Lines wait for a disk that is full, as many as there is room for: whoever logs does not fail with it.
  file.on('error', () => undefined)
  const { isoTime: timestamp } = pino.stdTimeFunctions
  const log = pino({ level: options.level, base: { pid: process.pid }, timestamp }, file)
  subscribe(faultChannel.name, (message) => logFault(log, message as FaultEvent))
  subscribe(hiddenFileChannel.name, (message) => log.warn(message as HiddenFileEvent, hidden))
  subscribe(credentialChannel.name, (message) => logCredential(log, message as CredentialEvent))
  if (log.isLevelEnabled('debug')) {
    subscribe(httpChannel.name, (message) => log.debug(message as HttpEvent, 'request'))
  }
  return { log, reopen: () => options.file !== undefined && file.reopen() }
}

const hidden = 'a directory of the same name hides this file: abfs cat reaches it'

function logFault(log: Logger, { operation, path, error }: FaultEvent): void {
  log.error({ operation, path, ...errorFields(error) }, 'failed, and no caller was told why')
}

function logCredential(log: Logger, event: CredentialEvent): void {
  const { expiresAtMs, ...rest } = event
  log.info({ ...rest, expiresAt: new Date(expiresAtMs).toISOString() }, 'credential received')
}

/** What a log says of an error: an errno failure in words, anything else with its stack. */
export function errorFields(error: unknown): Record<string, unknown> {
  if (isFileSystemError(error)) {
    const { code, message, requestId } = error
    return { code, error: message, ...(requestId === undefined ? {} : { requestId }) }
  }
  const code = codeOf(error)
  if (/^E[A-Z0-9]+$/.test(code)) return { code, error: String((error as Error).message) }
  return { error: pino.stdSerializers.err(error as Error) }
}
