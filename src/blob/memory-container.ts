import { type AclEntry, permissionsOf } from './acl.ts'
import type { MemoryPast, Retirement, StatedBlob } from './memory-past.ts'
import type {
  BlobProperties,
  FormerId,
  ListEntry,
  ListOptions,
  ListPage,
  Metadata,
  PathFacts,
  PutOptions,
} from './store.ts'
import { maxListResults } from './validate.ts'

/** A block of a committed blob; its id may stand several times in one list. */
export interface MemoryBlock {
  readonly id: string
  readonly data: Uint8Array
}

/** One committed blob and the blocks it was committed from. */
export interface MemoryBlob {
  readonly data: Uint8Array
  /** Without metadata. */
  readonly properties: BlobProperties
  readonly metadata: Metadata
  /** Index tags. */
  readonly tags?: PutOptions['tags']
  /** The committed blocks in order; empty for a blob written by one put. */
  readonly blocks: readonly MemoryBlock[]
  /** On hierarchical accounts. */
  readonly access?: MemoryAccess | undefined
}

/** What a path of a hierarchical account has beside its content. */
export interface MemoryAccess {
  readonly isDirectory: boolean
  readonly owner: string
  readonly group: string
  readonly acl: readonly AclEntry[]
  readonly sticky: boolean
  /** The face that wrote the content: their ways of writing do not mix on one file. */
  readonly writtenBy: 'blob' | 'dfs'
  readonly expiresMs?: number | undefined
}

/** One container: its blobs by name, kept in the order of their UTF-8 bytes for listing. */
export class MemoryContainer {
  readonly name: string
  readonly etag: string
  readonly lastModifiedMs: number
  /** What its names held before. */
  readonly past: MemoryPast
  /** Staged blocks by blob name and block id, invisible until committed. */
  readonly uncommitted: Map<string, Map<string, Uint8Array>> = new Map()
  /** The root directory of a hierarchical account, once something asked for it. */
  root: MemoryBlob | undefined
  readonly #blobs = new Map<string, MemoryBlob>()
  /** Of all blobs, and of what was one. */
  readonly #names: string[] = []

  constructor(name: string, made: Pick<MemoryContainer, 'etag' | 'lastModifiedMs' | 'past'>) {
    this.name = name
    this.etag = made.etag
    this.lastModifiedMs = made.lastModifiedMs
    this.past = made.past
  }

  /** What is there; with `former` what was. */
  get(name: string, former?: FormerId): MemoryBlob | undefined {
    const current = this.#blobs.get(name)
    if (former === undefined) return current
    const isCurrent =
      former.versionId !== undefined && former.versionId === current?.properties.versionId
    return isCurrent ? current : this.past.find(name, former)
  }

  /** Keeps what is at `name`, where the account does so: something takes its place, or nothing. */
  retire(name: string, retirement: Retirement): void {
    const current = this.#blobs.get(name)
    if (current === undefined || current.access?.isDirectory === true) return
    this.past.keep(name, current, retirement)
  }

