import { stat } from 'node:fs/promises'
import type { Command } from 'commander'
import type { AzureUrl } from '../../azure-url.ts'
import { FileSystemError } from '../../errors.ts'
import type { AzureBlobFileSystem, CopySource } from '../../filesystem/azure-blob-file-system.ts'
import { hasMagic } from '../../filesystem/pattern.ts'
import type { TransferOptions, TransferResult } from '../../filesystem/transfer-run.ts'
import { addConnectionOptions, type CliContext } from '../context.ts'
import { acrossAccounts, type Location, parseLocation } from '../location.ts'
import { formatBytes, formatCount } from '../output.ts'
import { openProgress } from '../progress.ts'
import { withFileSystem } from '../session.ts'
import { usageError } from '../usage.ts'

interface CpFlags {
  readonly recursive?: true
  readonly preserve?: true
  readonly json?: true
  readonly quiet?: true
  readonly resume?: string
}

const HELP = `
At least one side is in Azure. A target that is a directory, or ends in /, takes the source in under
its own name; DIR/ as a source means what is in it. Each file appears whole or not at all.

Examples:
  abfs cp model.bin abfs://models/run-7/           a file into a directory
  abfs cp -r ./results abfs://runs/42              a tree, as abfs://runs/42 (or inside it)
  abfs cp -r --preserve abfs://runs/42/ ./results  back, with modes, times, owners and links
  abfs cp abfs://a/x abfs://b/x                    within the account, on the server's side
  abfs cp -r abfs://a@one.dfs.core.windows.net/x abfs://b@two.dfs.core.windows.net/x
                                                   between accounts, on the server's side
  abfs cp -r --resume j.json ./results abfs://runs/42  again after an interruption: goes on
  tar cz . | abfs cp - abfs://backup/today.tgz     standard input; - as target is output`

/** Adds `abfs cp`. */
export function defineCp(program: Command, context: CliContext): void {
  const command = program
    .command('cp')
    .description('Copy files and trees into Azure, out of it, or within.')
    .usage('[options] <source...> <target>')
    .argument('<path...>', 'local paths, abfs:// paths, or - for standard input or output')
    .option('-r, --recursive', 'directories with all that they hold')
    .option('-p, --preserve', 'keep mode, owner, time and symbolic links')
    .option('--resume <file>', 'keep a journal there, and go on where the last run ended')
    .option('-q, --quiet', 'no progress bar and no summary')
    .option('--json', 'print one JSON object about what was copied')
    .addHelpText('after', HELP)
    .action((paths: string[], flags: CpFlags) => {
      const [target, ...sources] = [...paths].reverse()
      if (target === undefined || sources.length === 0) throw usageError('cp needs a target too')
      return cp({ sources: sources.reverse(), target, flags }, command, context)
    })
  addConnectionOptions(command)
}

interface CpArguments {
  readonly sources: readonly string[]
  readonly target: string
  readonly flags: CpFlags
}

async function cp(request: CpArguments, command: Command, context: CliContext): Promise<void> {
  const from = request.sources.map(parseLocation)
  const to = parseLocation(request.target)
  const direction = directionOf(from, to)
  if (request.flags.resume !== undefined && !['put', 'get'].includes(direction)) {
    throw usageError('--resume is for files on one side and Azure on the other')
  }
  const urls = [...from, to].flatMap((place) => (place.kind === 'remote' ? [place.url] : []))
  const access = to.kind === 'remote' ? 'write' : 'read'
  const sides = acrossAccounts(from, to)
  if (sides !== undefined) {
    return copyAcross(sides, { ...request, direction: 'copy' }, { command, context })
  }
  await withFileSystem(command, context, { access, urls }, (fileSystem) =>
    direction === 'stream'
      ? copyStream(fileSystem, request, context)
      : copyTree(fileSystem, { ...request, direction }, context),
  )
}

type Direction = 'put' | 'get' | 'copy'

