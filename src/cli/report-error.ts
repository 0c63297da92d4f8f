import { inspect } from 'node:util'
import { isFileSystemError } from '../errors.ts'
import { codeOf, type ExitCode, exitCodeOf, exitCodes, isAbort } from './exit-codes.ts'
import { hintFor } from './hints.ts'
import { printable } from './output.ts'

/** A failure as the user reads it: one line, perhaps a hint, and the exit code. */
export interface ErrorReport {
  /** `CODE: message`, without line breaks. */
  readonly line: string
  readonly hint: string | undefined
  readonly exitCode: ExitCode
}

/** A failure that another process has described already. */
export class ReportedError extends Error {
  readonly report: ErrorReport

  constructor(report: ErrorReport) {
    super(report.line)
    this.report = report
  }
}

/** Puts `error` into one line and, where something can be done about it, a hint. */
export function describeError(error: unknown): ErrorReport {
  if (error instanceof ReportedError) return error.report
  return {
    line: printable(lineOf(error)).replaceAll('\\n', ' '),
    hint: hintFor(error),
    exitCode: exitCodeOf(error),
  }
}

/** The text for standard error. `debug` adds the stack and every cause. */
export function formatReport(report: ErrorReport, error: unknown, debug: boolean): string {
  const hint = report.hint === undefined ? '' : `hint: ${report.hint}\n`
  const details = debug && report.exitCode !== exitCodes.ok ? `${inspect(error)}\n` : ''
  return `abfs: ${report.line}\n${hint}${details}`
}

function lineOf(error: unknown): string {
  if (isAbort(error)) return 'EINTR: interrupted'
  if (!(error instanceof Error)) return `EIO: ${String(error)}`
  if (isFileSystemError(error) && error.syscall === 'usage') return usageLine(error.message)
  const code = codeOf(error)
  if (code === '') return `EIO: ${error.message}`
  return error.message.startsWith(code) ? error.message : `${code}: ${error.message}`
}

/** Drops the operation of a usage mistake: the user sees what was typed. */
function usageLine(message: string): string {
  return message.replace(/, usage( '.*')?$/s, '')
}
