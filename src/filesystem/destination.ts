import type { CallOptions } from '../blob/store.ts'
import { FileSystemError } from '../errors.ts'
import { type ExpandOptions, expandPath } from './expand-path.ts'
import { hasMagic } from './pattern.ts'
import { baseName, joinName, type TreeEntry, type TreeView } from './tree-view.ts'
import { checkDepth } from './walk.ts'

/** What to transfer where, as the caller wrote it: a trailing slash has a meaning. */
export interface TransferRequest {
  readonly source: string | readonly string[]
  readonly target: string | readonly string[]
}

/** One entry, and the name that it gets. */
export interface Transfer<E extends TreeEntry> {
  readonly from: E
  readonly to: string
}

export interface DestinationRules {
  /** The target is a directory that exists, and the source keeps its own name inside. */
  readonly into: boolean
  /** Every source lands directly in the target, under its last component. */
  readonly flatten: boolean
}

export interface PlanOptions {
  /** Whether sources land inside the target, where that was decided before: the target may exist since. */
  readonly remember?: ((decide: () => Promise<boolean>) => Promise<boolean>) | undefined
}

/**
 * Decides what lands where, for copy, get and put alike:
 *
 * - A list as source lands flat in the target: each file under its own last component. A list as
 *   target as well pairs the two.
 * - A file or directory lands inside the target when that ends in `/` or is an existing directory;
 *   otherwise the target is its new name. `dir/` with a trailing slash means what is in it: that
 *   always lands directly in the target.
 * - What a pattern matches lands in the target, with its path below what all matches share.
 * - Without `recursive`, directories are left out; with `maxDepth`, deeper levels and empty ones.
 */
export async function planTransfers<E extends TreeEntry>(
  views: { readonly source: TreeView<E>; readonly target: TreeView },
  request: TransferRequest,
  options: ExpandOptions & PlanOptions,
): Promise<Transfer<E>[]> {
  checkDepth(options.maxDepth)
  const { source, target } = request
  if (typeof target !== 'string') return pair(views.source, source, { target, options })
  const entries = await expandPath(views.source, source, options)
  const keepDirectories = options.recursive === true && options.maxDepth === undefined
  const wanted = keepDirectories ? entries : entries.filter((entry) => entry.type !== 'directory')
  if (wanted.length === 0) return []
  const decide = () => landsInside(views.target, request, wanted, options)
  const { remember = (work) => work() } = options
  const flatten = typeof source !== 'string'
  const rules = { flatten, into: !flatten && (await remember(decide)) }
  const names = wanted.map((entry) => entry.name)
  const targets = destinations(names, target, rules)
  return wanted.map((from, index) => ({ from, to: targets[index] ?? target }))
}

/** The name that each of `sources` gets below or instead of `target`. */
export function destinations(
  sources: readonly string[],
  target: string,
  rules: DestinationRules,
): string[] {
  const base = target === '/' ? target : target.replace(/\/+$/, '')
  if (rules.flatten) return sources.map((source) => joinName(base, baseName(source)))
  const shared = sharedSegments(sources)
  const dropped = rules.into ? shared - 1 : shared
  return sources.map((source) => {
    const kept = source.split('/').slice(dropped)
    checkSegments(kept, source)
    return kept.length === 0 ? base : joinName(base, kept.join('/'))
  })
}

async function landsInside(
  targetView: TreeView,
  request: TransferRequest,
  wanted: readonly TreeEntry[],
  options: ExpandOptions,
): Promise<boolean> {
  const { source, target } = request
  if (typeof source !== 'string' || typeof target !== 'string') return false
  if (options.literal !== true && hasMagic(source)) return wanted.length === 1
  if (source.endsWith('/')) return false
  return target.endsWith('/') || isDirectory(targetView, target, options)
}

async function isDirectory(view: TreeView, name: string, options: CallOptions): Promise<boolean> {
  return (await view.stat(name, { signal: options.signal }))?.type === 'directory'
}

async function pair<E extends TreeEntry>(
  view: TreeView<E>,
  source: string | readonly string[],
  to: { readonly target: readonly string[]; readonly options: ExpandOptions },
): Promise<Transfer<E>[]> {
  if (typeof source === 'string' || source.length !== to.target.length) {
    const given = typeof source === 'string' ? 'one path' : `${source.length} paths`
    throw new TypeError(
      `target: a list needs a list of as many sources, got ${given} for ${to.target.length}`,
    )
  }
  const transfers: Transfer<E>[] = []
  for (const [index, name] of source.entries()) {
    const [from] = await expandPath(view, name, { signal: to.options.signal, literal: true })
    if (from?.type === 'directory') throw pairedDirectory(name)
    if (from !== undefined) transfers.push({ from, to: to.target[index] ?? '' })
  }
  return transfers
}

function pairedDirectory(path: string): FileSystemError {
  const detail = 'lists are paired file by file; give a directory as the only source'
  return new FileSystemError('EISDIR', 'copy', { path, detail })
}

/** How many leading segments all names have in common. */
function sharedSegments(names: readonly string[]): number {
  const [first = [], ...others] = names.map((name) => name.split('/'))
  let shared = first.length
  for (const other of others) {
    const limit = Math.min(shared, other.length)
    shared = 0
    while (shared < limit && other[shared] === first[shared]) shared += 1
  }
  return shared
}

/** A blob's name could leave the target directory of a download. */
function checkSegments(segments: readonly string[], source: string): void {
  if (!segments.includes('..') && !segments.includes('.')) return
  throw new FileSystemError('EINVAL', 'copy', {
    path: source,
    detail: 'a name with "." or ".." as a segment has no place in another tree',
  })
}
