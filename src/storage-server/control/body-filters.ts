import type { Clock } from '../../clock.ts'

/** Changes the bytes of an answer's body, or when they go. */
export type BodyFilter = (chunks: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>

/** Waits; rejects when the server ends. */
export type Sleep = (ms: number) => Promise<void>

const sliceBytes = 64 * 1024

/** Ends the body after so many bytes, half of the first chunk when absent; throws there if wanted. */
export function cutAfter(afterBytes: number | undefined, how: 'end' | 'throw'): BodyFilter {
  return async function* cut(chunks) {
    let sent = 0
    for await (const chunk of chunks) {
      const left = (afterBytes ?? Math.floor(chunk.byteLength / 2)) - sent
      if (left < chunk.byteLength) {
        yield chunk.subarray(0, left)
        if (how === 'throw') throw new Error('connection reset on command')
        return
      }
      yield chunk
      sent += chunk.byteLength
    }
  }
}

/** Turns all bits of the byte at an offset. */
export function corruptAt(offset: number): BodyFilter {
  return async function* corrupt(chunks) {
    let sent = 0
    for await (const chunk of chunks) {
      const at = offset - sent
      sent += chunk.byteLength
      yield at >= 0 && at < chunk.byteLength ? turned(chunk, at) : chunk
    }
  }
}

/** Waits once so many bytes are out; half of the first chunk when absent. */
export function pauseAfter(afterBytes: number | undefined, wait: () => Promise<void>): BodyFilter {
  return async function* pause(chunks) {
    let sent = 0
    let isDone = false
    for await (const chunk of chunks) {
      const left = (afterBytes ?? Math.floor(chunk.byteLength / 2)) - sent
      sent += chunk.byteLength
      if (isDone || left >= chunk.byteLength) {
        yield chunk
        continue
      }
      isDone = true
      yield chunk.subarray(0, left)
      await wait()
      yield chunk.subarray(left)
    }
  }
}

/** Sends no faster than so many bytes in a second. */
export function paced(bytesPerSecond: number, clock: Clock, sleep: Sleep): BodyFilter {
  return async function* pace(chunks) {
    const startMs = clock.nowMs()
    let sent = 0
    for await (const chunk of chunks) {
      for (let at = 0; at < chunk.byteLength; at += sliceBytes) {
        const slice = chunk.subarray(at, at + sliceBytes)
        sent += slice.byteLength
        const dueMs = startMs + (sent / bytesPerSecond) * 1000
        if (dueMs > clock.nowMs()) await sleep(dueMs - clock.nowMs())
        yield slice
      }
    }
  }
}

/** One filter after the other; `undefined` when there are none. */
export function joined(filters: readonly BodyFilter[]): BodyFilter | undefined {
  if (filters.length === 0) return undefined
  return (chunks) => filters.reduce((stream, filter) => filter(stream), chunks)
}

function turned(chunk: Uint8Array, at: number): Uint8Array {
  // A copy: the chunk is the stored one.
  const copy = Uint8Array.from(chunk)
  copy[at] = (copy[at] ?? 0) ^ 0xff
  return copy
}
