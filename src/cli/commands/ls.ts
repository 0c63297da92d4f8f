import type { Command } from 'commander'
import type { FileInfo } from '../../filesystem/file-info.ts'
import { addConnectionOptions, type CliContext } from '../context.ts'
import { attributesText, timeOf } from '../file-text.ts'
import { parseRemote } from '../location.ts'
import { formatTable, formatTime, printable } from '../output.ts'
import { withTree } from '../session.ts'

interface LsFlags {
  readonly long?: true
  readonly recursive?: true
  readonly json?: true
}

const EXAMPLES = `
Examples:
  abfs ls                                 the containers of the account
  abfs ls -l abfs://datasets/train        size, time, mode and owner where known
  abfs ls -R abfs://datasets              everything below, with full paths
  abfs ls --json abfs://datasets | jq .   one JSON object a line`

/** Adds `abfs ls`. */
export function defineLs(program: Command, context: CliContext): void {
  const command = program
    .command('ls')
    .description('List containers, or what is in a directory.')
    .argument('[path]', 'abfs://CONTAINER[/PATH]; the account when absent', 'abfs://')
    .option('-l, --long', 'one line each with size, time, mode and owner')
    .option('-R, --recursive', 'everything below, not one level')
    .option('--json', 'one JSON object a line')
    .addHelpText('after', EXAMPLES)
    .action((path: string, flags: LsFlags) => ls(path, flags, command, context))
  addConnectionOptions(command)
}

async function ls(
  path: string,
  flags: LsFlags,
  command: Command,
  context: CliContext,
): Promise<void> {
  const url = parseRemote(path)
  const { signal } = context
  const infos = await withTree(
    command,
    context,
    { access: 'read', urls: [url] },
    async (fileSystem) => {
      // Long lines show what only metadata tells.
      const metadata = flags.long === true || flags.json === true
      if (flags.recursive !== true) return fileSystem.ls(path, { metadata, signal })
      const found = await fileSystem.find(path, { withDirs: true, metadata, signal })
      return found.length > 0 ? found : [await fileSystem.info(path, { signal })]
    },
  )
  const place = [url.container, url.name.replace(/\/+$/, '')].filter(Boolean).join('/')
  const listed = infos.filter((info) => info.name !== place || info.type !== 'directory')
  await print(listed, { flags, place }, context)
}

async function print(
  infos: readonly FileInfo[],
  { flags, place }: { readonly flags: LsFlags; readonly place: string },
  { stdout }: CliContext,
): Promise<void> {
  if (flags.json === true) {
    for (const info of infos) await stdout.json(info)
    return
  }
  const lines =
    flags.long === true ? longLines(infos, place) : infos.map((info) => label(info, place))
  for (const line of lines) await stdout.line(line)
}

function longLines(infos: readonly FileInfo[], place: string): string[] {
  const rows = infos.map((info) => [
    attributesText(info),
    String(info.size),
    formatTime(timeOf(info)),
    label(info, place),
  ])
  return formatTable(rows, [1])
}

/** The name below `place`; directories end in a slash. */
function label(info: FileInfo, place: string): string {
  const inside = place !== '' && info.name.startsWith(`${place}/`)
  const name = inside ? info.name.slice(place.length + 1) : (info.name.split('/').pop() ?? '')
  return printable(place === '' ? info.name : name) + (info.type === 'directory' ? '/' : '')
}
