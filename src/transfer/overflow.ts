import { type ByteRange, KiB } from '../byte-range.ts'
import type { Claim } from './memory-budget.ts'

/** What is taken and given back at a time; bytes. */
const pageBytes = 64 * KiB

/** A part of a range that lies in one page. */
interface Piece extends ByteRange {
  readonly page: number
}

/** Bytes of a file that its disk has no room for, in memory, page by page. */
export class Overflow {
  readonly #pages = new Map<number, Buffer>()
  readonly #maxPages: number
  readonly #claim: Claim

  /** `claim` is grown and shrunk with what is held. */
  constructor(maxBytes: number, claim: Claim) {
    this.#maxPages = Math.floor(maxBytes / pageBytes)
    this.#claim = claim
  }

  get isEmpty(): boolean {
    return this.#pages.size === 0
  }

  /** Whether `bytes` more fit, wherever they begin. */
  hasRoomFor(bytes: number): boolean {
    const pages = this.#pages.size + Math.ceil(bytes / pageBytes) + 1
    if (pages > this.#maxPages || !this.#claim.tryGrow(pages * pageBytes)) return false
    this.#fit()
    return true
  }

  /** The parts of `range` with what is held of their pages. */
  *over(range: ByteRange): Generator<Piece & { readonly held: Buffer | undefined }, void> {
    for (let start = range.start; start < range.end; ) {
      const page = Math.floor(start / pageBytes)
      const end = Math.min((page + 1) * pageBytes, range.end)
      yield { start, end, page, held: this.#pages.get(page) }
      start = end
    }
  }

  /** Begins to hold a page; `undefined` when there is no room. */
  add(page: number): Buffer | undefined {
    if (this.#pages.size >= this.#maxPages) return undefined
    if (!this.#claim.tryGrow((this.#pages.size + 1) * pageBytes)) return undefined
    const bytes = Buffer.alloc(pageBytes)
    this.#pages.set(page, bytes)
    return bytes
  }

  /** Lets go of the pages that lie in `range`; where they lay. */
  drop(range: ByteRange): ByteRange[] {
    const dropped: ByteRange[] = []
    for (const { start, end, page } of this.over(range)) {
      if (end - start === pageBytes && this.#pages.delete(page)) dropped.push({ start, end })
    }
    this.#fit()
    return dropped
  }

  /** Forgets what lies at and beyond `sizeBytes`. */
  cut(sizeBytes: number): void {
    for (const [page, bytes] of this.#pages) {
      if (page * pageBytes >= sizeBytes) this.#pages.delete(page)
      else bytes.fill(0, Math.min(sizeBytes - page * pageBytes, pageBytes))
    }
    this.#fit()
  }

  #fit(): void {
    this.#claim.shrink(this.#pages.size * pageBytes)
  }
}

/** Where a page begins in the file. */
export function startOfPage(page: number): number {
  return page * pageBytes
}
