import type { BodyReceiver } from '../http/handler.ts'
import { propertiesFrom } from './azure-response.ts'
import type { BlobProperties, ContentSink } from './store.ts'

interface Told {
  /** Throws for an answer whose bytes must not be taken. */
  readonly check: (status: number, properties: BlobProperties) => void
  /** So many bytes have come. */
  readonly onBytes: (count: number) => void
}

/** The receiver of one request that passes its body on to `sink`; counts from 0. */
export class SinkReceiver implements BodyReceiver {
  readonly #sink: ContentSink
  readonly #told: Told
  #received = 0

  constructor(sink: ContentSink, told: Told) {
    this.#sink = sink
    this.#told = told
  }

  get receivedBytes(): number {
    return this.#received
  }

  begin(status: number, headers: Readonly<Record<string, string>>): void {
    const properties = propertiesFrom(headers)
    this.#told.check(status, properties)
    this.#sink.begin(properties)
  }

  next(resume: () => void): Uint8Array | undefined {
    return this.#sink.next(resume)
  }

  filled(count: number): void {
    this.#received += count
    this.#told.onBytes(count)
    this.#sink.filled(count)
  }
}
