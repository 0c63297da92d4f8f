import { LRUCache } from 'lru-cache'
import { type ByteRange, lengthOf, MiB } from '../byte-range.ts'
import type { BlobPath } from '../path.ts'
import { Arena } from './arena.ts'
import { Chunk } from './chunk.ts'
import type { DiskCache } from './disk-cache.ts'
import type { DiskVersion } from './disk-version.ts'
import type { AheadCounts } from './fetch-whole.ts'
import { granuleBytes } from './granule.ts'
import type { MemoryBudget } from './memory-budget.ts'
import { unused, type VersionUse } from './random-fill.ts'
import { SpentChunks } from './spent-chunks.ts'

export interface ChunkCacheOptions {
  /** How many bytes of blobs stay in memory. Default 256 MiB. */
  readonly maxBytes?: number | undefined
  /** What leaves the memory, or was read by an earlier process, is looked for there. Stays the caller's to close. */
  readonly disk?: DiskCache | undefined
  /**
   * For those whose readers have a cache of their own, as the kernel is one: the same memory is used again
   * and again, so reads give copies unless they say when they are done, and what was read to its end leaves
   * soon. Default false.
   */
  readonly reusesMemory?: boolean | undefined
  /**
   * Counts what is here or on its way, and is lent what is here. Absent: nobody counts what is on its way.
   */
  readonly memory?: MemoryBudget | undefined
}

/** What is on its way has no place in the cache yet. */
const onTheWayBytes = 128 * MiB
/**
 * Of what was written here the kernel keeps whole pages, and asks for the last, which is not whole: of a short file that
 * is all there is.
 */
const maxKeptBytes = MiB
/** What was read to its end, for an edit whose version somebody replaces meanwhile: of files that can be here whole. */
const spentBytes = 8 * MiB
/** Of longer ones, for whoever reads a little behind. */
const spentOfLongBytes = 2 * MiB

/** One version of one blob. */
export interface VersionOfBlob {
  /** `BlobStore.endpoint`: without it nothing is kept on the disk. */
  readonly endpoint: string | undefined
  readonly path: BlobPath
  readonly etag: string
}

/**
 * The block cache: bytes of blob versions in memory, least recently used out first, and behind it on
 * the local disk where there is one. Shared between readers, and between accounts.
 */
export class ChunkCache {
  readonly #uses: ChunkUses = { hits: 0, loads: 0 }
  /** Counted by those who fetch files that nobody has opened yet. */
  readonly ahead: AheadCounts = { fetchedFiles: 0, fetchedBytes: 0, usedFiles: 0, usedBytes: 0 }
  readonly #versions = new Map<string, VersionChunks>()
  readonly #recent: LRUCache<Chunk, Uint8Array>
  readonly #arena: Arena | undefined
  readonly #spent = new SpentChunks(spentBytes)
  readonly #spentOfLong = new SpentChunks(spentOfLongBytes)
  readonly disk: DiskCache | undefined
  readonly #memory: MemoryBudget | undefined

