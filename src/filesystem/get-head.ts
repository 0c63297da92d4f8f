import type {
  BlobContent,
  BlobProperties,
  BlobStore,
  ContentSink,
  GetOptions,
} from '../blob/store.ts'
import { type ByteRange, lengthOf } from '../byte-range.ts'
import { FileSystemError } from '../errors.ts'
import type { BlobPath } from '../path.ts'

export interface FirstOptions extends GetOptions {
  readonly range: ByteRange
}

/** The beginning of a blob, by a request for all of it that is given up once the range has come. */
export async function getHead(
  store: BlobStore,
  path: BlobPath,
  { range, ifMatch, signal }: FirstOptions,
): Promise<BlobContent> {
  const head = new Head(lengthOf(range))
  const giveUp = () => head.stop(signal?.reason)
  signal?.addEventListener('abort', giveUp, { once: true })
  try {
    signal?.throwIfAborted()
    const all = { start: 0, end: Number.MAX_SAFE_INTEGER }
    await store.get(path, { range: all, ifMatch, sink: head, signal: head.signal })
  } catch (error) {
    signal?.throwIfAborted()
    if (!head.isComplete) throw error
  } finally {
    signal?.removeEventListener('abort', giveUp)
  }
  return head.content()
}

class Head implements ContentSink {
  readonly #limitBytes: number
  readonly #end = new AbortController()
  #properties: BlobProperties | undefined
  #data: Uint8Array = new Uint8Array(0)
  #received = 0

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  get signal(): AbortSignal {
    return this.#end.signal
  }

  get isComplete(): boolean {
    return this.#properties !== undefined && this.#received === this.#data.byteLength
  }

  begin(properties: BlobProperties): void {
    this.#properties = properties
    this.#data = Buffer.allocUnsafe(Math.min(this.#limitBytes, properties.sizeBytes))
    this.#received = 0
  }

  next(): Uint8Array {
    return this.#data.subarray(this.#received)
  }

  filled(count: number): void {
    this.#received += count
    const { sizeBytes = 0 } = this.#properties ?? {}
    if (this.isComplete && this.#received < sizeBytes) this.stop('the beginning has come')
  }

  stop(reason: unknown): void {
    this.#end.abort(reason)
  }

  content(): BlobContent {
    if (this.#properties !== undefined) return { data: this.#data, properties: this.#properties }
    throw new FileSystemError('EIO', 'read', { detail: 'the answer never began' })
  }
}
