import { randomFillSync } from 'node:crypto'
import { type Crc64, formatCrc64, parseCrc64 } from '../crc64.ts'
import type { Conditions, Metadata } from './store.ts'
import { maxMetadataBytes } from './validate.ts'

// What abfs adds to a blob's metadata when it writes one, and takes out of what callers see: the CRC of
// all its bytes, the size that it is of (bytes that other programs add make it void), and for a
// conditional write who wrote it, so that a write whose answer was lost knows its own work.

/** The metadata key of the mark. */
export const markKey = 'abfs_written'
/** Its header. */
export const markHeader: string = `x-ms-meta-${markKey}`

export interface WrittenMark {
  readonly sizeBytes: number
  readonly crc64?: Crc64 | undefined
  /** Random; of one write. */
  readonly by?: string | undefined
}

/** A mark for a write of `sizeBytes` under `conditions`. */
export function markOf(
  sizeBytes: number,
  crc64: Crc64 | undefined,
  { ifMatch, ifNoneMatch }: Conditions,
): WrittenMark {
  const isConditional = ifMatch !== undefined || ifNoneMatch !== undefined
  return { sizeBytes, crc64, by: isConditional ? newWriter() : undefined }
}

const writerBytes = 9
/** Random bytes for many writes at once: a few of them take as long as all. */
const random = Buffer.alloc(256 * writerBytes)
let randomAt = random.length

function newWriter(): string {
  if (randomAt === random.length) {
    randomFillSync(random)
    randomAt = 0
  }
  randomAt += writerBytes
  return random.toString('base64url', randomAt - writerBytes, randomAt)
}

/** The mark as a value of metadata; `undefined` when it says nothing or `metadata` leaves no room. */
export function formatMark(mark: WrittenMark, metadata: Metadata = {}): string | undefined {
  if (mark.crc64 === undefined && mark.by === undefined) return undefined
  let text = `size=${mark.sizeBytes}`
  if (mark.crc64 !== undefined) text += `;crc64=${formatCrc64(mark.crc64)}`
  if (mark.by !== undefined) text += `;by=${mark.by}`
  let bytes = markKey.length + text.length
  for (const key in metadata) bytes += key.length + (metadata[key]?.length ?? 0)
  return bytes <= maxMetadataBytes ? text : undefined
}

/** Reads what {@link formatMark} wrote; `undefined` for anything else. */
export function parseMark(text: string | undefined): WrittenMark | undefined {
  if (text === undefined) return undefined
  const fields = new Map(
    text.split(';').map((part) => {
      const at = part.indexOf('=')
      return [part.slice(0, at), part.slice(at + 1)]
    }),
  )
  const size = fields.get('size')
  if (size === undefined || !/^\d{1,15}$/.test(size)) return undefined
  const crc = fields.get('crc64')
  const crc64 = crc === undefined ? undefined : parseCrc64(crc)
  return { sizeBytes: Number(size), crc64, by: fields.get('by') }
}
