import type { Command } from 'commander'
import type { ChangeListing, ChangesDamage, FileChange } from '../../filesystem/changes.ts'
import { addConnectionOptions, type CliContext } from '../context.ts'
import { ExitStatus, exitCodes } from '../exit-codes.ts'
import { parseRemote } from '../location.ts'
import { printable } from '../output.ts'
import { withFileSystem } from '../session.ts'
import { readState, StateFile } from '../state-file.ts'
import { usageError } from '../usage.ts'

interface ChangesFlags {
  readonly since?: string
  readonly follow?: true
  readonly state?: string
  readonly skipDamaged?: true
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
    .option('--state <file>', 'go on where the last run with this file ended, saved each second')
    .option('--skip-damaged', 'go on behind damage of the feed, which is told, and end with 1')
    .option('--json', 'one JSON object a line')
    .addHelpText('after', HELP)
    .action((path: string, flags: ChangesFlags) => changes(path, flags, command, context))
  addConnectionOptions(command)
}

async function changes(
  path: string,
  { since, follow, state, json, skipDamaged }: ChangesFlags,
  command: Command,
  context: CliContext,
): Promise<void> {
  const from = since === undefined ? undefined : parseSince(since, Date.now())
  const continuation = state === undefined ? undefined : await readState(state)
  const start = continuation === undefined ? { since: from } : { continuation }
  const failing = new AbortController()
  const signal = AbortSignal.any([context.signal, failing.signal])
  const onFailure = (error: unknown) => failing.abort(error)
  const urls = [parseRemote(path)]
  let isWhole = true
  const tell = (damage: ChangesDamage) => {
    isWhole = false
    context.stderr.write(damageLine(damage))
  }
  const how = { ...start, follow, signal, onDamage: skipDamaged === true ? tell : undefined }
  await withFileSystem(command, context, { access: 'read', urls }, async (fileSystem) => {
    const found = goingOn(state, () => fileSystem.changes(path, how))
    const print = (change: FileChange) =>
      json === true ? context.stdout.json(change) : context.stdout.line(lineOf(change))
    if (state === undefined) return printAll(found, print)
    const standing = () => found.checkpoint().continuation
    const { stdout } = context
    await printKept(found, print, new StateFile(state, { standing, stdout, onFailure }))
  })
  if (!isWhole) throw new ExitStatus(exitCodes.failure)
}

function damageLine({ hour, error }: ChangesDamage): string {
  return `abfs: changes of the hour of ${hour.toISOString()} are missing, list anew what matters: ${error.message}\n`
}

type Print = (change: FileChange) => Promise<void>

async function printAll(found: ChangeListing, print: Print): Promise<void> {
  for await (const change of found) await print(change)
}

/** What was printed is not printed again, however this ends; what could not be printed is. */
async function printKept(found: ChangeListing, print: Print, state: StateFile): Promise<void> {
  let isPrinted = true
  try {
    for await (const change of found) {
      isPrinted = false
      await print(change)
      isPrinted = true
      await state.told()
    }
  } finally {
    state.close()
    if (isPrinted) await state.save()
  }
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