  constructor(options: ChunkCacheOptions = {}) {
    const { maxBytes = 256 * MiB, reusesMemory = false } = options
    this.disk = options.disk
    this.#memory = options.memory
    this.#memory?.lend((bytes) => this.#giveBack(bytes))
    this.#arena = reusesMemory ? new Arena(maxBytes + onTheWayBytes) : undefined
    this.#recent = new LRUCache<Chunk, Uint8Array>({
      maxSize: maxBytes,
      sizeCalculation: (data) => Math.max(data.byteLength, 1),
      dispose: (_data, chunk) => this.#evict(chunk),
    })
  }

  /** Bytes held at the moment. */
  get sizeBytes(): number {
    return this.#recent.calculatedSize
  }

  /** What became of look-ups since the cache was made. */
  get uses(): Readonly<ChunkUses> {
    return { ...this.#uses }
  }

  /** The chunks of one version; to be given back with `close()`. */
  open(of: VersionOfBlob & { readonly sizeBytes: number }): VersionChunks {
    const key = keyOf(of)
    const known = this.#versions.get(key)
    const version = known ?? this.#newVersion(of)
    if (known === undefined) this.#name(version, key)
    version.readers += 1
    return version
  }

  /** Ends a use that began with `open`. Chunks that are in memory stay there. */
  close(version: VersionChunks): void {
    version.readers -= 1
    this.#forgetIfUnused(version)
  }

  /** Makes what is kept of a version answer for `newEtag` too: the same content under a later etag. */
  alias(of: VersionOfBlob, newEtag: string): void {
    const { endpoint, path, etag } = of
    const version = this.#versions.get(keyOf(of))
    const newKey = keyOf({ ...of, etag: newEtag })
    if (version !== undefined && !this.#versions.has(newKey)) this.#name(version, newKey)
    if (version !== undefined) version.etag = newEtag
    if (this.disk === undefined || endpoint === undefined || version?.isOnDisk === false) return
    // Until it has moved, its segments are found where they were: what is read meanwhile is fetched.
    void this.disk
      .rename({ endpoint, path, etag }, newEtag)
      .then((directory) => version?.disk?.moved(directory))
  }

  /**
   * Keeps `data`, all bytes of a version that was made here, so that nobody asks for them; not where they are many or
   * memory is short. Nobody may change them from here on.
   */
  keep(of: VersionOfBlob, data: Uint8Array): void {
    const sizeBytes = data.byteLength
    if (sizeBytes === 0 || sizeBytes > maxKeptBytes || !this.mayFetchAhead(sizeBytes)) return
    const version = this.open({ ...of, sizeBytes })
    if (version.isEmpty) version.keep(data)
    this.close(version)
  }

  /** The service has made `to` of `from`: what is kept of a short one is kept as that too. */
  copied(from: VersionOfBlob, to: VersionOfBlob): void {
    const bytes = this.#versions.get(keyOf(from))?.wholeBytes
    if (bytes !== undefined) this.keep(to, bytes)
  }

  /** Lets go of all bytes. */
  clear(): void {
    this.#recent.clear()
  }

  /** Whether `bytes` that nobody waits for yet may be fetched. */
  mayFetchAhead(bytes: number): boolean {
    return this.#memory?.hasRoomFor(bytes) ?? true
  }

  /** How much may be here that was fetched for nobody yet, and leave room for others; bytes. */
  get aheadBytes(): number {
    return this.disk?.oneFileBytes ?? this.#recent.maxSize / 2
  }

  /** Whether all of a version could stay here, and leave room for others. */
  fits({ sizeBytes, disk }: VersionChunks): boolean {
    return 2 * sizeBytes <= this.#recent.maxSize || disk?.inOneFile === true
  }

  /** Lets go of what was used longest ago. */
  #giveBack(bytes: number): number {
    const before = this.sizeBytes
    while (before - this.sizeBytes < bytes && this.#recent.size > 0) this.#recent.pop()
    return before - this.sizeBytes
  }

  #newVersion(of: VersionOfBlob & { readonly sizeBytes: number }): VersionChunks {
    return new VersionChunks(of, {
      recent: this.#recent,
      uses: this.#uses,
      arena: this.#arena,
      memory: this.#memory,
      openDisk: this.disk && ((etag) => this.#onDisk({ ...of, etag })),
      onSpent: this.#arena === undefined ? undefined : (chunk) => this.#noteSpent(chunk),
    })
  }

  #noteSpent(chunk: Chunk): void {
    if (!this.#recent.has(chunk)) return
    const isLong = chunk.version.sizeBytes > spentBytes
    const spent = isLong ? this.#spentOfLong : this.#spent
    spent.add(chunk, (oldest) => this.#recent.delete(oldest))
  }

  #onDisk(of: VersionOfBlob & { readonly sizeBytes: number }): DiskVersion | undefined {
    const { endpoint, path, etag, sizeBytes } = of
    if (endpoint === undefined) return undefined
    return this.disk?.open({ endpoint, path, etag, sizeBytes })
  }

  #name(version: VersionChunks, key: string): void {
    this.#versions.set(key, version)
    version.keys.push(key)
  }

  #evict(chunk: Chunk): void {
    this.#spent.delete(chunk)
    this.#spentOfLong.delete(chunk)
    chunk.version.forget(chunk)
    this.#forgetIfUnused(chunk.version)
  }

  #forgetIfUnused(version: VersionChunks): void {
    if (version.readers > 0 || !version.isEmpty) return
    for (const key of version.keys) this.#versions.delete(key)
    version.keys.length = 0
  }
}

