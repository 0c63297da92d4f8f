import type { Logger } from 'pino'
import type { Clock } from '../../clock.ts'
import { type FileSystemError, isFileSystemError } from '../../errors.ts'
import { errorFields } from './log.ts'

/** Where a {@link FailureLog} writes, and by whose time. */
export interface FailureLogOptions {
  readonly log: Logger
  readonly clock: Clock
}

/** Between two lines of the same kind. */
const silenceMs = 60_000

interface Told {
  readonly atMs: number
  /** Of the same kind since then, about which nothing was said. */
  unsaid: number
}

/**
 * Says in a drive's log why calls fail when the service or the connector refuses or cannot answer them: programs hear an errno, which tells
 * neither whom to ask nor for what. A kind of failure is told at once, and again a minute later where it goes on.
 */
export class FailureLog {
  readonly #options: FailureLogOptions
  readonly #told = new Map<string, Told>()

  constructor(options: FailureLogOptions) {
    this.#options = options
  }

  note(error: unknown): void {
    if (!isFileSystemError(error) || !isOfOthers(error)) return
    const kind = `${error.code} ${error.serviceCode ?? ''}`
    const nowMs = this.#options.clock.nowMs()
    const told = this.#told.get(kind)
    if (told !== undefined && nowMs - told.atMs < silenceMs) {
      told.unsaid += 1
      return
    }
    this.#told.set(kind, { atMs: nowMs, unsaid: 0 })
    const { unsaid = 0 } = told ?? {}
    const others = unsaid === 0 ? {} : { unsaid }
    this.#options.log.warn({ ...errorFields(error), ...others }, 'calls fail')
  }
}

/** Not of a name that is missing, a lost race or a wrong argument, which programs know what to do about. */
function isOfOthers({ code }: FileSystemError): boolean {
  return code === 'EACCES' || code === 'EIO' || code === 'ETIMEDOUT'
}
