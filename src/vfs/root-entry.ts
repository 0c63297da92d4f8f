import type { Clock } from '../clock.ts'
import { impliedDirectory } from '../namespace/blob-entry.ts'
import type { Entry, PosixAttributes } from '../namespace/entry.ts'
import type { BlobPath } from '../path.ts'

interface RootEntryOptions {
  /** What the root stands for. */
  readonly path: BlobPath
  readonly clock: Clock
  /** How long what the service said of it is believed; milliseconds. */
  readonly ttlMs: number
}

/**
 * What the root of a mount is. No blob stands for a container's: its attributes last as long as the mount. A mounted
 * prefix is in no listing of its own: it is asked for, also after each change of a name in it.
 */
export class RootEntry {
  readonly isContainer: boolean
  readonly #clock: Clock
  readonly #ttlMs: number
  #containerPosix: PosixAttributes = {}
  #prefix: { readonly entry: Entry; readonly untilMs: number } | undefined
  #changes = 0

  constructor({ path, clock, ttlMs }: RootEntryOptions) {
    this.isContainer = path.name === ''
    this.#clock = clock
    this.#ttlMs = ttlMs
  }

  /** What is known of it without asking. */
  now(): Entry | undefined {
    if (this.isContainer) return { ...impliedDirectory(''), posix: this.#containerPosix }
    if (this.#prefix !== undefined && this.#prefix.untilMs <= this.#clock.nowMs()) {
      this.#prefix = undefined
    }
    return this.#prefix?.entry
  }

  /** How long what is known of a prefix is believed yet; milliseconds. `undefined` where nothing was. */
  get believedMs(): number | undefined {
    return this.#prefix && Math.max(0, this.#prefix.untilMs - this.#clock.nowMs())
  }

  /** What `ask` gives, which is believed from the moment of the question on, unless the prefix changes meanwhile. */
  async learn(ask: () => Promise<Entry>): Promise<Entry> {
    const untilMs = this.#clock.nowMs() + this.#ttlMs
    const changes = this.#changes
    const entry = await ask()
    if (changes === this.#changes) this.#prefix = { entry, untilMs }
    return entry
  }

  /** Sets the attributes of a container's root. */
  setAttributes(posix: PosixAttributes): void {
    this.#containerPosix = posix
  }

  /** A mounted prefix may be another than was found. */
  forget(): void {
    this.#prefix = undefined
    this.#changes += 1
  }
}
