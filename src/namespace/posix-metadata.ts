import type { Metadata } from '../blob/store.ts'
import type { EntryType, PosixAttributes } from './entry.ts'

/** What the type bits and flags in `metadata` say the blob is. `sizeBytes` is the blob's. */
export function entryTypeOf(_metadata: Metadata, _sizeBytes: number): EntryType {
  throw new Error('not written')
}

/** The POSIX attributes that `metadata` tells, under AzCopy's, rclone's or Lustre's keys. */
export function readPosixAttributes(_metadata: Metadata): PosixAttributes {
  throw new Error('not written')
}

/** `metadata` with `attributes` of a `type` under AzCopy's keys; all other keys untouched. */
export function withPosixAttributes(
  _metadata: Metadata,
  _type: EntryType,
  _attributes: PosixAttributes,
): Metadata {
  throw new Error('not written')
}
