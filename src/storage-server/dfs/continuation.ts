import { invalidQuery } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'

/** A token for a walk that goes on at the first name at or after `start`; opaque to the caller. */
export function writeContinuation(start: string): string {
  return Buffer.from(JSON.stringify({ from: start })).toString('base64')
}

/** Where the request goes on; `undefined` at the beginning. Throws 400. */
export function readContinuation({ query }: StorageRequest): string | undefined {
  const token = query.get('continuation')
  if (token === undefined || token === '') {
    return undefined
  }
  const start = parse(token)
  if (start === undefined) {
    throw invalidQuery('continuation', token)
  }
  return start
}

/** Clients that do not encode the token turn its `+` into spaces. */
function parse(token: string): string | undefined {
  const text = Buffer.from(token.replaceAll(' ', '+'), 'base64').toString()
  const match = /^\{"from":(".*")\}$/s.exec(text)
  try {
    const start: unknown = JSON.parse(match?.[1] ?? '')
    return typeof start === 'string' ? start : undefined
  } catch (error) {
    if (error instanceof SyntaxError) {
      return undefined
    }
    throw error
  }
}
