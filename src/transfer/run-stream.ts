import type { BlobStream } from './blob-stream.ts'
import type { Run } from './sequence-detector.ts'

/** So many reads of other runs, and the run that has the stream is over. */
const readsToTakeOver = 16

/** The one stream of a reader, which follows one of its runs. */
export class RunStream {
  readonly #open: (start: number) => BlobStream | undefined
  #stream: BlobStream | undefined
  #run: Run | undefined
  #otherReads = 0

  constructor(open: (start: number) => BlobStream | undefined) {
    this.#open = open
  }

  /** Two runs that took turns would break off each other's stream: the one that came later has none. */
  isFor(run: Run): boolean {
    this.#otherReads = run === this.#run ? 0 : this.#otherReads + 1
    const isTaken = this.#run !== undefined && this.#otherReads > 0
    if (isTaken && this.#otherReads <= readsToTakeOver) return false
    this.#run = run
    this.#otherReads = 0
    return true
  }

  /** The stream there is, wherever it is. */
  get current(): BlobStream | undefined {
    return this.#stream
  }

  /** A stream that goes on at `offset`: the one there is, or another; `keepsOld` lets the old one end by itself. */
  at(offset: number, keepsOld: boolean): BlobStream | undefined {
    if (this.#stream?.canFill(offset, 0) === true) return this.#stream
    if (!keepsOld) this.#stream?.close()
    this.#stream = this.#open(offset)
    return this.#stream
  }

  /** Ends the stream. */
  close(): void {
    this.#stream?.close()
  }
}
