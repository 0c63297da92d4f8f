#!/usr/bin/env -S -u NODE_CHANNEL_FD node --
// The two dashes keep Node from taking `--env-file` of `abfs sandbox` for its own option. A channel that a daemon's environment names
// is that daemon's: Node would end by SIGABRT where there is none.
import { quickProgram } from './quick-start.ts'
import { printVersion } from './version.ts'

const [, , first = '', ...others] = process.argv
// Scripts ask for it before anything else: it loads nothing else.
if (['--version', '-V'].includes(first) && others.length === 0) printVersion()
else {
  const { runMain } = quickProgram(first) ?? (await import('./run-main.ts'))
  process.exitCode = await runMain()
}
