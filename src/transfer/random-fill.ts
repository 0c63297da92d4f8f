import { type ByteRange, KiB, lengthOf, MiB } from '../byte-range.ts'
import type { BlobStream } from './blob-stream.ts'
import type { Chunk } from './chunk.ts'
import type { ChunkCache, VersionChunks } from './chunk-cache.ts'
import type { ChunkFetches } from './chunk-fetches.ts'
import { granuleBytes } from './granule.ts'

// A file that is read here and there is fetched whole, behind those who read it, where that pays:
// 1. All readers of a version count what they asked for, what was fetched, and what of that was fetched by
//    reads that continue nothing.
// 2. Once the last is an eighth of the file, and the file fits the cache, each read lets the fill go on: the
//    next piece is fetched by one request, in order, over what is there already.
// 3. A piece is taken only while all that was fetched stays below 32 bytes for each that was asked for.
// 4. It ends at the end of the file or with its first failure, and pauses where nobody reads, the reader whose
//    piece it is closes, or memory is short.

/** What became of one version of a file since somebody opened it. */
export interface VersionUse {
  /** By reads that came here: what the kernel and native code answer by themselves is not seen. */
  askedBytes: number
  /** From the service, whatever for. */
  fetchedBytes: number
  /** Of these, for reads that continue no other. */
  randomBytes: number
  /** Up to where it was filled. */
  filledTo: number
  /** Pieces of the fill on their way. */
  filling: number
  /** Nothing is filled any more. */
  isFilled: boolean
}

/** Fetched for each byte that was asked for, in all; a read of 4 KiB that is missing takes 16 of them. */
const maxAmplification = 32
/** What reads here and there have fetched when the rest is worth having; of small files, so many granules of it. */
const leastShare = 1 / 8
const leastRandomBytes = MiB
/** A run that is longer is read in sequence. */
const maxRandomRunBytes = MiB
/** Short enough that who waits for the end of one does not wait long. */
const pieceBytes = 4 * MiB
/** Readers that miss something have as many places and more. */
const piecesAtOnce = 4
/** What is cut out of a piece at once: the first bytes are there soon. */
const chunkBytes = MiB
/** More that is there already is not fetched again. */
const maxBridgeBytes = 512 * KiB

export function unused(): VersionUse {
  const none = { askedBytes: 0, fetchedBytes: 0, randomBytes: 0 }
  return { ...none, filledTo: 0, filling: 0, isFilled: false }
}

export interface RandomFillOptions {
  readonly cache: ChunkCache
  readonly version: VersionChunks
  readonly fetches: ChunkFetches
  /** One request for the range. */
  readonly stream: (range: ByteRange) => BlobStream
}

/** What one reader does to fill its version. */
export class RandomFill {
  readonly #options: RandomFillOptions
  #isClosed = false

  constructor(options: RandomFillOptions) {
    this.#options = options
  }

  /** Whether it has begun, and is not at its end. */
  get isUnderWay(): boolean {
    const { filledTo, isFilled } = this.#options.version.use
    return filledTo > 0 && !isFilled
  }

  /** A run of `runBytes` so far has had `fetchedBytes` fetched that were missing. */
  note(runBytes: number, fetchedBytes: number): void {
    if (runBytes <= maxRandomRunBytes) this.#options.version.use.randomBytes += fetchedBytes
  }

  /** Fetches what is to be fetched now. */
  goOn(): void {
    while (this.#isWorthIt()) {
      const piece = this.#nextPiece()
      if (piece === undefined) {
        this.#end()
        return
      }
      if (!this.#mayFetch(piece)) return
      this.#fetch(piece)
    }
  }

  /** Others go on. */
  close(): void {
    this.#isClosed = true
  }

  #isWorthIt(): boolean {
    const { cache, version, fetches } = this.#options
    const { randomBytes, isFilled, filling } = version.use
    if (isFilled || this.#isClosed) return false
    if (randomBytes < Math.max(version.sizeBytes * leastShare, leastRandomBytes)) return false
    return filling < piecesAtOnce && fetches.hasRoom && cache.fits(version)
  }

  #mayFetch(piece: ByteRange): boolean {
    const { cache, version } = this.#options
    const { askedBytes, fetchedBytes } = version.use
    const sizeBytes = lengthOf(piece)
    const isWithin = fetchedBytes + sizeBytes <= maxAmplification * askedBytes
    return isWithin && cache.mayFetchAhead(sizeBytes)
  }

  /** From the first granule that is absent; `undefined` when none is. */
  #nextPiece(): ByteRange | undefined {
    const { sizeBytes, use } = this.#options.version
    let start = use.filledTo
    while (start < sizeBytes && this.#isPresent(start)) start += granuleBytes
    if (start >= sizeBytes) return undefined
    const limit = Math.min(start + pieceBytes, sizeBytes)
    let end = start
    for (let at = start; at < limit && at - end < maxBridgeBytes; at += granuleBytes) {
      if (!this.#isPresent(at)) end = Math.min(at + granuleBytes, limit)
    }
    return { start, end }
  }

  #isPresent(start: number): boolean {
    const { version } = this.#options
    const end = Math.min(start + granuleBytes, version.sizeBytes)
    return version.has(start) || version.disk?.holds({ start, end }) === true
  }

  #fetch(piece: ByteRange): void {
    const { use } = this.#options.version
    use.filledTo = piece.end
    use.filling += 1
    void this.#settle(piece, this.#start(piece))
  }

  /** The absent stretches of `piece`, out of a request for all of it. */
  #start(piece: ByteRange): Chunk[] {
    const { fetches } = this.#options
    const stream = this.#options.stream(piece)
    const chunks: Chunk[] = []
    for (let at = piece.start; at < piece.end; ) {
      const isPresent = this.#isPresent(at)
      const limit = Math.min(at + (isPresent ? granuleBytes : chunkBytes), piece.end)
      let end = at
      while (end < limit && this.#isPresent(end) === isPresent) end += granuleBytes
      end = Math.min(end, limit)
      if (isPresent) this.#skip(stream, end - at)
      else chunks.push(fetches.start({ start: at, end }, { ahead: true, stream }))
      at = end
    }
    return chunks
  }

  #skip(stream: BlobStream, bytes: number): void {
    this.#options.version.use.fetchedBytes += bytes
    // What fails a stream is told by the chunks after it.
    stream.fill(skipped.subarray(0, bytes)).catch(() => undefined)
  }

  async #settle(piece: ByteRange, chunks: readonly Chunk[]): Promise<void> {
    const { use } = this.#options.version
    const outcomes = await Promise.allSettled(chunks.map((chunk) => chunk.loaded))
    use.filling -= 1
    const hasFailed = outcomes.some(({ status }) => status === 'rejected')
    if (hasFailed && this.#isClosed) use.filledTo = Math.min(use.filledTo, piece.start)
    else if (hasFailed) this.#end()
    else this.goOn()
  }

  #end(): void {
    const { version } = this.#options
    version.use.isFilled = true
    version.disk?.passed({ start: Math.max(version.sizeBytes - 1, 0), end: version.sizeBytes })
  }
}

/** Nobody looks at what comes to lie here. */
const skipped = new Uint8Array(granuleBytes)
