import type { PathIndex } from './container.ts'
import type { PathState } from './record.ts'

// The names lie in sorted chunks under a sorted list of chunks: a seek is two binary searches, an
// insertion moves at most one chunk. A map beside them answers `get`. Iterators may outlive changes:
// they notice by `#shape` and seek their place again.

/** A change of the names of one container. */
export type PathChange =
  | { readonly kind: 'put'; readonly state: PathState }
  | { readonly kind: 'remove'; readonly name: string }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }

export interface PathIndexOptions {
  /** Orders segment by segment, so that a directory's descendants follow it at once. */
  readonly hierarchical: boolean
  /** Called after each change; `before` is what the name of a put or a removal was. */
  readonly onChange?: ((change: PathChange, before?: PathState) => void) | undefined
}

interface Entry {
  readonly key: string
  state: PathState
}

// Half of this is moved by an average insertion: 4 KiB of pointers, less than a cache line per name.
const maxChunk = 1024
const aboveBasicPlane = /[\ud800-\uffff]/
const eachAbove = /[\ud800-\uffff]/g

/** Makes an empty index. */
export function createPathIndex(options: PathIndexOptions): PathIndex {
  return new ChunkedPathIndex(options)
}

class ChunkedPathIndex implements PathIndex {
  readonly #hierarchical: boolean
  readonly #onChange: (change: PathChange, before?: PathState) => void
  readonly #entries = new Map<string, Entry>()
  #chunks: Entry[][] = []
  #shape = 0

  constructor({ hierarchical, onChange }: PathIndexOptions) {
    this.#hierarchical = hierarchical
    this.#onChange = onChange ?? (() => undefined)
  }

  get size(): number {
    return this.#entries.size
  }

  get(name: string): PathState | undefined {
    return this.#entries.get(name)?.state
  }

  put(state: PathState): void {
    const before = this.get(state.name)
    this.#set(state)
    this.#onChange({ kind: 'put', state }, before)
  }

  remove(name: string): void {
    const before = this.get(name)
    if (this.#drop(name)) this.#onChange({ kind: 'remove', name }, before)
  }

  from(name: string, exclusive = false): Iterable<PathState> {
    return this.#walk(this.#keyOf(name), exclusive)
  }

  *below(directory: string): Iterable<PathState> {
    const prefix = directory === '' ? '' : this.#keyOf(`${directory}/`)
    for (const entry of this.#entriesFrom(prefix, false)) {
      if (!entry.key.startsWith(prefix)) return
      yield entry.state
    }
  }

  rename(from: string, to: string): void {
    if (this.get(to)?.current !== undefined) throw new RangeError(`to: '${to}' is taken`)
    const root = this.get(from)
    const moved = [...(root === undefined ? [] : [root]), ...this.below(from)]
    for (const { name } of moved) this.#drop(name)
    for (const state of moved) this.#settle(state, `${to}${state.name.slice(from.length)}`)
    this.#onChange({ kind: 'rename', from, to })
  }

  /** Soft-deleted records belong to the name they were deleted under. */
  #settle(state: PathState, name: string): void {
    const { deleted, ...rest } = state
    if (deleted !== undefined) this.#set({ name: state.name, deleted })
    if (Object.keys(rest).length === 1) return
    const waiting = this.get(name)?.deleted
    this.#set({ ...rest, name, ...(waiting === undefined ? {} : { deleted: waiting }) })
  }

  #set(state: PathState): void {
    const known = this.#entries.get(state.name)
    if (known !== undefined) known.state = state
    else this.#insert({ key: this.#keyOf(state.name), state })
  }

  #insert(entry: Entry): void {
    this.#entries.set(entry.state.name, entry)
    this.#shape++
    const at = Math.max(0, this.#chunkOf(entry.key))
    const chunk = this.#chunks[at]
    if (chunk === undefined) {
      this.#chunks.push([entry])
      return
    }
    chunk.splice(firstAtOrAfter(chunk, entry.key), 0, entry)
    if (chunk.length > maxChunk) this.#split(at, chunk)
  }

  /** In halves; the last chunk near its end, since names often arrive in order. */
  #split(at: number, chunk: Entry[]): void {
    const last = at === this.#chunks.length - 1
    const rest = chunk.splice(last ? maxChunk - 64 : maxChunk / 2)
    this.#chunks.splice(at + 1, 0, rest)
  }

  #drop(name: string): boolean {
    const entry = this.#entries.get(name)
    if (entry === undefined) return false
    this.#entries.delete(name)
    this.#shape++
    const at = this.#chunkOf(entry.key)
    const chunk = this.#chunks[at] ?? []
    chunk.splice(firstAtOrAfter(chunk, entry.key), 1)
    if (chunk.length === 0) this.#chunks.splice(at, 1)
    return true
  }

  *#walk(key: string, exclusive: boolean): Iterable<PathState> {
    for (const entry of this.#entriesFrom(key, exclusive)) yield entry.state
  }

  *#entriesFrom(key: string, exclusive: boolean): Iterable<Entry> {
    let [chunkAt, at] = this.#seek(key, exclusive)
    let shape = this.#shape
    for (;;) {
      const chunk = this.#chunks[chunkAt]
      if (chunk === undefined) return
      const entry = chunk[at]
      if (entry === undefined) {
        chunkAt++
        at = 0
        continue
      }
      yield entry
      at++
      if (shape !== this.#shape) {
        shape = this.#shape
        ;[chunkAt, at] = this.#seek(entry.key, true)
      }
    }
  }

  #seek(key: string, exclusive: boolean): [chunk: number, entry: number] {
    const chunkAt = Math.max(0, this.#chunkOf(key))
    const chunk = this.#chunks[chunkAt] ?? []
    const at = firstAtOrAfter(chunk, key)
    return [chunkAt, exclusive && chunk[at]?.key === key ? at + 1 : at]
  }

  /** The last chunk that begins at or before `key`; -1 when all begin after it. */
  #chunkOf(key: string): number {
    let low = 0
    let high = this.#chunks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#chunks[middle]?.[0]?.key ?? '') <= key) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  /** A string whose UTF-16 order is the order of the index. */
  #keyOf(name: string): string {
    const ordered = aboveBasicPlane.test(name) ? name.replace(eachAbove, inCodePointOrder) : name
    return this.#hierarchical ? ordered.replaceAll('/', '\0') : ordered
  }
}

/** Puts surrogates after the rest of the basic plane, as UTF-8 does. */
function inCodePointOrder(unit: string): string {
  const code = unit.charCodeAt(0)
  return String.fromCharCode(code < 0xe000 ? code + 0x2000 : code - 0x800)
}

function firstAtOrAfter(chunk: readonly Entry[], key: string): number {
  let low = 0
  let high = chunk.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((chunk[middle]?.key ?? '') < key) low = middle + 1
    else high = middle
  }
  return low
}
