import { inferredTier } from '../blob/tier-header.ts'
import type { Extent } from '../model/extent.ts'
import type {
  BlobRecord,
  Block,
  DeletedRecord,
  Encryption,
  PathRecord,
  PathState,
} from '../model/record.ts'
import { sliceExtent, zeroExtent } from '../model/sparse-content.ts'

// Records go to JSON as they are, but for three things: maps are lists of pairs, extents are their
// places, and a content is its extents. A place is `[segment, offset, bytes]`, followed by
// `start, bytes` for a part of that extent; a number stands for so many zeros.

/** An extent in JSON. */
export type ExtentJson =
  | number
  | readonly [segment: number, offset: number, sizeBytes: number]
  | readonly [
      segment: number,
      offset: number,
      sizeBytes: number,
      partStart: number,
      partBytes: number,
    ]

type BlockJson = readonly [id: string, extent: ExtentJson, encryption?: Encryption]

interface BlobRecordJson extends Omit<BlobRecord, 'content' | 'blocks'> {
  readonly content: readonly ExtentJson[]
  readonly blocks?: readonly BlockJson[] | undefined
}

type RecordJson = BlobRecordJson | Exclude<PathRecord, BlobRecord>
type Pairs<V, K = string> = readonly (readonly [K, V])[]

/** The state of a name in JSON. */
export interface StateJson extends Pick<PathState, 'name' | 'lease'> {
  readonly current?: RecordJson | undefined
  readonly staged?: Pairs<BlockJson> | undefined
  readonly appended?: Pairs<ExtentJson, number> | undefined
  readonly snapshots?: Pairs<BlobRecordJson> | undefined
  readonly versions?: Pairs<BlobRecordJson> | undefined
  readonly deleted?:
    | readonly (Omit<DeletedRecord, 'record'> & { readonly record: RecordJson })[]
    | undefined
}

/** Where extents are written and found again. */
export interface ExtentPlaces {
  placeOf(extent: Extent): readonly [segmentId: number, offset: number, sizeBytes: number]
  extentAt(segmentId: number, offset: number, sizeBytes: number): Extent
}

/** A state as JSON. */
export function encodeState(state: PathState, places: ExtentPlaces): StateJson {
  const { current, staged, appended, snapshots, versions, deleted, ...rest } = state
  const record = (one: BlobRecord) => encodeBlob(one, places)
  return {
    ...rest,
    current: current && encodeRecord(current, places),
    staged: staged && pairs(staged, (block) => encodeBlock(block, places)),
    appended: appended && pairs(appended, (extent) => encodeExtent(extent, places)),
    snapshots: snapshots && pairs(snapshots, record),
    versions: versions && pairs(versions, record),
    deleted: deleted?.map((one) => ({ ...one, record: encodeRecord(one.record, places) })),
  }
}

/**
 * Makes `json` the state that `encodeState` made it of. The same place gives the same extent. In
 * place: copies of a million parsed objects take twice the time and half as much memory again.
 */
export function decodeState(json: StateJson, places: ExtentPlaces): PathState {
  const { current, staged, appended, snapshots, versions, deleted } = json
  const record = (one: BlobRecordJson) => decodeBlob(one, places)
  if (current !== undefined) decodeRecord(current, places)
  for (const one of deleted ?? []) decodeRecord(one.record, places)
  if (staged === undefined && appended === undefined && !snapshots && !versions) {
    return json as PathState
  }
  return Object.assign(json, {
    staged: staged && mapOf(staged, (block) => decodeBlock(block, places)),
    appended: appended && mapOf(appended, (one) => decodeExtent(one, places)),
    snapshots: snapshots && mapOf(snapshots, record),
    versions: versions && mapOf(versions, record),
  }) as PathState
}

