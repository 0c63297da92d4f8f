import type { Content } from '../model/extent.ts'

/** What a verb answers. The frame adds request ids, version and date. */
export interface StorageAnswer {
  readonly status: number
  /** Lower-case names. */
  readonly headers?: Readonly<Record<string, string | undefined>>
  /** A document, or `[start, end)` of stored content. */
  readonly body?: Uint8Array | string | ContentSlice | undefined
}

/** A stretch of stored bytes, streamed by the frame. */
export interface ContentSlice {
  readonly content: Content
  readonly start: number
  readonly end: number
}
