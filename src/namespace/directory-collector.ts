import type { ListEntry } from '../blob/store.ts'
import { areFileAndDirectory, entryFromBlob, impliedDirectory, mergeEntries } from './blob-entry.ts'
import { baseName, childPrefix, isPathName, isReserved, parentName } from './blob-name.ts'
import type { Entry } from './entry.ts'

type BlobRow = Extract<ListEntry, { kind: 'blob' }>

/** All that a flat listing told of one directory, as `listOneLevel` would tell it. */
export interface CollectedDirectory {
  /** Its path below the container. */
  readonly name: string
  readonly entries: Map<string, Entry>
  readonly slashMarker: boolean
  /** When the first page that told of it was asked for; milliseconds since the epoch. */
  readonly sinceMs: number
}

interface OpenDirectory extends CollectedDirectory {
  slashMarker: boolean
  /** Marked directories in it of which nothing more has come so far. */
  waiting: Entry[]
}

export interface CollectorOptions {
  /** The most entries that a directory may have to be collected. */
  readonly maxEntries: number
  readonly onDirectory: (directory: CollectedDirectory) => void
  readonly onUnreachable: (name: string) => void
  readonly onHidden?: ((name: string) => void) | undefined
}

/**
 * Makes the listings of directories out of the rows of a flat one. The names below a directory follow
 * one another, so a directory is told once a row lies outside it; those above the last row wait for the
 * next page.
 */
export class DirectoryCollector {
  readonly #options: CollectorOptions
  readonly #rootPrefix: string
  /** The directory of the last row and those above it, from the top down. */
  readonly #open: OpenDirectory[]
  #sinceMs: number

  /** `sinceMs` is when the first page was asked for. */
  constructor(directory: string, sinceMs: number, options: CollectorOptions) {
    this.#options = options
    this.#rootPrefix = childPrefix(directory)
    this.#sinceMs = sinceMs
    this.#open = [opened(directory, sinceMs)]
  }

  /** Takes a page that was asked for at `sinceMs`. */
  add(rows: readonly ListEntry[], sinceMs: number): void {
    this.#sinceMs = sinceMs
    for (const row of rows) {
      if (row.kind !== 'blob' || isReserved(row.name)) continue
      if (row.name === this.#rootPrefix || isPathName(withoutSlash(row.name))) this.#row(row)
      else {
        this.#options.onUnreachable(row.name)
        // The directories on the way to it can be reached, and are not empty.
        this.#enter(reachablePart(row.name)).slashMarker = true
      }
    }
  }

  /** There are no more rows. */
  end(): void {
    while (this.#open.length > 0) this.#close()
  }

  #row(row: BlobRow): void {
    const marksItself = row.name.endsWith('/')
    const directory = this.#enter(marksItself ? row.name.slice(0, -1) : parentName(row.name))
    for (const each of this.#open) this.#tellEmpty(each, row.name)
    if (marksItself) directory.slashMarker = true
    else {
      const entry = entryFromBlob(row.name, row.properties)
      this.#addEntry(directory, entry)
      if (entry.type === 'directory') directory.waiting.push(entry)
    }
  }

  /** Directories in `directory` that the listing has passed: only what marks them is there. */
  #tellEmpty(directory: OpenDirectory, at: string): void {
    if (directory.waiting.length === 0) return
    const isToCome = ({ name }: Entry): boolean => {
      const prefix = childPrefix(name)
      return at <= prefix || at.startsWith(prefix)
    }
    const passed = directory.waiting.filter((entry) => !isToCome(entry))
    directory.waiting = directory.waiting.filter(isToCome)
    for (const { name } of passed) this.#tell(opened(name, directory.sinceMs))
  }

  /** Closes what does not hold `name` and opens what does. */
  #enter(name: string): OpenDirectory {
    let top = this.#top()
    while (name !== top.name && !name.startsWith(childPrefix(top.name))) {
      this.#close()
      top = this.#top()
    }
    while (name !== top.name) {
      const prefix = childPrefix(top.name)
      const end = name.indexOf('/', prefix.length)
      const child = end < 0 ? name : name.slice(0, end)
      this.#addEntry(top, impliedDirectory(child))
      top.waiting = top.waiting.filter(({ name }) => name !== child)
      top = opened(child, this.#sinceMs)
      this.#open.push(top)
    }
    return top
  }

  #top(): OpenDirectory {
    const top = this.#open.at(-1)
    if (top === undefined) throw new Error('a row lies outside the directory that was listed')
    return top
  }

  #close(): void {
    const directory = this.#open.pop()
    if (directory === undefined) return
    for (const { name } of directory.waiting) this.#tell(opened(name, directory.sinceMs))
    this.#tell(directory)
  }

  #addEntry({ entries }: CollectedDirectory, found: Entry): void {
    const key = baseName(found.name)
    const known = entries.get(key)
    if (areFileAndDirectory(known, found)) this.#options.onHidden?.(found.name)
    entries.set(key, mergeEntries(known, found))
  }

  #tell(directory: CollectedDirectory): void {
    if (directory.entries.size <= this.#options.maxEntries) this.#options.onDirectory(directory)
  }
}

function opened(name: string, sinceMs: number): OpenDirectory {
  return { name, sinceMs, entries: new Map(), waiting: [], slashMarker: false }
}

function reachablePart(name: string): string {
  const segments = name.split('/')
  const odd = segments.findIndex((segment) => !isPathName(segment))
  return segments.slice(0, odd).join('/')
}

function withoutSlash(name: string): string {
  return name.endsWith('/') ? name.slice(0, -1) : name
}
