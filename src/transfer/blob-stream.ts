import type { BlobProperties, BlobStore, ContentSink } from '../blob/store.ts'
import { type ByteRange, MiB } from '../byte-range.ts'
import { type Clock, systemClock } from '../clock.ts'
import { whenAborted } from '../concurrency.ts'
import { FileSystemError } from '../errors.ts'
import type { BlobPath } from '../path.ts'
import { readsOf } from './service-reads.ts'
import { StreamPace } from './stream-pace.ts'

// A stream goes this way:
// 1. The first `fill` sends one GET for all of the range. Its body goes into the buffers of the fills,
//    in the order of the calls; while none waits, the connection is not read and the service waits.
// 2. A body that breaks is continued by a GET from the byte where it broke, of the same version.
// 3. `StreamPace` says whether the service is slow: then the stream serves the fills that it has.
// 4. `close` ends it at once. Fills that wait then are told that their bytes must come another way.

export interface BlobStreamOptions {
  readonly store: BlobStore
  readonly path: BlobPath
  readonly range: ByteRange
  /** The etag to demand; asked anew for each request. */
  readonly etag: () => string
  /** Told what the service says of the blob; what it throws fails the stream. */
  readonly check: (properties: BlobProperties) => void
  /**
   * Called when all connections to the service together bring less than 100 MB/s, with what they bring in bytes a
   * millisecond: more of them may bring more. True: the stream serves the fills that it has and no others. Absent: that is
   * nobody's concern.
   */
  readonly onSlow?: ((bytesPerMs: number) => boolean) | undefined
  readonly clock?: Clock | undefined
}

interface Fill {
  readonly target: Uint8Array
  readonly settle: (isFilled: boolean) => void
  readonly fail: (error: unknown) => void
  done: number
}

/** Breaks in a row that each brought less than `steadyBytes`; a stream that gets on, or may wait, breaks for ever. */
const maxBreaks = 5
const steadyBytes = MiB
const firstWaitMs = 100
const maxWaitMs = 10_000
/** Kept by the sink for bytes that nobody asked for. */
const nothing = new Uint8Array(0)

/** One version's bytes from one place on, in one long request, into buffers as they are handed in. */
export class BlobStream {
  readonly #options: BlobStreamOptions
  readonly #clock: Clock
  readonly #fills: Fill[] = []
  readonly #abort = new AbortController()
  #received: number
  #next: number
  #isRunning = false
  #error: unknown
  #resume: (() => void) | undefined
  #isDraining = false
  readonly #pace: StreamPace

  constructor(options: BlobStreamOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#pace = new StreamPace(this.#clock, () => options.store.receivedBytes)
    this.#received = options.range.start
    this.#next = options.range.start
  }

  /** Where the bytes of the next `fill` begin. */
  get position(): number {
    return this.#next
  }

  /** Whether it can still fill `count` bytes at `offset`. */
  canFill(offset: number, count: number): boolean {
    const isOpen = !this.#abort.signal.aborted && this.#error === undefined
    return (
      isOpen &&
      !this.#isDraining &&
      offset === this.#next &&
      offset + count <= this.#options.range.end
    )
  }

