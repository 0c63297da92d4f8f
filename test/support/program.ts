import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'

/** Why a program cannot be used here; `false` when it can. */
export function whyNo(program: string): string | false {
  const directories = (process.env['PATH'] ?? '').split(':')
  return directories.some((directory) => mayRun(`${directory}/${program}`))
    ? false
    : `${program} is missing`
}

/** Whether `script/test --long` runs: many more rounds, larger files, longer loads. */
export const isLongRun: boolean = process.env['ABFS_LONG_TESTS'] === '1'

/** What Node's own children need under script/sanitize, when their variables are not all of ours. */
export const sanitizerVariables: Readonly<Record<string, string>> = Object.fromEntries(
  ['LD_PRELOAD', 'ASAN_OPTIONS', 'TSAN_OPTIONS'].flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value]]
  }),
)

/** Our variables for programs other than Node: a sanitizer is none of their business. */
export function programVariables(): NodeJS.ProcessEnv {
  const { LD_PRELOAD: _, ...env } = process.env
  return env
}

function mayRun(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Runs a program to its end, however long it takes; both outputs, joined. */
export function runLong(
  command: string,
  args: readonly string[],
): Promise<{ readonly status: number | null; readonly output: string }> {
  return new Promise((resolve, reject) => {
    const env = programVariables()
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(-65_536)
      })
    }
    child.on('error', reject)
    child.on('close', (status) => resolve({ status, output }))
  })
}
