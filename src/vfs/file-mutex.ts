import { Mutex } from './mutex.ts'

/** A file is about to lose its name: storing it stopped. Never leaves {@link FileMutex.storing}. */
export class StoppedStoring extends Error {
  override readonly name = 'StoppedStoring'
}

/**
 * Held by whatever changes or stores one file. Who takes its name away need not wait until all of it is
 * stored: storing stops before its next block, and begins again where the name could not be taken away.
 */
export class FileMutex extends Mutex {
  #removals = 0
  #removal: Promise<unknown> = Promise.resolve()
  #isStoring = false

  /** Called by storing where it can stop: throws {@link StoppedStoring} when it is to. */
  stopIfWanted(): void {
    if (this.#isStoring && this.#removals > 0) throw new StoppedStoring()
  }

  /** As `run`, for work that stores the file and changes nothing until it has. */
  async storing(work: () => Promise<void>): Promise<void> {
    while (!(await this.run(() => this.#store(work)))) await this.#removal
  }

  async #store(work: () => Promise<void>): Promise<boolean> {
    this.#isStoring = true
    try {
      await work()
      return true
    } catch (error) {
      if (!(error instanceof StoppedStoring)) throw error
      return false
    } finally {
      this.#isStoring = false
    }
  }

  /** Runs `work`, which waits for the mutex to take the file's name away, or to give it to another. */
  removing<T>(work: () => Promise<T>): Promise<T> {
    this.#removals += 1
    const removal = work().finally(() => {
      this.#removals -= 1
    })
    this.#removal = removal.catch(() => undefined)
    return removal
  }
}
