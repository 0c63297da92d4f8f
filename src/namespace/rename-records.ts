import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { checkPath } from './blob-name.ts'
import type { Kept } from './kept-by-renames.ts'

/** A source of a rename. */
export interface PlannedBlob extends Kept {
  /** What its name adds to the tree's: empty for the tree's marker, else it begins with `/`. */
  readonly suffix: string
  readonly etag: string
  readonly sizeBytes: number
}

/** A source and its copy. */
export interface CopiedBlob {
  readonly suffix: string
  /** Of the version that was copied. */
  readonly sourceEtag: string
  readonly targetEtag: string
  readonly sizeBytes: number
  /** Whether the rename made the blob at the destination; what it found there is not taken back. */
  readonly created: boolean
}

/** The copies of one page. */
export interface CopiedPage {
  /** Whether every source of the page has been dealt with. */
  readonly complete: boolean
  readonly rows: readonly CopiedBlob[]
}

/** What is being done: see `rename-journal.ts`. */
export type RenamePhase = 'copying' | 'deleting' | 'undoing'

/** One rename of a tree, as its journal tells it. */
export interface RenameState {
  readonly id: string
  readonly from: BlobPath
  readonly to: BlobPath
  readonly phase: RenamePhase
  readonly pages: number
  readonly files: number
  readonly bytes: number
  readonly startedMs: number
  /** Who works on it. */
  readonly owner: string
  /** Counts the writes of the state. */
  readonly revision: number
  /** Nobody works on it. */
  readonly released: boolean
}

const phases: readonly string[] = ['copying', 'deleting', 'undoing'] satisfies RenamePhase[]

/** Reads a journal's state. `EIO` when it is none, or would act outside of what its place allows. */
export function parseState(data: Uint8Array, place: BlobPath, id: string): RenameState {
  const record = parseRecord(data, place)
  const phase = phases.find((each) => each === record['phase'])
  const state = {
    id,
    from: pathIn(record['from'], place),
    to: pathIn(record['to'], place),
    phase: phase === 'deleting' || phase === 'undoing' ? phase : 'copying',
    pages: count(record['pages'], place),
    files: count(record['files'], place),
    bytes: count(record['bytes'], place),
    startedMs: count(record['startedMs'], place),
    owner: text(record['owner'], place),
    revision: count(record['revision'], place),
    released: record['released'] === true,
  } as const
  if (phase === undefined || state.from.container !== place.container) throw unreadable(place)
  return state
}

export function parsePlan(data: Uint8Array, place: BlobPath): PlannedBlob[] {
  return list(parseJson(data, place), place).map((item) => {
    const record = object(item, place)
    return {
      suffix: suffix(record['suffix'], place),
      etag: text(record['etag'], place),
      sizeBytes: count(record['sizeBytes'], place),
      ...(record['tier'] !== undefined && { tier: text(record['tier'], place) }),
      ...(record['tagCount'] !== undefined && { tagCount: count(record['tagCount'], place) }),
    }
  })
}

export function parseCopiedPage(data: Uint8Array, place: BlobPath): CopiedPage {
  const page = parseRecord(data, place)
  const rows = list(page['rows'], place).map((item) => {
    const record = object(item, place)
    return {
      suffix: suffix(record['suffix'], place),
      sourceEtag: text(record['sourceEtag'], place),
      targetEtag: text(record['targetEtag'], place),
      sizeBytes: count(record['sizeBytes'], place),
      created: record['created'] === true,
    }
  })
  return { complete: page['complete'] === true, rows }
}

function parseRecord(data: Uint8Array, place: BlobPath): Record<string, unknown> {
  return object(parseJson(data, place), place)
}

function parseJson(data: Uint8Array, place: BlobPath): unknown {
  try {
    return JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString())
  } catch (cause) {
    throw unreadable(place, cause)
  }
}

function object(value: unknown, place: BlobPath): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw unreadable(place)
  return Object.fromEntries(Object.entries(value))
}

function list(value: unknown, place: BlobPath): readonly unknown[] {
  if (!Array.isArray(value)) throw unreadable(place)
  return value
}

function text(value: unknown, place: BlobPath): string {
  if (typeof value !== 'string' || value === '') throw unreadable(place)
  return value
}

function count(value: unknown, place: BlobPath): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw unreadable(place)
  }
  return value
}

function suffix(value: unknown, place: BlobPath): string {
  if (typeof value !== 'string' || (value !== '' && !value.startsWith('/'))) throw unreadable(place)
  return value
}

/** A directory below a container's root: nothing else is ever renamed with a journal. */
function pathIn(value: unknown, place: BlobPath): BlobPath {
  const record = object(value, place)
  const path = { container: text(record['container'], place), name: text(record['name'], place) }
  checkPath(path, 'recover')
  return path
}

function unreadable(place: BlobPath, cause?: unknown): FileSystemError {
  return new FileSystemError('EIO', 'recover', {
    path: formatPath(place),
    detail: 'this is not the journal of a rename that this version of abfs can read',
    ...(cause === undefined ? {} : { cause }),
  })
}
