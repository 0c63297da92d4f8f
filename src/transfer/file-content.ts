import type { BlobStore } from '../blob/store.ts'
import { type ByteRange, clampRange, lengthOf, MiB, splitRange } from '../byte-range.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import type { BlobPath } from '../path.ts'
import { BlobReader } from './blob-reader.ts'
import type { ChunkCache } from './chunk-cache.ts'
import { Extents } from './extents.ts'
import { Spool, type SpoolOptions } from './spool.ts'

/** The stored version that a file's content began with. */
export interface BaseVersion {
  readonly path: BlobPath
  readonly etag: string
  readonly sizeBytes: number
}

/** A part of a file; without bytes it is zeros. */
export interface ContentPiece {
  readonly range: ByteRange
  readonly bytes?: Uint8Array | undefined
}

export interface FileContentOptions {
  readonly store: BlobStore
  readonly chunkCache: ChunkCache
  readonly spool: SpoolOptions
  /** `undefined` for a file that begins empty. */
  readonly base: BaseVersion | undefined
}

/**
 * The bytes of a file that is being written: what was written here, over what is still as stored.
 * The stored part is read when somebody asks for it, in the version that the content began with.
 * Changes must not overlap each other; reads may overlap anything.
 */
export class FileContent {
  readonly #options: FileContentOptions
  readonly #spool: Spool
  /** What lies here: bytes in the spool, or zeros that nobody has to keep; or is staged and nowhere else. */
  readonly #held = new Extents<HeldKind>()
  /** What differs from the stored version. */
  readonly #changed = new Extents<'changed'>()
  #base: BaseVersion | undefined
  /** Up to where the stored version shows through. */
  #baseEnd: number
  #sizeBytes: number
  #reader: BlobReader | undefined

