import { type Command, Option } from 'commander'
import type { SyncPlan } from '../../filesystem/sync.ts'
import type { SyncSide } from '../../filesystem/sync-side.ts'
import { addConnectionOptions, type CliContext } from '../context.ts'
import { acrossAccounts, type Location, parseLocation } from '../location.ts'
import { formatBytes } from '../output.ts'
import { withFileSystem } from '../session.ts'
import { usageError } from '../usage.ts'

type Comparison = 'size' | 'mtime' | 'md5' | 'crc64' | 'etag'

interface SyncFlags {
  readonly compare?: Comparison
  readonly record?: string
  readonly delete?: true
  readonly dryRun?: true
  readonly include?: readonly string[]
  readonly exclude?: readonly string[]
  readonly json?: true
  readonly quiet?: true
}

const HELP = `
Makes the files of TARGET those of SOURCE, which are two directories, copying only what differs. Empty
directories and links take no part. One line for each file that is copied (+ new, * changed) or deleted (-).

What tells that two files are the same:
  mtime   equal size, and the source not changed since the target was (the default)
  size    equal size
  md5     equal size and MD5, where the service keeps one
  crc64   equal size and CRC-64; files of other programs are read
  etag    neither was changed since the last run with the same --record

Examples:
  abfs sync ./site abfs://www/site --delete --dry-run     what would be done
  abfs sync abfs://runs/42 ./42 --compare crc64           out of Azure, by content
  abfs sync abfs://a@one.dfs.core.windows.net/x abfs://b@two.dfs.core.windows.net/x \\
    --compare etag --record x.json                        between accounts, by versions`

/** Adds `abfs sync`. */
export function defineSync(program: Command, context: CliContext): void {
  const comparisons = ['mtime', 'size', 'md5', 'crc64', 'etag']
  const command = program
    .command('sync')
    .description('Make a directory the same as another one.')
    .argument('<source>', 'a local directory or abfs://CONTAINER/PATH')
    .argument('<target>', 'the same; at least one side is in Azure')
    .addOption(
      new Option('--compare <how>', 'what tells that files are the same').choices(comparisons),
    )
    .option('--record <file>', 'for etag: keeps there which versions were copied')
    .option('--delete', 'delete files of the target that the source lacks')
    .option('-n, --dry-run', 'only say what would be done')
    .option('--include <pattern...>', 'only files whose relative path matches')
    .option('--exclude <pattern...>', 'not files whose relative path matches')
    .option('-q, --quiet', 'no lines')
    .option('--json', 'print one JSON object about what was done')
    .addHelpText('after', HELP)
    .action((source: string, target: string, flags: SyncFlags) =>
      syncTrees({ source, target, flags }, command, context),
    )
  addConnectionOptions(command)
}

interface SyncArguments {
  readonly source: string
  readonly target: string
  readonly flags: SyncFlags
}

async function syncTrees(
  request: SyncArguments,
  command: Command,
  context: CliContext,
): Promise<void> {
  const { flags } = request
  if ((flags.compare === 'etag') !== (flags.record !== undefined)) {
    throw usageError('--compare etag and --record FILE go together')
  }
  const [from, to] = [parseLocation(request.source), parseLocation(request.target)]
  const urls = [from, to].flatMap((place) => (place.kind === 'remote' ? [place.url] : []))
  if (urls.length === 0) {
    throw usageError('neither side is in Azure: write abfs://CONTAINER/PATH, or use rsync')
  }
  const reads = to.kind !== 'remote' || flags.dryRun === true
  const access = reads ? 'read' : 'write'
  const run = (source: SyncSide, target: SyncSide) => carryOut(source, target, { flags, context })
  const sides = acrossAccounts([from], to)
  if (sides !== undefined) {
    await withFileSystem(command, context, { access: 'read', urls: sides.from }, (one) =>
      withFileSystem(command, context, { access, urls: [sides.to] }, (other) =>
        run({ fs: one, path: request.source }, { fs: other, path: request.target }),
      ),
    )
    return
  }
  await withFileSystem(command, context, { access, urls }, (fs) => {
    const sideOf = (place: Location, path: string): SyncSide =>
      place.kind === 'remote' ? { fs, path } : { local: localOf(place) }
    return run(sideOf(from, request.source), sideOf(to, request.target))
  })
}

function localOf(place: Location): string {
  if (place.kind === 'local') return place.path
  throw usageError('- is no directory: name one')
}

async function carryOut(
  source: SyncSide,
  target: SyncSide,
  { flags, context }: { readonly flags: SyncFlags; readonly context: CliContext },
): Promise<void> {
  const { sync } = await import('../../filesystem/sync.ts')
  const plan = await sync(source, target, {
    compare: flags.compare,
    record: flags.record,
    deleteExtra: flags.delete === true,
    dryRun: flags.dryRun === true,
    include: flags.include,
    exclude: flags.exclude,
    signal: context.signal,
  })
  await report(plan, flags, context)
}

async function report(plan: SyncPlan, flags: SyncFlags, context: CliContext): Promise<void> {
  const { copied, deleted, unchanged, bytes } = plan
  const { stdout, stderr } = context
  if (flags.json === true) return stdout.json({ ...plan })
  if (flags.quiet === true) return
  const lines = [
    ...copied.map(({ path, reason }) => `${reason === 'new' ? '+' : '*'} ${path}\n`),
    ...deleted.map((path) => `- ${path}\n`),
  ]
  for (const line of lines) await stdout.write(line)
  const would = flags.dryRun === true ? 'would be ' : ''
  stderr.write(
    `${copied.length} ${would}copied (${formatBytes(bytes)}), ${deleted.length} ${would}deleted, ${unchanged} unchanged\n`,
  )
}
