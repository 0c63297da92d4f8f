import { type BlobStore, type CallOptions, type ListEntry, listAll } from '../blob/store.ts'
import type { BlobPath } from '../path.ts'
import { entryFromBlob, impliedDirectory, mergeEntries } from './blob-entry.ts'
import { baseName, childPrefix, isPathName, isReserved, parentName } from './blob-name.ts'
import type { Entry } from './entry.ts'

/** Told of each blob whose name cannot be a path. */
export type UnreachableListener = (path: BlobPath) => void

/** What one level of a container shows. */
export interface OneLevel {
  /** By base name; a directory and a file of one name are one entry: the directory. */
  readonly entries: Map<string, Entry>
  /** The blob `dir/` itself, when there is one. */
  readonly slashMarker: Entry | undefined
}

/** Lists what lies directly in `directory`, all pages. */
export async function listOneLevel(
  store: BlobStore,
  directory: BlobPath,
  options: CallOptions & { readonly onUnreachable: UnreachableListener },
): Promise<OneLevel> {
  const prefix = childPrefix(directory.name)
  const entries = new Map<string, Entry>()
  let slashMarker: Entry | undefined
  const { signal, onUnreachable } = options
  for await (const row of listAll(
    store,
    { ...directory, name: prefix },
    { delimiter: '/', signal },
  )) {
    if (isReserved(withoutSlash(row.name))) continue
    if (row.name === prefix && row.kind === 'blob')
      slashMarker = entryFromBlob(row.name, row.properties)
    else if (!isRowPath(row)) onUnreachable({ ...directory, name: row.name })
    else addRow(entries, row)
  }
  return { entries, slashMarker }
}

/**
 * All files below `directory` in the service's order and, when asked, each directory once: marked
 * ones with their attributes, implied ones before the first of their files.
 */
export async function* walkTree(
  store: BlobStore,
  directory: BlobPath,
  options: CallOptions & {
    readonly directories: boolean
    readonly onUnreachable: UnreachableListener
  },
): AsyncGenerator<Entry, void, undefined> {
  const walk = new TreeWalk(directory.name, options.directories)
  const prefix = { ...directory, name: childPrefix(directory.name) }
  for await (const row of listAll(store, prefix, { signal: options.signal })) {
    if (row.kind !== 'blob' || row.name === prefix.name || isReserved(row.name)) continue
    if (!isPathName(withoutSlash(row.name))) options.onUnreachable({ ...directory, name: row.name })
    else yield* walk.next(row.name, entryFromBlob(row.name, row.properties))
  }
  yield* walk.end()
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
  #held: Entry[] = []

  constructor(root: string, directories: boolean) {
    this.#root = root
    this.#directories = directories
  }

  *next(blobName: string, entry: Entry): Generator<Entry, void, undefined> {
    yield* this.#release(blobName)
    yield* this.#ancestors(entry.name)
    if (entry.type === 'directory') yield* this.#directory(entry)
    else this.#held.push(entry)
  }

  *end(): Generator<Entry, void, undefined> {
    yield* this.#held
    this.#held = []
  }

  *#release(blobName: string): Generator<Entry, void, undefined> {
    const kept: Entry[] = []
    for (const held of this.#held) {
      const next = blobName.startsWith(held.name) ? blobName.charAt(held.name.length) : 'z'
      if (next > '/') yield held
      else if (next < '/') kept.push(held)
      // The rest is shadowed by the directory of its name.
    }
    this.#held = kept
  }

  *#ancestors(name: string): Generator<Entry, void, undefined> {
    const parent = parentName(name)
    if (!this.#directories || parent === this.#root || this.#seen.has(parent)) return
    yield* this.#ancestors(parent)
    yield* this.#directory(impliedDirectory(parent))
  }

  *#directory(entry: Entry): Generator<Entry, void, undefined> {
    if (!this.#directories || this.#seen.has(entry.name)) return
    this.#seen.add(entry.name)
    yield entry
  }
}

function addRow(entries: Map<string, Entry>, row: ListEntry): void {
  const found =
    row.kind === 'prefix'
      ? impliedDirectory(withoutSlash(row.name))
      : entryFromBlob(row.name, row.properties)
  const key = baseName(found.name)
  entries.set(key, mergeEntries(entries.get(key), found))
}

function isRowPath(row: ListEntry): boolean {
  return isPathName(row.kind === 'prefix' ? withoutSlash(row.name) : row.name)
}

function withoutSlash(name: string): string {
  return name.endsWith('/') ? name.slice(0, -1) : name
}
