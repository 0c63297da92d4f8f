import type { BlobProperties, BlobStore, CallOptions } from '../blob/store.ts'
import { type ByteRange, clampRange, KiB, lengthOf, MiB } from '../byte-range.ts'
import type { Clock } from '../clock.ts'
import { underEither } from '../concurrency.ts'
import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { abortable } from './abortable.ts'
import { BlobStream, minStreamBytes } from './blob-stream.ts'
import type { Chunk } from './chunk.ts'
import { ChunkCache, cut, type VersionChunks } from './chunk-cache.ts'
import { ChunkFetches } from './chunk-fetches.ts'
import { DirectReads } from './direct-reads.ts'
import type { DiskVersion } from './disk-version.ts'
import { alignDown, alignUp, granuleBytes } from './granule.ts'
import { NearService } from './near-service.ts'
import { RandomFill } from './random-fill.ts'
import { RunStream } from './run-stream.ts'
import { type Run, SequenceDetector } from './sequence-detector.ts'
import { VersionSource } from './version-source.ts'

// A read goes this way:
// 1. Granules of the range that are neither in memory nor on their way are fetched, each run of
//    them in one request (large ones in several): a miss costs what was asked, rounded to granules.
// 2. The detector says how far ahead of this read bytes are worth fetching; whole pieces that fit
//    that window are fetched too, as long as fewer than `maxInFlight` requests are under way.
// 3. The read waits for its own chunks and returns views on them.
// A long run on a near service is fetched by one request (`BlobStream`), whose body is cut into the
// same chunks; a chunk that the stream does not fill is fetched by a request of its own. Who begins with a
// mebibyte at the beginning of a blob is taken for such a run, and the first bytes come by the stream too.
// A file that is read here and there may be fetched whole behind its readers (`RandomFill`).
// Where the memory has a disk behind it, a chunk is filled from there as far as it can be, and what the
// network brought is written there later; too much that waits for the disk holds the chunks that come. No
// stream is opened over what the disk holds.

export interface BlobReaderOptions {
  readonly store: BlobStore
  readonly path: BlobPath
  /** As found at open: every byte comes from the version with this etag. */
  readonly properties: Pick<BlobProperties, 'etag' | 'sizeBytes'>
  /** The first bytes of that version: all, or a multiple of 64 KiB. They are kept, and not asked for again. */
  readonly head?: Uint8Array | undefined
  /** Shared with other readers; absent: one of its own. */
  readonly cache?: ChunkCache | undefined
  /** How far ahead of a sequential reader bytes are fetched at most. Default 32 MiB; 0 never prefetches. */
  readonly maxWindowBytes?: number | undefined
  /** The largest request. Default 8 MiB. */
  readonly chunkBytes?: number | undefined
  /**
   * A service that begins to answer within this many milliseconds is read in one long request where
   * the run is long, as long as that brings 100 MB/s; others in several at once. Default 50; 0 never,
   * `Infinity` always, however slow.
   */
  readonly streamBelowMs?: number | undefined
  /** Whether what is read here and there is fetched whole behind the reads, where that pays. Default false. */
  readonly fillsBehind?: boolean | undefined
  readonly clock?: Clock | undefined
}

export interface ReadOptions extends CallOptions {
  /**
   * Told when the parts were read, what to call once they are not looked at any more. Absent: they are
   * the caller's for ever, and copies where the cache uses its memory again.
   */
  readonly onLent?: ((giveBack: () => void) => void) | undefined
}

/** A blob no larger than this is fetched whole: one request instead of two. */
export const wholeBlobBytes: number = 128 * KiB
/** What a stream is cut into: little enough that the first bytes are there soon. */
const streamChunkBytes = MiB
/** Below this, prefetching saves less waiting than its request costs. */
const minPrefetchBytes = 256 * KiB
/** What a run must have shown to get a stream: one that ends sooner is not worth a connection. */
const minStreamEvidenceBytes = 4 * MiB
/** A read is not split into requests smaller than this. */
const minSplitBytes = MiB

