import type { CallOptions } from '../blob/store.ts'
import { mapConcurrent } from '../concurrency.ts'
import { FileSystemError } from '../errors.ts'
import { shown } from '../expect-option.ts'
import { inTurns } from '../turns.ts'
import { collectByName, sortedByName } from './by-name.ts'
import {
  byName,
  joinName,
  parentName,
  prefixInside,
  type TreeEntry,
  type TreeView,
} from './tree-view.ts'

export interface FindOptions extends CallOptions {
  /** 1: only direct children. Absent: everything. */
  readonly maxDepth?: number | undefined
  /** Whether directories are told too, the starting one included. */
  readonly withDirs?: boolean | undefined
  /** See `InfoOptions`. */
  readonly metadata?: boolean | undefined
  /**
   * Only names whose part below the path begins with it; it may have slashes. Flat accounts list no others; hierarchical ones
   * list the directory that it ends in. Of a file, and with `withDirs` of the path itself, nothing is told then.
   */
  readonly prefix?: string | undefined
}

export interface WalkOptions extends CallOptions {
  /** How many directories deep. Absent: all. */
  readonly maxDepth?: number | undefined
  /** See `InfoOptions`. */
  readonly metadata?: boolean | undefined
  /** False: what is inside a directory comes before it. Default true. */
  readonly topDown?: boolean | undefined
  /**
   * What a directory does that cannot be listed. Absent: a missing one is empty, all else rejects.
   * `raise`: a missing one rejects too, with `ENOENT`. `omit`: it is left out. A function is told the
   * error, and the directory is left out.
   */
  readonly onError?: 'raise' | 'omit' | ((error: FileSystemError) => void) | undefined
}

/** One directory. In a top-down walk, changing `dirs` changes which are entered, and in what order. */
export interface WalkStep<E extends TreeEntry> {
  /** The directory's full name. */
  readonly path: string
  readonly dirs: E[]
  /** Files, and what is neither file nor directory. */
  readonly files: E[]
}

/** Directories listed at once by a search that has a depth. */
const listConcurrency = 16

/**
 * Files below `root` by name; `root` itself when it is a file; nothing when it is missing. `known` is what was told of
 * `root` just before: it is not asked for again where something is in it.
 */
export async function find<E extends TreeEntry>(
  view: TreeView<E>,
  root: string,
  options: FindOptions = {},
  known?: E,
): Promise<E[]> {
  const isWanted = ({ name, type }: E) =>
    name !== '' && (options.withDirs === true || type !== 'directory')
  const found = await collectByName(everythingBelow(view, root, options), isWanted)
  const [first] = found
  const isWhole = options.withDirs !== true || root === '' || isPart(options)
  if (isWhole || first === undefined || first.name === root) return found
  const self = known ?? (await view.stat(root, options))
  return self === undefined ? found : [self, ...found]
}

/** What is below `root`, files and directories as they are listed; `root` itself where there is nothing. */
export async function* everythingBelow<E extends TreeEntry>(
  view: TreeView<E>,
  root: string,
  options: FindOptions = {},
): AsyncGenerator<readonly E[], void> {
  checkDepth(options.maxDepth)
  checkPrefix(options.prefix)
  const start = joinName(root, options.prefix ?? '')
  const pages =
    options.maxDepth === undefined
      ? view.listTree(root, options)
      : inTurns(await listToDepth(view, [root], options.maxDepth, { ...options, start }))
  if (isPart(options)) {
    for await (const page of pages) yield page.filter(({ name }) => name.startsWith(start))
    return
  }
  let isEmpty = true
  for await (const page of pages) {
    isEmpty &&= page.length === 0
    yield page
  }
  const self = isEmpty ? await view.stat(root, options) : undefined
  if (self !== undefined) yield [self]
}

function isPart({ prefix }: FindOptions): boolean {
  return prefix !== undefined && prefix !== ''
}

/**
 * Directory by directory; nothing when `root` is missing or no directory. A tree of up to `maxFlatEntries` is
 * listed as a whole, which costs a request for 5,000 names; a larger one, and one of which a part may not
 * be listed, directory by directory.
 */
