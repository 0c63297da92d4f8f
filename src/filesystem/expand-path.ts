import type { CallOptions } from '../blob/store.ts'
import { FileSystemError } from '../errors.ts'
import { sortedByName } from './by-name.ts'
import { glob } from './glob.ts'
import { hasMagic } from './pattern.ts'
import type { TreeEntry, TreeStat, TreeView } from './tree-view.ts'
import { find } from './walk.ts'

export interface ExpandOptions extends CallOptions {
  /** Whether a directory stands for itself and everything below it. */
  readonly recursive?: boolean | undefined
  /** How many levels below a directory, or below the first `**` of a pattern. */
  readonly maxDepth?: number | undefined
  /** Takes `*`, `?` and `[` as characters of names. */
  readonly literal?: boolean | undefined
}

/**
 * The entries that names and patterns stand for: each once, by name. `ENOENT` when a name without
 * wild cards is missing, and when there is nothing at all.
 */
export async function expandPath<E extends TreeEntry>(
  view: TreeView<E>,
  names: string | readonly string[],
  options: ExpandOptions & TreeStat = {},
): Promise<E[]> {
  const found = new Map<string, E>()
  for (const name of typeof names === 'string' ? [names] : names) {
    for (const entry of await expandOne(view, name, options)) found.set(entry.name, entry)
  }
  if (found.size === 0) throw missing(typeof names === 'string' ? names : names.join(', '))
  return sortedByName(found.values())
}

async function expandOne<E extends TreeEntry>(
  view: TreeView<E>,
  name: string,
  options: ExpandOptions & TreeStat,
): Promise<E[]> {
  const { recursive, maxDepth, signal, prefer } = options
  if (options.literal !== true && hasMagic(name)) return expandPattern(view, name, options)
  const plain = name.length > 1 ? name.replace(/\/+$/, '') : name
  const entry = await view.stat(plain, { signal, prefer })
  if (entry === undefined) throw missing(name)
  if (!recursive || entry.type !== 'directory') return [entry]
  return find(view, plain, { signal, maxDepth, withDirs: true }, entry)
}

/** The matches are the first level, so that what is below them is one level less deep. */
async function expandPattern<E extends TreeEntry>(
  view: TreeView<E>,
  pattern: string,
  options: ExpandOptions,
): Promise<E[]> {
  const { recursive, maxDepth, signal } = options
  const hits = await glob(view, pattern, { signal, maxDepth })
  const deeper = maxDepth === undefined ? undefined : maxDepth - 1
  if (!recursive || deeper === 0) return hits
  const directories = hits.filter((hit) => hit.type === 'directory')
  const below: E[] = []
  for (const self of directories) {
    const options = { signal, maxDepth: deeper, withDirs: true }
    for (const entry of await find(view, self.name, options, self)) below.push(entry)
  }
  return [...hits, ...below]
}

function missing(path: string): FileSystemError {
  return new FileSystemError('ENOENT', 'stat', { path })
}