/** How often chunks were found in memory, and how often one was fetched. */
export interface ChunkUses {
  hits: number
  loads: number
}

interface VersionChunksOptions {
  readonly recent: LRUCache<Chunk, Uint8Array>
  readonly uses: ChunkUses
  readonly arena: Arena | undefined
  readonly memory: MemoryBudget | undefined
  readonly openDisk: ((etag: string) => DiskVersion | undefined) | undefined
  /** Told of each chunk that was read to its end. */
  readonly onSpent: ((chunk: Chunk) => void) | undefined
}

/** The chunks of one version of one blob; no two overlap, and none is fetched twice at a time. */
export class VersionChunks {
  readonly keys: string[] = []
  readers = 0
  /** Of the names that the version has, the latest. */
  etag: string
  readonly sizeBytes: number
  readonly use: VersionUse = unused()
  readonly #options: VersionChunksOptions
  #disk: DiskVersion | undefined
  /** Each chunk stands under every granule that it covers. */
  readonly #byGranule = new Map<number, Chunk>()

  constructor(
    { etag, sizeBytes }: { readonly etag: string; readonly sizeBytes: number },
    options: VersionChunksOptions,
  ) {
    this.etag = etag
    this.sizeBytes = sizeBytes
    this.#options = options
  }

  /** The same version on the local disk, which is looked for when somebody reads. */
  get disk(): DiskVersion | undefined {
    this.#disk ??= this.#options.openDisk?.(this.etag)
    return this.#disk
  }

  /** Whether the disk may have something of it: nobody has looked for what was made here. */
  get isOnDisk(): boolean {
    return this.#disk !== undefined
  }

  get isEmpty(): boolean {
    return this.#byGranule.size === 0
  }

  /** The chunk that holds the byte at `offset`, in memory or on its way. */
  find(offset: number): Chunk | undefined {
    const chunk = this.#byGranule.get(Math.floor(offset / granuleBytes))
    if (chunk?.data !== undefined) {
      this.#options.recent.get(chunk)
      this.#options.uses.hits += 1
    }
    return chunk
  }

  /** As `find`, for who does not use what is there. */
  has(offset: number): boolean {
    return this.#byGranule.has(Math.floor(offset / granuleBytes))
  }

  /** The chunks that hold `range`, all of which is in memory or on its way. */
  over(range: ByteRange): Chunk[] {
    const chunks: Chunk[] = []
    for (let at = range.start; at < range.end; ) {
      const chunk = this.find(at)
      if (chunk === undefined) throw new Error(`nobody fetches the chunk at ${at}`)
      chunks.push(chunk)
      at = chunk.end
    }
    return chunks
  }

  /** Where what is there from `start` on ends; looks no further than the chunk at `limit`. */
  endOfPresent(start: number, limit: number): number {
    let at = start
    for (let chunk = this.find(at); chunk !== undefined && at < limit; ) {
      at = chunk.end
      chunk = this.find(at)
    }
    return at
  }

