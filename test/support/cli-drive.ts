import type { ChildProcess } from 'node:child_process'
import type { Test } from 'tap'
import { outputOf, startAbfs, until, type Variables } from './cli.ts'
import { temporaryMountpoint } from './temp-mount.ts'

/** A drive that `abfs mount` serves in the foreground. */
export interface CliDrive {
  readonly directory: string
  readonly daemon: ChildProcess
  readonly output: { readonly stdout: string; readonly stderr: string }
  /** Ends it by SIGTERM; its exit code. */
  end(): Promise<number | null>
}

export interface CliDriveOptions {
  readonly env: Variables
  /** Default `abfs://data`. */
  readonly url?: string
  /** Default: a temporary one. */
  readonly directory?: string
}

/** Awaits its mount; it is killed when the test ends. */
export async function startDrive(
  t: Test,
  flags: readonly string[],
  options: CliDriveOptions,
): Promise<CliDrive> {
  const { env, url = 'abfs://data', directory = await temporaryMountpoint(t) } = options
  const daemon = startAbfs(['mount', url, directory, '--foreground', ...flags], { env })
  t.teardown(() => daemon.kill('SIGKILL'))
  const output = outputOf(daemon)
  await until(() => output.stderr.includes('mounted on') || daemon.exitCode !== null)
  if (daemon.exitCode !== null) throw new Error(output.stderr)
  const end = async (): Promise<number | null> => {
    daemon.kill('SIGTERM')
    await until(() => daemon.exitCode !== null)
    return daemon.exitCode
  }
  return { directory, daemon, output, end }
}
