#!/usr/bin/env -S node --
// mount(8) finds the helper of a type by the name mount.TYPE, in /sbin, and wants exit codes of its own.
import { fileURLToPath } from 'node:url'
import { mountArguments, mountExitCode } from './drive/mount-options.ts'

const main = fileURLToPath(import.meta.url).replace(/mount-helper(\.[jt]s)$/, 'main$1')
process.argv.splice(1, Number.POSITIVE_INFINITY, main, ...mountArguments(process.argv.slice(2)))
await import('./main.ts')
process.exitCode = mountExitCode(process.exitCode)
