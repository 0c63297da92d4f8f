import type { CallOptions } from '../blob/store.ts'
import { runAll } from '../bulk.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { refuseReserved } from '../namespace/blob-name.ts'
import { directoriesBelow } from '../namespace/directories-below.ts'
import type { PosixAttributes } from '../namespace/entry.ts'
import type { Transfer } from './destination.ts'
import { fullName, pathOf, urlOf } from './file-info.ts'
import type { Remote } from './remote.ts'
import { bulkOptions, type TransferOptions } from './transfer-run.ts'
import { parentName, type TreeEntry } from './tree-view.ts'

/** Makes a directory, or gives one that exists the attributes `posix`. */
export async function ensureDirectory(
  remote: Remote,
  name: string,
  options: CallOptions & { readonly posix: PosixAttributes },
): Promise<void> {
  const path = pathOf(name)
  const { signal, posix } = options
  if (path.name === '') return
  try {
    await remote.namespace.makeDirectory(path, { signal, posix, parents: true })
  } catch (error) {
    if (!isFileSystemError(error, 'EEXIST')) throw error
    const entry = await remote.namespace.stat(path, { signal })
    if (entry.type !== 'directory') throw error
    if (Object.keys(posix).length > 0) await remote.namespace.setAttributes(path, posix, { signal })
  }
}

/**
 * `EISDIR` when a file would take the name of a directory, `EPERM` a name of abfs's own; costs what
 * {@link directoriesAmong} does. Of a transfer that can be resumed, it gives the etags of what is there.
 */
export async function refuseDirectories(
  remote: Remote,
  files: readonly Transfer<TreeEntry>[],
  options: TransferOptions,
): Promise<ReadonlyMap<string, string>> {
  for (const { to } of files) refuseReserved(pathOf(to), 'open')
  const names = files.map(({ to }) => to)
  const { directories, etags } = await directoriesAmong(remote, names, options)
  const refused = files.find(({ to }) => directories.has(to))
  if (refused !== undefined)
    throw new FileSystemError('EISDIR', 'open', { path: urlOf(refused.to) })
  return etags
}

/**
 * What there is in the directories that files called `names` would be in: the directories, and of a transfer that can
 * be resumed the etags of files. Costs one listing for all, or where much else is there one per directory.
 */
export async function directoriesAmong(
  remote: Remote,
  names: readonly string[],
  options: Pick<TransferOptions, 'signal' | 'concurrency' | 'resume'>,
): Promise<{
  readonly directories: ReadonlySet<string>
  readonly etags: ReadonlyMap<string, string>
}> {
  const { signal, resume } = options
  const etags = new Map<string, string>()
  const all = [...new Set(names.map(parentName))]
  const top = commonDirectory(all)
  const known =
    resume === undefined ? await fromOneListing(remote, top, names.length, { signal }) : undefined
  if (known !== undefined) return { directories: known, etags }
  const taken = new Set<string>()
  const { concurrency } = bulkOptions(remote, options, 'open')
  const run = { signal, concurrency, syscall: 'open', pathOf: urlOf }
  const look = async (parent: string) => {
    const children = await remote.view.list(parent, { signal, fresh: resume !== undefined })
    for (const { name, type, etag } of children) {
      if (type === 'directory') taken.add(name)
      else if (resume !== undefined && etag !== undefined) etags.set(name, etag)
    }
  }
  await look(top)
  // What the top does not show as a directory holds nothing that could be in the way.
  const parents = all.filter((parent) => parent !== top && taken.has(childOf(top, parent)))
  await runAll(parents, run, look)
  return { directories: taken, etags }
}

/**
 * All directories below `top`; `undefined` where that takes much more than `count` names, where listings in memory or a hierarchy
 * tell it, and where the listing is refused: what of it may be listed is listed then.
 */
async function fromOneListing(
  { namespace, store }: Remote,
  top: string,
  count: number,
  options: CallOptions,
): Promise<ReadonlySet<string> | undefined> {
  const path = pathOf(top)
  const { container } = path
  if (top === '' || namespace.believed(path) !== undefined) return undefined
  try {
    if (await namespace.isHierarchical(container, options)) return undefined
    const maxNames = 2 * count + sparedNames
    const found = await directoriesBelow(store, path, { ...options, maxNames })
    return found && new Set([...found].map((name) => fullName({ container, name })))
  } catch (error) {
    if (!isFileSystemError(error, 'EACCES', 'ENOENT')) throw error
    return undefined
  }
}

/** As many are read in no time. */
const sparedNames = 100

/** The longest directory that all of `names` are in or are; the account's root where they share none. */
function commonDirectory(names: readonly string[]): string {
  let common = names[0] ?? ''
  for (const name of names) {
    while (common !== '' && name !== common && !name.startsWith(`${common}/`)) {
      common = parentName(common)
    }
  }
  return common
}

/** The child of `top` that `name`, which lies below, is or is in. */
function childOf(top: string, name: string): string {
  const end = name.indexOf('/', top === '' ? 0 : top.length + 1)
  return end < 0 ? name : name.slice(0, end)
}
