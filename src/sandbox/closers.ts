import { faultChannel } from '../telemetry.ts'

/** What is to be closed, last opened first. */
export class Closers {
  readonly #steps: (() => Promise<void>)[] = []
  #closed: Promise<void> | undefined

  add(close: () => Promise<void>): void {
    this.#steps.push(close)
  }

  /** Runs every step once, whatever the others do; failures go to the fault channel. Never throws. */
  close(): Promise<void> {
    this.#closed ??= this.#run()
    return this.#closed
  }

  async #run(): Promise<void> {
    for (const step of this.#steps.reverse()) await step().catch(publish)
  }
}

function publish(error: unknown): void {
  const cause = error instanceof Error ? error : new Error(String(error))
  faultChannel.publish({ operation: 'sandbox.close', path: '', error: cause })
}