function directionOf(from: readonly Location[], to: Location): Direction | 'stream' {
  const kinds = new Set(from.map((place) => place.kind))
  const [kind] = kinds
  if (kinds.size !== 1 || kind === undefined) {
    throw usageError('the sources must all be local, or all in Azure')
  }
  if (kind === 'stream' || to.kind === 'stream') {
    const remote = kind === 'remote' || to.kind === 'remote'
    if (from.length === 1 && remote) return 'stream'
    throw usageError('with - on one side, the other is one file in Azure')
  }
  if (kind === 'remote') return to.kind === 'remote' ? 'copy' : 'get'
  if (to.kind === 'remote') return 'put'
  throw usageError('neither side is in Azure: write abfs://CONTAINER/PATH, or use cp')
}

async function copyAcross(
  sides: { readonly from: readonly AzureUrl[]; readonly to: AzureUrl },
  request: CpArguments & { readonly direction: 'copy' },
  { command, context }: { readonly command: Command; readonly context: CliContext },
): Promise<void> {
  await withFileSystem(command, context, { access: 'read', urls: sides.from }, (from) =>
    withFileSystem(command, context, { access: 'write', urls: [sides.to] }, (target) =>
      copyTree(target, { ...request, from }, context),
    ),
  )
}

async function copyStream(
  fileSystem: AzureBlobFileSystem,
  { sources: [source = ''], target }: CpArguments,
  context: CliContext,
): Promise<void> {
  const { readToOutput, writeFromInput } = await import('../stream-file.ts')
  if (source === '-') await writeFromInput(fileSystem, target, context)
  else await readToOutput(fileSystem, source, context)
}

async function copyTree(
  fileSystem: AzureBlobFileSystem,
  request: CpArguments & CopySource & { readonly direction: Direction },
  context: CliContext,
): Promise<void> {
  const { flags } = request
  const refuse = () => refuseDirectories(request.from ?? fileSystem, request)
  // One source in Azure is asked for by the transfer itself: only where it is left out is it asked why.
  const isAskedBefore = request.sources.length > 1 || request.direction === 'put'
  if (flags.recursive !== true && isAskedBefore) await refuse()
  const quiet = flags.quiet === true
  const progress = quiet ? undefined : await openProgress(context.stderr)
  try {
    const result = await transfer(fileSystem, request, {
      ...(request.from === undefined ? {} : { from: request.from }),
      recursive: flags.recursive === true,
      preserve: flags.preserve === true,
      ...(flags.resume === undefined ? {} : { resume: flags.resume }),
      signal: context.signal,
      onProgress: (done) => done.phase === 'transferring' && progress?.update(done),
    })
    progress?.stop()
    if (flags.recursive !== true && !isAskedBefore && result.files === 0) await refuse()
    await report(result, flags, context)
  } finally {
    progress?.stop()
  }
}

/** As cp(1): the library leaves a directory out, as fsspec does, which looks as if it had been copied. */
async function refuseDirectories(
  fileSystem: AzureBlobFileSystem,
  { sources, direction }: CpArguments & { readonly direction: Direction },
): Promise<void> {
  for (const source of sources.filter((name) => !hasMagic(name))) {
    const isDirectory =
      direction === 'put'
        ? (await stat(source).catch(() => undefined))?.isDirectory()
        : await fileSystem.isDir(source)
    if (isDirectory) throw new FileSystemError('EISDIR', 'cp', { path: source })
  }
}

function transfer(
  fileSystem: AzureBlobFileSystem,
  { sources, target, direction }: CpArguments & { readonly direction: Direction },
  options: TransferOptions & CopySource,
): Promise<TransferResult> {
  const [only] = sources
  const source = sources.length === 1 && only !== undefined ? only : sources
  return fileSystem[direction](source, target, options)
}

async function report(result: TransferResult, flags: CpFlags, context: CliContext): Promise<void> {
  const { files, directories, bytes, resumedBytes, skipped } = result
  if (flags.json === true) {
    return context.stdout.json({ files, directories, bytes, resumedBytes, skipped })
  }
  for (const path of skipped) {
    context.stderr.write(
      `abfs: left out ${path}: neither file nor directory (--preserve keeps links)\n`,
    )
  }
  if (flags.quiet === true || !context.stderr.isTTY) return
  context.stderr.write(`${formatCount(files, 'file')}, ${formatBytes(bytes)}\n`)
}
