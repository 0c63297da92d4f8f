import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { ContentSlice, StorageAnswer } from './answer.ts'

/** Wraps the bytes of an answer on their way out. */
export type BodyFilter = (chunks: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>

/** What goes out beside the verb's own headers. */
export interface AnswerFrame {
  readonly headers: Readonly<Record<string, string | undefined>>
  /** No body goes out, whatever the answer holds. */
  readonly head: boolean
  readonly filter?: BodyFilter | undefined
}

// Below this much content the pieces are joined to the head of the answer in one write.
const bodiless: ReadonlySet<number> = new Set([204, 304])

/**
 * Writes an answer and resolves with the number of its body's bytes once they are handed to the
 * socket. A body that ends early or fails takes the connection with it.
 */
export async function writeAnswer(
  response: ServerResponse,
  answer: StorageAnswer,
  frame: AnswerFrame,
): Promise<number> {
  const { body } = answer
  const data = typeof body === 'string' ? Buffer.from(body) : body
  response.writeHead(answer.status, headersOf(answer, lengthOf(data), frame))
  if (frame.head || data === undefined || bodiless.has(answer.status)) {
    response.end()
    return 0
  }
  if (frame.filter !== undefined) return writeFiltered(response, data, frame.filter)
  if (data instanceof Uint8Array) {
    response.end(data)
    return data.byteLength
  }
  return writeSlice(response, data)
}

/** Names and values in turn: an object of them takes as long to make as to send. */
function headersOf(answer: StorageAnswer, bodyBytes: number, frame: AnswerFrame): string[] {
  const headers: string[] = []
  const saysLength = frame.head && answer.headers?.['content-length'] !== undefined
  const ownLength = !bodiless.has(answer.status) && !saysLength
  for (const name in answer.headers) {
    const value = answer.headers[name]
    if (value === undefined || frame.headers[name] !== undefined) continue
    if (name !== 'content-length' || !ownLength) headers.push(name, value)
  }
  if (ownLength) headers.push('content-length', String(bodyBytes))
  for (const name in frame.headers) {
    const value = frame.headers[name]
    if (value !== undefined) headers.push(name, value)
  }
  return headers
}

function lengthOf(data: Uint8Array | ContentSlice | undefined): number {
  if (data === undefined) return 0
  return data instanceof Uint8Array ? data.byteLength : data.end - data.start
}

async function writeSlice(response: ServerResponse, slice: ContentSlice): Promise<number> {
  for (const piece of piecesOf(slice)) {
    const chunk = piece instanceof Promise ? await piece : piece
    if (!response.write(chunk) && !(await drained(response))) break
  }
  response.end()
  return slice.end - slice.start
}

async function writeFiltered(
  response: ServerResponse,
  data: Uint8Array | ContentSlice,
  filter: BodyFilter,
): Promise<number> {
  let left = lengthOf(data)
  const expected = left
  try {
    for await (const chunk of filter(chunksOf(data))) {
      left -= chunk.byteLength
      if (!response.write(chunk) && !(await drained(response))) break
    }
    if (left === 0) response.end()
    else await flushAndDestroy(response)
  } catch (error) {
    response.destroy(error instanceof Error ? error : new Error(String(error)))
  }
  return expected - left
}

// What a reader of a slow connection keeps in memory of an extent that lies on disk.
const pieceBytes = 4 * 1024 * 1024

/** The stretch of stored bytes, extent by extent, in pieces of at most 4 MiB. */
export function* piecesOf(slice: ContentSlice): Generator<Uint8Array | Promise<Uint8Array>> {
  let at = 0
  for (const extent of slice.content.extents) {
    const start = Math.max(slice.start - at, 0)
    const end = Math.min(slice.end - at, extent.sizeBytes)
    for (let from = start; from < end; from += pieceBytes) {
      yield extent.read(from, Math.min(end, from + pieceBytes))
    }
    at += extent.sizeBytes
    if (at >= slice.end) return
  }
}

async function* chunksOf(data: Uint8Array | ContentSlice): AsyncGenerator<Uint8Array> {
  if (data instanceof Uint8Array) yield data
  else for (const piece of piecesOf(data)) yield await piece
}

/** False when the connection went instead. */
async function drained(response: ServerResponse): Promise<boolean> {
  if (response.destroyed) return false
  const gone = new AbortController()
  const close = () => gone.abort()
  response.once('close', close)
  try {
    await once(response, 'drain', { signal: gone.signal })
    return true
  } catch (error) {
    if (gone.signal.aborted) return false
    throw error
  } finally {
    response.off('close', close)
  }
}

/** What was written reaches the client before the connection goes. */
function flushAndDestroy(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    response.write('', () => {
      response.destroy()
      resolve()
    })
  })
}
