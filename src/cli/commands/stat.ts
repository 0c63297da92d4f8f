import type { Command } from 'commander'
import type { FileInfo } from '../../filesystem/file-info.ts'
import { addConnectionOptions, type CliContext } from '../context.ts'
import { permissionText, timeOf } from '../file-text.ts'
import { parseRemote } from '../location.ts'
import { formatBytes, formatTable, formatTime, printable } from '../output.ts'
import { withTree } from '../session.ts'

const EXAMPLES = `
Examples:
  abfs stat abfs://datasets/train/part-0.parquet
  abfs stat --json abfs://datasets/train | jq .etag`

/** Adds `abfs stat`. */
export function defineStat(program: Command, context: CliContext): void {
  const command = program
    .command('stat')
    .description('Show what is known of files and directories.')
    .argument('<path...>', 'abfs://CONTAINER[/PATH]')
    .option('--json', 'one JSON object a line')
    .addHelpText('after', EXAMPLES)
    .action((paths: string[], flags: { json?: true }) =>
      stat(paths, flags.json === true, command, context),
    )
  addConnectionOptions(command)
}

async function stat(
  paths: readonly string[],
  json: boolean,
  command: Command,
  context: CliContext,
): Promise<void> {
  const urls = paths.map(parseRemote)
  const { stdout, signal } = context
  await withTree(command, context, { access: 'read', urls }, async (fileSystem) => {
    for (const path of paths) {
      const info = await fileSystem.info(path, { signal })
      if (json) await stdout.json(info)
      else await stdout.write(`${describe(info).join('\n')}\n`)
    }
  })
}

function describe(info: FileInfo): string[] {
  const rows: [string, string | undefined][] = [
    ['path', `abfs://${printable(info.name)}`],
    ['type', info.entryType],
    ['size', `${info.size} (${formatBytes(info.size)})`],
    ['modified', formatTime(timeOf(info))],
    ['created', info.created && formatTime(info.created.getTime())],
    ['mode', info.mode === undefined ? undefined : modeText(info.mode)],
    ['owner', info.uid === undefined ? undefined : `${info.uid}:${info.gid ?? '-'}`],
    ['owned by', info.owner === undefined ? undefined : `${info.owner}:${info.group ?? '-'}`],
    ['permissions', info.permissions],
    ['expires', info.expires && formatTime(info.expires.getTime())],
    ['etag', info.etag],
    ['content type', info.contentType],
    ['content md5', info.contentMd5],
    ...Object.entries(info.metadata).map(([key, value]): [string, string] => [
      `metadata ${key}`,
      printable(value),
    ]),
  ]
  return formatTable(rows.flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])))
}

function modeText(mode: number): string {
  return `${mode.toString(8).padStart(4, '0')} (${permissionText(mode)})`
}
