#!/usr/bin/env -S -u NODE_CHANNEL_FD node --
// mount(8) finds the helper of a type by the name mount.TYPE, in /sbin, and wants exit codes of its own.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { helperRequest, mountExitCode } from './drive/mount-options.ts'

const request = helperRequest(process.argv.slice(2))
if (request.refused !== undefined) {
  const option = request.refused.replace(/=.*$/s, '')
  process.stderr.write(
    `abfs: EINVAL: -o ${option} is no option of a mount: use abfs mount --${option}\n`,
  )
  process.exitCode = 1
} else if (!request.isFake) {
  const main = fileURLToPath(import.meta.url).replace(/mount-helper(\.[jt]s)$/, 'main$1')
  process.argv.splice(1, Number.POSITIVE_INFINITY, main, ...request.argv)
  await import('./main.ts')
  process.exitCode = mountExitCode(process.exitCode)
  const [program, ...argv] = request.after
  if (process.exitCode === 0 && program !== undefined) {
    process.exitCode = mountExitCode(spawnSync(program, argv, { stdio: 'inherit' }).status ?? 1)
  }
}
