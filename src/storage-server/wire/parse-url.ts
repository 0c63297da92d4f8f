import { invalidQuery, refusal } from './refusals.ts'
import type { StorageError } from './storage-error.ts'

const maxNameChars = 1024
const maxUrlChars = 32 * 1024
// biome-ignore lint/suspicious/noControlCharactersInRegex: the service refuses these.
const control = /[\u0000-\u001f\u007f]/

/**
 * The decoded segments of a request's path. Throws 400 `InvalidUri` for escapes that are no UTF-8
 * (unpaired surrogates among them), control characters and `.` or `..` as a segment.
 */
export function parseUrlPath(rawPath: string): readonly string[] {
  if (!rawPath.startsWith('/') || rawPath.length > maxUrlChars) throw refusal('InvalidUri')
  if (rawPath === '/') return []
  const decoded = rawPath.includes('%') ? decodePath(rawPath) : rawPath
  if (control.test(decoded)) throw refusal('InvalidUri')
  const segments = decoded.slice(1).split('/')
  if (decoded.includes('/.') && segments.some(isDots)) throw refusal('InvalidUri')
  return segments
}

/** Refuses names of blobs longer than the service takes, 400 `OutOfRangeInput`. */
export function assertPathName(name: string): void {
  if (name.length > maxNameChars) {
    throw refusal('OutOfRangeInput', {
      details: {
        Reason: 'The specified resource name length is not within the permissible limits.',
      },
    })
  }
}

/** Decoded parameters by lower-case names; the last one of a repeated name. */
export function parseUrlQuery(text: string): ReadonlyMap<string, string> {
  const query = new Map<string, string>()
  if (text === '') return query
  for (const part of text.split('&')) {
    const equals = part.indexOf('=')
    const name = equals < 0 ? part : part.slice(0, equals)
    if (name === '') continue
    query.set(
      decodeQuery(name).toLowerCase(),
      equals < 0 ? '' : decodeQuery(part.slice(equals + 1)),
    )
  }
  return query
}

/** A whole number in a query parameter; `undefined` when absent. */
export function queryInteger(query: ReadonlyMap<string, string>, name: string): number | undefined {
  const text = query.get(name)
  if (text === undefined) return undefined
  if (!/^-?\d{1,15}$/.test(text)) throw invalidQuery(name, text)
  return Number(text)
}

function isDots(segment: string): boolean {
  return segment === '.' || segment === '..'
}

function decodePath(rawPath: string): string {
  return decoded(rawPath, () => refusal('InvalidUri'))
}

function decodeQuery(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text
  if (!spaced.includes('%')) return spaced
  return decoded(spaced, () => invalidQuery('', text, 'It is not percent-encoded UTF-8.'))
}

function decoded(text: string, refuse: () => StorageError): string {
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    const error = refuse()
    error.cause = cause
    throw error
  }
}
