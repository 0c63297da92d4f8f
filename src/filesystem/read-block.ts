import type { CallOptions } from '../blob/store.ts'
import { KiB } from '../byte-range.ts'
import type { BlobPath } from '../path.ts'
import { BlobFileReader } from './blob-file-reader.ts'
import type { Remote } from './remote.ts'

export interface BlockOptions extends CallOptions {
  /** Where the block begins, in bytes. Default 0. */
  readonly offset?: number | undefined
  /** Its length. Absent: to the end of the file. */
  readonly length?: number | undefined
  /**
   * Moves both ends on to just after the next delimiter, so that blocks which follow each other hold
   * every record once and whole. A block at offset 0 begins there.
   */
  readonly delimiter?: Uint8Array | string | undefined
}

/** How much is searched at once. */
const stepBytes = 64 * KiB

/** See {@link BlockOptions}. All bytes come from one version of the file. */
export async function readBlock(
  remote: Remote,
  path: BlobPath,
  options: BlockOptions,
): Promise<Uint8Array> {
  const { offset = 0, length, delimiter, signal } = options
  checkBytes('offset', offset)
  if (length !== undefined) checkBytes('length', length)
  const reader = await BlobFileReader.open(remote, path, { signal })
  try {
    const mark = typeof delimiter === 'string' ? new TextEncoder().encode(delimiter) : delimiter
    const end = length === undefined ? reader.size : Math.min(offset + length, reader.size)
    const from = await recordStart(reader, Math.min(offset, reader.size), { mark, signal })
    const to = await recordStart(reader, end, { mark, signal })
    reader.seek(from)
    return await readFully(reader, Math.max(to - from, 0), signal)
  } finally {
    await reader.close()
  }
}

/** The first position from `position` on at which a record begins; the end of the file when none does. */
async function recordStart(
  reader: BlobFileReader,
  position: number,
  options: CallOptions & { readonly mark: Uint8Array | undefined },
): Promise<number> {
  const { mark, signal } = options
  if (mark === undefined || mark.byteLength === 0 || position === 0) return position
  for (let at = position; at < reader.size; at += stepBytes) {
    reader.seek(at)
    const found = await readFully(reader, stepBytes + mark.byteLength - 1, signal)
    const index = Buffer.from(found.buffer, found.byteOffset, found.byteLength).indexOf(mark)
    if (index >= 0) return at + index + mark.byteLength
  }
  return reader.size
}

async function readFully(
  reader: BlobFileReader,
  length: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const target = new Uint8Array(Math.min(length, Math.max(reader.size - reader.tell(), 0)))
  for (let done = 0; done < target.byteLength; ) {
    const piece = await reader.readInto(target.subarray(done), { signal })
    if (piece === 0) return target.subarray(0, done)
    done += piece
  }
  return target
}

function checkBytes(name: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 0) return
  throw new RangeError(`${name}: expected bytes, an integer of at least 0, got ${value}`)
}
