import type { Need, Right } from '../access/access.ts'
import { type Place, stateOf } from '../model/changes.ts'
import { assertLease } from '../model/lease.ts'
import type { BlobRecord, PathRecord, PathState } from '../model/record.ts'
import type { VerbContext } from '../verb.ts'
import { type ConditionSubject, checkWrite, readConditions } from '../wire/conditions.ts'
import { invalidQuery, refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { existing } from './refusals.ts'

const maxDepth = 63
const maxSegmentChars = 255

/** The path that a verb of the dfs face is about. */
export interface DfsTarget {
  readonly place: Place
  /** '' is the root. */
  readonly name: string
  readonly state: PathState
  /** Absent when nothing is there, or what was there has expired. */
  readonly record: PathRecord | undefined
}

/** A path that exists. */
export interface ExistingTarget extends DfsTarget {
  readonly record: PathRecord
}

/** A file that exists. */
export interface FileTarget extends DfsTarget {
  readonly record: BlobRecord
}

/** The decoded name without empty segments: dfs knows no names with a slash at either end. */
export function pathName({ path }: Pick<StorageRequest, 'path'>): string {
  return cleanName(path ?? '')
}

/** A name without empty segments; 400 `InvalidResourceName` beyond Azure's depth and lengths. */
export function cleanName(path: string): string {
  const segments = path.split('/').filter((segment) => segment !== '')
  if (segments.length > maxDepth || segments.some((each) => each.length > maxSegmentChars)) {
    throw refusal('InvalidResourceName')
  }
  return segments.join('/')
}

/** What a verb on the path of the request needs. */
export function needOnPath(
  { container, path }: Pick<StorageRequest, 'container' | 'path'>,
  right: Right,
  ...or: Right[]
): readonly Need[] {
  return [{ right, or, resource: 'path', container, path: cleanName(path ?? '') }]
}

/** The path of the request with what is there; nothing is checked but that the container exists. */
export function targetOf(context: VerbContext): DfsTarget {
  const { account, request } = context
  return lookUp({ account, container: context.container() }, pathName(request))
}

/** What a name stands for. */
export function lookUp(place: Place, name: string): DfsTarget {
  const state = stateOf(place.container, name)
  return { place, name, state, record: liveRecord(place, state) }
}

/** The current record unless its time is over. */
export function liveRecord({ account }: Place, { current }: PathState): PathRecord | undefined {
  const expiresMs = current?.kind === 'blob' ? current.expiresMs : undefined
  return expiresMs !== undefined && expiresMs <= account.nowMs() ? undefined : current
}

/** The path of the request: 404 `PathNotFound`. */
export function existingTarget(context: VerbContext): ExistingTarget {
  const target = targetOf(context)
  if (target.record === undefined) {
    throw refusal('PathNotFound')
  }
  return { ...target, record: target.record }
}

/** The path of a change to what is there: conditions and lease are checked. */
export function changedTarget(context: VerbContext): ExistingTarget {
  const target = existingTarget(context)
  assertWritable(context, target)
  return target
}

/** The target as a file: 409 `PathConflict` for a directory. */
export function asFile<T extends ExistingTarget>(target: T): T & FileTarget {
  const { record } = target
  if (record.kind !== 'blob') {
    throw existing('PathConflict', record.kind)
  }
  return { ...target, record }
}

/** Checks the conditions and the lease of a write on what is there: 412, 409 `PathAlreadyExists`. */
export function assertWritable({ request, account }: VerbContext, target: DfsTarget): void {
  const { record } = target
  const conditions = readConditions(request)
  if (record && conditions.ifNoneMatch?.includes('*')) {
    throw existing('PathAlreadyExists', record.kind)
  }
  checkWrite(conditions, record && subjectOf(record), 'PathAlreadyExists')
  assertLease(target.state, request, { use: 'write', nowMs: account.nowMs() })
}

/** What conditions are checked against. */
export function subjectOf({ etag, lastModifiedMs }: PathRecord): ConditionSubject {
  return { etag, lastModifiedMs }
}

/** Headers of the answer to a change. */
export function changedHeaders({
  etag,
  lastModifiedMs,
}: Pick<PathRecord, 'etag' | 'lastModifiedMs'>): Record<string, string> {
  return { etag, 'last-modified': new Date(lastModifiedMs).toUTCString() }
}

/** The etag and the time that a change gives a record. */
export function stamp({ account }: Place): Pick<PathRecord, 'etag' | 'lastModifiedMs'> {
  return { etag: account.nextEtag(), lastModifiedMs: account.nowMs() }
}

/** 400 unless the account is hierarchical. */
export function requireHierarchical({ account }: Pick<VerbContext, 'account'>): void {
  if (!account.settings.hierarchical) {
    throw refusal('HierarchicalNamespaceNotEnabled')
  }
}

/** A `true` or `false` of the query: 400 for anything else. */
export function queryFlag({ query }: StorageRequest, name: string): boolean | undefined {
  const text = query.get(name.toLowerCase())?.toLowerCase()
  if (text === undefined) {
    return undefined
  }
  if (text !== 'true' && text !== 'false') {
    throw invalidQuery(name, text)
  }
  return text === 'true'
}
