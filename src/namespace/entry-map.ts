import type { Entry } from './entry.ts'

/** What is used of a `Map` of entries by base name. */
export interface EntriesByName
  extends Pick<Map<string, Entry>, 'get' | 'has' | 'delete' | 'size' | 'values'> {
  set(name: string, entry: Entry): unknown
}

/** One `Map` that is full makes room for twice as many at once: 50 to 150 ms for half a million names, 5 for these. */
const namesPerPart = 65_536

/**
 * Entries by base name in the order in which they came, as a `Map` has them, in several. Names that come in order are
 * known to be new; for others all parts are looked at.
 */
export class EntryMap implements EntriesByName {
  readonly #namesPerPart: number
  #parts: Map<string, Entry>[] = []
  #last = ''

  constructor(options: { readonly namesPerPart?: number } = {}) {
    this.#namesPerPart = options.namesPerPart ?? namesPerPart
  }

  get size(): number {
    return this.#parts.reduce((sum, part) => sum + part.size, 0)
  }

  get(name: string): Entry | undefined {
    return this.#partOf(name)?.get(name)
  }

  has(name: string): boolean {
    return this.#partOf(name) !== undefined
  }

  set(name: string, entry: Entry): void {
    const part = this.#partOf(name) ?? this.#room()
    part.set(name, entry)
    if (name > this.#last) this.#last = name
  }

  delete(name: string): boolean {
    return this.#partOf(name)?.delete(name) ?? false
  }

  *values(): MapIterator<Entry> {
    for (const part of this.#parts) yield* part.values()
  }

  #partOf(name: string): Map<string, Entry> | undefined {
    return name > this.#last ? undefined : this.#parts.find((part) => part.has(name))
  }

  #room(): Map<string, Entry> {
    const last = this.#parts.at(-1)
    if (last !== undefined && last.size < this.#namesPerPart) return last
    const part = new Map<string, Entry>()
    this.#parts.push(part)
    return part
  }
}
