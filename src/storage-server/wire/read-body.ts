import type { IncomingMessage } from 'node:http'
import { refusal } from './refusals.ts'

/** Largest body of a request that says nothing else: documents, not content. */
export const documentMaxBytes: number = 4 * 1024 * 1024

/**
 * Reads a whole body into memory of its own. Throws 413 `RequestBodyTooLarge` before reading more
 * than `maxBytes`, and 400 `IncompleteBody` when the client ends early.
 */
export function readBody(message: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  const declared = message.headers['content-length']
  if (declared === undefined) return readChunked(message, maxBytes)
  const sizeBytes = Number(declared)
  if (sizeBytes > maxBytes) return Promise.reject(tooLarge(maxBytes))
  if (sizeBytes === 0) return Promise.resolve(Buffer.alloc(0))
  return readSized(message, sizeBytes)
}

/** Copies into one buffer of the right size: nothing is joined afterwards. */
function readSized(message: IncomingMessage, sizeBytes: number): Promise<Uint8Array> {
  // Slow: not cut from the pool that small buffers share, which stored bytes would keep alive.
  const data = Buffer.allocUnsafeSlow(sizeBytes)
  let at = 0
  return whenRead(message, {
    take: (chunk) => {
      data.set(chunk, at)
      at += chunk.length
    },
    done: () => (at === sizeBytes ? data : undefined),
  })
}

function readChunked(message: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let sizeBytes = 0
  return whenRead(message, {
    take: (chunk) => {
      sizeBytes += chunk.length
      if (sizeBytes > maxBytes) throw tooLarge(maxBytes)
      chunks.push(chunk)
    },
    done: () => Buffer.concat(chunks),
  })
}

interface Sink {
  take(chunk: Buffer): void
  done(): Uint8Array | undefined
}

function whenRead(message: IncomingMessage, { take, done }: Sink): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    message.on('data', (chunk: Buffer) => {
      try {
        take(chunk)
      } catch (error) {
        message.removeAllListeners('data')
        message.resume()
        reject(error)
      }
    })
    message.on('end', () => {
      const data = done()
      if (data === undefined) reject(refusal('IncompleteBody'))
      else resolve(data)
    })
    message.on('error', (cause) => reject(refusal('IncompleteBody', { cause })))
    message.on('close', () => {
      // It comes after the end, too, and an error's stack costs more than the rest of a small body.
      if (!message.readableEnded) reject(refusal('IncompleteBody'))
    })
  })
}

function tooLarge(maxBytes: number): Error {
  return refusal('RequestBodyTooLarge', { details: { MaxLimit: String(maxBytes) } })
}
