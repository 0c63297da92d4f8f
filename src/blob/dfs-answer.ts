import type { HttpResponse } from '../http/handler.ts'
import { quoted } from './azure-request.ts'
import { factsFrom } from './azure-response.ts'
import type { AclFailure, AclPage, ChangedPath, PathPage, PathProperties } from './hierarchy.ts'

/**
 * One page of Path - List: `{"paths":[{"name":"a","isDirectory":"true","contentLength":"0",…}]}`.
 * Numbers and truth are strings there, and false is left out. Throws `SyntaxError` when the body is
 * something else.
 */
export function pathPageFrom({ headers, body }: HttpResponse): PathPage {
  const { paths } = objectFrom(body)
  if (!Array.isArray(paths)) throw new SyntaxError('the listing has no array "paths"')
  return { paths: paths.map(pathFrom), continuation: headers['x-ms-continuation'] || undefined }
}

/** One page of a recursive change of access; throws `SyntaxError` when the body is something else. */
export function aclPageFrom({ headers, body }: HttpResponse): AclPage {
  const answer = objectFrom(body)
  const entries = answer['failedEntries'] ?? []
  if (!Array.isArray(entries)) throw new SyntaxError('"failedEntries" is no array')
  return {
    directories: countIn(answer, 'directoriesSuccessful'),
    files: countIn(answer, 'filesSuccessful'),
    failureCount: countIn(answer, 'failureCount'),
    failures: entries.map(failureFrom),
    continuation: headers['x-ms-continuation'] || undefined,
  }
}

/** Properties from the headers of a Path - Get Properties. */
export function pathPropertiesFrom(name: string, headers: HttpResponse['headers']): PathProperties {
  const facts = factsFrom(headers) ?? { isDirectory: false }
  const createdMs = Date.parse(headers['x-ms-creation-time'] ?? '')
  return {
    ...facts,
    ...changedFrom(headers),
    name,
    sizeBytes: facts.isDirectory ? 0 : Number(headers['content-length'] ?? 0),
    ...(Number.isNaN(createdMs) ? {} : { createdMs }),
  }
}

/** The version that a change made. */
export function changedFrom(headers: HttpResponse['headers']): ChangedPath {
  return {
    etag: quoted(headers['etag'] ?? ''),
    lastModifiedMs: Date.parse(headers['last-modified'] ?? '') || 0,
  }
}

type Fields = Readonly<Record<string, unknown>>

function objectFrom(body: Uint8Array): Fields {
  const text = Buffer.from(body.buffer, body.byteOffset, body.length).toString()
  const value: unknown = JSON.parse(text)
  if (isFields(value)) return value
  throw new SyntaxError('the body is no JSON object')
}

function pathFrom(row: unknown): PathProperties {
  if (!isFields(row)) throw new SyntaxError('a path of the listing is no object')
  const name = row['name']
  if (typeof name !== 'string' || name === '') throw new SyntaxError('a path has no name')
  const isDirectory = row['isDirectory'] === 'true' || row['isDirectory'] === true
  const sizeBytes = isDirectory ? 0 : Number(row['contentLength'] ?? 0)
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
    throw new SyntaxError(`the size of ${JSON.stringify(name)} is no number of bytes`)
  }
  return {
    name,
    isDirectory,
    sizeBytes,
    etag: quoted(textIn(row, 'etag') ?? textIn(row, 'eTag') ?? ''),
    lastModifiedMs: Date.parse(textIn(row, 'lastModified') ?? '') || 0,
    createdMs: timeIn(row, 'creationTime'),
    expiresMs: timeIn(row, 'expiryTime') || undefined,
    owner: textIn(row, 'owner'),
    group: textIn(row, 'group'),
    permissions: textIn(row, 'permissions'),
  }
}

function failureFrom(entry: unknown): AclFailure {
  if (!isFields(entry)) throw new SyntaxError('a failed entry is no object')
  return {
    name: textIn(entry, 'name') ?? '',
    isDirectory: textIn(entry, 'type')?.toUpperCase() === 'DIRECTORY',
    reason: textIn(entry, 'errorMessage') ?? 'no reason given',
  }
}

/** Listings tell these times as ticks of 100 ns since 1601, or as an HTTP date. */
function timeIn(row: Fields, key: string): number | undefined {
  const text = textIn(row, key)
  if (text === undefined || text === '0') return undefined
  const epochMs = /^\d+$/.test(text)
    ? Number(BigInt(text) / 10_000n) - ticksEpochMs
    : Date.parse(text)
  return Number.isNaN(epochMs) ? undefined : epochMs
}

/** 1601-01-01 to 1970-01-01; milliseconds. */
const ticksEpochMs = 11_644_473_600_000

function textIn(row: Fields, key: string): string | undefined {
  const value = row[key]
  return typeof value === 'string' ? value : undefined
}

function countIn(row: Fields, key: string): number {
  const value = Number(row[key] ?? 0)
  if (Number.isSafeInteger(value) && value >= 0) return value
  throw new SyntaxError(`"${key}" is no count`)
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