  constructor(options: FileContentOptions) {
    this.#options = options
    this.#spool = new Spool(options.spool)
    this.#base = options.base
    this.#sizeBytes = options.base?.sizeBytes ?? 0
    this.#baseEnd = this.#sizeBytes
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /** The version that shows through, and up to where; `undefined` when none of it is left. */
  get base(): (BaseVersion & { readonly endBytes: number }) | undefined {
    if (this.#base === undefined || this.#baseEnd === 0) return undefined
    return { ...this.#base, endBytes: this.#baseEnd }
  }

  /** Whether all of `range` is as the stored version has it. */
  isStored(range: ByteRange): boolean {
    return range.end <= this.#baseEnd && !this.#changed.touches(range)
  }

  /** The parts of `range` that differ from the stored version, in order. */
  *changesIn(range: ByteRange): Generator<ByteRange, void> {
    const within = clampRange(range, this.#sizeBytes)
    yield* this.#changed.within({ start: within.start, end: Math.min(within.end, this.#baseEnd) })
    const beyond = Math.max(within.start, this.#baseEnd)
    if (within.end > beyond) yield { start: beyond, end: within.end }
  }

  /** Whether all of `range` is zeros that nobody wrote, or that were made by `zero`. */
  isZero(range: ByteRange): boolean {
    for (const { start, kind } of this.#held.over(range)) {
      if (kind !== 'zero' && (kind !== undefined || start < this.#baseEnd)) return false
    }
    return true
  }

  /** Where bytes lie that may be other than zero: the first such range from `offset` on. */
  nextData(offset: number): ByteRange | undefined {
    for (const { start, end, kind } of this.#held.over({ start: offset, end: this.#sizeBytes })) {
      if (kind === 'data' || kind === 'sent') return { start, end }
      if (kind === undefined && start < this.#baseEnd) {
        return { start, end: Math.min(end, this.#baseEnd) }
      }
    }
    return undefined
  }

  /** Copies `data` in. `ENOSPC` when the disk is full, `EIO` when it fails otherwise. */
  async write(start: number, data: Uint8Array): Promise<void> {
    const range = { start, end: start + data.length }
    await this.#spool.write(start, data)
    this.#held.set(range, 'data')
    this.#note(range)
  }

  /** Whether `bytes` more can be taken for sure. */
  hasRoomFor(bytes: number): boolean {
    return this.#spool.hasRoomFor(bytes)
  }

  /** The service has a block of `range`: where the disk has no room, nothing is kept of it here. */
  noteStaged(range: ByteRange): void {
    for (const dropped of this.#spool.drop(range)) this.#held.set(dropped, 'sent')
  }

  /** Whether bytes of `range` are in staged blocks and nowhere else. */
  isSent(range: ByteRange): boolean {
    return this.sentIn(range).length > 0
  }

  /** The parts of `range` that are in staged blocks and nowhere else, in order. */
  sentIn(range: ByteRange): ByteRange[] {
    return [...this.#held.within(range)].filter(({ kind }) => kind === 'sent')
  }

  /** Makes zeros of what lies in `range` and before the end, at no cost. */
  zero(range: ByteRange): void {
    const within = clampRange(range, this.#sizeBytes)
    this.#held.set(within, 'zero')
    this.#note(within)
  }

  /** Cuts the bytes at `sizeBytes`, or adds zeros up to there. */
  truncate(sizeBytes: number): void {
    this.#baseEnd = Math.min(this.#baseEnd, sizeBytes)
    this.#held.cut(sizeBytes)
    this.#changed.cut(sizeBytes)
    this.#sizeBytes = sizeBytes
  }

  /**
   * A copy of the bytes in `range`, shorter when they end before it does. `ESTALE` for stored bytes
   * that are gone. `once` for bytes that nobody will come back for: nothing beside them is fetched.
   */
  async read(range: ByteRange, how?: 'once'): Promise<Uint8Array> {
    const within = clampRange(range, this.#sizeBytes)
    const bytes = Buffer.alloc(lengthOf(within))
    const parts = [...this.#held.over(within)]
    await Promise.all(
      parts.map(async ({ kind, ...part }) => {
        const into = bytes.subarray(part.start - within.start, part.end - within.start)
        if (kind === 'data') into.set(await this.#spool.read(part))
        else if (kind === 'sent') throw sentAway()
        else if (kind === undefined) await this.#readStored(part, into, how)
      }),
    )
    return bytes
  }

  /** Fetches what of the stored version lies in `range`, so that it stays when that is gone. */
  async fetch(range: ByteRange): Promise<void> {
    const within = clampRange(range, this.#baseEnd)
    const absent = [...this.#held.over(within)].filter(({ kind }) => kind === undefined)
    for (const gap of absent) {
      for (const piece of splitRange(gap, 4 * MiB)) {
        const bytes = Buffer.alloc(lengthOf(piece))
        await this.#readStored(piece, bytes)
        await this.#spool.write(piece.start, bytes)
        this.#held.set(piece, 'data')
      }
    }
  }

  /** What differs from the stored version, in order and in pieces; without bytes where it is zeros. */
  async *changes(): AsyncGenerator<ContentPiece, void> {
    for (const change of [...this.changesIn({ start: 0, end: this.#sizeBytes })]) {
      yield* this.#piecesOf([...this.#held.over(change)])
    }
  }

  /** As `changes`, with all else that can be had: what of the stored version is gone is left out. */
  async *everything(): AsyncGenerator<ContentPiece, void> {
    const all = [...this.#held.over({ start: 0, end: this.#sizeBytes })]
    for (const { kind, ...range } of all) {
      if (kind === 'sent') continue
      if (kind !== undefined || range.start >= this.#baseEnd)
        yield* this.#piecesOf([{ ...range, kind }])
      else yield* this.#storedPieces(clampRange(range, this.#baseEnd))
    }
  }

  async *#piecesOf(
    parts: readonly (ByteRange & { readonly kind: HeldKind | undefined })[],
  ): AsyncGenerator<ContentPiece, void> {
    for (const { kind, ...part } of parts) {
      if (kind === 'sent') throw sentAway()
      if (kind !== 'data') yield { range: part }
      else {
        for (const range of splitRange(part, MiB)) {
          yield { range, bytes: await this.#spool.read(range) }
        }
      }
    }
  }

  async *#storedPieces(stored: ByteRange): AsyncGenerator<ContentPiece, void> {
    for (const range of splitRange(stored, MiB)) {
      const bytes = Buffer.alloc(lengthOf(range))
      try {
        await this.#readStored(range, bytes)
        yield { range, bytes }
      } catch (error) {
        if (!isFileSystemError(error)) throw error
      }
    }
  }

  /** An empty content becomes that of a version, which may be another blob's. */
  begin(version: BaseVersion): void {
    this.rebase(version)
    this.#sizeBytes = version.sizeBytes
    this.#baseEnd = version.sizeBytes
  }

  /** `version` has this very content: it was committed here, or moved, or got other attributes. */
  rebase(version: BaseVersion): void {
    this.#closeReader()
    this.#base = version
  }

  /** Has no need of the stored version any more; false when a part of that is nowhere to be had. */
  async detach(): Promise<boolean> {
    try {
      await this.fetch({ start: 0, end: this.#sizeBytes })
    } catch (error) {
      if (isFileSystemError(error)) return false
      throw error
    }
    this.#baseEnd = 0
    return true
  }

  /** All that was written is stored now, as `version`. */
  committed(version: BaseVersion): void {
    this.rebase(version)
    this.#baseEnd = this.#sizeBytes
    this.#changed.clear()
    this.#held.forget('sent')
  }

  /** `bytes`, which are all there are, were stored as version `etag`: its readers need not ask for them. */
  keepStored(path: BlobPath, etag: string, bytes: Uint8Array): void {
    const { store, chunkCache } = this.#options
    chunkCache.keep({ endpoint: store.endpoint, path, etag }, bytes)
  }

  /** Gives memory and disk back. Nothing may follow. */
  async close(): Promise<void> {
    this.#closeReader()
    this.#held.clear()
    this.#sizeBytes = 0
    this.#baseEnd = 0
    await this.#spool.close()
  }

  #note(range: ByteRange): void {
    this.#changed.set(range, 'changed')
    this.#sizeBytes = Math.max(this.#sizeBytes, range.end)
  }

  async #readStored(range: ByteRange, into: Uint8Array, how?: 'once'): Promise<void> {
    const { start, end } = clampRange(range, this.#baseEnd)
    if (this.#base === undefined || end === start) return
    const { store, chunkCache } = this.#options
    const { path, ...properties } = this.#base
    this.#reader ??= new BlobReader({ store, path, properties, cache: chunkCache })
    if (how === 'once') {
      await this.#reader.readInto(into.subarray(0, end - start), start)
      return
    }
    let at = 0
    for (const part of await this.#reader.read({ start, end })) {
      into.set(part, at)
      at += part.length
    }
  }

  #closeReader(): void {
    this.#reader?.close()
    this.#reader = undefined
  }
}

type HeldKind = 'data' | 'zero' | 'sent'

function sentAway(): FileSystemError {
  const detail =
    'the disk that buffers unsaved writes is full, so what was uploaded already is not kept here: ' +
    'free space, or close the file first'
  return new FileSystemError('ENOSPC', 'read', { detail })
}
