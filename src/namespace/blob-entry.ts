import { modeOfPermissions } from '../blob/acl.ts'
import type { PathProperties } from '../blob/hierarchy.ts'
import type { BlobProperties, Metadata, PathFacts } from '../blob/store.ts'
import type { Entry, EntryType, PosixAttributes } from './entry.ts'
import { entryTypeOf, readPosixAttributes } from './posix-metadata.ts'

/** A class and not a literal, for what is said of `ListedProperties`. */
class BlobEntry implements Entry {
  readonly name: string
  readonly type: EntryType
  readonly sizeBytes: number
  readonly etag: string
  readonly lastModifiedMs: number
  readonly createdMs: number | undefined
  readonly contentType: string | undefined
  readonly contentMd5: string | undefined
  readonly headers: Entry['headers']
  readonly chosenTier: string | undefined
  readonly tagCount: number | undefined
  readonly posix: PosixAttributes
  readonly metadata: Metadata
  readonly markerName: string | undefined

  constructor(blobName: string, properties: BlobProperties) {
    const metadata = properties.metadata ?? noMetadata
    const type = typeFromBlob(blobName, properties)
    const { facts } = properties
    const posix = readPosixAttributes(metadata)
    this.name = blobName.endsWith('/') ? blobName.slice(0, -1) : blobName
    this.type = type
    this.sizeBytes = type === 'directory' ? 0 : properties.sizeBytes
    this.etag = properties.etag
    this.lastModifiedMs = properties.lastModifiedMs
    this.createdMs = properties.createdMs
    this.contentType = properties.contentType
    this.contentMd5 = properties.contentMd5
    this.headers = properties.headers
    this.chosenTier = properties.isTierChosen === true ? properties.accessTier : undefined
    this.tagCount = properties.tagCount
    this.posix = facts === undefined ? posix : withPermissions(posix, type, facts)
    this.metadata = metadata
    this.markerName = type === 'directory' ? blobName : undefined
  }
}

/**
 * The entry that a blob stands for: a file, or what its metadata says. `blobName` may end in `/`,
 * which makes it a directory's marker.
 */
export function entryFromBlob(blobName: string, properties: BlobProperties): Entry {
  const entry = new BlobEntry(blobName, properties)
  const { blobType, facts, tags } = properties
  const odd = blobType === undefined || blobType === 'BlockBlob' ? undefined : { blobType }
  if (facts === undefined && odd === undefined && tags === undefined) return entry
  const tagged = tags === undefined ? undefined : { tags }
  return { ...entry, ...odd, ...tagged, ...(facts === undefined ? {} : accessOf(facts)) }
}

/** The type alone of {@link entryFromBlob}: every read asks for it. */
export function typeFromBlob(blobName: string, properties: BlobProperties): EntryType {
  const isDirectory = blobName.endsWith('/') || properties.facts?.isDirectory === true
  if (isDirectory) return 'directory'
  return entryTypeOf(properties.metadata ?? noMetadata, properties.sizeBytes)
}

const noMetadata: Metadata = Object.freeze({})

/** The entry of a path that a listing of the hierarchy told: partial, as metadata is not known. */
export function entryFromPath(path: PathProperties): Entry {
  const { name, isDirectory, sizeBytes, etag, lastModifiedMs, createdMs } = path
  const type = isDirectory ? 'directory' : 'file'
  return {
    name,
    type,
    sizeBytes,
    etag,
    lastModifiedMs,
    createdMs,
    posix: withPermissions({}, type, path),
    metadata: {},
    markerName: isDirectory ? name : undefined,
    ...accessOf(path),
    partial: true,
  }
}

/**
 * The bits of a mode that access control does not have, which stay in metadata: `S_ISUID`, `S_ISGID`,
 * and `S_ISVTX` of what is no directory.
 */
export function bitsInMetadata(type: EntryType): number {
  return type === 'directory' ? 0o6000 : 0o7000
}

/** A hierarchy's permissions are those that count; links and devices have only their metadata. */
function withPermissions(
  posix: PosixAttributes,
  type: EntryType,
  facts: PathFacts | undefined,
): PosixAttributes {
  const mode =
    type === 'file' || type === 'directory' ? modeOfPermissions(facts?.permissions) : undefined
  if (mode === undefined) return posix
  return { ...posix, mode: mode | ((posix.mode ?? 0) & bitsInMetadata(type)) }
}

function accessOf(facts: PathFacts | undefined): Partial<Entry> {
  if (facts === undefined) return {}
  const { owner, group, permissions, expiresMs } = facts
  return { owner, group, permissions, ...(expiresMs === undefined ? {} : { expiresMs }) }
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

/** Whether the one hides the other. */
export function areFileAndDirectory(known: Entry | undefined, found: Entry): boolean {
  return known !== undefined && (known.type === 'directory') !== (found.type === 'directory')
}

function rank(entry: Entry): number {
  if (entry.type !== 'directory') return 0
  if (entry.markerName === undefined) return 1
  return entry.markerName.endsWith('/') ? 2 : 3
}
