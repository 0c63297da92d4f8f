#!/usr/bin/env -S node --
// The two dashes keep Node from taking `--env-file` of `abfs sandbox` for its own option.
import { printVersion } from './version.ts'

const [, , first = '', ...others] = process.argv
// Scripts ask for it before anything else: it loads nothing else.
if (['--version', '-V'].includes(first) && others.length === 0) printVersion()
else process.exitCode = await (await import('./run-main.ts')).runMain()
