/** What is known of a small file beside others. */
const unread = 0
const read = 1
const ahead = 2

/** A file continues those before it when of so many, which several readers may have taken in turns, some were read. */
const filesBefore = 8
const leastBefore = 3
/** So many after it are worth having then. */
const filesAfter = 32
/** What was read that continues nothing, of a directory, says that all of it will be. */
const leastShare = 1 / 8
const leastRead = 8

/** The small files of a directory by name, which of them were read, and which will be. */
export class SiblingOrder {
  readonly #names: readonly string[]
  readonly #states: Uint8Array
  /** Of reads that continued nothing. */
  #scattered = 0
  /** Where somebody read last, as one who goes on. */
  #place = -1

  /** Takes the names over. */
  constructor(names: string[]) {
    this.#names = names.sort(byCodeUnits)
    this.#states = new Uint8Array(names.length)
  }

  get size(): number {
    return this.#names.length
  }

  /** Whether so many were read here and there that the rest is worth having. */
  get isDense(): boolean {
    return this.#scattered >= Math.max(this.size * leastShare, leastRead)
  }

  has(name: string): boolean {
    return this.#placeOf(name) !== undefined
  }

  wasRead(name: string): boolean {
    const place = this.#placeOf(name)
    return place !== undefined && this.#states[place] === read
  }

  /** Says whether who has read `name` will read others. */
  noteRead(name: string): boolean {
    const place = this.#placeOf(name)
    if (place === undefined) return false
    const continues = this.#continues(place)
    if (!continues && this.#states[place] !== read) this.#scattered += 1
    this.#states[place] = read
    if (!this.isDense && !continues) return false
    this.#place = place
    return true
  }

  /** The name of the file to be fetched next; `undefined` when there is none. */
  get next(): string | undefined {
    if (this.#place < 0) return undefined
    const place = this.#states.indexOf(unread, this.#place + 1)
    if (this.isDense) return this.#names[place < 0 ? this.#states.indexOf(unread) : place]
    return place < 0 || place > this.#place + filesAfter ? undefined : this.#names[place]
  }

  /** `name` is on its way, here, or not to be had: it is not `next` any more. */
  pass(name: string): void {
    const place = this.#placeOf(name)
    if (place !== undefined && this.#states[place] === unread) this.#states[place] = ahead
  }

  #continues(place: number): boolean {
    let count = 0
    for (let at = Math.max(place - filesBefore, 0); at < place; at += 1) {
      if (this.#states[at] === read) count += 1
    }
    return count >= leastBefore
  }

  #placeOf(name: string): number | undefined {
    let from = 0
    let to = this.#names.length
    while (from < to) {
      const middle = (from + to) >>> 1
      if (byCodeUnits(this.#names[middle] ?? '', name) < 0) from = middle + 1
      else to = middle
    }
    return this.#names[from] === name ? from : undefined
  }
}

function byCodeUnits(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
