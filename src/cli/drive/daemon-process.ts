import { setFlagsFromString } from 'node:v8'

/** How Node is started for a drive's daemon. */
export interface DaemonProcess {
  /** Options of Node, before all others. */
  readonly flags: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

/**
 * A drive makes much that lives short: with 4 MiB for what is young, not 16, it takes 20 MiB less and is as fast. So do
 * two arenas of malloc for all of its threads, not one for each (docs/decisions/0084). What its starter asked for stays.
 */
export function daemonProcess(
  execArgv: readonly string[],
  environment: NodeJS.ProcessEnv,
): DaemonProcess {
  const given = [...execArgv, environment['NODE_OPTIONS'] ?? ''].join(' ')
  return {
    flags: /semi[-_]space/.test(given) ? [] : ['--max-semi-space-size=4'],
    env: { MALLOC_ARENA_MAX: '2', ...environment },
  }
}

/**
 * Has V8 optimize what has run for twice as long as usually: compiling takes the processors from the connection, the
 * kernel and whoever uses the drive.
 */
export function optimizeLater(): void {
  setFlagsFromString('--interrupt-budget=270000')
}
