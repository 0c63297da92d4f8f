import type { StorageAccount } from '../model/account.ts'
import type { StorageRequest } from '../wire/request.ts'
import type { SharedKeyCaller } from './access.ts'
import { isSignedBy } from './hmac.ts'
import {
  authenticationFailed,
  authenticationMalformed,
  keyAuthenticationNotPermitted,
  signatureMismatch,
} from './refusal.ts'

/*
 * Shared Key and Shared Key Lite, recomputed from the request ("Authorize with Shared Key" in
 * Azure's REST reference).
 */

type Scheme = 'SharedKey' | 'SharedKeyLite'

const maxAgeMs = 15 * 60 * 1000

// In the order in which they are signed.
const signedHeaders = [
  'content-encoding',
  'content-language',
  'content-length',
  'content-md5',
  'content-type',
  'date',
  'if-modified-since',
  'if-match',
  'if-none-match',
  'if-unmodified-since',
  'range',
] as const
const liteHeaders = ['content-md5', 'content-type', 'date'] as const

/** Verifies `Authorization: SharedKey account:signature`; throws `StorageError` 400 or 403. */
export function verifySharedKey(request: StorageRequest, account: StorageAccount): SharedKeyCaller {
  const { scheme, name, signature } = parse(request.headers['authorization'] ?? '')
  if (!account.settings.allowSharedKey) throw keyAuthenticationNotPermitted()
  if (name !== account.settings.name) {
    throw authenticationFailed('The account of the Authorization header is not the account asked')
  }
  checkDate(request, account.nowMs())
  const candidates = stringsToSign(request, scheme)
  if (candidates.some((text) => isSignedBy(account.settings.keys, text, signature))) {
    return { kind: 'sharedKey' }
  }
  throw signatureMismatch(candidates[0] ?? '')
}

/**
 * What the client must have signed: two texts where sorting headers by their bytes, and by words as
 * .NET does, are not the same.
 */
function stringsToSign(request: StorageRequest, scheme: Scheme): readonly string[] {
  const lite = scheme === 'SharedKeyLite'
  const resource = lite ? liteResource(request) : fullResource(request)
  const head = headers(request, lite ? liteHeaders : signedHeaders)
  return canonicalHeaders(request).map((lines) => `${request.method}\n${head}${lines}${resource}`)
}

function parse(header: string): { scheme: Scheme; name: string; signature: string } {
  const match = /^(SharedKey|SharedKeyLite) ([^:\s]+):([A-Za-z0-9+/]+={0,2})$/.exec(header)
  const [, scheme, name, signature] = match ?? []
  if (name === undefined || signature === undefined) {
    throw authenticationMalformed('expected "SharedKey account:signature"')
  }
  return { scheme: scheme === 'SharedKeyLite' ? scheme : 'SharedKey', name, signature }
}

function checkDate(request: StorageRequest, nowMs: number): void {
  const text = request.headers['x-ms-date'] ?? request.headers['date']
  if (text === undefined) throw authenticationFailed('x-ms-date or Date is missing')
  const sentMs = Date.parse(text)
  if (!Number.isFinite(sentMs)) throw authenticationFailed('x-ms-date or Date is not a date')
  if (Math.abs(nowMs - sentMs) > maxAgeMs) {
    throw authenticationFailed(
      `Request date header too old or in the future: '${text}'. Server time: '${new Date(nowMs).toUTCString()}'`,
    )
  }
}

function headers(request: StorageRequest, names: readonly string[]): string {
  return names.map((name) => `${headerToSign(request, name)}\n`).join('')
}

function headerToSign(request: StorageRequest, name: string): string {
  const value = request.headers[name] ?? ''
  if (name === 'content-length' && value === '0') return ''
  if (name === 'date' && request.headers['x-ms-date'] !== undefined) return ''
  return value
}

function canonicalHeaders(request: StorageRequest): readonly string[] {
  const names = Object.keys(request.headers).filter((name) => name.startsWith('x-ms-'))
  const lines = (sorted: readonly string[]): string =>
    sorted.map((name) => `${name}:${(request.headers[name] ?? '').trim()}\n`).join('')
  const byBytes = lines(names.toSorted(byText))
  const byWords = lines(names.toSorted((a, b) => byText(wordOf(a), wordOf(b)) || byText(a, b)))
  return byBytes === byWords ? [byBytes] : [byBytes, byWords]
}

function byText(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}

/** Hyphens do not count and underscores come before digits where words are sorted by .NET. */
function wordOf(name: string): string {
  return name.replaceAll('-', '').replaceAll('_', '/')
}

function fullResource(request: StorageRequest): string {
  const query = [...request.query].toSorted(([a], [b]) => byText(a, b))
  const lines = query.map(([name, value]) => `\n${name}:${value}`).join('')
  return `/${request.account}${request.rawPath}${lines}`
}

function liteResource(request: StorageRequest): string {
  const component = request.query.get('comp')
  const query = component === undefined ? '' : `?comp=${component}`
  return `/${request.account}${request.rawPath}${query}`
}
