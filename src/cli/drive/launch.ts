/**
 * A drive that outlives its command. In the order things happen:
 *
 * 1. `abfs mount` starts itself again, detached, with `--serve-launcher` and a channel to it, by which it sends the
 *    variables that are secrets.
 * 2. The child connects, mounts, and sends `mounted`; or sends `failed` with the line to print.
 *    Lines of `notice` that come before are printed: whom it waits for, what is not there yet.
 * 3. The parent returns with the child's verdict. The child closes the channel and serves on, its
 *    standard error in the log file: what Node prints when it dies is found there.
 */

import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { z } from 'zod'
import { FileSystemError } from '../../errors.ts'
import { makeDirectoriesSync } from '../../make-directories.ts'
import { codeOf, type ExitCode, exitCodes } from '../exit-codes.ts'
import { ReportedError } from '../report-error.ts'
import { selfCommand } from '../self.ts'
import { daemonProcess } from './daemon-process.ts'
import { withoutSecrets } from './launched-secrets.ts'

/** The hidden flag that tells the child to answer its parent. */
export const launcherFlag = '--serve-launcher'

/** What the child tells its parent: notices, and one verdict. */
export type LaunchVerdict =
  | { readonly kind: 'mounted' }
  | {
      readonly kind: 'failed'
      readonly line: string
      readonly hint?: string | undefined
      readonly exitCode: ExitCode
    }

/** A line for whoever waits. */
export interface LaunchNotice {
  readonly kind: 'notice'
  readonly line: string
}

const message: z.ZodType<LaunchVerdict | LaunchNotice> = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('notice'), line: z.string() }),
  z.object({ kind: z.literal('mounted') }),
  z.object({
    kind: z.literal('failed'),
    line: z.string(),
    hint: z.string().optional(),
    exitCode: z.literal(Object.values(exitCodes)),
  }),
])

/** How the daemon is started. */
export interface LaunchOptions {
  /** Arguments of `abfs`, `mount` first. */
  readonly argv: readonly string[]
  readonly logFile: string
  /** Open ones that the daemon gets under the same numbers, from 3 on. */
  readonly descriptors?: readonly number[] | undefined
  readonly stderr: NodeJS.WritableStream
  /** Ends the child when the user gives up waiting. */
  readonly signal: AbortSignal
}

/** Starts the daemon; resolves once it serves, rejects with what it reports when it does not. */
export async function launchDaemon(options: LaunchOptions): Promise<void> {
  const child = spawnDaemon(options)
  const stop = (): void => {
    child.kill('SIGTERM')
  }
  options.signal.addEventListener('abort', stop, { once: true })
  const answer = await new Promise<LaunchVerdict>((resolve) => {
    child.on('message', (said) => {
      const heard = parseMessage(said, options.logFile)
      if (heard.kind === 'notice') options.stderr.write(`abfs: ${heard.line}\n`)
      else resolve(heard)
    })
    child.once('exit', (code, signal) => resolve(died(code, signal, options)))
    child.once('error', (error) => resolve(failed(`EIO: cannot start a process: ${error.message}`)))
  })
  options.signal.removeEventListener('abort', stop)
  release(child)
  if (answer.kind === 'failed') throw new ReportedError({ ...answer, hint: answer.hint })
}

/** What tells a line to who started the drive: through the launcher where there is one. */
export function tellStarter(
  stderr: NodeJS.WritableStream,
  forLauncher = false,
): (line: string) => void {
  return (line) => {
    const notice: LaunchNotice = { kind: 'notice', line }
    if (!forLauncher) stderr.write(`abfs: ${line}\n`)
    else if (process.connected) process.send?.(notice, () => undefined)
  }
}

/** In the child: gives the parent its verdict and lets go of it, unless it `stays` to be heard. */
export async function answerLauncher(answer: LaunchVerdict, stays: boolean = false): Promise<void> {
  const { send } = process
  if (send === undefined) return
  // A parent that is gone needs no answer; the drive serves on.
  await new Promise<void>((resolve) => send.call(process, answer, () => resolve()))
  if (process.connected && !stays) process.disconnect()
}

function spawnDaemon(options: LaunchOptions): ReturnType<typeof spawn> {
  makeLogDirectory(options.logFile)
  const log = openSync(options.logFile, 'a', 0o600)
  try {
    const [program, argv] = selfCommand([...options.argv, launcherFlag])
    const { flags, env: whole } = daemonProcess(process.execArgv, process.env)
    const { env, secrets } = withoutSecrets(whole)
    const child = spawn(program, [...flags, ...argv], {
      env,
      detached: true,
      stdio: ['ignore', log, log, ...passed(options.descriptors ?? [])],
    })
    // Of a child that did not start another event tells.
    child.send(secrets, () => undefined)
    return child
  } finally {
    closeSync(log)
  }
}

/** What stands at 3 and after: each descriptor at its own number, and the channel behind them. */
function passed(descriptors: readonly number[]): (number | 'ignore' | 'ipc')[] {
  const last = Math.max(2, ...descriptors)
  const places = Array.from({ length: last - 2 }, (_, index) => {
    return descriptors.includes(index + 3) ? index + 3 : 'ignore'
  })
  return [...places, 'ipc']
}

function makeLogDirectory(logFile: string): void {
  const path = dirname(logFile)
  try {
    makeDirectoriesSync(path, 0o700)
  } catch (error) {
    throw noLogDirectory(path, error)
  }
}

function noLogDirectory(path: string, cause: unknown): FileSystemError {
  const code = codeOf(cause) === 'ENOSPC' ? 'ENOSPC' : 'EACCES'
  const why = cause instanceof Error ? cause.message : String(cause)
  const detail = `no directory can be made for the drive's log (${why}): set XDG_STATE_HOME to one that this user may write, or name a file with --log-file`
  return new FileSystemError(code, 'mount', { path, detail, cause })
}

/** Lets this process end while the child lives. */
function release(child: ReturnType<typeof spawn>): void {
  child.removeAllListeners()
  if (child.connected) child.disconnect()
  child.unref()
}

/** What a daemon has said to who started it. */
export function parseMessage(said: unknown, logFile: string): LaunchVerdict | LaunchNotice {
  const result = message.safeParse(said)
  return result.success ? result.data : failed(`EIO: the daemon failed; see ${logFile}`)
}

function died(code: number | null, signal: string | null, options: LaunchOptions): LaunchVerdict {
  if (options.signal.aborted) return { kind: 'failed', line: 'EINTR: interrupted', exitCode: 130 }
  const how = signal === null ? `with code ${code}` : `by ${signal}`
  return failed(`EIO: the daemon ended ${how} before it served; see ${options.logFile}`)
}

function failed(line: string): LaunchVerdict {
  return { kind: 'failed', line, exitCode: 1 }
}
