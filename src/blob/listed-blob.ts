import type { BlobProperties, ListEntry } from './store.ts'

// Classes and not literals: V8 watches what becomes of literals. A page is longer than the young generation of a
// process that has just begun, so that the first pages outlive its collections; from then on V8 makes the rows of all
// pages in the old generation, where they take memory until a full collection finds them.

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] }

/** What a listing tells of a blob, with a place for each field: an object that fields are added to takes twice the memory. */
export class ListedProperties implements Mutable<BlobProperties> {
  sizeBytes = 0
  etag = ''
  lastModifiedMs = 0
  createdMs: number | undefined
  contentType: string | undefined
  contentMd5: string | undefined
  blobType: BlobProperties['blobType']
  accessTier: string | undefined
  isTierChosen: boolean | undefined
  tagCount: number | undefined
  customerKeySha256: string | undefined
  metadata: BlobProperties['metadata']

  /** With what `model` has in the fields that few blobs differ in. */
  constructor(model?: BlobProperties) {
    this.createdMs = model?.createdMs
    this.contentType = model?.contentType
    this.contentMd5 = model?.contentMd5
    this.blobType = model?.blobType
    this.accessTier = model?.accessTier
    this.isTierChosen = model?.isTierChosen
    this.tagCount = model?.tagCount
    this.customerKeySha256 = model?.customerKeySha256
    this.metadata = model?.metadata
  }
}

/** A listed blob. */
export type ListedBlob = Extract<ListEntry, { kind: 'blob' }>

/** A listed blob of which nothing but its name and properties is told. */
export class ListedRow implements ListedBlob {
  readonly kind = 'blob'
  readonly name: string
  readonly properties: BlobProperties

  constructor(name: string, properties: BlobProperties) {
    this.name = name
    this.properties = properties
  }
}
