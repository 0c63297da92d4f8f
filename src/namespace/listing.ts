import { type BlobStore, type CallOptions, type ListEntry, listPages } from '../blob/store.ts'
import type { BlobPath } from '../path.ts'
import { inTurns } from '../turns.ts'
import { areFileAndDirectory, entryFromBlob, impliedDirectory, mergeEntries } from './blob-entry.ts'
import { childPrefix, isPathName, isReserved, parentName } from './blob-name.ts'
import { listPagesDivided } from './divided-listing.ts'
import type { Entry } from './entry.ts'

/** Told of each blob whose name cannot be a path. */
export type UnreachableListener = (path: BlobPath) => void

/** Told of each file that a directory of its name hides. */
export type HiddenListener = (path: BlobPath) => void

/** A part of what one level of a container shows. */
export interface LevelPart {
  /** No name is in two parts: a directory and a file of one name are one entry, the directory. */
  readonly entries: readonly Entry[]
  /** Whether something else lies there too: the blob `dir/` itself, or what has a name that cannot be a path (`a//b`). */
  readonly isMore: boolean
}

/** What lies directly in `directory`, page by page, in the service's order. */
export async function* listLevel(
  store: BlobStore,
  directory: BlobPath,
  options: CallOptions & {
    readonly onUnreachable: UnreachableListener
    readonly onHidden?: HiddenListener | undefined
  },
): AsyncGenerator<LevelPart, void, undefined> {
  const prefix = childPrefix(directory.name)
  const { signal, onUnreachable, onHidden } = options
  const walk = new LevelWalk((name) => onHidden?.({ ...directory, name }))
  let isMore = false
  const take = (row: ListEntry) => {
    if (isReserved(withoutSlash(row.name))) return
    if (row.name === prefix && row.kind === 'blob') isMore = true
    else if (!isRowPath(row)) {
      isMore = true
      onUnreachable({ ...directory, name: row.name })
    } else walk.add(row)
  }
  const level = { delimiter: '/', signal } as const
  for await (const rows of listPages(store, { ...directory, name: prefix }, level)) {
    for await (const part of inTurns(rows, rowsATurn)) for (const row of part) take(row)
    yield { entries: walk.take(), isMore }
  }
  yield { entries: walk.end(), isMore }
}

/**
 * Makes one entry of the rows of one name. On a page all blobs may come before all prefixes, and a page may repeat the
 * last prefix of the one before. So at its end those are held back which something on the next may still be merged with:
 * a name that the last row begins with, unless what follows there sorts behind `/`. Those are very few.
 */
class LevelWalk {
  #open: Entry[] = []
  /** Where each name stands in `#open`, from the first row on whose name may be there already: that is of a directory. */
  #places: Map<string, number> | undefined
  #lastBlob = ''
  #lastPrefix = ''
  readonly #onHidden: (name: string) => void

  constructor(onHidden: (name: string) => void) {
    this.#onHidden = onHidden
  }

  add(row: ListEntry): void {
    const found = entryOfRow(row)
    if (found.type === 'directory') this.#places ??= placesOf(this.#open)
    const place = this.#places?.get(found.name)
    if (place === undefined) {
      this.#places?.set(found.name, this.#open.length)
      this.#open.push(found)
    } else {
      const known = this.#open[place]
      if (areFileAndDirectory(known, found)) this.#onHidden(found.name)
      this.#open[place] = mergeEntries(known, found)
    }
    if (row.kind === 'blob') this.#lastBlob = row.name
    else this.#lastPrefix = row.name
  }

