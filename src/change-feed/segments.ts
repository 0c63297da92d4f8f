import { damaged } from './damage.ts'

/** What a segment's `meta.json` says. */
export interface Manifest {
  /** Nothing will be appended to it. */
  readonly isFinal: boolean
  /** Prefixes of the names of its chunks. */
  readonly shards: readonly string[]
}

/** Of `meta/segments.json`: the time of the last segment that may be read; milliseconds since the epoch. */
export function lastConsumableOf(json: string): number {
  const { lastConsumable } = parse(json, 'meta/segments.json')
  const timeMs = typeof lastConsumable === 'string' ? Date.parse(lastConsumable) : Number.NaN
  if (Number.isNaN(timeMs)) throw damaged('meta/segments.json tells no lastConsumable')
  return timeMs
}

export function manifestOf(json: string): Manifest {
  const { status, chunkFilePaths } = parse(json, 'the manifest of a segment')
  if (!Array.isArray(chunkFilePaths)) throw damaged('the manifest of a segment names no chunks')
  return { isFinal: status === 'Finalized', shards: chunkFilePaths.map(shardOf) }
}

/** When the hour of a manifest of this name begins; `undefined` for other names. */
export function segmentTimeMs(name: string): number | undefined {
  const found = /^idx\/segments\/(\d{4})\/(\d\d)\/(\d\d)\/(\d\d)(\d\d)\/meta\.json$/.exec(name)
  if (found === null) return undefined
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0] = found.slice(1).map(Number)
  return Date.UTC(year, month - 1, day, hour, minute)
}

function shardOf(path: unknown): string {
  const [, prefix] =
    typeof path === 'string' ? (/^\$blobchangefeed\/(log\/.+\/)$/.exec(path) ?? []) : []
  if (prefix === undefined) throw damaged('the manifest of a segment names chunks elsewhere')
  return prefix
}

function parse(json: string, what: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(json)
    if (typeof value === 'object' && value !== null) return { ...value }
  } catch (error) {
    throw damaged(`${what} is not JSON`, error)
  }
  throw damaged(`${what} is no object`)
}
