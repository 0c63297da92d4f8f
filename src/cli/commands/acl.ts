import type { Command } from 'commander'
import type { AclOptions, AclResult } from '../../filesystem/access.ts'
import type { AzureBlobFileSystem } from '../../filesystem/azure-blob-file-system.ts'
import { addConnectionOptions, type CliContext } from '../context.ts'
import { parseRemote } from '../location.ts'
import { formatCount, formatTable, printable } from '../output.ts'
import { withFileSystem } from '../session.ts'
import { usageError } from '../usage.ts'

interface ChangeFlags {
  readonly recursive?: true
  readonly continueOnFailure?: true
  readonly continuation?: string
}

const HELP = `
Access control is what accounts with a hierarchical namespace have. A list is entries separated by
commas: [default:]user|group|mask|other:[OBJECT-ID]:rwx; entries to remove have no permissions.

Examples:
  abfs acl get abfs://data/train
  abfs acl set user::rwx,group::r-x,other::--- abfs://data/train
  abfs acl update -R user:3f2c…:r-x abfs://data/train     an entry more, for all below
  abfs acl remove -R user:3f2c… abfs://data/train
  abfs acl mode 750 abfs://data/train
  abfs acl owner 3f2c…:9a41… abfs://data/train            owner and group; either may be empty`

/** Adds `abfs acl` with its verbs. */
export function defineAcl(program: Command, context: CliContext): void {
  const acl = program
    .command('acl')
    .description('Read and change who may do what, on hierarchical accounts.')
    .addHelpText('after', HELP)
  defineGet(acl, context)
  for (const verb of ['set', 'update', 'remove'] as const) defineChange(acl, verb, context)
  defineMode(acl, context)
  defineOwner(acl, context)
}

function defineGet(acl: Command, context: CliContext): void {
  const command = acl
    .command('get')
    .description('Show owner, group, permissions and access control list.')
    .argument('<path...>', 'abfs://CONTAINER[/PATH]')
    .option('--json', 'one JSON object a line')
    .action((paths: string[], flags: { json?: true }) =>
      withPaths(paths, 'read', { command, context }, async (fileSystem, path) => {
        const access = await fileSystem.getAcl(path, { signal: context.signal })
        if (flags.json === true) await context.stdout.json({ path, ...access })
        else await context.stdout.write(`${formatTable(rowsOf(path, access)).join('\n')}\n`)
      }),
    )
  addConnectionOptions(command)
}

function rowsOf(
  path: string,
  { owner, group, permissions, acl }: Awaited<ReturnType<AzureBlobFileSystem['getAcl']>>,
): string[][] {
  const entries = acl.split(',').map((entry, index) => [index === 0 ? 'acl' : '', entry])
  const facts = [
    ['path', printable(path)],
    ['owner', owner],
    ['group', group],
    ['permissions', permissions],
  ]
  return [...facts, ...entries]
}

const descriptions = {
  set: 'Replace access control lists.',
  update: 'Add entries to access control lists, or change them.',
  remove: 'Take entries out of access control lists.',
} as const

function defineChange(acl: Command, verb: keyof typeof descriptions, context: CliContext): void {
  const command = acl
    .command(verb)
    .description(descriptions[verb])
    .argument('<entries>', '[default:]user|group|mask|other:[OBJECT-ID]:rwx,…')
    .argument('<path...>', 'abfs://CONTAINER[/PATH]')
    .option('-R, --recursive', 'with all that is below')
    .option('--continue-on-failure', 'go on after paths that refuse, and list them')
    .option('--continuation <token>', 'go on where an interrupted change ended')
    .action((entries: string, paths: string[], flags: ChangeFlags) =>
      withPaths(paths, 'write', { command, context }, async (fileSystem, path) => {
        const result = await changeWith(fileSystem, verb, { path, entries, flags, context })
        await context.stdout.line(summary(path, result))
        for (const { name, reason } of result.failures) {
          await context.stdout.line(`  refused: ${printable(name)}: ${printable(reason)}`)
        }
      }),
    )
  addConnectionOptions(command)
}

interface Change {
  readonly path: string
  readonly entries: string
  readonly flags: ChangeFlags
  readonly context: CliContext
}

function changeWith(
  fileSystem: AzureBlobFileSystem,
  verb: keyof typeof descriptions,
  { path, entries, flags, context }: Change,
): Promise<AclResult> {
  const options: AclOptions = {
    recursive: flags.recursive,
    continueOnFailure: flags.continueOnFailure,
    continuation: flags.continuation,
    signal: context.signal,
    onProgress: ({ continuation, directories, files }) => {
      if (continuation === undefined || !context.stderr.isTTY) return
      context.stderr.write(
        `\r${formatCount(directories + files, 'path')}, --continuation ${continuation}\n`,
      )
    },
  }
  if (verb === 'set') return fileSystem.setAcl(path, entries, options)
  if (verb === 'update') return fileSystem.updateAcl(path, entries, options)
  return fileSystem.removeAcl(path, entries, options)
}

function summary(path: string, { directories, files, failureCount }: AclResult): string {
  const refused = failureCount === 0 ? '' : `, ${failureCount} refused`
  const counts = `${formatCount(directories, 'directory', 'directories')}, ${formatCount(files, 'file')}`
  return `${printable(path)}: ${counts}${refused}`
}

function defineMode(acl: Command, context: CliContext): void {
  const command = acl
    .command('mode')
    .description('Set the permission bits, as chmod does.')
    .argument('<octal>', '0 to 1777')
    .argument('<path...>', 'abfs://CONTAINER[/PATH]')
    .action((octal: string, paths: string[]) => {
      if (!/^[01]?[0-7]{1,3}$/.test(octal)) {
        throw usageError(`'${octal}' is no mode: write octal digits, such as 750`)
      }
      const { signal } = context
      return withPaths(paths, 'write', { command, context }, (fileSystem, path) =>
        fileSystem.chmod(path, Number.parseInt(octal, 8), { signal }),
      )
    })
  addConnectionOptions(command)
}

function defineOwner(acl: Command, context: CliContext): void {
  const command = acl
    .command('owner')
    .description('Set owner and group.')
    .argument('<owner:group>', 'object ids or user principal names; either may be empty')
    .argument('<path...>', 'abfs://CONTAINER[/PATH]')
    .action((owners: string, paths: string[]) => {
      const [owner = '', group = '', ...rest] = owners.split(':')
      if (rest.length > 0 || `${owner}${group}` === '') {
        throw usageError(`'${owners}' names no owner: write OWNER, OWNER:GROUP or :GROUP`)
      }
      const { signal } = context
      const change = { owner: owner || undefined, group: group || undefined }
      return withPaths(paths, 'write', { command, context }, (fileSystem, path) =>
        fileSystem.chown(path, change, { signal }),
      )
    })
  addConnectionOptions(command)
}

async function withPaths(
  paths: readonly string[],
  access: 'read' | 'write',
  { command, context }: { readonly command: Command; readonly context: CliContext },
  act: (fileSystem: AzureBlobFileSystem, path: string) => Promise<void>,
): Promise<void> {
  const urls = paths.map(parseRemote)
  await withFileSystem(command, context, { access, urls }, async (fileSystem) => {
    for (const path of paths) await act(fileSystem, path)
  })
}