  set(name: string, blob: MemoryBlob): void {
    const index = this.#firstAtLeast(name)
    if (this.#names[index] !== name) this.#names.splice(index, 0, name)
    this.#blobs.set(name, blob)
  }

  delete(name: string): void {
    this.#blobs.delete(name)
    const index = this.#firstAtLeast(name)
    if (this.#names[index] === name && !this.past.has(name)) this.#names.splice(index, 1)
  }

  /** The names of all blobs that begin with `prefix`, in order, as they are at this moment. */
  namesFrom(prefix: string): string[] {
    const start = this.#firstAtLeast(prefix)
    const names = this.#names.slice(start, this.#firstBeyond(prefix, start))
    return names.filter((name) => this.#blobs.has(name))
  }

  /** The page that begins at `options.continuation`: a name, and how many of its rows were told. */
  list(prefix: string, options: ListOptions): ListPage {
    const limit = Math.min(options.maxResults ?? maxListResults, maxListResults)
    const entries: ListEntry[] = []
    for (const { entry, place } of this.#rowsFrom(prefix, options)) {
      if (entries.length === limit) return { entries, continuation: place }
      entries.push(entry)
    }
    return { entries, continuation: undefined }
  }

  *#rowsFrom(prefix: string, options: ListOptions): Generator<PlacedEntry, void, undefined> {
    const [first = '', told = '0'] = (
      options.continuation ?? later(prefix, options.startFrom)
    ).split('\0')
    let index = this.#firstAtLeast(first)
    for (;;) {
      const name = this.#names[index]
      if (name?.startsWith(prefix) !== true) return
      const rows = this.past.rows(name, this.#blobs.get(name), options)
      const directory = rows.length === 0 ? undefined : directoryOf(name, prefix, options.delimiter)
      index = directory === undefined ? index + 1 : this.#firstBeyond(directory.name, index)
      if (directory !== undefined) yield { entry: directory, place: name }
      else yield* placed(name, rows, { from: name === first ? Number(told) : 0, options })
    }
  }

  #firstAtLeast(name: string): number {
    let low = 0
    let high = this.#names.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareUtf8(this.#names[middle] ?? '', name) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  #firstBeyond(directory: string, from: number): number {
    let index = from
    while (this.#names[index]?.startsWith(directory) === true) index++
    return index
  }
}

interface PlacedEntry {
  readonly entry: ListEntry
  /** The continuation that begins with it. */
  readonly place: string
}

function* placed(
  name: string,
  rows: readonly StatedBlob[],
  { from, options }: { readonly from: number; readonly options: ListOptions },
): Generator<PlacedEntry, void, undefined> {
  for (const [index, row] of rows.entries()) {
    if (index >= from) yield { entry: entryOf(name, row, options), place: `${name}\0${index}` }
  }
}

function entryOf(name: string, { blob, state }: StatedBlob, options: ListOptions): ListEntry {
  return {
    kind: 'blob',
    name,
    properties: options.metadata === false ? blob.properties : withMetadata(blob),
    ...(asksForStates(options) ? { state } : {}),
    ...(options.tags === true ? { tags: blob.tags ?? {} } : {}),
  }
}

function asksForStates({ versions, snapshots, deleted }: ListOptions): boolean {
  return [versions, snapshots, deleted].includes(true)
}

/** The properties of `blob` with its metadata among them. */
export function withMetadata(blob: MemoryBlob): BlobProperties {
  const { properties, metadata, access } = blob
  return { ...properties, metadata, ...(access === undefined ? {} : { facts: factsOf(access) }) }
}

/** What the faces of a hierarchical account show of `access`. */
export function factsOf(access: MemoryAccess): PathFacts {
  const { isDirectory, owner, group, acl, sticky, expiresMs } = access
  return { isDirectory, owner, group, permissions: permissionsOf(acl, sticky), expiresMs }
}

/** Compares as the UTF-8 encodings compare; UTF-16 order differs where surrogates are. */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let index = 0; index < length; index++) {
    const difference = codePointRank(a.charCodeAt(index)) - codePointRank(b.charCodeAt(index))
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

/** Moves surrogates (which stand for U+10000 and up) behind the rest of the BMP. */
function codePointRank(unit: number): number {
  if (unit < 0xd800) return unit
  return unit >= 0xe000 ? unit - 0x800 : unit + 0x2000
}

function later(prefix: string, startFrom = ''): string {
  return compareUtf8(startFrom, prefix) > 0 ? startFrom : prefix
}

function directoryOf(
  name: string,
  prefix: string,
  delimiter: '/' | undefined,
): Extract<ListEntry, { kind: 'prefix' }> | undefined {
  if (delimiter === undefined) return undefined
  const end = name.indexOf(delimiter, prefix.length)
  return end === -1 ? undefined : { kind: 'prefix', name: name.slice(0, end + 1) }
}
