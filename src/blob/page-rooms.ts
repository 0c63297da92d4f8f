import { KiB } from '../byte-range.ts'

/** Below, memory is had as quickly as it is found again. */
const minRoomBytes = 256 * KiB
/** Pages of one account under way at once, about. */
const maxRooms = 4

/**
 * Memory of pages that were read, for those that come next: fresh megabytes for each have to be mapped and cleared, and
 * each 64 MiB of them make V8 collect all garbage, which takes the longer the more entries are kept. Who lists
 * no more keeps nothing: V8 may take it back.
 */
export class PageRooms {
  readonly #rooms: WeakRef<Uint8Array>[] = []

  /** Room for a page; `undefined` when there is none. */
  take(): Uint8Array | undefined {
    for (let room = this.#rooms.pop(); room !== undefined; room = this.#rooms.pop()) {
      const found = room.deref()
      if (found !== undefined) return found
    }
    return undefined
  }

  /** Takes the memory of a page of which nothing is used any more. */
  give({ buffer }: Uint8Array): void {
    if (buffer.byteLength < minRoomBytes || this.#rooms.length >= maxRooms) return
    this.#rooms.push(new WeakRef(new Uint8Array(buffer)))
  }
}