/** Reads one version of one blob at any offset, ahead of its caller when that reads in sequence. */
export class BlobReader {
  readonly path: BlobPath
  readonly sizeBytes: number
  readonly #store: BlobStore
  readonly #cache: ChunkCache
  readonly #version: VersionChunks
  readonly #detector: SequenceDetector
  readonly #source: VersionSource
  readonly #fetches: ChunkFetches
  readonly #fill: RandomFill | undefined
  readonly #chunkBytes: number
  #isClosed = false
  #closing: AbortController | undefined
  readonly #service: NearService
  readonly #clock: Clock | undefined
  readonly #ahead = new RunStream((start) => this.stream(start))
  readonly #direct: DirectReads
  #etag: string

  constructor(options: BlobReaderOptions) {
    const maxWindowBytes = options.maxWindowBytes ?? 32 * MiB
    const chunkBytes = options.chunkBytes ?? 8 * MiB
    this.path = options.path
    this.sizeBytes = options.properties.sizeBytes
    this.#store = options.store
    this.#etag = options.properties.etag
    this.#cache = options.cache ?? new ChunkCache({ maxBytes: 2 * maxWindowBytes + chunkBytes })
    this.#version = this.#cache.open(this.#asVersion())
    const { sizeBytes, path } = this
    const etag = () => this.#etag
    this.#source = new VersionSource({ ...options, path, sizeBytes, etag, disk: this.#disk })
    this.#fetches = new ChunkFetches(this.#version, this.#source)
    this.#fill = options.fillsBehind === true ? this.#newFill() : undefined
    this.#detector = new SequenceDetector(maxWindowBytes)
    this.#clock = options.clock
    this.#service = new NearService({ ...options, belowMs: options.streamBelowMs })
    this.#chunkBytes = Math.max(alignDown(chunkBytes), granuleBytes)
    if (options.head !== undefined) this.#keepHead(options.head)
    this.#direct = new DirectReads({
      reader: this,
      source: this.#source,
      pieceBytes: this.#chunkBytes,
    })
  }

  /** Until a file is filled its readers are to be seen: what they asked for says how much may be fetched. */
  get #isFilling(): boolean {
    return this.#fill?.isUnderWay === true
  }

  #newFill(): RandomFill {
    return new RandomFill({
      cache: this.#cache,
      version: this.#version,
      fetches: this.#fetches,
      stream: (range) => this.#newStream(range),
    })
  }

  #keepHead(head: Uint8Array): void {
    const end = Math.min(head.byteLength, this.sizeBytes)
    if (end === 0 || this.#version.endOfGap(0, end) < end) return
    this.#version.load(0, end, async (_signal, room) => {
      const into = room()
      into.set(head.subarray(0, end))
      return into
    })
  }

  /** What all readers of the version have fetched of it. */
  get fetchedBytes(): number {
    return this.#version.use.fetchedBytes
  }

  /** The etag that every request is made with. */
  get etag(): string {
    return this.#etag
  }

  /**
   * The bytes of `range` as consecutive parts, which together are shorter past the end of the blob
   * and empty beyond it. The parts are views on shared memory: they may be kept, never written to.
   * `ESTALE` when the version found at open is gone.
   */
  async read(range: ByteRange, options: ReadOptions = {}): Promise<Uint8Array[]> {
    this.#checkOpen(options)
    const wanted = clampRange(range, this.sizeBytes)
    if (lengthOf(wanted) === 0) return []
    const run = this.#detector.observe(wanted)
    this.#version.use.askedBytes += lengthOf(wanted)
    const looked = this.#disk?.look({ ...wanted, end: run.end + run.windowBytes })
    if (looked !== undefined) await looked.then(() => this.#checkOpen(options))
    if (!this.#isFilling) this.#disk?.passed(wanted)
    const chunks = this.#chunksOf(wanted, run)
    for (const chunk of chunks) chunk.hold()
    try {
      this.#prefetch(run)
      this.#fill?.goOn()
      for (const chunk of chunks) this.#writeSkipped(chunk)
      const missing = chunks.filter((chunk) => chunk.data === undefined)
      if (missing.length > 0) await this.#waitFor(missing, options.signal)
      return this.#partsOf(chunks, wanted, options)
    } catch (error) {
      for (const chunk of chunks) chunk.letGo()
      throw error
    }
  }

  #partsOf(chunks: readonly Chunk[], wanted: ByteRange, { onLent }: ReadOptions): Uint8Array[] {
    const parts = chunks.map((chunk) => {
      const part = cut(chunk.bytes, chunk, wanted)
      return chunk.isLent && onLent === undefined ? Uint8Array.from(part) : part
    })
    const giveBack = () => {
      for (const chunk of chunks) {
        this.#version.noteRead(chunk, wanted)
        chunk.letGo()
      }
    }
    if (onLent === undefined) giveBack()
    else onLent(giveBack)
    return parts
  }

  #writeSkipped(chunk: Chunk): void {
    const { data, start } = chunk
    if (data !== undefined) void this.#disk?.writeSkipped(start, data, () => chunk.lend())
  }

  /**
   * Fills `target` with the bytes at `start`, straight from the network, and returns how many there were: fewer at the end of the blob.
   * Nothing is kept or fetched ahead: for reads that are long or not repeated. `ESTALE` as `read`; `EBADF` when the reader is closed meanwhile.
   */
  async readInto(target: Uint8Array, start: number, options: CallOptions = {}): Promise<number> {
    this.#checkOpen(options)
    const wanted = clampRange({ start, end: start + target.byteLength }, this.sizeBytes)
    this.#closing ??= new AbortController()
    await underEither([this.#closing.signal, options.signal], async (signal) => {
      await this.look(wanted)
      await this.#direct.fill(target, wanted, signal)
    })
    return lengthOf(wanted)
  }

  /** Looks what the local disk has of `range`, so that `stream` opens none over it. */
  async look(range: ByteRange): Promise<void> {
    await this.#disk?.look(range)
  }

  /**
   * One request for the bytes from `start` to `end`; `undefined` where several at once are better. The
   * caller closes it.
   */
  stream(start: number, end: number = this.sizeBytes): BlobStream | undefined {
    if (!this.#service.isFast || end - start < minStreamBytes) return undefined
    if (this.#diskHolds(start, end)) return undefined
    return this.#newStream({ start, end }, this.#service.onSlow)
  }

  #newStream(range: ByteRange, onSlow?: NearService['onSlow']): BlobStream {
    return new BlobStream({
      store: this.#store,
      path: this.path,
      range,
      etag: () => this.#etag,
      check: (properties) => this.#source.check(properties),
      clock: this.#clock,
      onSlow,
    })
  }

  /** Fills `into` with the next bytes of a `stream` of this reader; errors as `readInto`, false as `fill`. */
  async fillFrom(stream: BlobStream, into: Uint8Array, signal: AbortSignal): Promise<boolean> {
    this.#checkOpen({ signal })
    const { position } = stream
    const isFilled = await this.#fetches.fill(stream, into, signal)
    // The caller's buffer is the caller's to change.
    if (isFilled) await this.#disk?.write(position, into, { copy: true })
    return isFilled
  }

  /** Continues under a later etag of the same content, as after a change of metadata alone. */
  repin(etag: string): void {
    this.#cache.alias(this.#asVersion(), etag)
    this.#etag = etag
  }

  #asVersion() {
    const { path, sizeBytes } = this
    return { endpoint: this.#store.endpoint, path, etag: this.#etag, sizeBytes }
  }

  get #disk(): DiskVersion | undefined {
    return this.#version.disk
  }

  /** Whether the disk has the first of what would be asked for. */
  #diskHolds(start: number, end: number): boolean {
    const range = { start, end: Math.min(end, start + streamChunkBytes, this.sizeBytes) }
    return this.#disk?.holds(range) === true
  }

  /** Ends what is being fetched for this reader alone. Never throws. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#closing?.abort(this.#badHandle())
    this.#ahead.close()
    this.#direct?.close()
    this.#fill?.close()
    this.#fetches.close()
    this.#cache.close(this.#version)
  }

  #checkOpen(options: CallOptions): void {
    options.signal?.throwIfAborted()
    if (this.#isClosed) throw this.#badHandle()
  }

  #badHandle(): FileSystemError {
    return new FileSystemError('EBADF', 'read', { path: formatPath(this.path) })
  }

  #chunksOf(wanted: ByteRange, run: Run): Chunk[] {
    const aligned = this.#align(wanted)
    const isAbsent = run.frontier === 0 && this.#version.find(aligned.start) === undefined
    if (isAbsent) this.#prefetchByStream(run, aligned.start)
    const pieceBytes = this.#pieceBytes(lengthOf(aligned), minSplitBytes)
    const before = this.#version.use.fetchedBytes
    const fetched = this.#fetches.fetchMissing(aligned, pieceBytes, this.#isFilling)
    // What was fetched ahead of the run has left the memory: it is fetched ahead anew.
    if (fetched.length > 0) run.frontier = 0
    this.#fill?.note(run.evidenceBytes, this.#version.use.fetchedBytes - before)
    return this.#version.over(wanted)
  }

  async #waitFor(chunks: readonly Chunk[], signal: AbortSignal | undefined): Promise<void> {
    for (const chunk of chunks) chunk.waiters += 1
    try {
      await abortable(Promise.all(chunks.map((chunk) => chunk.loaded)), signal)
    } finally {
      for (const chunk of chunks) chunk.waiters -= 1
    }
  }

  /** Fetches whole pieces only, so that the window's edge does not crumble into small requests. */
  #prefetch(run: Run): void {
    const from = Math.max(run.frontier, alignUp(run.end))
    if (this.#prefetchByStream(run, from)) return
    const limit = this.#limitOf(run)
    const windowBytes = this.#service.worthAhead(run.windowBytes)
    const pieceBytes = this.#pieceBytes(windowBytes, minPrefetchBytes)
    let at = from
    while (at < limit && this.#fetches.hasRoom) {
      const end = Math.min(at + pieceBytes, this.sizeBytes)
      if (end > limit || !this.#cache.mayFetchAhead(end - at)) break
      this.#fetches.fetchMissing({ start: at, end }, pieceBytes, true)
      at = end
    }
    run.frontier = at
  }

  /** Where the run's window ends. */
  #limitOf(run: Run): number {
    return Math.min(run.end + this.#service.worthAhead(run.windowBytes), this.sizeBytes)
  }

  /** Chunks of the run's window from one request that lasts as long as the run; says whether it could. */
  #prefetchByStream(run: Run, from: number): boolean {
    if (run.evidenceBytes < minStreamEvidenceBytes) return false
    const limit = this.#limitOf(run)
    let at = this.#version.endOfPresent(from, limit)
    if (this.#diskHolds(at, limit) || !this.#ahead.isFor(run)) return false
    // What the last stream has under way is fetched anew, by requests, if somebody waits for it.
    if (at >= limit) return this.#ahead.current !== undefined || this.#service.isFast
    // A slow one still brings what it was asked for.
    const stream = this.#ahead.at(at, this.#service.isSlow)
    if (stream === undefined) return false
    while (at < limit) {
      const end = Math.min(at + streamChunkBytes, this.sizeBytes)
      // Somebody else has fetched what comes next: that is jumped over by the next stream.
      if (end > limit || this.#version.endOfGap(at, end) < end || this.#diskHolds(at, end)) break
      if (!this.#cache.mayFetchAhead(end - at)) break
      this.#fetches.start({ start: at, end }, { ahead: true, stream })
      at = end
    }
    run.frontier = at
    return true
  }

  #align(range: ByteRange): ByteRange {
    if (this.sizeBytes <= wholeBlobBytes) return { start: 0, end: this.sizeBytes }
    const isTail = range.start >= alignDown(this.sizeBytes - 1)
    return {
      // Whoever looks at the end for where a file's parts are wants what is before it next.
      start: alignDown(isTail ? this.sizeBytes - granuleBytes : range.start),
      end: Math.min(alignUp(range.end), this.sizeBytes),
    }
  }

  /** A quarter of what is to be fetched, so that several requests share it. */
  #pieceBytes(windowBytes: number, minBytes: number): number {
    return Math.min(Math.max(alignDown(windowBytes / 4), minBytes), this.#chunkBytes)
  }
}
