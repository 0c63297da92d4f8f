import { dirname } from 'node:path'
import type { Command } from 'commander'
import type { ChangeListing, FileChange } from '../../filesystem/changes.ts'
import { addConnectionOptions, type CliContext } from '../context.ts'
import { parseRemote } from '../location.ts'
import { printable } from '../output.ts'
import { withFileSystem } from '../session.ts'
import { usageError } from '../usage.ts'

interface ChangesFlags {
  readonly since?: string
  readonly follow?: true
  readonly state?: string
  readonly json?: true
}

const HELP = `
The account has to keep a change feed, which flat accounts can. It is minutes late. Lines are in the
order of the service for each blob, and roughly in that of time for all.

Examples:
  abfs changes abfs://datasets/raw --since 2h
  abfs changes --since 2026-08-01T00:00:00Z --json | jq -r 'select(.kind == "removed").name'
  abfs changes abfs://datasets --follow --state raw.state   goes on where the last run ended`

/** Adds `abfs changes`. */
export function defineChanges(program: Command, context: CliContext): void {
  const command = program
    .command('changes')
    .description('Tell what became of files, from the account’s change feed.')
    .argument('[path]', 'abfs://CONTAINER[/PATH]; the account when absent', 'abfs://')
    .option('--since <when>', 'a time with its zone, or how long ago: 30m, 2h, 7d')
    .option('-f, --follow', 'wait for changes to come, until Ctrl-C')
    .option('--state <file>', 'go on where the last run with this file ended')
    .option('--json', 'one JSON object a line')
    .addHelpText('after', HELP)
    .action((path: string, flags: ChangesFlags) => changes(path, flags, command, context))
  addConnectionOptions(command)
}

async function changes(
  path: string,
  { since, follow, state, json }: ChangesFlags,
  command: Command,
  context: CliContext,
): Promise<void> {
  const { stdout, signal } = context
  const from = since === undefined ? undefined : parseSince(since, Date.now())
  const continuation = state === undefined ? undefined : await readState(state)
  const start = continuation === undefined ? { since: from } : { continuation }
  const urls = [parseRemote(path)]
  await withFileSystem(command, context, { access: 'read', urls }, async (fileSystem) => {
    const found = goingOn(state, () => fileSystem.changes(path, { ...start, follow, signal }))
    try {
      for await (const change of found) {
        await (json === true ? stdout.json(change) : stdout.line(lineOf(change)))
      }
    } finally {
      // What was printed is not printed again, however this ends.
      if (state !== undefined) await writeState(state, found.checkpoint().continuation)
    }
  })
}

function lineOf({ time, kind, size, name }: FileChange): string {
  return `${time.toISOString()}  ${kind.padEnd(8)}  ${String(size ?? '-').padStart(12)}  ${printable(name)}`
}

/** Says of what was read from the state's file that it is none. */
function goingOn(state: string | undefined, begin: () => ChangeListing): ChangeListing {
  try {
    return begin()
  } catch (error) {
    if (state === undefined || !(error instanceof TypeError)) throw error
    const detail = `--state ${state}: ${error.message.replace(/^continuation: /, '')}`
    throw usageError(`${detail}; name another file, or remove it to begin anew`, error)
  }
}

/** A file that is not there yet is one of a first run, which will write it. */
async function readState(file: string): Promise<string | undefined> {
  const { access, constants, readFile } = await import('node:fs/promises')
  try {
    await access(dirname(file), constants.W_OK)
  } catch (error) {
    throw usageError(`--state ${file}: expected a file in a directory that may be written`, error)
  }
  try {
    return (await readFile(file, 'utf8')).trim()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

async function writeState(file: string, continuation: string): Promise<void> {
  const { rename, writeFile } = await import('node:fs/promises')
  const partial = `${file}.${process.pid}`
  await writeFile(partial, `${continuation}\n`, { mode: 0o600 })
  await rename(partial, file)
}

function parseSince(text: string, nowMs: number): Date {
  const [, count = '', unit = ''] = /^(\d{1,6})([mhd])$/.exec(text) ?? []
  if (unit !== '') return new Date(nowMs - Number(count) * (unitsMs[unit] ?? 0))
  const time = new Date(/(Z|[+-]\d\d:\d\d)$|^\d{4}-\d\d-\d\d$/.test(text) ? text : Number.NaN)
  if (!Number.isNaN(time.getTime())) return time
  throw usageError(
    `--since must be a day, a time with its zone such as 2026-08-01T00:00:00Z, or 30m, 2h or 7d, not '${text}'`,
  )
}

const unitsMs: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 }