export async function* walk<E extends TreeEntry>(
  view: TreeView<E>,
  root: string,
  options: WalkOptions = {},
): AsyncGenerator<WalkStep<E>, void> {
  checkDepth(options.maxDepth)
  options.signal?.throwIfAborted()
  const isWhole = options.maxDepth === undefined
  const tree = isWhole ? await listWhole(view, root, options, maxFlatEntries) : undefined
  const list = (name: string) =>
    tree === undefined ? childrenOf(view, name, options) : Promise.resolve(tree.get(name) ?? [])
  yield* walkLevels(list, root, options)
}

/** What forty requests tell, and what may be held in memory. */
const maxFlatEntries = 200_000

async function* walkLevels<E extends TreeEntry>(
  list: (name: string) => Promise<readonly E[] | undefined>,
  root: string,
  options: WalkOptions,
): AsyncGenerator<WalkStep<E>, void> {
  options.signal?.throwIfAborted()
  const children = await list(root)
  if (children === undefined) return
  const dirs = children.filter((entry) => entry.type === 'directory')
  const files = children.filter((entry) => entry.type !== 'directory')
  const step: WalkStep<E> = { path: root, dirs, files }
  if (options.topDown !== false) yield step
  const deeper = options.maxDepth === undefined ? undefined : options.maxDepth - 1
  if (deeper !== 0) {
    for (const dir of step.dirs) yield* walkLevels(list, dir.name, { ...options, maxDepth: deeper })
  }
  if (options.topDown === false) yield step
}

/**
 * All below `root` by directory, each by name; `undefined` when there is nothing, when there is more than
 * `maxEntries`, and where a part of it may not be listed.
 */
export async function listWhole<E extends TreeEntry>(
  view: TreeView<E>,
  root: string,
  options: CallOptions,
  maxEntries: number,
): Promise<ReadonlyMap<string, readonly E[]> | undefined> {
  const tree = new Map<string, E[]>()
  let count = 0
  try {
    for await (const page of view.listTree(root, options)) {
      count += page.length
      if (count > maxEntries) return undefined
      for (const entry of page) {
        const parent = parentName(entry.name)
        const siblings = tree.get(parent)
        if (siblings === undefined) tree.set(parent, [entry])
        else siblings.push(entry)
      }
    }
  } catch (error) {
    options.signal?.throwIfAborted()
    if (!(error instanceof FileSystemError)) throw error
    return undefined
  }
  for (const children of tree.values()) children.sort(byName)
  return count === 0 ? undefined : tree
}

/** The children of a directory by name; `undefined` when there is none to walk. */
async function childrenOf<E extends TreeEntry>(
  view: TreeView<E>,
  name: string,
  options: WalkOptions,
): Promise<E[] | undefined> {
  const { onError, signal } = options
  try {
    const children = await sortedByName(await view.list(name, options))
    if (children.length > 0) return children
    const entry = await view.stat(name, options)
    if (entry?.type === 'directory') return children
    if (entry === undefined) throw new FileSystemError('ENOENT', 'walk', { path: name })
  } catch (error) {
    signal?.throwIfAborted()
    if (!(error instanceof FileSystemError)) throw error
    if (onError === 'raise' || (onError === undefined && error.code !== 'ENOENT')) throw error
    if (typeof onError === 'function') onError(error)
  }
  return undefined
}

/** All entries of `directories` and, `depth` levels down, of those below in which names may begin with `start`. */
export async function listToDepth<E extends TreeEntry>(
  view: TreeView<E>,
  directories: readonly string[],
  depth: number,
  options: CallOptions & { readonly start?: string | undefined },
): Promise<E[]> {
  if (depth < 1 || directories.length === 0) return []
  const levels = await mapConcurrent(directories, listConcurrency, (name) =>
    view.list(name, options),
  )
  const level = levels.flat()
  const { start = '' } = options
  const inner = level
    .filter(({ type, name }) => type === 'directory' && prefixInside(name, start) !== undefined)
    .map(({ name }) => name)
  return [...level, ...(await listToDepth(view, inner, depth - 1, options))]
}

/** `TypeError` for a prefix that is no text. */
export function checkPrefix(prefix: unknown): void {
  if (prefix === undefined || typeof prefix === 'string') return
  throw new TypeError(`prefix: expected a text that names begin with, got ${shown(prefix)}`)
}

/** Everything that an iterable yields. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** `RangeError` for a depth that is not at least 1. */
export function checkDepth(maxDepth: number | undefined): void {
  if (maxDepth === undefined || (Number.isInteger(maxDepth) && maxDepth >= 1)) return
  throw new RangeError(`maxDepth: expected an integer of at least 1, got ${maxDepth}`)
}
