import type { Extent } from '../model/extent.ts'
import { assertLease, leaseAfterWrite } from '../model/lease.ts'
import type { BlobRecord, Lease, PathState } from '../model/record.ts'
import type { VerbContext } from '../verb.ts'
import { md5Header } from '../wire/content-headers.ts'
import { queryInteger } from '../wire/parse-url.ts'
import { refusal } from '../wire/refusals.ts'
import { acquiresLease, leaseBeforeWrite, leaseOnceWritten, renewsLease } from './lease-action.ts'
import { readContentHeaders } from './new-path.ts'
import { dfsRefusal, missingQuery } from './refusals.ts'
import { asFile, existingTarget, type FileTarget, stamp } from './target.ts'

// Appended pieces wait beside the file, by position, and nobody sees them. A flush takes those that
// follow the content without a gap.

/** The `position` of an append or flush; throws 400. */
export function readPosition({ request }: VerbContext): number {
  const position = queryInteger(request.query, 'position')
  if (position === undefined) {
    throw missingQuery('position')
  }
  if (position < 0) {
    throw refusal('OutOfRangeQueryParameterValue', {
      details: { QueryParameterName: 'position', QueryParameterValue: String(position) },
    })
  }
  return position
}

/**
 * The file of an append or flush: 404 `PathNotFound`, 409 for a directory or, with the code given,
 * for a file with content that the blob face wrote; the lease is checked.
 */
export function writableFile(
  context: VerbContext,
  code: 'InvalidAppendOperation' | 'InvalidFlushOperation',
): FileTarget {
  const target = asFile(existingTarget(context))
  const { record, state } = target
  const foreign = record.writtenBy === 'blob' && record.content.sizeBytes > 0
  if (foreign || record.blobType !== 'BlockBlob') {
    throw dfsRefusal(code)
  }
  const { request, account } = context
  if (!acquiresLease(request)) {
    assertLease(state, request, { use: 'write', nowMs: account.nowMs() })
  }
  return target
}

/** The lease that the request acquires or renews before it writes. */
export function leaseForWrite(
  { request, account }: VerbContext,
  { state }: FileTarget,
): Lease | undefined {
  return leaseBeforeWrite(state.lease, request, account.nowMs())
}

/** The state with a piece added; a piece at the same position is replaced. */
export function withPiece(state: PathState, position: number, piece: Extent): PathState {
  return { ...state, appended: new Map(state.appended).set(position, piece) }
}

/**
 * Makes what was appended below `position` part of the file: 400 `InvalidFlushPosition` unless it
 * follows the content without a gap and ends right there. What lies beyond is dropped, or retained.
 */
export function flushTo(
  context: VerbContext,
  target: FileTarget,
  { position, retain }: { readonly position: number; readonly retain: boolean },
): BlobRecord {
  const { place, record, state } = target
  const pieces = contiguous(state, record.content.sizeBytes, position)
  const flushed: BlobRecord = {
    ...record,
    ...stamp(place),
    content: { sizeBytes: position, extents: [...record.content.extents, ...pieces] },
    blocks: undefined,
    writtenBy: 'dfs',
    headers: {
      ...record.headers,
      ...readContentHeaders(context.request),
      contentMd5: md5Header(context.request.headers, 'x-ms-content-md5'),
    },
  }
  const rest = new Map([...(state.appended ?? [])].filter(([at]) => at >= position))
  store(context, target, { current: flushed, appended: retain && rest.size > 0 ? rest : undefined })
  return flushed
}

/** Stores changes of a file's state; the lease ends where the request says so. */
export function store(
  { request, account }: VerbContext,
  { place, state }: FileTarget,
  changes: Partial<PathState>,
): void {
  const nowMs = account.nowMs()
  const changed = { ...state, ...changes }
  const lease = leaseOnceWritten(leaseAfterWrite(changed.lease, nowMs), request, nowMs)
  place.container.paths.put({ ...changed, lease })
}

/** What append and flush answer about leases and encryption. */
export function uploadHeaders({ request }: VerbContext): Record<string, string | undefined> {
  return {
    'x-ms-request-server-encrypted': 'true',
    'x-ms-lease-renewed': renewsLease(request) ? 'true' : undefined,
  }
}

function contiguous(state: PathState, from: number, to: number): Extent[] {
  const pieces: Extent[] = []
  let at = from
  for (const [position, piece] of [...(state.appended ?? [])].sort(([a], [b]) => a - b)) {
    if (position >= to || position !== at) {
      break
    }
    pieces.push(piece)
    at += piece.sizeBytes
  }
  const overlooked = [...(state.appended ?? [])].some(
    ([position]) => position < to && (position >= at || position < from),
  )
  if (at !== to || overlooked) {
    throw dfsRefusal('InvalidFlushPosition')
  }
  return pieces
}
