import { fdatasync } from 'node:fs'

/** Brings a file's bytes to the disk; calls that come while one runs share the next. */
export class GroupSync {
  readonly #fd: number
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined

  constructor(fd: number) {
    this.#fd = fd
  }

  /** Resolves when all that was written before the call is on the disk. */
  sync(): Promise<void> {
    if (this.#running === undefined) return this.#start()
    // Runs whether or not the one before succeeded: each answers for what was written before it.
    this.#next ??= this.#running.then(
      () => this.#start(),
      () => this.#start(),
    )
    return this.#next
  }

  #start(): Promise<void> {
    this.#next = undefined
    const run = syncFile(this.#fd).finally(() => {
      if (this.#running === run) this.#running = undefined
    })
    this.#running = run
    return run
  }
}

function syncFile(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fdatasync(fd, (error) => {
      if (error === null) resolve()
      else reject(error)
    })
  })
}
