import type { Metadata } from '../blob/store.ts'
import type { Entry, EntryType, PosixAttributes } from '../namespace/entry.ts'
import { readPosixAttributes, withPosixAttributes } from '../namespace/posix-metadata.ts'

/**
 * What a mount makes of the metadata of modes, owners and times: it shows and writes it (`write`), shows
 * it alone (`read`), or neither (`off`: links, fifos, sockets and devices are files then).
 */
export type PosixUse = 'off' | 'read' | 'write'

/** `entry` as a mount shows it. */
export function shownEntry(entry: Entry, use: PosixUse): Entry {
  return use === 'off' ? { ...entry, type: plainType(entry.type), posix: nothing } : entry
}

function plainType(type: EntryType): EntryType {
  return type === 'directory' ? type : 'file'
}

/** What of `attributes` a mount keeps in metadata. */
export function keptPosix(attributes: PosixAttributes, use: PosixUse): PosixAttributes {
  return use === 'write' ? attributes : nothing
}

/** The mode is there, and undefined: links have one where nothing else is said. */
const nothing: PosixAttributes = Object.freeze({ mode: undefined })

/**
 * The metadata of a new version of a file. A mount that writes none leaves all as it was but a time of
 * modification: who believes metadata would miss the change.
 */
export function metadataOfVersion(
  version: {
    readonly before: Entry | undefined
    readonly changes: PosixAttributes
    readonly metadata: Metadata
  },
  use: PosixUse,
): Metadata {
  const { before, changes, metadata } = version
  if (use === 'write') {
    return withPosixAttributes(metadata, 'file', { ...before?.posix, ...changes })
  }
  const hasTime = readPosixAttributes(metadata).mtimeNs !== undefined
  return hasTime ? withPosixAttributes(metadata, 'file', { mtimeNs: changes.mtimeNs }) : metadata
}
