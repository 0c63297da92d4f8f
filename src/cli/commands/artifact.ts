import type { Command } from 'commander'
import type { ArtifactInfo, ArtifactStore } from '../../artifact-store/artifact-store.ts'
import { addConnectionOptions, type CliContext } from '../context.ts'
import { parseRemote } from '../location.ts'
import { formatBytes, formatCount, formatTable, formatTime, printable } from '../output.ts'
import { openProgress, type ProgressBar } from '../progress.ts'
import type { AccessKind } from '../request-scope.ts'
import { withAccount } from '../session.ts'

const HELP = `
An artifact is a named file or directory below --root. It appears whole or not at all, and what is
loaded is checked against the hashes taken when it was saved.

Examples:
  abfs artifact save --root abfs://models/pipelines run-7/model ./model
  abfs artifact list --root abfs://models/pipelines run-7
  abfs artifact load --root abfs://models/pipelines run-7/model ./restored
  abfs artifact exists --root abfs://models/pipelines run-7/model && echo yes
  abfs artifact delete --root abfs://models/pipelines run-7/model`

interface ArtifactFlags {
  readonly root: string
  readonly json?: true
  readonly overwrite?: true
}

/** What a verb does with the store; what it returns is printed. */
type Verb = (store: ArtifactStore, call: VerbCall) => Promise<readonly ArtifactInfo[]>

interface VerbCall {
  readonly flags: ArtifactFlags
  readonly names: readonly string[]
  readonly context: CliContext
}

/** Adds `abfs artifact`. */
export function defineArtifact(program: Command, context: CliContext): void {
  const artifact = program
    .command('artifact')
    .description('Save, load, list and delete named files and directories.')
    .addHelpText('after', HELP)
  defineVerb(artifact, context, { verb: save, access: 'write' })
    .name('save')
    .description('Save a file or directory under a name.')
    .argument('<name>', 'such as run-7/model')
    .argument('<source>', 'a local file or directory')
    .option('--overwrite', 'replace an artifact of that name')
  defineVerb(artifact, context, { verb: load, access: 'read' })
    .name('load')
    .description('Load an artifact into a file or directory that does not exist yet.')
    .argument('<name>', 'such as run-7/model')
    .argument('<target>', 'where it goes')
  defineVerb(artifact, context, { verb: list, access: 'read' })
    .name('list')
    .description('List the artifacts at or below a name.')
    .argument('[name]', 'all when absent')
  defineVerb(artifact, context, { verb: exists, access: 'read' })
    .name('exists')
    .description('Exit with 0 when there is such an artifact, with 3 when there is none.')
    .argument('<name>', 'such as run-7/model')
  defineVerb(artifact, context, { verb: remove, access: 'write' })
    .name('delete')
    .description('Delete an artifact.')
    .argument('<name>', 'such as run-7/model')
}

function defineVerb(
  artifact: Command,
  context: CliContext,
  { verb, access }: { readonly verb: Verb; readonly access: AccessKind },
): Command {
  const command = artifact
    .command('verb')
    .requiredOption('--root <url>', 'abfs://CONTAINER[/PATH] that holds the artifacts')
    .option('--json', 'one JSON object a line')
  addConnectionOptions(command)
  return command.action(async () => {
    const flags = command.opts<ArtifactFlags>()
    const urls = [parseRemote(flags.root)]
    const infos = await withAccount(command, context, { access, urls }, async (account) => {
      const { composeArtifactStore } = await import('../compose-file-system.ts')
      const store = await composeArtifactStore(account, flags.root)
      return verb(store, { flags, names: command.args, context })
    })
    await print(infos, flags, context)
  })
}

async function save(store: ArtifactStore, call: VerbCall): Promise<ArtifactInfo[]> {
  const [name = '', source = ''] = call.names
  const { signal } = call.context
  const overwrite = call.flags.overwrite === true
  return withProgress(call, (onProgress) =>
    store.save(name, source, { overwrite, signal, onProgress }),
  )
}

async function load(store: ArtifactStore, call: VerbCall): Promise<ArtifactInfo[]> {
  const [name = '', target = ''] = call.names
  const { signal } = call.context
  return withProgress(call, (onProgress) => store.load(name, target, { signal, onProgress }))
}

async function list(store: ArtifactStore, { names, context }: VerbCall): Promise<ArtifactInfo[]> {
  const { signal } = context
  return store.list(names[0], { signal })
}

async function exists(store: ArtifactStore, { names, context }: VerbCall): Promise<ArtifactInfo[]> {
  const { signal } = context
  return [await store.info(names[0] ?? '', { signal })]
}

async function remove(store: ArtifactStore, { names, context }: VerbCall): Promise<[]> {
  const { signal } = context
  await store.delete(names[0] ?? '', { signal })
  return []
}

type OnProgress = ProgressBar['update']

async function withProgress(
  { context }: VerbCall,
  work: (onProgress: OnProgress) => Promise<ArtifactInfo>,
): Promise<ArtifactInfo[]> {
  const progress = await openProgress(context.stderr)
  try {
    return [await work((done) => progress.update(done))]
  } finally {
    progress.stop()
  }
}

async function print(
  infos: readonly ArtifactInfo[],
  flags: ArtifactFlags,
  { stdout }: CliContext,
): Promise<void> {
  if (flags.json === true) {
    for (const info of infos) await stdout.json(info)
    return
  }
  const rows = infos.map((info) => [
    info.kind,
    formatBytes(info.sizeBytes),
    formatCount(info.fileCount, 'file'),
    formatTime(info.savedAt.getTime()),
    printable(info.name),
  ])
  for (const line of formatTable(rows, [1, 2])) await stdout.line(line)
}
