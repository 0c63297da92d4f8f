import { closeSync, openSync, write } from 'node:fs'
import { promisify } from 'node:util'
import { nextTurn } from '../../clock.ts'

const writeText = promisify(write)
/** More than what waits is dropped: whoever writes never waits for the disk. */
const maxPendingChars = 1024 * 1024

/**
 * A file to which lines are added in the background. It never throws and never waits once it is open: lines that its disk does not take
 * are lost, and `onFault` is told of the first until it takes some again.
 */
export class LineFile {
  readonly #path: string
  readonly #onFault: (error: unknown) => void
  #descriptor: number
  #pending = ''
  #draining: Promise<void> | undefined
  #isFailing = false

  /** Throws Node's error where the file cannot be opened. */
  constructor(path: string, onFault: (error: unknown) => void) {
    this.#path = path
    this.#onFault = onFault
    this.#descriptor = openSync(path, 'a', 0o600)
  }

  /** Takes a line with its end. */
  write(line: string): void {
    if (this.#pending.length > maxPendingChars) return
    this.#pending += line
    this.#draining ??= this.#drain()
  }

  /** Opens the path anew, after what waits was written to the file that was open. Where it cannot be, that one is kept. */
  async reopen(): Promise<void> {
    await this.#draining
    try {
      const descriptor = openSync(this.#path, 'a', 0o600)
      closeSync(this.#descriptor)
      this.#descriptor = descriptor
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Resolves when what waits was written, or is lost. */
  async close(): Promise<void> {
    await this.#draining
    closeSync(this.#descriptor)
  }

  async #drain(): Promise<void> {
    while (this.#pending !== '') {
      // Lines of one turn go together.
      await nextTurn()
      const bytes = Buffer.from(this.#pending)
      this.#pending = ''
      try {
        await this.#append(bytes)
        this.#isFailing = false
      } catch (error) {
        this.#fail(error)
      }
    }
    this.#draining = undefined
  }

  async #append(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await writeText(this.#descriptor, bytes.subarray(at))
      at += bytesWritten
    }
  }

  #fail(error: unknown): void {
    if (!this.#isFailing) this.#onFault(error)
    this.#isFailing = true
  }
}
