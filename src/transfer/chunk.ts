import { type ByteRange, lengthOf } from '../byte-range.ts'
import type { Arena } from './arena.ts'
import type { VersionChunks } from './chunk-cache.ts'
import type { Claim, MemoryBudget } from './memory-budget.ts'

/** An aligned run of bytes of one version: in memory, or on its way there. */
export class Chunk {
  readonly version: VersionChunks
  readonly start: number
  readonly end: number
  /** `undefined` while the bytes are on their way. */
  data: Uint8Array | undefined
  /** How many reads wait for it: one that nobody waits for may be cancelled. */
  waiters = 0
  /** How many of its bytes were read, those that were read twice counted twice. */
  readBytes = 0
  readonly #arena: Arena | undefined
  #loaded: Promise<Uint8Array> | undefined
  #place: Uint8Array | undefined
  #users = 0
  #isForgotten = false
  #claim: Claim | undefined
  #cancel: AbortController | undefined

  /** Its memory comes from `arena` and goes back there; absent: it is left to the garbage collector. */
  constructor(version: VersionChunks, { start, end }: ByteRange, arena: Arena | undefined) {
    this.version = version
    this.start = start
    this.end = end
    this.#arena = arena
  }

  /** Ends the fetching; made when somebody fetches: what was written here is there already. */
  get cancel(): AbortController {
    this.#cancel ??= new AbortController()
    return this.#cancel
  }

  /** The bytes, or why they did not come. */
  get loaded(): Promise<Uint8Array> {
    return this.#loaded ?? Promise.reject(new Error('nobody fetches this chunk'))
  }

  /** Of a chunk that was waited for. */
  get bytes(): Uint8Array {
    if (this.data === undefined) throw new Error('nobody waited for the bytes of this chunk')
    return this.data
  }

  /** Whether the bytes lie where others will, once the chunk is forgotten and nobody uses it. */
  get isLent(): boolean {
    return this.#place !== undefined
  }

  /** Runs `fetch`, which puts the bytes into `room()`, and notes what becomes of it. */
  load(fetch: (room: () => Uint8Array) => Promise<Uint8Array>): void {
    this.hold()
    const done = () => this.letGo()
    this.#loaded = fetch(() => this.#room())
    // Its waiters, if there are any, see the failure; a prefetch without one is asked again later.
    this.#loaded.then(done, done)
  }

  /** Has its bytes counted in `memory` until it is forgotten; a promise when it has to wait for them. */
  claim(memory: MemoryBudget): Promise<void> | undefined {
    this.#claim = memory.tryClaim(lengthOf(this))
    if (this.#claim !== undefined) return undefined
    return memory.claim(lengthOf(this), this.cancel.signal).then((claim) => {
      if (this.#isForgotten) claim.release()
      else this.#claim = claim
    })
  }

  /** Keeps the bytes where they are until `letGo`. */
  hold(): void {
    this.#users += 1
  }

  letGo(): void {
    this.#users -= 1
    this.#leave()
  }

  /** Keeps the bytes where they are until what this gives is called, once. */
  lend(): () => void {
    this.hold()
    return () => this.letGo()
  }

  /** Nobody will find it any more. */
  forget(): void {
    this.#isForgotten = true
    // Before those who use it are done: they may wait for memory themselves.
    this.#claim?.release()
    this.#leave()
  }

  /** Not zeroed: every byte is written, or nobody sees any. */
  #room(): Uint8Array {
    const sizeBytes = lengthOf(this)
    this.#place ??= this.#arena?.take(sizeBytes)
    return this.#place ?? Buffer.allocUnsafeSlow(sizeBytes)
  }

  #leave(): void {
    if (!this.#isForgotten || this.#users > 0 || this.#place === undefined) return
    this.#arena?.give(this.#place)
    this.#place = undefined
  }
}
