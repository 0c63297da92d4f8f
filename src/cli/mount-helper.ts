#!/usr/bin/env -S node --
// mount(8) finds the helper of a type by the name mount.TYPE, in /sbin, and wants exit codes of its own.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { helperRequest, mountExitCode } from './drive/mount-options.ts'

const request = helperRequest(process.argv.slice(2))
if (!request.isFake) {
  const main = fileURLToPath(import.meta.url).replace(/mount-helper(\.[jt]s)$/, 'main$1')
  process.argv.splice(1, Number.POSITIVE_INFINITY, main, ...request.argv)
  await import('./main.ts')
  process.exitCode = mountExitCode(process.exitCode)
  const [program, ...argv] = request.after
  if (process.exitCode === 0 && program !== undefined) {
    process.exitCode = mountExitCode(spawnSync(program, argv, { stdio: 'inherit' }).status ?? 1)
  }
}