  /** What no other page can change, at the end of one. */
  take(): readonly Entry[] {
    const [blob, prefix] = [this.#lastBlob, this.#lastPrefix]
    if (blob === '' && prefix === '') return []
    const held: Entry[] = []
    const sure: Entry[] = []
    for (const entry of this.#open) {
      const mayCome = mayFollow(entry.name, blob) || mayFollow(entry.name, prefix)
      if (mayCome) held.push(entry)
      else sure.push(entry)
    }
    this.#open = held
    this.#places = undefined
    this.#lastBlob = ''
    this.#lastPrefix = ''
    return sure
  }

  /** The rest. */
  end(): readonly Entry[] {
    return this.#open
  }
}

function placesOf(entries: readonly Entry[]): Map<string, number> {
  return new Map(entries.map(({ name }, index) => [name, index]))
}

/** Whether `name`, or that with a slash behind, may still come where `last` was the last. */
function mayFollow(name: string, last: string): boolean {
  if (!last.startsWith(name)) return false
  return last.length === name.length || last.charAt(name.length) <= '/'
}

/** Some two milliseconds, with what becomes of them; ten in a process that has only begun. */
const rowsATurn = 1000

/**
 * All files below `directory` in the service's order and, when asked, each directory once: marked
 * ones with their attributes, implied ones before the first of their files. As many at a time as a page gives, or
 * `rowsATurn` of it: then others have their turn.
 */
export async function* walkTree(
  store: BlobStore,
  directory: BlobPath,
  options: CallOptions & {
    readonly directories: boolean
    /** What names begin with, below `directory`; of the directories those on the way are told too. */
    readonly prefix?: string | undefined
    readonly onUnreachable: UnreachableListener
  },
): AsyncGenerator<readonly Entry[], void, undefined> {
  const walk = new TreeWalk(directory.name, options.directories)
  const root = childPrefix(directory.name)
  const prefix = { ...directory, name: `${root}${options.prefix ?? ''}` }
  const take = (row: ListEntry) => {
    if (row.kind !== 'blob' || row.name === root || isReserved(row.name)) return
    if (isPathName(withoutSlash(row.name))) {
      walk.add(row.name, entryFromBlob(row.name, row.properties))
    } else options.onUnreachable({ ...directory, name: row.name })
  }
  for await (const rows of listPagesDivided(store, prefix, { signal: options.signal })) {
    for await (const part of inTurns(rows, rowsATurn)) {
      for (const row of part) take(row)
      yield walk.take()
    }
  }
  yield walk.end()
}

/**
 * Turns blobs in listing order into entries. A file is held back until no `file/…` can follow it
 * any more, because then the name would be a directory's (`a`, `a-b`, `a/c` is the order of a
 * listing: other names come between).
 */
class TreeWalk {
  readonly #root: string
  readonly #directories: boolean
  readonly #seen = new Set<string>()
  /** The directory of the last entry: that of most that follow. */
  #lastParent = ''
  #held: Entry[] = []
  #found: Entry[] = []

  constructor(root: string, directories: boolean) {
    this.#root = root
    this.#directories = directories
  }

  add(blobName: string, entry: Entry): void {
    this.#release(blobName)
    if (this.#directories) this.#ancestors(entry.name)
    if (entry.type === 'directory') this.#directory(entry)
    else this.#held.push(entry)
  }

  /** What is sure by now and was not taken. */
  take(): readonly Entry[] {
    const found = this.#found
    this.#found = []
    return found
  }

  /** The rest. */
  end(): readonly Entry[] {
    return [...this.take(), ...this.#held]
  }

  #release(blobName: string): void {
    let kept = 0
    for (const held of this.#held) {
      const next = blobName.startsWith(held.name) ? blobName.charAt(held.name.length) : 'z'
      if (next > '/') this.#found.push(held)
      else if (next < '/') this.#held[kept++] = held
      // The rest is shadowed by the directory of its name.
    }
    this.#held.length = kept
  }

  #ancestors(name: string): void {
    const parent = parentName(name)
    if (parent === this.#lastParent || parent === this.#root || this.#seen.has(parent)) return
    this.#lastParent = parent
    this.#ancestors(parent)
    this.#directory(impliedDirectory(parent))
  }

  #directory(entry: Entry): void {
    if (!this.#directories || this.#seen.has(entry.name)) return
    this.#seen.add(entry.name)
    this.#found.push(entry)
  }
}

function entryOfRow(row: ListEntry): Entry {
  return row.kind === 'prefix'
    ? impliedDirectory(withoutSlash(row.name))
    : entryFromBlob(row.name, row.properties)
}

function isRowPath(row: ListEntry): boolean {
  return isPathName(row.kind === 'prefix' ? withoutSlash(row.name) : row.name)
}

function withoutSlash(name: string): string {
  return name.endsWith('/') ? name.slice(0, -1) : name
}
