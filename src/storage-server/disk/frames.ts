import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { crc32 } from '../../crc32.ts'
import { damaged } from './disk-error.ts'

// A frame is a 12-byte header, little-endian: the payload's bytes, the CRC-32 of the payload, the
// CRC-32 of the eight bytes before; then the payload, JSON in UTF-8. It ends in a bracket, never in
// a zero. The header's own checksum tells a damaged length from an end that was never written.

const headerBytes = 12
const maxPayloadBytes = 512 * 1024 * 1024
const chunkBytes = 4 * 1024 * 1024

/** The frame of a payload. */
export function frameOf(payload: string): Buffer {
  const size = Buffer.byteLength(payload)
  const frame = Buffer.allocUnsafe(headerBytes + size)
  frame.write(payload, headerBytes)
  frame.writeUInt32LE(size, 0)
  frame.writeUInt32LE(crc32(frame.subarray(headerBytes)), 4)
  frame.writeUInt32LE(crc32(frame.subarray(0, 8)), 8)
  return frame
}

/**
 * Passes the payloads of a file's frames to `take`, in order. Returns the bytes that hold whole
 * frames: less than the file where a kill or a power cut left the last one unfinished, which is no
 * error with `mayBeTorn`. Throws `FileSystemError` `EIO` where the file is damaged.
 */
export function readFrames(
  path: string,
  { mayBeTorn, take }: { readonly mayBeTorn: boolean; readonly take: (payload: string) => void },
): number {
  const reader = new FileReader(path)
  try {
    for (;;) {
      const start = reader.position
      const payload = readFrame(reader)
      if (payload === undefined) {
        if (start === reader.sizeBytes || (mayBeTorn && isTorn(reader, start))) return start
        throw damagedAt(path, start)
      }
      take(payload)
    }
  } finally {
    reader.close()
  }
}

function readFrame(reader: FileReader): string | undefined {
  const header = reader.take(headerBytes)
  if (header === undefined) return undefined
  const [size, checksum] = [header.readUInt32LE(0), header.readUInt32LE(4)]
  const isHeader = crc32(header.subarray(0, 8)) === header.readUInt32LE(8)
  if (!isHeader || size > maxPayloadBytes) return undefined
  const payload = reader.take(size)
  return payload !== undefined && crc32(payload) === checksum ? payload.toString() : undefined
}

/** Whether the frame at `start` is an unfinished last one: the file ends within it, or in zeros. */
function isTorn(reader: FileReader, start: number): boolean {
  const rest = reader.sizeBytes - start
  if (rest < headerBytes) return true
  reader.seek(start)
  const header = reader.take(headerBytes) ?? Buffer.alloc(0)
  const whole = crc32(header.subarray(0, 8)) === header.readUInt32LE(8)
  if (!whole) return reader.isZeroFrom(start + headerBytes) && header.at(-1) === 0
  const end = headerBytes + header.readUInt32LE(0)
  return rest < end || (rest === end && reader.isZeroFrom(reader.sizeBytes - 1))
}

function damagedAt(path: string, position: number): Error {
  return damaged(
    path,
    `damaged at byte ${position}: put back a copy of the directory, or give up what was written later by 'truncate -s ${position}' on this file (removing the journals of higher number), or begin with another directory`,
  )
}

/** Reads a file from front to end through a buffer. */
class FileReader {
  readonly sizeBytes: number
  position = 0
  readonly #fd: number
  #buffer = Buffer.alloc(0)
  #bufferStart = 0

  constructor(path: string) {
    this.#fd = openSync(path, 'r')
    this.sizeBytes = fstatSync(this.#fd).size
  }

  seek(position: number): void {
    this.position = position
  }

  /** The next bytes, valid until the next call; `undefined` when the file has fewer. */
  take(sizeBytes: number): Buffer | undefined {
    if (this.position + sizeBytes > this.sizeBytes) return undefined
    const offset = this.position - this.#bufferStart
    if (offset < 0 || offset + sizeBytes > this.#buffer.byteLength) {
      this.#fill(sizeBytes)
      return this.take(sizeBytes)
    }
    this.position += sizeBytes
    return this.#buffer.subarray(offset, offset + sizeBytes)
  }

  isZeroFrom(position: number): boolean {
    this.position = position
    while (this.position < this.sizeBytes) {
      const part = this.take(Math.min(chunkBytes, this.sizeBytes - this.position))
      if (part?.some((byte) => byte !== 0)) return false
    }
    return true
  }

  close(): void {
    closeSync(this.#fd)
  }

  #fill(sizeBytes: number): void {
    const wanted = Math.min(Math.max(sizeBytes, chunkBytes), this.sizeBytes - this.position)
    const buffer = Buffer.allocUnsafe(wanted)
    let done = 0
    while (done < wanted) {
      const read = readSync(this.#fd, buffer, done, wanted - done, this.position + done)
      if (read === 0) throw new RangeError('sizeBytes: the file shrank while it was read')
      done += read
    }
    this.#buffer = buffer
    this.#bufferStart = this.position
  }
}
