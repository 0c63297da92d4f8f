import type { StagedBlob } from '../blob/staged-blob.ts'
import { formatCrc64, parseCrc64 } from '../crc64.ts'
import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { checkPath } from './blob-name.ts'

/** A file that a transaction writes. */
export interface JournalledFile extends StagedBlob {
  /** The name in its container that its blocks are staged under, where that is not its own. */
  readonly stagedAt?: string | undefined
}

/** What a transaction deletes when all of its files are there. */
export interface JournalledRemoval {
  readonly path: BlobPath
  /** The version that is to be deleted; absent: the one that was there when the journal was written. */
  readonly ifMatch?: string | undefined
  /** With all that is below. */
  readonly isTree?: boolean | undefined
}

/** All that a transaction changes. */
export interface TransactionRecord {
  readonly files: readonly JournalledFile[]
  readonly removals: readonly JournalledRemoval[]
}

export function formatTransaction({ files, removals }: TransactionRecord): Buffer {
  const plain = files.map(({ crc64, ...file }) => ({
    ...file,
    ...(crc64 === undefined ? {} : { crc64: formatCrc64(crc64) }),
  }))
  return Buffer.from(JSON.stringify({ files: plain, removals }))
}

/** Reads what {@link formatTransaction} wrote. `EIO` when it is none, or names what no transaction changes. */
export function parseTransaction(data: Uint8Array, place: BlobPath): TransactionRecord {
  try {
    const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString()
    const record = object(JSON.parse(text))
    return {
      files: list(record['files']).map(fileIn),
      removals: list(record['removals']).map(removalIn),
    }
  } catch (error) {
    throw unreadable(place, error)
  }
}

function unreadable(place: BlobPath, cause: unknown): FileSystemError {
  const detail = 'this is not the journal of a transaction that this version of abfs can read'
  return new FileSystemError('EIO', 'recover', { path: formatPath(place), detail, cause })
}

function fileIn(value: unknown): JournalledFile {
  const record = object(value)
  const path = pathIn(record['path'])
  const crc64 = optional(record['crc64'], text)
  const stagedAt = optional(record['stagedAt'], text)
  if (stagedAt !== undefined) checkPath({ ...path, name: stagedAt }, 'recover')
  return {
    path,
    stagedAt,
    blockIds: list(record['blockIds']).map(text),
    sizeBytes: count(record['sizeBytes']),
    crc64: crc64 === undefined ? undefined : parseCrc64(crc64),
    ifMatch: optional(record['ifMatch'], text),
    ifNoneMatch: record['ifNoneMatch'] === '*' ? '*' : undefined,
    metadata: optional(record['metadata'], texts),
    contentType: optional(record['contentType'], text),
    headers: optional(record['headers'], texts),
    tier: optional(record['tier'], text),
    tags: optional(record['tags'], texts),
  }
}

function removalIn(value: unknown): JournalledRemoval {
  const record = object(value)
  const ifMatch = optional(record['ifMatch'], text)
  return { path: pathIn(record['path']), ifMatch, isTree: record['isTree'] === true }
}

/** What is below a container's root, and not abfs's own. */
function pathIn(value: unknown): BlobPath {
  const record = object(value)
  const path = { container: text(record['container']), name: text(record['name']) }
  checkPath(path, 'recover')
  if (path.name === '') throw new TypeError('a name is empty')
  return path
}

function optional<T>(value: unknown, parse: (value: unknown) => T): T | undefined {
  return value === undefined ? undefined : parse(value)
}

function object(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value))
  throw new TypeError('no object')
}

function list(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value
  throw new TypeError('no list')
}

function text(value: unknown): string {
  if (typeof value === 'string') return value
  throw new TypeError('no text')
}

function texts(value: unknown): Record<string, string> {
  const entries = Object.entries(object(value)).map(([key, each]) => [key, text(each)] as const)
  return Object.fromEntries(entries)
}

function count(value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw new TypeError('no count')
}
