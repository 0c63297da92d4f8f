/** Bytes that never change: one uploaded piece. Shared by all records that contain it. */
export interface Extent {
  readonly sizeBytes: number
  /** The bytes of `[start, end)`, both within the extent. Never written to by the reader. */
  read(start: number, end: number): Uint8Array | Promise<Uint8Array>
  /** Set where it is a part of another, beginning there. */
  readonly part?: { readonly of: Extent; readonly start: number } | undefined
  /** Set where it is zeros that are stored nowhere. */
  readonly zeros?: true | undefined
}

/** Where uploaded bytes go: memory, or files that outlive the process. */
export interface ExtentStore {
  /** Takes ownership of `data`. */
  write(data: Uint8Array): Extent | Promise<Extent>
}

/** The bytes of one version of a blob, as consecutive extents. */
export interface Content {
  readonly sizeBytes: number
  readonly extents: readonly Extent[]
}

/** No bytes. */
export const emptyContent: Content = { sizeBytes: 0, extents: [] }

/** Keeps extents in memory. */
export const memoryExtents: ExtentStore = {
  write: (data) => ({
    sizeBytes: data.byteLength,
    read: (start, end) => data.subarray(start, end),
  }),
}
