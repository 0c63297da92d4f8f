/**
 * Reads a change feed from any moment on, row by row, and knows where it stands: segments in the order of their time; of
 * each the shards, one after the other; of each shard the chunks, and in them the order of the service. A segment that may
 * grow is read again from where its chunks ended.
 */
import type { BlobStore, CallOptions } from '../blob/store.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { type AvroHeader, findBlock, readBlocks, syncBytes } from './avro-file.ts'
import { type BlobEvent, blobEventOf } from './blob-change.ts'
import { damaged, damagedAt, isDamage } from './damage.ts'
import { FeedFiles, type Segment, watchedMs, windowBytes } from './feed-files.ts'
import { segmentTimeMs } from './segments.ts'

/** How far a chunk was read. */
export interface ChunkPosition {
  /** Where a block begins; bytes. */
  offset: number
  /** Behind it, those that were given. */
  rows: number
}

/** Where a reading stands; JSON keeps it. */
export interface FeedPosition {
  /** Segments that begin later were not begun; milliseconds since the epoch. */
  readonly newestMs: number
  /** By segment and chunk, of segments that were begun and are not read to their end. */
  readonly open: Readonly<Record<string, Readonly<Record<string, ChunkPosition>>>>
}

/** A part of a feed that cannot be read, and is passed over. */
export interface FeedGap {
  /** The chunk that it is in. */
  readonly path: string
  /** Where the segment of that chunk begins; milliseconds since the epoch. */
  readonly timeMs: number
  /** The first byte. */
  readonly start: number
  /** Where the next block begins, or the chunk ends; `undefined` while neither is known. */
  readonly end: number | undefined
  readonly error: FileSystemError
}

/** A chunk as it is found now, and how far it was read. */
interface Reading {
  readonly name: string
  readonly segment: Segment
  readonly sizeBytes: number
  /** Nothing will be appended to it any more. */
  readonly isFinal: boolean
  readonly at: ChunkPosition
}

/** What has all changes since `sinceMs` behind it; a segment may tell of 15 minutes beside its hour. */
export function positionAt(sinceMs: number): FeedPosition {
  return { newestMs: Math.max(0, sinceMs - hourMs - quarterMs), open: {} }
}

/** A reading from a position on. */
export class FeedHistory {
  readonly #files: FeedFiles
  readonly #open = new Map<string, Map<string, ChunkPosition>>()
  readonly #headers = new Map<string, AvroHeader>()
  readonly #onGap: ((gap: FeedGap) => void) | undefined
  /** Where those lie that were told and have no end yet: they are met again at each reading. */
  readonly #unended = new Set<string>()
  #newestMs: number

  /** With `onGap` it goes on behind what is damaged. */
  constructor(store: BlobStore, from: FeedPosition, onGap?: ((gap: FeedGap) => void) | undefined) {
    this.#onGap = onGap
    this.#files = new FeedFiles(store)
    this.#newestMs = from.newestMs
    for (const [segment, chunks] of Object.entries(from.open)) {
      const copies = Object.entries(chunks).map(([name, at]) => [name, { ...at }] as const)
      this.#open.set(segment, new Map(copies))
    }
  }