  /**
   * Fills `target` with the bytes at `position`, which moves on by that much at once. Resolves to
   * false when the stream is closed before, or too slow to take more. Rejects with `signal.reason`, which closes the stream,
   * and with what the service answers. `target` is not written to after the call settles.
   */
  fill(target: Uint8Array, signal?: AbortSignal): Promise<boolean> {
    if (this.#isDraining) return Promise.resolve(false)
    this.#next += target.byteLength
    return new Promise((resolve, reject) => {
      const giveUp = () => {
        reject(signal?.reason)
        this.close()
      }
      if (signal?.aborted === true) {
        giveUp()
        return
      }
      whenAborted(signal, giveUp)
      const release = () => signal?.removeEventListener('abort', giveUp)
      this.#add({
        target,
        done: 0,
        settle(isFilled) {
          release()
          resolve(isFilled)
        },
        fail(error) {
          release()
          reject(error)
        },
      })
    })
  }

  /** Ends the request. Never throws. */
  close(): void {
    this.#abort.abort()
    for (const fill of this.#fills.splice(0)) fill.settle(false)
  }

  #add(fill: Fill): void {
    if (this.#abort.signal.aborted) fill.settle(false)
    else if (this.#error !== undefined) fill.fail(this.#error)
    else if (fill.target.byteLength === 0) fill.settle(true)
    else {
      this.#fills.push(fill)
      if (!this.#isRunning) this.#start()
      const resume = this.#resume
      this.#resume = undefined
      if (resume !== undefined) this.#pace.goOn()
      resume?.()
    }
  }

  #start(): void {
    this.#isRunning = true
    const onEnd = readsOf(this.#options.store).add(this.#pace)
    this.#run()
      .catch((error: unknown) => {
        if (this.#abort.signal.aborted) return
        this.#error = error
        for (const fill of this.#fills.splice(0)) fill.fail(error)
      })
      .finally(onEnd)
  }

  async #run(): Promise<void> {
    const { end } = this.#options.range
    for (let breaks = 0; this.#received < end; ) {
      const start = this.#received
      const ifMatch = this.#options.etag()
      try {
        await this.#request(start, ifMatch)
        if (this.#received < end)
          throw new FileSystemError('EIO', 'read', { detail: 'the blob ended early' })
      } catch (error) {
        const gained = this.#received - start
        if (!this.#maySendAgain(error, { gained, ifMatch })) throw error
        breaks = gained >= steadyBytes ? 0 : breaks + 1
        if (breaks > maxBreaks && this.#options.store.isEndless?.() !== true) throw error
        const waitMs = Math.min(firstWaitMs * 2 ** (breaks - 2), maxWaitMs)
        if (breaks > 1) await this.#clock.sleep(waitMs, this.#abort.signal)
      }
    }
  }

  /** The HTTP stack has made the most of a request that brought nothing. */
  #maySendAgain(error: unknown, attempt: { gained: number; ifMatch: string }): boolean {
    if (!(error instanceof FileSystemError) || this.#abort.signal.aborted) return false
    // The etag moved on under the request: the content is the same.
    if (error.code === 'ESTALE') return attempt.ifMatch !== this.#options.etag()
    return error.retryable && attempt.gained > 0
  }

  async #request(start: number, ifMatch: string): Promise<void> {
    const { store, path, range, check } = this.#options
    const sink: ContentSink = {
      begin: check,
      next: (resume) => this.#room(resume),
      filled: (count) => this.#filled(count),
    }
    const { signal } = this.#abort
    await store.get(path, { range: { start, end: range.end }, ifMatch, sink, signal })
  }

  #room(resume: () => void): Uint8Array | undefined {
    const [fill] = this.#fills
    if (fill !== undefined) return fill.target.subarray(fill.done)
    if (this.#received === this.#options.range.end) return nothing
    this.#resume = resume
    this.#pace.pause()
    return undefined
  }

  #filled(count: number): void {
    const [fill] = this.#fills
    this.#received += count
    this.#notePace(count)
    if (fill === undefined) return
    fill.done += count
    if (fill.done < fill.target.byteLength) return
    this.#fills.shift()
    fill.settle(true)
    if (this.#isDraining && this.#fills.length === 0) this.close()
  }

  #notePace(count: number): void {
    const slowBytesPerMs = this.#pace.note(count)
    if (slowBytesPerMs === undefined || this.#isDraining) return
    this.#isDraining = this.#options.onSlow?.(slowBytesPerMs) === true
  }
}

/** Below this, more connections than one bring little: see docs/decisions/0094. */
export const defaultStreamBelowMs = 50
/** A shorter run is not worth a request that may have to be broken off. */
export const minStreamBytes: number = 8 * MiB
