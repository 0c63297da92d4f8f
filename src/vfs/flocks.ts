import { FileSystemError } from '../errors.ts'
import { interruptible } from './mutex.ts'
import type { HandleId } from './operations.ts'

/** `shared` admits other shared ones, `exclusive` none. */
export type FlockKind = 'shared' | 'exclusive'

/** The flock(2) locks of one file among those who have it open here. */
export class Flocks {
  readonly #holders = new Map<HandleId, FlockKind>()
  #changed: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined

  /** What `owner` holds. */
  kindOf(owner: HandleId): FlockKind | undefined {
    return this.#holders.get(owner)
  }

  /**
   * Locks for `owner`, who lets go of what it held before: a conversion is not one step, as flock(2)
   * says. `EAGAIN` when others are in the way, unless it `waits`; then `signal.reason` when aborted.
   */
  async take(
    owner: HandleId,
    kind: FlockKind,
    options: { readonly waits: boolean; readonly signal: AbortSignal },
  ): Promise<void> {
    this.drop(owner)
    while (this.#excludes(kind)) {
      if (!options.waits) throw new FileSystemError('EAGAIN', 'flock')
      await interruptible(this.#change(), options.signal)
    }
    this.#holders.set(owner, kind)
  }

  drop(owner: HandleId): void {
    if (!this.#holders.delete(owner)) return
    this.#changed?.resolve()
    this.#changed = undefined
  }

  #excludes(kind: FlockKind): boolean {
    const held = [...this.#holders.values()]
    return kind === 'exclusive' ? held.length > 0 : held.includes('exclusive')
  }

  #change(): Promise<void> {
    if (this.#changed === undefined) {
      let resolve = () => {}
      const promise = new Promise<void>((whenChanged) => {
        resolve = whenChanged
      })
      this.#changed = { promise, resolve }
    }
    return this.#changed.promise
  }
}
