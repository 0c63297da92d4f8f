import { type BlobStore, type CallOptions, listAll } from '../blob/store.ts'
import { MiB } from '../byte-range.ts'
import { type AvroHeader, maxHeaderBytes, parseHeader } from './avro-file.ts'
import { damaged } from './damage.ts'
import { lastConsumableOf, type Manifest, manifestOf, segmentTimeMs } from './segments.ts'

/** An hour of a change feed. */
export interface Segment {
  /** Of its manifest. */
  readonly name: string
  readonly timeMs: number
}

/** The files of an account's change feed. */
export class FeedFiles {
  readonly #store: BlobStore

  constructor(store: BlobStore) {
    this.#store = store
  }

  /** The time of the last segment that may be read. `ENOENT` where the account has no feed, `EACCES` where it may not be read. */
  async lastConsumableMs(options: CallOptions): Promise<number> {
    return lastConsumableOf(await this.#text('meta/segments.json', options))
  }

  /** Segments that begin after `afterMs` and by `untilMs`, in order: listed by the day, or all at once where that is less. */
  async segments(
    afterMs: number,
    untilMs: number,
    options: CallOptions,
  ): Promise<readonly Segment[]> {
    const found: Segment[] = []
    for (const prefix of prefixes(afterMs, untilMs)) {
      for (const name of (await this.sizes(prefix, options)).keys()) {
        const timeMs = segmentTimeMs(name)
        if (timeMs !== undefined && timeMs > afterMs && timeMs <= untilMs)
          found.push({ name, timeMs })
      }
    }
    return found
  }

  async manifest(name: string, options: CallOptions): Promise<Manifest> {
    return manifestOf(await this.#text(name, options))
  }

  /** Of each blob below `prefix`, in the order of their names. */
  async sizes(prefix: string, options: CallOptions): Promise<ReadonlyMap<string, number>> {
    const sizes = new Map<string, number>()
    const how = { ...options, metadata: false }
    for await (const entry of listAll(this.#store, { container, name: prefix }, how)) {
      if (entry.kind === 'blob') sizes.set(entry.name, entry.properties.sizeBytes)
    }
    return sizes
  }

  /** What a chunk begins with; `undefined` while it is not there whole. */
  async header(
    name: string,
    sizeBytes: number,
    options: CallOptions,
  ): Promise<AvroHeader | undefined> {
    for (let end = firstHeaderBytes; ; end *= 4) {
      const header = parseHeader(await this.bytes(name, 0, Math.min(end, sizeBytes), options))
      if (header !== undefined) return header
      if (end >= maxHeaderBytes) throw damaged('a header without an end')
      if (end >= sizeBytes) return undefined
    }
  }

  async bytes(name: string, start: number, end: number, options: CallOptions): Promise<Uint8Array> {
    const path = { container, name }
    return (await this.#store.get(path, { ...options, range: { start, end } })).data
  }

  async #text(name: string, options: CallOptions): Promise<string> {
    return Buffer.from(await this.bytes(name, 0, maxJsonBytes, options)).toString('utf8')
  }
}

function prefixes(afterMs: number, untilMs: number): string[] {
  if (untilMs - afterMs > maxDays * dayMs) return ['idx/segments/']
  const days: string[] = []
  for (let day = Math.floor(afterMs / dayMs); day * dayMs <= untilMs; day += 1) {
    days.push(
      `idx/segments/${new Date(day * dayMs).toISOString().slice(0, 10).replaceAll('-', '/')}/`,
    )
  }
  return days
}

/** Where a change feed is. */
export const container = '$blobchangefeed'
export const dayMs = 86_400_000
/** How many days are listed one by one. */
export const maxDays = 31
/** Segments are of hours, give or take 15 minutes: what is older than two is not appended to any more. */
export const watchedMs: number = 2 * 3_600_000
/** Read at once. */
export const windowBytes: number = 4 * MiB
const firstHeaderBytes = 64 * 1024
const maxJsonBytes: number = MiB
