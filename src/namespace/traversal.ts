import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import { childPrefix, parentName } from './blob-name.ts'

/** What was seen of the directories in one directory. */
interface Place {
  /** The last one in which something was listed. */
  last: string
  /** How many were listed one after the other, in the order of names. */
  run: number
  /** Requests for anything below. */
  spent: number
  /** How many there must be before another try. */
  retryAt: number
  atMs: number
}

/** Directories listed in order, one beside the other: whoever lists three goes on. */
const minRun = 3
/** Nobody who goes through a tree rests for longer. */
const restMs = 10_000
const maxPlaces = 1000

/** Recognises who goes through a tree, directory by directory, in the order of names. */
export class Traversals {
  readonly #clock: Clock
  readonly #places = new LRUCache<string, Place>({ max: maxPlaces })

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Notes that `directory` was listed by a request of its own. */
  listed(container: string, directory: string): void {
    for (const { above, child } of ancestors(directory)) {
      const place = this.#place(`${container}/${above}`)
      if (child !== place.last) place.run = follows(child, place.last) ? place.run + 1 : 1
      place.last = child
      place.spent += 1
    }
  }

  /**
   * The highest directory whose whole is worth a try before `directory` is listed, and how many
   * requests the try may take: a quarter of what was spent so far.
   */
  suspect(
    container: string,
    directory: string,
  ): { readonly above: string; readonly requests: number } | undefined {
    for (const { above, child } of ancestors(directory).reverse()) {
      const { run, last, spent, retryAt } = this.#place(`${container}/${above}`)
      const goesOn = child === last || follows(child, last)
      if (run >= minRun && goesOn && spent >= retryAt) {
        return { above, requests: Math.max(1, Math.floor(spent / 4)) }
      }
    }
    return undefined
  }

  /** A try was in vain: it takes twice as much to try again. */
  failed(container: string, above: string): void {
    const place = this.#place(`${container}/${above}`)
    place.retryAt = place.spent * 2 + 8
  }

  #place(key: string): Place {
    const nowMs = this.#clock.nowMs()
    const known = this.#places.get(key)
    if (known !== undefined && nowMs - known.atMs <= restMs) {
      known.atMs = nowMs
      return known
    }
    const place = { last: '', run: 0, spent: 0, retryAt: 0, atMs: nowMs }
    this.#places.set(key, place)
    return place
  }
}

/** The directories above `directory`, from the nearest up, each with its child on the way. */
function ancestors(directory: string): { readonly above: string; readonly child: string }[] {
  const found: { above: string; child: string }[] = []
  for (let child = directory; child !== ''; child = parentName(child)) {
    found.push({ above: parentName(child), child })
  }
  return found
}

/** Whether what lies in `name` comes after what lies in `other`, as the service orders it. */
function follows(name: string, other: string): boolean {
  return childPrefix(name) > childPrefix(other)
}
