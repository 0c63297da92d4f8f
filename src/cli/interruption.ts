import { exitCodes } from './exit-codes.ts'

/** SIGINT, SIGTERM and SIGHUP as a command sees them. */
export class Interruption {
  readonly #first = new AbortController()
  #onSecond: () => void = () => process.exit(exitCodes.interrupted)
  #onHangup: (() => void) | undefined

  /** Aborted by the first signal: the command ends in good order. */
  get signal(): AbortSignal {
    return this.#first.signal
  }

  /** What a further signal does; it ends the process at once unless a command says otherwise. */
  onSecond(action: () => void): void {
    this.#onSecond = action
  }

  /** What SIGHUP does, instead of what the others do. */
  onHangup(action: () => void): void {
    this.#onHangup = action
  }

  /** Takes the signals over from Node. */
  listen(): void {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => this.interrupt())
    process.on('SIGHUP', () => (this.#onHangup ?? (() => this.interrupt()))())
  }

  interrupt(): void {
    if (this.#first.signal.aborted) this.#onSecond()
    else this.#first.abort()
  }
}
