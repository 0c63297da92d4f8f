import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import type { CliContext } from '../context.ts'
import { codeOf } from '../exit-codes.ts'

/** Signals that one process sends another; not SIGUSR1, which Node keeps for its debugger. */
const forwarded = ['SIGTERM', 'SIGHUP', 'SIGUSR2'] as const
/** Signals that a terminal sends to every process of the foreground at once. */
const typed = ['SIGINT', 'SIGQUIT'] as const

/** The shell's codes for a command that did not begin. */
const cannotRun = 126
const notFound = 127

/** Runs a command with this process's streams; resolves with its exit code, as a shell has it. */
export async function runChild(
  argv: readonly string[],
  environment: Readonly<Record<string, string>>,
  context: CliContext,
): Promise<number> {
  context.signal.throwIfAborted()
  const [program = '', ...rest] = argv
  const child = spawn(program, rest, { env: { ...environment }, stdio: 'inherit' })
  // Further signals are the command's to act on.
  context.interruption.onSecond(() => undefined)
  const stop = forwardSignals(child)
  try {
    return await statusOf(child)
  } catch (error) {
    const missing = codeOf(error) === 'ENOENT'
    context.stderr.write(`abfs: ${program}: ${missing ? 'command not found' : 'cannot be run'}\n`)
    return missing ? notFound : cannotRun
  } finally {
    stop()
  }
}

function statusOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]))
    })
  })
}

function forwardSignals(child: ChildProcess): () => void {
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal)
  const forwardTyped = (signal: NodeJS.Signals): void => {
    if (!isInForeground()) child.kill(signal)
  }
  for (const name of forwarded) process.on(name, forward)
  for (const name of typed) process.on(name, forwardTyped)
  return () => {
    for (const name of forwarded) process.off(name, forward)
    for (const name of typed) process.off(name, forwardTyped)
  }
}

/**
 * Whether a terminal's Ctrl-C reaches this process, and so its child, by itself. Fields 5 and 8 of
 * proc(5)'s stat: this process's group and the terminal's foreground group.
 */
function isInForeground(): boolean {
  try {
    const fields = readFileSync('/proc/self/stat', 'latin1').split(') ')[1]?.split(' ') ?? []
    return fields[2] === fields[5]
  } catch {
    // No Linux: a terminal on standard input is the nearest sign.
    return process.stdin.isTTY === true
  }
}
