import type { BlobProperties } from '../blob/store.ts'
import { type Crc64, combineCrc64, crc64Aside } from '../crc64.ts'
import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'

interface Piece {
  readonly offset: number
  readonly bytes: number
  readonly crc64: Crc64
}

/** The sum of bytes whose pieces come in any order. */
export class PieceSums {
  readonly #pieces: Piece[] = []

  /** Takes note of the piece at `offset`. `data` is not to be changed until it resolves. */
  async add(data: Uint8Array, offset: number): Promise<void> {
    this.#pieces.push({ offset, bytes: data.byteLength, crc64: await crc64Aside(data) })
  }

  /** The sum of all pieces; `undefined` unless they are `sizeBytes` bytes without a gap. */
  of(sizeBytes: number): Crc64 | undefined {
    let crc64: Crc64 = 0n
    let at = 0
    for (const piece of this.#pieces.sort((a, b) => a.offset - b.offset)) {
      if (piece.offset !== at) return undefined
      crc64 = combineCrc64(crc64, piece.crc64, piece.bytes)
      at += piece.bytes
    }
    return at === sizeBytes ? crc64 : undefined
  }
}

/** What abfs noted of a blob's bytes; `undefined` for nothing, or of other bytes: others have added some. */
export function notedSum({ sizeBytes, written }: BlobProperties): Crc64 | undefined {
  return written?.sizeBytes === sizeBytes ? written.crc64 : undefined
}

/** Compares all bytes of a blob, as they are read, with what was noted when they were written. */
export class ContentCheck {
  readonly #path: BlobPath
  readonly #expected: Crc64
  readonly #sizeBytes: number
  readonly #sums = new PieceSums()

  private constructor(path: BlobPath, sizeBytes: number, expected: Crc64) {
    this.#path = path
    this.#sizeBytes = sizeBytes
    this.#expected = expected
  }

  /** `undefined` when nothing was noted of these bytes. */
  static of(path: BlobPath, properties: BlobProperties): ContentCheck | undefined {
    const noted = notedSum(properties)
    if (noted === undefined) return undefined
    return new ContentCheck(path, properties.sizeBytes, noted)
  }

  /** As {@link PieceSums.add}. */
  add(data: Uint8Array, offset: number): Promise<void> {
    return this.#sums.add(data, offset)
  }

  /** `EBADMSG` when the pieces are not the blob that was written. */
  finish(): void {
    if (this.#sums.of(this.#sizeBytes) === this.#expected) return
    throw new FileSystemError('EBADMSG', 'read', {
      path: formatPath(this.#path),
      serviceCode: 'ContentCrc64Mismatch',
      detail:
        'what was read is not what was written: its CRC-64 differs. Read again; if it stays, the blob ' +
        'was damaged or changed in place: write it anew, or read with integrity none',
      retryable: true,
    })
  }
}
