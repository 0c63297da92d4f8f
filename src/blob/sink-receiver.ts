import type { BodyReceiver } from '../http/handler.ts'
import { propertiesFrom } from './azure-response.ts'
import type { BlobProperties, ContentSink } from './store.ts'

/** The receiver of one request that passes its body on to `sink`; counts from 0. */
export class SinkReceiver implements BodyReceiver {
  readonly #sink: ContentSink
  readonly #check: (status: number, properties: BlobProperties) => void
  #received = 0

  /** `check` throws for an answer whose bytes must not be taken. */
  constructor(sink: ContentSink, check: (status: number, properties: BlobProperties) => void) {
    this.#sink = sink
    this.#check = check
  }

  get receivedBytes(): number {
    return this.#received
  }

  begin(status: number, headers: Readonly<Record<string, string>>): void {
    const properties = propertiesFrom(headers)
    this.#check(status, properties)
    this.#sink.begin(properties)
  }

  next(resume: () => void): Uint8Array | undefined {
    return this.#sink.next(resume)
  }

  filled(count: number): void {
    this.#received += count
    this.#sink.filled(count)
  }
}
