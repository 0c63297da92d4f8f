/** Changes of what blobs say of themselves, on the version that the change was made for. */
import type { CallOptions, Metadata } from '../blob/store.ts'
import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { isImplied } from './blob-entry.ts'
import { onCurrentEntry } from './current-entry.ts'
import { type NamespaceParts, writeMarker } from './directories.ts'
import type { Entry, PosixAttributes } from './entry.ts'
import type { HierarchicalNames } from './hierarchical-names.ts'
import { callOptions } from './lookup.ts'
import { keepingTime, readPosixAttributes, withPosixAttributes } from './posix-metadata.ts'

export interface ChangeOptions extends CallOptions {
  /** Of the lease that the caller holds on the blob. */
  readonly leaseId?: string | undefined
  /** `changeMetadata` writes the time of modification that shows so far, where metadata tell none. Default false. */
  readonly keepsTime?: boolean | undefined
  /** Hears of the version that is about to be changed, which others may have stored a moment ago; again when it was replaced meanwhile. */
  readonly onVersion?: ((entry: Entry) => void) | undefined
}

/** What metadata are to be; `undefined` leaves them. */
export type MetadataChange = (metadata: Metadata) => Metadata | undefined

/** As `Namespace.setAttributes`; `names` where the account is hierarchical. */
export function setAttributes(
  parts: NamespaceParts,
  path: BlobPath,
  change: ChangeOptions & {
    readonly attributes: PosixAttributes
    readonly names: HierarchicalNames | undefined
  },
): Promise<Entry> {
  const { attributes, names, ...options } = change
  return onCurrentEntry(parts, path, options, async (entry) => {
    options.onVersion?.(entry)
    if (names !== undefined) return names.setAttributes(path, entry, { attributes, ...options })
    if (isImplied(entry)) return writeMarker(parts, path, { ...options, posix: attributes })
    const metadata = withPosixAttributes(entry.metadata, entry.type, keepingTime(attributes, entry))
    const posix = readPosixAttributes(metadata)
    return write(parts, path, { ...options, entry: { ...entry, metadata, posix } })
  })
}

/** As `Namespace.changeMetadata`. */
export function changeMetadata(
  parts: NamespaceParts,
  path: BlobPath,
  change: MetadataChange,
  { keepsTime = false, ...options }: ChangeOptions,
): Promise<Entry> {
  return onCurrentEntry(parts, path, options, async (known) => {
    const partial = known.partial === true
    const entry = partial ? await parts.lookup.stat(path, { ...options, fresh: true }) : known
    options.onVersion?.(entry)
    const metadata = change(entry.metadata)
    if (metadata === undefined) return entry
    if (isImplied(entry)) {
      const detail = 'no blob stands for it'
      throw new FileSystemError('ENOTSUP', 'setxattr', { path: formatPath(path), detail })
    }
    const changed = { ...entry, metadata }
    const isTimed = keepsTime && (await isTimeOurs(parts, path, { ...options, entry }))
    return write(parts, path, { ...options, entry: isTimed ? withTime(changed) : changed })
  })
}

/** A hierarchical account moves the time of a directory itself, with what is in it. */
async function isTimeOurs(
  { hierarchyOf }: NamespaceParts,
  { container }: BlobPath,
  { entry, ...options }: ChangeOptions & { readonly entry: Entry },
): Promise<boolean> {
  if (entry.type !== 'directory') return true
  return (await hierarchyOf(container, callOptions(options))) === undefined
}

function withTime(entry: Entry): Entry {
  const told = readPosixAttributes(entry.metadata)
  const { mtimeNs } = keepingTime(told, entry)
  if (mtimeNs === told.mtimeNs) return entry
  const metadata = withPosixAttributes(entry.metadata, entry.type, { mtimeNs })
  return { ...entry, metadata, posix: { ...entry.posix, mtimeNs } }
}

/** Stores the metadata of `entry` in the place of the version that the entry was. */
async function write(
  { store, cache }: NamespaceParts,
  path: BlobPath,
  change: ChangeOptions & { readonly entry: Entry },
): Promise<Entry> {
  const { entry } = change
  const blob = { ...path, name: entry.markerName ?? path.name }
  const options = { ...callOptions(change), ifMatch: entry.etag, leaseId: change.leaseId }
  const { etag, lastModifiedMs } = await store.setMetadata(blob, entry.metadata, options)
  const changed = { ...entry, etag, lastModifiedMs }
  cache.upsert(path, changed)
  return changed
}
