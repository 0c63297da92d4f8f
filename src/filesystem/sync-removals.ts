import type { CallOptions } from '../blob/store.ts'
import { Limiter } from '../concurrency.ts'
import { pathOf } from './file-info.ts'
import { FileRemovals } from './file-removals.ts'
import { type Remote, remoteOf } from './remote.ts'
import { placeOf, removeFrom, type SyncSide, type SyncTree } from './sync-side.ts'
import { joinName, parentName } from './tree-view.ts'

interface RemovalOptions extends CallOptions {
  /** Files under way at once, where each is a request. */
  readonly concurrency: number
  /** What was found on the side. */
  readonly tree: SyncTree
}

/** How files of one side of a synchronization are deleted. */
export interface SideRemovals {
  /** How many are to be under way. */
  readonly limit: number
  /** Deletes the file at a path of the tree. */
  remove(path: string): Promise<void>
}

/** On flat accounts files share requests, as those of `rm` do. */
export async function removalsFrom(
  side: SyncSide,
  paths: readonly string[],
  options: RemovalOptions,
): Promise<SideRemovals> {
  const { signal, concurrency, tree } = options
  const shared = 'fs' in side ? remoteOf(side.fs) : undefined
  if (!('fs' in side) || shared === undefined || paths.length === 0) {
    return { limit: concurrency, remove: (path) => removeFrom(side, path, { signal }) }
  }
  const remote = { ...shared, concurrency }
  const root = side.fs.nameOf(placeOf(side, '').replace(/\/+$/, ''))
  const nameOf = (path: string) => joinName(root, path)
  const files = paths.map((path) => ({ name: nameOf(path) }))
  const removals = await FileRemovals.of(remote, files, { signal })
  const looks = new Looks(remote, cheapToList(paths, tree), { signal })
  const remove = async (path: string) => {
    const place = pathOf(nameOf(path))
    if (removals.isShared(place)) await looks.at(parentName(path), parentName(nameOf(path)))
    await removals.remove(place)
  }
  return { limit: removals.limit, remove }
}

/** Of one directory. */
const namesAPage = 5000
/** Without a listing: what the file is, and whether something else is in its directory. */
const requestsAFile = 2

/** Directories of `paths`, relative to the tree, of which a listing costs no more than to ask about each file. */
function cheapToList(paths: readonly string[], tree: SyncTree): ReadonlySet<string> {
  const inTree = countByDirectory(tree.keys())
  const cheap = [...countByDirectory(paths)].filter(([directory, files]) => {
    const pages = Math.ceil((inTree.get(directory) ?? 0) / namesAPage)
    return pages <= files * requestsAFile
  })
  return new Set(cheap.map(([directory]) => directory))
}

function countByDirectory(paths: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>()
  for (const path of paths) {
    const directory = parentName(path)
    counts.set(directory, (counts.get(directory) ?? 0) + 1)
  }
  return counts
}

/** Lists each directory once before its first file is deleted: what is remembered then tells of all of them. */
class Looks {
  readonly #remote: Remote
  readonly #wanted: ReadonlySet<string>
  readonly #options: CallOptions
  readonly #limiter: Limiter
  readonly #made = new Map<string, Promise<unknown>>()

  constructor(remote: Remote, wanted: ReadonlySet<string>, options: CallOptions) {
    this.#remote = remote
    this.#wanted = wanted
    this.#options = options
    this.#limiter = new Limiter(remote.concurrency)
  }

  async at(directory: string, name: string): Promise<void> {
    if (!this.#wanted.has(directory)) return
    const made = this.#made.get(directory) ?? this.#look(name)
    this.#made.set(directory, made)
    await made
  }

  async #look(name: string): Promise<void> {
    const { signal } = this.#options
    const look = () => this.#remote.namespace.list(pathOf(name), { signal })
    // What is wrong is told of the file, by its name.
    await this.#limiter.run(look, signal).catch(() => undefined)
  }
}
