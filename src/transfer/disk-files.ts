import { readFileSync } from 'node:fs'
import { LRUCache } from 'lru-cache'
import { granuleAccess, type SegmentFiles } from './disk-granules.ts'

/** Where a segment lies, without `.data` or `.sums`; it may move while it is open. */
export interface Placed {
  readonly place: string
}

/**
 * Open segments, the longest unused closed first: two descriptors each. Whoever uses one keeps it open
 * until done.
 */
export class DiskFiles {
  readonly #open: LRUCache<Placed, Shared>
  #isClosed = false

  constructor(max: number = mayBeOpen()) {
    this.#open = new LRUCache<Placed, Shared>({ max, dispose: (shared) => shared.retire() })
  }

  /**
   * Runs `work` with the files of `segment`; `undefined` when there are none and `create` is not said.
   * Rejects as `node:fs` does.
   */
  async use<T>(
    segment: Placed,
    options: { readonly create: boolean },
    work: (files: SegmentFiles) => Promise<T>,
  ): Promise<T | undefined> {
    const shared = this.#open.get(segment) ?? this.#add(segment, options.create)
    const taken = shared.take()
    if (this.#isClosed) shared.retire()
    try {
      const files = await taken
      if (files !== undefined) return await work(files)
    } catch (error) {
      if (this.#open.peek(segment) === shared && !shared.isOpen) this.#open.delete(segment)
      throw error
    } finally {
      shared.give()
    }
    if (this.#open.peek(segment) === shared) this.#open.delete(segment)
    // Somebody else looked for it, without making it, a moment before.
    return options.create && !shared.create ? this.use(segment, options, work) : undefined
  }

  /** Closes the files of `segment` once nobody uses them: the next user opens what is there then. */
  drop(segment: Placed): void {
    this.#open.delete(segment)
  }

  /** The same for whichever segment lies at `place`. */
  dropAt(place: string): void {
    for (const segment of [...this.#open.keys()]) if (segment.place === place) this.drop(segment)
  }

  /** Closes all, once nobody uses them; what is opened later, by who was under way, is closed after its use. */
  async close(): Promise<void> {
    this.#isClosed = true
    const all = [...this.#open.values()]
    this.#open.clear()
    await Promise.all(all.map((shared) => shared.closed))
  }

  #add(segment: Placed, create: boolean): Shared {
    const shared = new Shared(segment.place, create)
    if (!this.#isClosed) this.#open.set(segment, shared)
    return shared
  }
}

/**
 * A random reader of a large file goes from segment to segment, and opening one costs more than reading from it:
 * a quarter of what the process may have open, and 32 at least.
 */
function mayBeOpen(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'latin1')
    const descriptors = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? 0)
    return Math.min(Math.max(Math.floor(descriptors / 8), 32), 512)
  } catch {
    // No Linux, or no /proc.
    return 32
  }
}

class Shared {
  readonly create: boolean
  readonly closed: Promise<void>
  readonly #files: Promise<SegmentFiles | undefined>
  #users = 0
  #isRetired = false
  #isOpen = false
  #resolveClosed: () => void = () => undefined

  constructor(place: string, create: boolean) {
    this.create = create
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
    this.#files = granuleAccess()
      .open(place, create)
      .then((files) => {
        this.#isOpen = files !== undefined
        return files
      })
    this.#files.catch(() => undefined)
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  take(): Promise<SegmentFiles | undefined> {
    this.#users += 1
    return this.#files
  }

  give(): void {
    this.#users -= 1
    this.#closeIfUnused()
  }

  retire(): void {
    this.#isRetired = true
    this.#closeIfUnused()
  }

  #closeIfUnused(): void {
    if (!this.#isRetired || this.#users > 0) return
    const close = async () => {
      const files = await this.#files
      if (files !== undefined) await granuleAccess().close(files)
    }
    // What cannot be closed is gone all the same.
    close().then(this.#resolveClosed, this.#resolveClosed)
  }
}
