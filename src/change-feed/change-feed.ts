/**
 * The change feed of an account: https://learn.microsoft.com/azure/storage/blobs/storage-blob-change-feed. Hourly
 * segments, each with shards that hold disjoint sets of blobs, each with chunks: append blobs in Avro's format.
 */
import type { BlobStore, CallOptions } from '../blob/store.ts'
import { isFileSystemError } from '../errors.ts'
import { type AvroHeader, findBlock, readBlocks, syncBytes } from './avro-file.ts'
import { type BlobChange, blobChangeOf } from './blob-change.ts'
import { damaged } from './damage.ts'
import { dayMs, FeedFiles, maxDays, type Segment, watchedMs, windowBytes } from './feed-files.ts'

/** What the feed has told since it was last asked. */
export interface FeedNews {
  /** In the order of their shards: that of changes of one blob is the one in which they were made. */
  readonly changes: readonly BlobChange[]
  /** Why others may have been missed; `undefined` when none were. */
  readonly missed?: string | undefined
}

/** Where reading of a chunk goes on. */
interface Chunk {
  offset: number
  /** Once something was read. */
  header?: AvroHeader
  /** Whether a block is known to begin at `offset`. */
  isAligned: boolean
}

/**
 * Reads what is appended to a change feed from a moment on. It asks for little: `meta/segments.json`, and of each segment
 * that is still written its manifest, a listing for each shard, and the bytes that are new.
 */
export class ChangeFeed {
  readonly #files: FeedFiles
  readonly #chunks = new Map<string, Chunk>()
  #segments: readonly Segment[] = []
  /** Of the newest segment that was seen; `undefined` before the feed was read. */
  #newestMs: number | undefined
  #missed: string | undefined

  constructor(store: BlobStore) {
    this.#files = new FeedFiles(store)
  }

  /**
   * What was appended since the last call; nothing at the first one, which notes where the feed ends. `ENOENT` where the
   * account has no feed, `EACCES` where it may not be read. What fails is read at the next call.
   */
  async poll(options: CallOptions = {}): Promise<FeedNews> {
    const isFirst = this.#newestMs === undefined
    const consumableMs = await this.#files.lastConsumableMs(options)
    const changes: BlobChange[] = []
    await this.#findSegments(consumableMs, options)
    for (const segment of this.#segments) {
      const isFinal = await this.#readSegment(segment, { changes, isFirst }, options)
      const isPast = segment.timeMs < consumableMs - watchedMs
      if (isFinal || isPast) this.#segments = this.#segments.filter((each) => each !== segment)
    }
    const missed = this.#missed
    this.#missed = undefined
    return { changes, missed }
  }

  /** The segments that are new, by day: all before are known. */
  async #findSegments(consumableMs: number, options: CallOptions): Promise<void> {
    const newestMs = this.#newestMs ?? consumableMs - watchedMs
    if (consumableMs <= newestMs) return
    const fromMs = Math.max(newestMs, consumableMs - maxDays * dayMs)
    if (fromMs > newestMs) this.#missed = `it was not read for more than ${maxDays} days`
    const found = await this.#files.segments(fromMs, consumableMs, options)
    this.#segments = [...this.#segments, ...found]
    this.#newestMs = Math.max(newestMs, ...found.map(({ timeMs }) => timeMs))
  }

  /** Whether nothing will be appended to it any more. */
  async #readSegment(
    { name }: Segment,
    reading: { readonly changes: BlobChange[]; readonly isFirst: boolean },
    options: CallOptions,
  ): Promise<boolean> {
    const { isFinal, shards } = await this.#files.manifest(name, options)
    for (const shard of shards) {
      for (const [chunk, sizeBytes] of await this.#files.sizes(shard, options)) {
        if (reading.isFirst) this.#chunks.set(chunk, { offset: sizeBytes, isAligned: false })
        else await this.#readChunk(chunk, sizeBytes, reading.changes, options)
        if (!isFinal) continue
        if ((this.#chunks.get(chunk)?.offset ?? 0) < sizeBytes)
          this.#missed = `${chunk} ends within a block`
        this.#chunks.delete(chunk)
      }
    }
    return isFinal
  }

  async #readChunk(
    name: string,
    sizeBytes: number,
    changes: BlobChange[],
    options: CallOptions,
  ): Promise<void> {
    const chunk = this.#chunks.get(name) ?? { offset: 0, isAligned: true }
    this.#chunks.set(name, chunk)
    if (sizeBytes <= chunk.offset) return
    try {
      await this.#readBlocks(name, chunk, { sizeBytes, changes, options })
    } catch (error) {
      if (!isFileSystemError(error, 'EIO') || error.syscall !== 'changes') throw error
      // What cannot be read today cannot be read tomorrow.
      this.#missed = `${name} cannot be read: ${error.message}`
      chunk.offset = sizeBytes
      chunk.isAligned = false
    }
  }

  async #readBlocks(
    name: string,
    chunk: Chunk,
    {
      sizeBytes,
      changes,
      options,
    }: { sizeBytes: number; changes: BlobChange[]; options: CallOptions },
  ): Promise<void> {
    const header = chunk.header ?? (await this.#files.header(name, sizeBytes, options))
    if (header === undefined) return
    chunk.header = header
    await this.#align(name, chunk, { header, options })
    let window = windowBytes
    while (chunk.offset < sizeBytes) {
      const end = Math.min(chunk.offset + window, sizeBytes)
      const data = await this.#files.bytes(name, chunk.offset, end, options)
      const { values, endBytes, damage } = readBlocks(header, data)
      for (const value of values) {
        const change = blobChangeOf(value)
        if (change !== undefined) changes.push(change)
      }
      chunk.offset += endBytes
      if (damage !== undefined) throw damage
      // The rest of the block that was begun may come later, or lie beyond what was asked for.
      if (endBytes === 0 && end === sizeBytes) return
      if (endBytes === 0) window *= 2
    }
  }

  /** Goes on at a block: who begins in the middle of a chunk may begin in the middle of one. */
  async #align(
    name: string,
    chunk: Chunk,
    { header, options }: { header: AvroHeader; options: CallOptions },
  ): Promise<void> {
    chunk.offset = Math.max(chunk.offset, header.sizeBytes)
    if (chunk.isAligned || chunk.offset === header.sizeBytes) {
      chunk.isAligned = true
      return
    }
    const from = chunk.offset - syncBytes
    const data = await this.#files.bytes(name, from, from + windowBytes, options)
    const at = findBlock(header, data)
    if (at === undefined) throw damaged(`no block begins behind byte ${from}`)
    chunk.offset = from + at
    chunk.isAligned = true
  }
}
