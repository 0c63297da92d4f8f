import { z } from 'zod'
import type { DiskCacheStats } from '../../transfer/disk-cache.ts'
import type { AheadCounts } from '../../transfer/fetch-whole.ts'
import type { TrafficReport } from '../traffic.ts'
import type { CallReport } from './call-meter.ts'

/** What a daemon tells of its drive, over its socket and as JSON. */
export interface DriveReport {
  readonly directory: string
  /** What is mounted: `abfs://CONTAINER[/PATH]`. */
  readonly source: string
  readonly pid: number
  readonly readOnly: boolean
  readonly calls: CallReport
  readonly memoryCacheBytes: number
  /** `undefined` without `--cache-dir`. */
  readonly diskCache?: DiskCacheStats | undefined
  /** Small files of the daemon's drives that were fetched before anybody opened them; absent: not counted. */
  readonly filesAhead?: Readonly<AheadCounts> | undefined
  readonly residentBytes: number
  readonly traffic: TrafficReport
  /** What the requests cost, roughly; US dollars. */
  readonly estimatedDollars: number
  /** Why the kernel reads no cached file by itself; `undefined` when it does, or may. */
  readonly whyNoPassthrough?: string | undefined
  /** `undefined` without `--change-feed`. */
  readonly changeFeed?: ChangeFeedReport | undefined
  /** What could not be stored since the drive began, and what was tried and is not stored so far. */
  readonly unsaved: readonly UnsavedFile[]
}

/** How the account's change feed is read. */
export interface ChangeFeedReport {
  /** When it was last read whole; milliseconds since the epoch; `undefined` before that. */
  readonly readAtMs?: number | undefined
  /** Changes that it told of, of all containers. */
  readonly changes: number
  /** Those of them for which something was forgotten. */
  readonly foreign: number
  readonly failures: number
  /** Why it cannot be read, as of the last try: changes of others show after `--attr-ttl`. */
  readonly failing?: string | undefined
}

/** A file whose last version, or removal, is not in Azure. */
export interface UnsavedFile {
  readonly path: string
  /** Where it is kept; `undefined` when it is lost. */
  readonly place?: string | undefined
  /** Of what is kept there; `undefined` where that is a journal which the next mount replays. */
  readonly sizeBytes?: number | undefined
  readonly error: string
  /** It may be stored yet: it is tried again, or is still open. */
  readonly isPending?: true | undefined
  /** It was removed here, and is there. */
  readonly isRemoval?: true | undefined
}

/** A daemon of another version may count other things: it is asked all the same, after an upgrade. */
const count = z.number().default(0)
const counts = z.record(z.string(), z.number())
const unsaved: z.ZodType<readonly UnsavedFile[]> = z.array(
  z.object({
    path: z.string(),
    place: z.string().optional(),
    sizeBytes: z.number().optional(),
    error: z.string(),
    isPending: z.literal(true).optional(),
    isRemoval: z.literal(true).optional(),
  }),
)
const calls: z.ZodType<CallReport> = z.object({
  byName: z.record(
    z.string(),
    z.object({
      count,
      failed: count,
      totalMs: count,
      buckets: z.array(z.number()),
    }),
  ),
  readBytes: count,
  writtenBytes: count,
})
const traffic: z.ZodType<TrafficReport> = z.object({
  atMs: count,
  sinceMs: count,
  requests: count,
  requestsByOperation: counts,
  retries: count,
  hedges: count,
  batched: count,
  bytesSent: count,
  bytesReceived: count,
  // A daemon of an earlier version does not tell them apart.
  contentBytesReceived: z.number().optional(),
  credentials: z.object({
    received: count,
    byKind: counts,
    longestLifeMs: count,
    lifeLeftMs: count,
  }),
  faults: count,
})
const diskCache: z.ZodType<DiskCacheStats> = z.object({
  hitBytes: count,
  missedBytes: count,
  writtenBytes: count,
  skippedBytes: count,
  damagedCount: count,
  failureCount: count,
})

const filesAhead: z.ZodType<Readonly<AheadCounts>> = z.object({
  fetchedFiles: count,
  fetchedBytes: count,
  usedFiles: count,
  usedBytes: count,
})

const changeFeed: z.ZodType<ChangeFeedReport> = z.object({
  readAtMs: z.number().optional(),
  changes: count,
  foreign: count,
  failures: count,
  failing: z.string().optional(),
})

const driveReport: z.ZodType<DriveReport> = z.object({
  directory: z.string(),
  source: z.string(),
  pid: z.number(),
  readOnly: z.boolean(),
  calls,
  memoryCacheBytes: count,
  diskCache: diskCache.optional(),
  filesAhead: filesAhead.optional(),
  residentBytes: count,
  traffic,
  estimatedDollars: count,
  whyNoPassthrough: z.string().optional(),
  changeFeed: changeFeed.optional(),
  unsaved,
})

/** Reads what a daemon sent; `undefined` for what no version of abfs would. */
export function readReport(sent: unknown): DriveReport | undefined {
  return driveReport.safeParse(sent).data
}

/** The same of the one thing that must be known when a drive ends. */
export function readUnsaved(sent: unknown): readonly UnsavedFile[] | undefined {
  return z.object({ unsaved }).safeParse(sent).data?.unsaved
}

/** Bytes of content from Azure for a byte that programs read; `undefined` before they read any. */
export function amplification({ calls, traffic }: DriveReport): number | undefined {
  const receivedBytes = traffic.contentBytesReceived ?? traffic.bytesReceived
  return calls.readBytes === 0 ? undefined : receivedBytes / calls.readBytes
}

/** The share of what was looked for on the disk that was there; `undefined` before anything was. */
export function diskHitShare({ diskCache: disk }: DriveReport): number | undefined {
  const soughtBytes = disk === undefined ? 0 : disk.hitBytes + disk.missedBytes
  return disk === undefined || soughtBytes === 0 ? undefined : disk.hitBytes / soughtBytes
}