/** All extents that a state refers to: those that parts are of, not the parts. */
export function* extentsOf(state: PathState): Generator<Extent> {
  for (const { extent } of state.staged?.values() ?? []) yield rootOf(extent)
  for (const extent of state.appended?.values() ?? []) yield rootOf(extent)
  for (const record of recordsOf(state)) {
    if (record.kind === 'directory') continue
    for (const extent of record.content.extents) yield rootOf(extent)
    for (const { extent } of record.blocks ?? []) yield rootOf(extent)
  }
}

/** All records of a state: the current one, snapshots, versions, deleted ones. */
export function* recordsOf(state: PathState): Generator<PathRecord> {
  if (state.current !== undefined) yield state.current
  if (state.snapshots !== undefined) yield* state.snapshots.values()
  if (state.versions !== undefined) yield* state.versions.values()
  for (const { record } of state.deleted ?? []) yield record
}

function encodeRecord(record: PathRecord, places: ExtentPlaces): RecordJson {
  return record.kind === 'blob' ? encodeBlob(record, places) : record
}

function encodeBlob(record: BlobRecord, places: ExtentPlaces): BlobRecordJson {
  return {
    ...record,
    content: record.content.extents.map((extent) => encodeExtent(extent, places)),
    blocks: record.blocks?.map((block) => encodeBlock(block, places)),
  }
}

function encodeBlock({ id, extent, encryption }: Block, places: ExtentPlaces): BlockJson {
  const place = encodeExtent(extent, places)
  return encryption === undefined ? [id, place] : [id, place, encryption]
}

function encodeExtent(extent: Extent, places: ExtentPlaces): ExtentJson {
  if (extent.zeros === true || extent.sizeBytes === 0) return extent.sizeBytes
  if (extent.part === undefined) return places.placeOf(extent)
  const { of, start } = extent.part
  return [...places.placeOf(of), start, extent.sizeBytes]
}

function decodeRecord(json: RecordJson, places: ExtentPlaces): PathRecord {
  return json.kind === 'blob' ? decodeBlob(json, places) : json
}

function decodeBlob(json: BlobRecordJson, places: ExtentPlaces): BlobRecord {
  const extents = json.content.map((extent) => decodeExtent(extent, places))
  let sizeBytes = 0
  for (const extent of extents) sizeBytes += extent.sizeBytes
  const decoded: Partial<Record<keyof BlobRecord, unknown>> = json
  decoded.content = { sizeBytes, extents }
  if (isInferred(json.tier)) decoded.tier = inferredTier
  if (json.blocks !== undefined) {
    decoded.blocks = json.blocks.map((block) => decodeBlock(block, places))
  }
  return decoded as BlobRecord
}

function isInferred({ name, inferred, changedMs, rehydratingTo }: BlobRecord['tier']): boolean {
  const isPlain = changedMs === undefined && rehydratingTo === undefined
  return isPlain && inferred && name === inferredTier.name
}

function decodeBlock([id, place, encryption]: BlockJson, places: ExtentPlaces): Block {
  const extent = decodeExtent(place, places)
  return encryption === undefined ? { id, extent } : { id, extent, encryption }
}

function decodeExtent(json: ExtentJson, places: ExtentPlaces): Extent {
  if (typeof json === 'number') return zeroExtent(json)
  const [segment, offset, sizeBytes, partStart, partBytes] = json
  const extent = places.extentAt(segment, offset, sizeBytes)
  if (partStart === undefined || partBytes === undefined) return extent
  return sliceExtent(extent, partStart, partStart + partBytes)
}

function rootOf(extent: Extent): Extent {
  return extent.part?.of ?? extent
}

function pairs<K, V, J>(map: ReadonlyMap<K, V>, encode: (value: V) => J): (readonly [K, J])[] {
  return [...map].map(([key, value]) => [key, encode(value)] as const)
}

function mapOf<K, V, J>(list: readonly (readonly [K, J])[], decode: (json: J) => V): Map<K, V> {
  return new Map(list.map(([key, json]) => [key, decode(json)]))
}
