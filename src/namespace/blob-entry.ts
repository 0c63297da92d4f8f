import type { BlobProperties } from '../blob/store.ts'
import type { Entry } from './entry.ts'
import { entryTypeOf, readPosixAttributes } from './posix-metadata.ts'

/**
 * The entry that a blob stands for: a file, or what its metadata says. `blobName` may end in `/`,
 * which makes it a directory's marker.
 */
export function entryFromBlob(blobName: string, properties: BlobProperties): Entry {
  const metadata = properties.metadata ?? {}
  const slash = blobName.endsWith('/')
  const type = slash ? 'directory' : entryTypeOf(metadata, properties.sizeBytes)
  return {
    name: slash ? blobName.slice(0, -1) : blobName,
    type,
    sizeBytes: type === 'directory' ? 0 : properties.sizeBytes,
    etag: properties.etag,
    lastModifiedMs: properties.lastModifiedMs,
    createdMs: properties.createdMs,
    contentType: properties.contentType,
    contentMd5: properties.contentMd5,
    posix: readPosixAttributes(metadata),
    metadata,
    markerName: type === 'directory' ? blobName : undefined,
  }
}

/** A directory that no blob marks: its children imply it, or it is a root. */
export function impliedDirectory(name: string, lastModifiedMs?: number): Entry {
  const posix = {}
  const metadata = {}
  return {
    name,
    type: 'directory',
    sizeBytes: 0,
    etag: undefined,
    lastModifiedMs,
    posix,
    metadata,
  }
}

/** Whether only children imply this directory. */
export function isImplied(entry: Entry): boolean {
  return entry.type === 'directory' && entry.markerName === undefined
}

/**
 * The one entry for two finds of the same name. A directory wins over a file; a marked directory
 * over an implied one; `dir` over `dir/`.
 */
export function mergeEntries(known: Entry | undefined, found: Entry): Entry {
  if (known === undefined || rank(found) > rank(known)) return found
  return known
}

function rank(entry: Entry): number {
  if (entry.type !== 'directory') return 0
  if (entry.markerName === undefined) return 1
  return entry.markerName.endsWith('/') ? 2 : 3
}
