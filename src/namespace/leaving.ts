import type { BlobPath } from '../path.ts'
import { baseName, parentName } from './blob-name.ts'

interface Departures {
  /** Whole names; how often each is taken. */
  readonly names: Map<string, number>
  /** Done when the directory is sure to stay, whatever else leaves it. */
  marked: Promise<void> | undefined
}

/** Names that are being taken out of their directories: none of them is a reason for its directory to stay. */
export class Leaving {
  readonly #departures = new Map<string, Departures>()

  /** Until what is returned is called. */
  add(path: BlobPath): () => void {
    const key = keyOf({ ...path, name: parentName(path.name) })
    const departures = this.#departures.get(key) ?? { names: new Map(), marked: undefined }
    this.#departures.set(key, departures)
    const { names } = departures
    names.set(path.name, (names.get(path.name) ?? 0) + 1)
    return () => {
      const count = (names.get(path.name) ?? 1) - 1
      if (count > 0) names.set(path.name, count)
      else names.delete(path.name)
      if (names.size === 0) this.#departures.delete(key)
    }
  }

  /** Whole names out of `directory`. */
  of(directory: BlobPath): string[] {
    return [...(this.#departures.get(keyOf(directory))?.names.keys() ?? [])]
  }

  /** How many of those that leave `directory` are told of by `isThere`, which is given last components. */
  countOf(directory: BlobPath, isThere: (name: string) => boolean): number {
    return this.of(directory).filter((name) => isThere(baseName(name))).length
  }

  /** Resolves when `directory` was marked for one of those that leave it now; `undefined` when it was not. */
  marked(directory: BlobPath): Promise<void> | undefined {
    return this.#departures.get(keyOf(directory))?.marked
  }

  /** Marks `directory` by `mark`, once for all that leave it at the same time. */
  async markOnce(directory: BlobPath, mark: () => Promise<void>): Promise<void> {
    const departures = this.#departures.get(keyOf(directory))
    if (departures === undefined) return mark()
    departures.marked ??= mark().catch((error: unknown) => {
      departures.marked = undefined
      throw error
    })
    return departures.marked
  }
}

function keyOf({ container, name }: BlobPath): string {
  return `${container}/${name}`
}
