import type { HttpResponse } from './handler.ts'

/**
 * How long an answer asks its client to stay away, milliseconds: Azure's `x-ms-retry-after-ms`, or
 * `Retry-After` as seconds or an HTTP date (RFC 9110, 10.2.3). 0 when it does not say.
 */
export function retryAfterMs({ headers }: HttpResponse, nowMs: number): number {
  const exact = headers['x-ms-retry-after-ms'] ?? headers['retry-after-ms']
  if (exact !== undefined && /^\d+$/.test(exact)) return Number(exact)
  const value = headers['retry-after']
  if (value === undefined) return 0
  if (/^\d+$/.test(value)) return Number(value) * 1000
  const dateMs = Date.parse(value)
  return Number.isNaN(dateMs) ? 0 : Math.max(0, dateMs - nowMs)
}
