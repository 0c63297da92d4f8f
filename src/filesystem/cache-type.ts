import { MiB } from '../byte-range.ts'
import { expectOptions } from '../expect-option.ts'

/** What of an open file is fetched when something of it is read, and what is kept. */
export interface CachePolicy {
  /** How far ahead of who reads in sequence bytes are fetched. */
  readonly aheadBytes: number
  /** Reads are widened to whole blocks of so many bytes. Absent: to 64 KiB. */
  readonly blockBytes?: number | undefined
  /** Only what lies before is kept in memory; the rest is read past it, as it is asked for. Absent: all. */
  readonly keepBelow?: number | undefined
}

/**
 * How an open file is fetched, by fsspec's names. All share one memory of blocks, by path and version.
 *
 * - `readahead` (the default), `background`, `parts`: ahead of who reads in sequence, in a window that
 *   grows to 32 MiB;
 * - `none`, `bytes`, `block`: what is read, rounded to blocks, and nothing ahead;
 * - `first`: the first 4 MiB at once when any of it is read, and kept; nothing behind it is;
 * - `mmap`: whole blocks of 1 MiB, those that are missing next to each other in one request;
 * - `all`: ahead to the end of the file;
 * - a `CachePolicy`, or a name that `registerCache` was given.
 */
export type CacheType = CacheName | CachePolicy | (string & {})

type CacheName =
  | 'readahead'
  | 'background'
  | 'parts'
  | 'none'
  | 'bytes'
  | 'block'
  | 'blockcache'
  | 'first'
  | 'mmap'
  | 'all'

const sequential: CachePolicy = { aheadBytes: 32 * MiB }
const exact: CachePolicy = { aheadBytes: 0 }

const policies: Readonly<Record<CacheName, CachePolicy>> = {
  readahead: sequential,
  background: sequential,
  parts: sequential,
  none: exact,
  bytes: exact,
  block: exact,
  blockcache: exact,
  first: { aheadBytes: 0, blockBytes: 4 * MiB, keepBelow: 4 * MiB },
  mmap: { aheadBytes: 0, blockBytes: MiB },
  all: { aheadBytes: Number.MAX_SAFE_INTEGER },
}

/** The policy of a type; `TypeError` for a name that nobody knows, `RangeError` for what is none. */
export function policyOf(
  type: CacheType,
  registered: ReadonlyMap<string, CachePolicy>,
): CachePolicy {
  if (typeof type === 'object') return checkPolicy(type)
  const policy = registered.get(type) ?? (isName(type) ? policies[type] : undefined)
  if (policy !== undefined) return policy
  const known = [...Object.keys(policies), ...registered.keys()].join(', ')
  throw new TypeError(
    `cacheType: expected one of ${known} or { aheadBytes }, got ${JSON.stringify(type)}`,
  )
}

/** `RangeError` unless it can be followed. */
export function checkPolicy(policy: CachePolicy): CachePolicy {
  expectOptions(policy, '{ aheadBytes, blockBytes, keepBelow }', 'policy')
  const { aheadBytes, blockBytes = 1, keepBelow = 0 } = policy
  for (const [name, value, least] of [
    ['aheadBytes', aheadBytes, 0],
    ['blockBytes', blockBytes, 1],
    ['keepBelow', keepBelow, 0],
  ] as const) {
    if (!(value >= least))
      throw new RangeError(`${name}: expected bytes, ${least} or more, got ${value}`)
  }
  return policy
}

/** How far ahead of a sequential reader a file of `sizeBytes` is fetched, bytes. */
export function windowOf({ aheadBytes }: CachePolicy, sizeBytes: number): number {
  return Math.min(aheadBytes, Math.max(sizeBytes, 32 * MiB))
}

function isName(type: string): type is CacheName {
  return Object.hasOwn(policies, type)
}
