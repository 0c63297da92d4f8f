/**
 * Reads a change feed from any moment on, row by row, and knows where it stands: segments in the order of their time; of
 * each the shards, one after the other; of each shard the chunks, and in them the order of the service. A segment that may
 * grow is read again from where its chunks ended.
 */
import type { BlobStore, CallOptions } from '../blob/store.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { type AvroHeader, readBlocks } from './avro-file.ts'
import { type BlobEvent, blobEventOf } from './blob-change.ts'
import { damaged, damagedAt } from './damage.ts'
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

/** What has all changes since `sinceMs` behind it; a segment may tell of 15 minutes beside its hour. */
export function positionAt(sinceMs: number): FeedPosition {
  return { newestMs: Math.max(0, sinceMs - hourMs - quarterMs), open: {} }
}

/** A reading from a position on. */
export class FeedHistory {
  readonly #files: FeedFiles
  readonly #open = new Map<string, Map<string, ChunkPosition>>()
  readonly #headers = new Map<string, AvroHeader>()
  #newestMs: number

  constructor(store: BlobStore, from: FeedPosition) {
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
   * again at each further reading.
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
    { name, timeMs }: Segment,
    consumableMs: number,
    options: CallOptions,
  ): AsyncGenerator<BlobEvent, void> {
    const manifest = await kept(name, this.#files.manifest(name, options))
    // Nothing will be appended to it any more.
    const isFinal = manifest.isFinal || timeMs < consumableMs - watchedMs
    const chunks = this.#open.get(name) ?? new Map<string, ChunkPosition>()
    this.#open.set(name, chunks)
    this.#newestMs = Math.max(this.#newestMs, timeMs)
    for (const shard of manifest.shards) {
      for (const [chunk, sizeBytes] of await this.#files.sizes(shard, options)) {
        const at = chunks.get(chunk) ?? { offset: 0, rows: 0 }
        chunks.set(chunk, at)
        try {
          yield* this.#readChunk(chunk, sizeBytes, at, options)
          if (isFinal && at.offset < sizeBytes) throw damaged('it ends within a block')
        } catch (error) {
          throw damagedAt(chunk, at.offset, error)
        }
      }
    }
    if (isFinal) this.#forget(name)
  }

  async *#readChunk(
    name: string,
    sizeBytes: number,
    at: ChunkPosition,
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
