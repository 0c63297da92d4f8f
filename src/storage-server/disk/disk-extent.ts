import { read as readFile, readSync } from 'node:fs'
import type { Extent } from '../model/extent.ts'
import { damaged } from './disk-error.ts'

/** A file of extents, one after the other. Only the newest is appended to. */
export interface Segment {
  readonly id: number
  readonly path: string
  /** The store whose it is. */
  readonly owner: object
  /** -1 where the file is missing or closed. */
  fd: number
  /** Where the next extent goes. */
  sizeBytes: number
  /** Its extents move elsewhere before they are referred to again. */
  condemned: boolean
}

// A read of the page cache takes less than a turn through the thread pool up to about this much.
const syncReadBytes = 64 * 1024

/** Bytes in a segment, read when asked for. It changes its place, never its bytes. */
export class DiskExtent implements Extent {
  readonly sizeBytes: number
  segment: Segment
  offset: number
  /** The last count of live bytes that came by here. */
  mark = 0

  constructor(segment: Segment, offset: number, sizeBytes: number) {
    this.segment = segment
    this.offset = offset
    this.sizeBytes = sizeBytes
  }

  read(start: number, end: number): Uint8Array | Promise<Uint8Array> {
    const buffer = Buffer.allocUnsafe(end - start)
    if (buffer.byteLength > syncReadBytes) return this.#readLater(buffer, start)
    return this.#fill(buffer, start)
  }

  /** All its bytes, at once. */
  readAll(): Uint8Array {
    return this.#fill(Buffer.allocUnsafe(this.sizeBytes), 0)
  }

  #fill(buffer: Buffer, start: number): Uint8Array {
    const { fd } = this.segment
    let done = 0
    while (done < buffer.byteLength) {
      const at = this.offset + start + done
      const read = readSync(fd, buffer, done, buffer.byteLength - done, at)
      if (read === 0) throw this.#missing()
      done += read
    }
    return buffer
  }

  async #readLater(buffer: Buffer, start: number): Promise<Uint8Array> {
    // Both are of one moment: the extent may move while this waits.
    const { segment, offset } = this
    let done = 0
    while (done < buffer.byteLength) {
      const read = await readInto(segment.fd, buffer.subarray(done), offset + start + done)
      if (read === 0) throw this.#missing()
      done += read
    }
    return buffer
  }

  #missing(): Error {
    return damaged(this.segment.path, 'bytes that blobs refer to are missing from this file')
  }
}

function readInto(fd: number, buffer: Buffer, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    readFile(fd, buffer, 0, buffer.byteLength, position, (error, read) => {
      if (error === null) resolve(read)
      else reject(error)
    })
  })
}
