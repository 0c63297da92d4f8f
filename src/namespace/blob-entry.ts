import type { BlobProperties } from '../blob/store.ts'
import type { Entry } from './entry.ts'

/** The entry that a blob stands for; `name` is its path without trailing slash. */
export function entryFromBlob(_name: string, _properties: BlobProperties): Entry {
  throw new Error('not written')
}
