import { randomUUID } from 'node:crypto'
import { amendCurrent } from '../model/changes.ts'
import { emptyContent } from '../model/extent.ts'
import { assertLease } from '../model/lease.ts'
import type { BlobRecord, CopyState, TierState } from '../model/record.ts'
import { parseTagHeader } from '../model/tags.ts'
import type { Verb, VerbContext } from '../verb.ts'
import type { StorageAnswer } from '../wire/answer.ts'
import { readMetadata, requireHeader } from '../wire/metadata.ts'
import { invalidHeader, invalidQuery, refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { newEncryption } from './encryption.ts'
import { assertReplaceable, storeBlob } from './store-blob.ts'
import { needOnPath, stamp, type Target, targetOf, writeTarget, writtenHeaders } from './target.ts'
import { inferredTier, readTierHeader } from './tier-header.ts'
import { openSource, type Source } from './url-source.ts'

/** Copy Blob, Abort Copy Blob and the refusal of Incremental Copy Blob. */
export const copyVerbs: readonly Verb[] = [
  {
    name: 'IncrementalCopyBlob',
    matches: (request) => isPut(request) && request.query.get('comp') === 'incrementalcopy',
    needs: (request) => needOnPath(request, 'write'),
    run: () => {
      throw refusal('FeatureNotSupported')
    },
  },
  {
    name: 'AbortCopyBlob',
    matches: (request) => isPut(request) && request.query.get('comp') === 'copy',
    needs: (request) => needOnPath(request, 'write'),
    run: abortCopy,
  },
  {
    name: 'CopyBlob',
    matches: (request) =>
      isPut(request) &&
      !request.query.has('comp') &&
      request.headers['x-ms-copy-source'] !== undefined &&
      request.headers['x-ms-blob-type'] === undefined &&
      request.headers['x-ms-requires-sync'] !== 'true',
    needs: (request) => needOnPath(request, 'write', 'create'),
    run: copyBlob,
  },
]

/** Puts a copy of `source` in the place of the request, with the metadata, tags and tier it asks for. */
export function putCopy(
  context: VerbContext,
  source: Source,
  options: { readonly copy: CopyState; readonly tags: BlobRecord['tags'] },
): BlobRecord {
  const target = copyTarget(context, source)
  return storeBlob(context, target, copiedRecord(context, source, { ...options, target }))
}

async function copyBlob(context: VerbContext): Promise<StorageAnswer> {
  const { request, account } = context
  const tags = parseTagHeader(request.headers['x-ms-tags'] ?? '')
  // Refused before the source is touched, as the destination's lease and conditions come first.
  writeTarget(context)
  const source = await openSource(context, { by: 'account' })
  const delayMs = account.settings.copyDelayMs ?? 0
  const { sizeBytes } = source.content
  const copy: CopyState = {
    id: randomUUID(),
    source: source.url,
    status: delayMs > 0 ? 'pending' : 'success',
    progressBytes: delayMs > 0 ? 0 : sizeBytes,
    totalBytes: sizeBytes,
    completedMs: account.nowMs() + delayMs,
  }
  const record = putCopy(context, source, { copy, tags })
  return {
    status: 202,
    headers: {
      'x-ms-copy-id': copy.id,
      'x-ms-copy-status': copy.status,
      ...writtenHeaders(record),
    },
  }
}

function copyTarget(context: VerbContext, source: Source): Target {
  const target = writeTarget(context)
  if (target.record === undefined) return target
  context.authorize(needOnPath(context.request, 'write'))
  assertReplaceable(target, source.blobType)
  return target
}

function copiedRecord(
  context: VerbContext,
  source: Source,
  { target, copy, tags }: Pick<BlobRecord, 'copy' | 'tags'> & { readonly target: Target },
): BlobRecord {
  const { request } = context
  const { place, record } = target
  const own = readMetadata(request)
  // Only a copy that is done with its answer takes a scope.
  const isSync = request.headers['x-ms-requires-sync'] === 'true'
  const asked = isSync ? request : { headers: {} }
  const encryption = newEncryption(asked, place.container.properties)
  const { blobType, content, headers, metadata, record: original } = source
  return {
    kind: 'blob',
    blobType,
    etag: place.account.nextEtag(),
    lastModifiedMs: place.account.nowMs(),
    createdMs: record?.createdMs ?? place.account.nowMs(),
    content,
    headers,
    metadata: Object.keys(own).length > 0 ? own : metadata,
    tags,
    tier: copiedTier(context, source),
    encryption,
    // Of what is encrypted anew the blocks are, too.
    blocks: original?.blocks?.map(({ id, extent }) => ({ id, extent, encryption })),
    pages: original?.pages ?? (blobType === 'PageBlob' ? wholePages(content.sizeBytes) : undefined),
    appendedBlocks: original?.appendedBlocks ?? (blobType === 'AppendBlob' ? 1 : undefined),
    sequenceNumber: blobType === 'PageBlob' ? (original?.sequenceNumber ?? 0) : undefined,
    sealed: isSealed(request, source),
    copy,
    writtenBy: 'blob',
  }
}

/** A copy of an archived blob to an online tier is archived until it has been rehydrated. */
function copiedTier({ request, account }: VerbContext, source: Source): TierState {
  if (source.blobType !== 'BlockBlob') {
    if (request.headers['x-ms-access-tier'] !== undefined) throw refusal('UnsupportedHeader')
    return inferredTier
  }
  const nowMs = account.nowMs()
  const tier = readTierHeader(request, nowMs)
  if (source.tier.name !== 'Archive' || tier.name === 'Archive') return tier
  if (tier.inferred) throw refusal('BlobArchived')
  const delayMs = account.settings.rehydrateDelayMs ?? 15 * 60 * 60 * 1000
  return {
    name: 'Archive',
    inferred: false,
    changedMs: nowMs,
    rehydratingTo: tier.name,
    rehydratedMs: nowMs + delayMs,
  }
}

function isSealed({ headers }: StorageRequest, source: Source): boolean | undefined {
  const text = headers['x-ms-seal-blob']
  if (text === undefined) return undefined
  if (source.blobType !== 'AppendBlob') throw invalidHeader('x-ms-seal-blob', text)
  return text.toLowerCase() === 'true'
}

function wholePages(sizeBytes: number): BlobRecord['pages'] {
  return sizeBytes === 0 ? [] : [{ start: 0, end: sizeBytes }]
}

/** Leaves the destination without content, with what the copy brought beside it. */
function abortCopy(context: VerbContext): StorageAnswer {
  const { request, account } = context
  const id = request.query.get('copyid')
  if (requireHeader(request, 'x-ms-copy-action') !== 'abort') {
    throw invalidHeader('x-ms-copy-action', request.headers['x-ms-copy-action'] ?? '')
  }
  if (id === undefined) throw invalidQuery('copyid', '')
  const { place, name, state, record } = targetOf(context)
  if (record?.kind !== 'blob') throw refusal('BlobNotFound')
  assertLease(state, request, { use: 'write', nowMs: account.nowMs() })
  const { copy } = record
  if (copy?.status !== 'pending') throw refusal('NoPendingCopyOperation')
  if (copy.id !== id) throw refusal('CopyIdMismatch')
  amendCurrent(place, name, {
    ...record,
    ...stamp(place),
    content: emptyContent,
    blocks: undefined,
    copy: { ...copy, status: 'aborted', completedMs: account.nowMs() },
  })
  return { status: 204 }
}

function isPut({ method, path }: StorageRequest): boolean {
  return method === 'PUT' && path !== undefined
}
