import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { type AclEntry, permissionsOf } from './acl.ts'
import type {
  BlobProperties,
  HeadOptions,
  ListEntry,
  ListOptions,
  ListPage,
  Metadata,
  PathFacts,
  PutOptions,
  StateListOptions,
} from './store.ts'
import { maxListResults } from './validate.ts'

/** One committed blob and the blocks it was committed from. */
export interface MemoryBlob {
  readonly data: Uint8Array
  /** Without metadata. */
  readonly properties: BlobProperties
  readonly metadata: Metadata
  /** Index tags. */
  readonly tags?: PutOptions['tags']
  /** The committed blocks in order; empty for a blob written by one put. */
  readonly blocks: ReadonlyMap<string, Uint8Array>
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
  /** Staged blocks by blob name and block id, invisible until committed. */
  readonly uncommitted: Map<string, Map<string, Uint8Array>> = new Map()
  /** The root directory of a hierarchical account, once something asked for it. */
  root: MemoryBlob | undefined
  readonly #blobs = new Map<string, MemoryBlob>()
  readonly #names: string[] = []

  constructor(name: string, etag: string, lastModifiedMs: number) {
    this.name = name
    this.etag = etag
    this.lastModifiedMs = lastModifiedMs
  }

  get(name: string): MemoryBlob | undefined {
    return this.#blobs.get(name)
  }

  set(name: string, blob: MemoryBlob): void {
    if (!this.#blobs.has(name)) this.#names.splice(this.#firstAtLeast(name), 0, name)
    this.#blobs.set(name, blob)
  }

  delete(name: string): void {
    if (this.#blobs.delete(name)) this.#names.splice(this.#firstAtLeast(name), 1)
  }

  /** All names that begin with `prefix`, in order, as they are at this moment. */
  namesFrom(prefix: string): string[] {
    const start = this.#firstAtLeast(prefix)
    return this.#names.slice(start, this.#firstBeyond(prefix, start))
  }

  /** The page that follows `options.continuation`, which is the next name to look at. */
  list(prefix: string, options: ListOptions): ListPage {
    const limit = Math.min(options.maxResults ?? maxListResults, maxListResults)
    const entries: ListEntry[] = []
    let index = this.#firstAtLeast(options.continuation ?? later(prefix, options.startFrom))
    for (; entries.length < limit; ) {
      const name = this.#names[index]
      if (name === undefined || !name.startsWith(prefix))
        return { entries, continuation: undefined }
      const directory = directoryOf(name, prefix, options.delimiter)
      entries.push(directory === undefined ? this.#entry(name, options) : directory)
      index = directory === undefined ? index + 1 : this.#firstBeyond(directory.name, index)
    }
    const next = this.#names[index]
    return { entries, continuation: next?.startsWith(prefix) === true ? next : undefined }
  }

  #entry(name: string, options: ListOptions): ListEntry {
    const blob = this.#blobs.get(name)
    if (blob === undefined) throw new Error(`names and blobs differ at ${name}`)
    return {
      kind: 'blob',
      name,
      properties: options.metadata === false ? blob.properties : withMetadata(blob),
      ...(options.tags === true && blob.tags !== undefined ? { tags: blob.tags } : {}),
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

/** Memory keeps of each name what it holds now: `ENOTSUP` for who asks for what it held before. */
export function refuseStates(
  { former, versions, snapshots, deleted }: Pick<HeadOptions, 'former'> & StateListOptions,
  subject: { readonly path: BlobPath; readonly syscall: string },
): void {
  if (former === undefined && ![versions, snapshots, deleted].includes(true)) return
  const detail = 'a store in memory keeps no versions, no snapshots and nothing that was deleted'
  throw new FileSystemError('ENOTSUP', subject.syscall, { path: formatPath(subject.path), detail })
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
