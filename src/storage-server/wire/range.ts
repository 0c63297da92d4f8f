import type { ByteRange } from '../../byte-range.ts'
import { invalidHeader, refusal } from './refusals.ts'
import type { StorageRequest } from './request.ts'

/**
 * The range that `x-ms-range` (first) or `Range` asks for; `end` is infinite in `bytes=5-`.
 * `undefined` when absent, or when `Range` is of a form that the service ignores.
 */
export function readRange(headers: StorageRequest['headers']): ByteRange | undefined {
  const own = headers['x-ms-range']
  if (own !== undefined) return parse(own) ?? malformed('x-ms-range', own)
  const standard = headers['range']
  return standard === undefined ? undefined : parse(standard)
}

/** The range cut to a resource of `sizeBytes`: 416 `InvalidRange` when it begins at its end or after. */
export function satisfyRange(range: ByteRange, sizeBytes: number): ByteRange {
  if (range.start >= sizeBytes) {
    throw refusal('InvalidRange', { headers: { 'content-range': `bytes */${sizeBytes}` } })
  }
  return { start: range.start, end: Math.min(range.end, sizeBytes) }
}

/** `bytes 0-9/100` */
export function contentRange({ start, end }: ByteRange, sizeBytes: number): string {
  return `bytes ${start}-${end - 1}/${sizeBytes}`
}

/** The service knows no suffix ranges (`bytes=-5`) and no lists. */
function parse(text: string): ByteRange | undefined {
  const match = /^bytes=(\d{1,15})-(\d{0,15})$/.exec(text.trim())
  if (match === null) return undefined
  const start = Number(match[1])
  const end = match[2] === '' ? Number.POSITIVE_INFINITY : Number(match[2]) + 1
  return end > start ? { start, end } : undefined
}

function malformed(name: string, value: string): never {
  throw invalidHeader(name, value)
}