  /** Behind the row that was given last. */
  position(): FeedPosition {
    const open = [...this.#open].map(([segment, chunks]) => [segment, Object.fromEntries(chunks)])
    return { newestMs: this.#newestMs, open: structuredClone(Object.fromEntries(open)) }
  }

  /**
   * What may be read now, once. `ENOENT` where the account has no feed, `EACCES` where it may not be read, `ESTALE` where
   * a segment that was begun is gone, `EIO` (`changes`) where the feed is damaged: behind the last row that can be read, and so
   * again at each further reading. With `onGap` that is told there, and what follows the next mark of a block is read.
   */
  async *read(options: CallOptions): AsyncGenerator<BlobEvent, void> {
    const consumableMs = await this.#files.lastConsumableMs(options)
    const begun = [...this.#open.keys()].map((name) => ({ name, timeMs: segmentTimeMs(name) ?? 0 }))
    const more = await this.#files.segments(this.#newestMs, consumableMs, options)
    for (const segment of [...begun, ...more]) {
      yield* this.#readSegment(segment, consumableMs, options)
    }
  }

  async *#readSegment(
    segment: Segment,
    consumableMs: number,
    options: CallOptions,
  ): AsyncGenerator<BlobEvent, void> {
    const { name, timeMs } = segment
    const manifest = await kept(name, this.#files.manifest(name, options))
    const isFinal = manifest.isFinal || timeMs < consumableMs - watchedMs
    const chunks = this.#open.get(name) ?? new Map<string, ChunkPosition>()
    this.#open.set(name, chunks)
    this.#newestMs = Math.max(this.#newestMs, timeMs)
    for (const shard of manifest.shards) {
      for (const [chunk, sizeBytes] of await this.#files.sizes(shard, options)) {
        const at = chunks.get(chunk) ?? { offset: 0, rows: 0 }
        chunks.set(chunk, at)
        yield* this.#readWhole({ name: chunk, segment, sizeBytes, isFinal, at }, options)
      }
    }
    if (isFinal) this.#forget(name)
  }

  /** Reads to the end of a chunk, from one damage to the next where they are passed over. */
  async *#readWhole(reading: Reading, options: CallOptions): AsyncGenerator<BlobEvent, void> {
    const { isFinal, at, sizeBytes } = reading
    for (let isBehind = true; isBehind; ) {
      isBehind = false
      try {
        yield* this.#readChunk(reading, options)
        if (isFinal && at.offset < sizeBytes) throw damaged('it ends within a block')
      } catch (error) {
        if (!isDamage(error)) throw error
        isBehind = await this.#passOver(reading, error, options)
      }
    }
  }

  /** Whether there is something behind the damage, where the reading then stands. Throws it unless it is to be told. */
  async #passOver(
    reading: Reading,
    cause: FileSystemError,
    options: CallOptions,
  ): Promise<boolean> {
    const { name, segment, at } = reading
    const start = at.offset
    const error = damagedAt(name, start, cause)
    if (this.#onGap === undefined) throw error
    const end = await this.#endOfDamage(reading, options)
    const place = `${name}:${start}`
    if (end !== undefined || !this.#unended.has(place)) {
      this.#onGap({ path: name, timeMs: segment.timeMs, start, end, error })
    }
    if (end === undefined) {
      this.#unended.add(place)
      return false
    }
    this.#unended.delete(place)
    Object.assign(at, { offset: end, rows: 0 })
    return true
  }

  /** Behind the next mark; of a chunk that stays as it is, its end where there is none. */
  async #endOfDamage(
    { name, sizeBytes, isFinal, at }: Reading,
    options: CallOptions,
  ): Promise<number | undefined> {
    const header = this.#headers.get(name)
    for (let from = at.offset; header !== undefined && from < sizeBytes; from += windowBytes) {
      const end = Math.min(from + windowBytes + syncBytes - 1, sizeBytes)
      const found = findBlock(header, await kept(name, this.#files.bytes(name, from, end, options)))
      if (found !== undefined) return from + found
    }
    return isFinal ? sizeBytes : undefined
  }

  async *#readChunk(
    { name, sizeBytes, at }: Reading,
    options: CallOptions,
  ): AsyncGenerator<BlobEvent, void> {
    if (sizeBytes <= at.offset) return
    const header =
      this.#headers.get(name) ?? (await kept(name, this.#files.header(name, sizeBytes, options)))
    if (header === undefined) return
    this.#headers.set(name, header)
    at.offset = Math.max(at.offset, header.sizeBytes)
    for (let window = windowBytes; at.offset < sizeBytes; ) {
      const end = Math.min(at.offset + window, sizeBytes)
      const data = await kept(name, this.#files.bytes(name, at.offset, end, options))
      const { values, endBytes, damage } = readBlocks(header, data)
      yield* eventsBehind(values, at)
      at.rows -= values.length
      at.offset += endBytes
      if (damage !== undefined) throw damage
      // The rest of the block that was begun may come later, or lie beyond what was asked for.
      if (endBytes === 0 && end === sizeBytes) return
      if (endBytes === 0) window *= 2
    }
  }

  #forget(segment: string): void {
    for (const chunk of this.#open.get(segment)?.keys() ?? []) this.#headers.delete(chunk)
    this.#open.delete(segment)
  }
}

/** The position counts a row before it is given: who asks meanwhile has it. */
function* eventsBehind(values: readonly unknown[], at: ChunkPosition): Generator<BlobEvent, void> {
  while (at.rows < values.length) {
    const event = blobEventOf(values[at.rows])
    at.rows += 1
    if (event !== undefined) yield event
  }
}

/** `reading` of the file `path`, of a feed that is there. */
async function kept<T>(path: string, reading: Promise<T>): Promise<T> {
  try {
    return await reading
  } catch (error) {
    throw isFileSystemError(error, 'ENOENT') ? goneOf(path, error) : error
  }
}

function goneOf(path: string, cause: unknown): FileSystemError {
  return new FileSystemError('ESTALE', 'changes', {
    path,
    detail: 'the change feed does not keep this hour any more: changes were missed',
    cause,
  })
}

const hourMs = 3_600_000
const quarterMs = 900_000
