import type { BlobProperties } from '../blob/store.ts'
import { type Crc64, combineCrc64, crc64Aside } from '../crc64.ts'
import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'

interface Piece {
  readonly offset: number
  readonly bytes: number
  readonly crc64: Crc64
}

/** Compares all bytes of a blob, as they are read, with what was noted when they were written. */
export class ContentCheck {
  readonly #path: BlobPath
  readonly #expected: Crc64
  readonly #sizeBytes: number
  readonly #pieces: Piece[] = []

  private constructor(path: BlobPath, sizeBytes: number, expected: Crc64) {
    this.#path = path
    this.#sizeBytes = sizeBytes
    this.#expected = expected
  }

  /** `undefined` when nothing was noted, or for other bytes than these: others have added some. */
  static of(path: BlobPath, { sizeBytes, written }: BlobProperties): ContentCheck | undefined {
    if (written?.crc64 === undefined || written.sizeBytes !== sizeBytes) return undefined
    return new ContentCheck(path, sizeBytes, written.crc64)
  }

  /** Takes note of the piece at `offset`, in any order. `data` is not to be changed until it resolves. */
  async add(data: Uint8Array, offset: number): Promise<void> {
    this.#pieces.push({ offset, bytes: data.byteLength, crc64: await crc64Aside(data) })
  }

  /** `EBADMSG` when the pieces are not the blob that was written. */
  finish(): void {
    let crc64: Crc64 = 0n
    let at = 0
    for (const piece of this.#pieces.sort((a, b) => a.offset - b.offset)) {
      if (piece.offset !== at) break
      crc64 = combineCrc64(crc64, piece.crc64, piece.bytes)
      at += piece.bytes
    }
    if (at === this.#sizeBytes && crc64 === this.#expected) return
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