  /** Where what is absent from `start` on ends, at most `limit`; `start` is that of a granule. */
  endOfGap(start: number, limit: number): number {
    let end = start
    while (end < limit && this.find(end) === undefined) end += granuleBytes
    return Math.min(end, limit)
  }

  /**
   * Starts to fetch `[start, end)`, of which no part may be present. `fetch` puts the bytes into what `room`
   * gives, and must not touch that once it has settled. A failure is forgotten.
   */
  load(start: number, end: number, fetch: Fetch): Chunk {
    this.#options.uses.loads += 1
    return this.#add(start, end, fetch)
  }

  /** All bytes of the version, for ever; `undefined` unless they are here in one chunk. */
  get wholeBytes(): Uint8Array | undefined {
    const chunk = this.#byGranule.get(0)
    if (chunk?.data === undefined || lengthOf(chunk) < this.sizeBytes) return undefined
    return chunk.isLent ? Uint8Array.from(chunk.data) : chunk.data
  }

  /** Has `data` from here on, which are all bytes of the version. */
  keep(data: Uint8Array): void {
    this.#add(0, data.byteLength, async () => data)
  }

  #add(start: number, end: number, fetch: Fetch): Chunk {
    const { arena, memory } = this.#options
    const chunk = new Chunk(this, { start, end }, arena)
    for (const granule of granulesOf(chunk)) this.#byGranule.set(granule, chunk)
    const turn = memory && chunk.claim(memory)
    chunk.load((room) =>
      after(turn, () => fetch(chunk.cancel.signal, room)).then(
        (data) => this.#keep(chunk, data),
        (error: unknown) => {
          this.forget(chunk)
          throw error
        },
      ),
    )
    return chunk
  }

  /** What `chunk` has of `wanted` was read, and is not looked at any more. */
  noteRead(chunk: Chunk, wanted: ByteRange): void {
    chunk.readBytes += Math.min(wanted.end, chunk.end) - Math.max(wanted.start, chunk.start)
    if (chunk.readBytes >= lengthOf(chunk)) this.#options.onSpent?.(chunk)
  }

  /** Cancels a chunk that is on its way, unless somebody waits for it. */
  cancelUnlessAwaited(chunk: Chunk): void {
    if (chunk.data !== undefined || chunk.waiters > 0) return
    this.forget(chunk)
    chunk.cancel.abort()
  }

  forget(chunk: Chunk): void {
    for (const granule of granulesOf(chunk)) {
      if (this.#byGranule.get(granule) === chunk) this.#byGranule.delete(granule)
    }
    chunk.forget()
  }

  #keep(chunk: Chunk, data: Uint8Array): Uint8Array {
    chunk.data = data
    const { recent } = this.#options
    recent.set(chunk, data)
    // The cache refuses what is larger than itself.
    if (!recent.has(chunk)) this.forget(chunk)
    return data
  }
}

/** At once where there is nothing to wait for: what a stream fills is in the order of the calls. */
function after<T>(turn: Promise<void> | undefined, task: () => Promise<T>): Promise<T> {
  return turn === undefined ? task() : turn.then(task)
}

type Fetch = (signal: AbortSignal, room: () => Uint8Array) => Promise<Uint8Array>

function* granulesOf(chunk: Chunk): Generator<number, void, undefined> {
  for (let start = chunk.start; start < chunk.end; start += granuleBytes) {
    yield Math.floor(start / granuleBytes)
  }
}

function keyOf({ endpoint, path, etag }: VersionOfBlob): string {
  return `${endpoint ?? ''}\0${path.container}/${path.name}\0${etag}`
}

/** What `data`, the bytes of `chunk`, has of `wanted`: a view. */
export function cut(data: Uint8Array, chunk: Chunk, wanted: ByteRange): Uint8Array {
  const start = Math.max(wanted.start - chunk.start, 0)
  const end = Math.min(wanted.end, chunk.end) - chunk.start
  return start === 0 && end === data.byteLength ? data : data.subarray(start, end)
}
