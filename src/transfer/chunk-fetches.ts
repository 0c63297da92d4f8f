import { type ByteRange, lengthOf, splitRange } from '../byte-range.ts'
import { isFileSystemError } from '../errors.ts'
import type { BlobStream } from './blob-stream.ts'
import type { Chunk } from './chunk.ts'
import type { VersionChunks } from './chunk-cache.ts'
import type { Target, VersionSource } from './version-source.ts'

/** How a chunk is fetched. */
export interface Way {
  /** Nobody reads there yet. */
  readonly ahead: boolean
  readonly stream?: BlobStream | undefined
}

/** What one reader fetches into the chunks of its version. */
export class ChunkFetches {
  readonly #version: VersionChunks
  readonly #source: VersionSource
  readonly #underWay = new Set<Chunk>()

  constructor(version: VersionChunks, source: VersionSource) {
    this.#version = version
    this.#source = source
  }

  /** Whether a request would be sent at once. */
  get hasRoom(): boolean {
    return this.#source.hasRoom
  }

  /** Starts a request for each absent stretch of an aligned range, of `pieceBytes` at most. */
  fetchMissing(range: ByteRange, pieceBytes: number, ahead = false): Chunk[] {
    const started: Chunk[] = []
    for (let at = range.start; at < range.end; ) {
      const chunk = this.#version.find(at)
      if (chunk !== undefined) {
        at = chunk.end
        continue
      }
      const end = this.#version.endOfGap(at, range.end)
      for (const piece of splitRange({ start: at, end }, pieceBytes)) {
        started.push(this.start(piece, { ahead }))
      }
      at = end
    }
    return started
  }

  /** Starts to fetch `piece`, which is absent. */
  start(piece: ByteRange, { ahead, stream }: Way): Chunk {
    this.#count(piece)
    const chunk = this.#version.load(piece.start, piece.end, async (signal, room) => {
      const target = { signal, room, lend: () => chunk.lend(), ahead }
      const streamed =
        stream === undefined ? undefined : await this.#fromStream(stream, piece, target)
      return streamed ?? this.#source.load(piece, target)
    })
    this.#underWay.add(chunk)
    const done = () => void this.#underWay.delete(chunk)
    chunk.loaded.then(done, done)
    return chunk
  }

  /** Fills `into` with the next bytes of `stream`; false as `BlobStream.fill`, `ESTALE` when the version is gone. */
  async fill(stream: BlobStream, into: Uint8Array, signal: AbortSignal): Promise<boolean> {
    try {
      return await stream.fill(into, signal)
    } catch (error) {
      throw isFileSystemError(error, 'ENOENT') ? this.#source.gone(error) : error
    }
  }

  /** Ends what nobody else waits for. */
  close(): void {
    for (const chunk of this.#underWay) this.#version.cancelUnlessAwaited(chunk)
  }

  /** What the local disk has costs the service nothing. */
  #count(piece: ByteRange): void {
    if (this.#version.disk?.holds(piece) === true) return
    this.#version.use.fetchedBytes += lengthOf(piece)
  }

  async #fromStream(
    stream: BlobStream,
    piece: ByteRange,
    { signal, room, lend, ahead }: Target,
  ): Promise<Uint8Array | undefined> {
    if (stream.position !== piece.start) return undefined
    const into = room()
    if (!(await this.fill(stream, into, signal))) return undefined
    await this.#version.disk?.write(piece.start, into, { onDone: lend?.(), ahead })
    return into
  }
}
