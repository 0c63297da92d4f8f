import { MiB } from '../byte-range.ts'
import type { Clock } from '../clock.ts'

/** What is timed at once: some tenths of a second at the pace that decides. */
const paceBytes = 32 * MiB
/**
 * 100 MB/s. Services that limit each connection allow less than this; what brings more is limited by the machine, which
 * more connections would only make busier.
 */
const minBytesPerMs = 100_000
/** A stream that nobody has taken anything from for so long leaves the network to others. */
const movingMs = 1000

/**
 * Times each stretch of a stream, without the time in which no buffer waited, or we for a processor. Streams that are read
 * at once share what the machine and its network can bring: each is held to what they bring together.
 */
export class StreamPace {
  readonly #clock: Clock
  readonly #receivedByAll: () => number | undefined
  #received = 0
  #stretch: Stretch | undefined
  #paused: { readonly ms: number; readonly bytes: number } | undefined

  /** `receivedByAll`: what all streams of the service have brought so far; `undefined`: that is not counted. */
  constructor(clock: Clock, receivedByAll: () => number | undefined) {
    this.#clock = clock
    this.#receivedByAll = receivedByAll
  }

  pause(): void {
    this.#paused = { ms: this.#clock.nowMs(), bytes: this.#bytesOfAll }
  }

  goOn(): void {
    if (this.#paused === undefined) return
    if (this.#stretch !== undefined) {
      this.#stretch.sinceMs += this.#clock.nowMs() - this.#paused.ms
      this.#stretch.bytesBefore += this.#bytesOfAll - this.#paused.bytes
    }
    this.#paused = undefined
  }

  get isMoving(): boolean {
    return this.#paused === undefined || this.#clock.nowMs() - this.#paused.ms < movingMs
  }

  /** Takes note of `count` bytes. When they end a stretch that took too long: what came meanwhile, in bytes a millisecond. */
  note(count: number): number | undefined {
    this.#received += count
    const before = this.#stretch
    // The first bytes say when the answer began, not how fast it comes.
    if (before === undefined) this.#stretch = this.#begin()
    if (before === undefined || this.#received < before.endsAt) return undefined
    const next = this.#begin()
    this.#stretch = next
    // More requests would only make a busy machine busier.
    const queuedMs = next.queuedMs - before.queuedMs
    const tookMs = next.sinceMs - before.sinceMs - queuedMs
    const bytes = next.bytesBefore - before.bytesBefore
    return bytes < tookMs * minBytesPerMs ? bytes / tookMs : undefined
  }

  #begin(): Stretch {
    return {
      sinceMs: this.#clock.nowMs(),
      queuedMs: this.#clock.queuedMs?.() ?? 0,
      bytesBefore: this.#bytesOfAll,
      endsAt: this.#received + paceBytes,
    }
  }

  get #bytesOfAll(): number {
    return this.#receivedByAll() ?? this.#received
  }
}

/** Both moments move on by what passed while no buffer waited. */
interface Stretch {
  sinceMs: number
  bytesBefore: number
  readonly queuedMs: number
  /** Where it ends, of the bytes of this stream. */
  readonly endsAt: number
}
