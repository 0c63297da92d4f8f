import { whenAborted } from '../concurrency.ts'
import type { ContentSink } from './store.ts'

/** Gives `bytes`, which are in memory, to `sink`. Rejects with `signal.reason` when aborted. */
export async function pour(
  bytes: Uint8Array,
  sink: ContentSink,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    signal?.throwIfAborted()
    const room = await roomOf(sink, signal)
    if (room.length === 0) return
    const piece = bytes.subarray(at, at + room.length)
    room.set(piece)
    sink.filled(piece.length)
    at += piece.length
  }
}

function roomOf(sink: ContentSink, signal: AbortSignal | undefined): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const give = () => {
      const room = sink.next(resume)
      if (room === undefined) return
      signal?.removeEventListener('abort', giveUp)
      resolve(room)
    }
    const resume = () => {
      try {
        give()
      } catch (error) {
        reject(error)
      }
    }
    const giveUp = () => reject(signal?.reason)
    whenAborted(signal, giveUp)
    give()
  })
}
