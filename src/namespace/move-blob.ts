/** The steps of a rename that concern one blob: its copy, and the end of its source. */
import type { BlobProperties, BlobStore, CallOptions } from '../blob/store.ts'
import { type ErrnoCode, FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { entryFromBlob } from './blob-entry.ts'
import type { GatheredDeletes } from './gathered-deletes.ts'
import { type KeptProperties, keptInCopy, keptOf, type TagsOf } from './kept-by-renames.ts'
import { callOptions, unlessMissing } from './lookup.ts'
import type { CopiedBlob, PlannedBlob } from './rename-records.ts'
import { isSameBlob } from './same-blob.ts'

/** A tree that moves. */
export interface TreeMove {
  readonly store: BlobStore
  readonly tagsOf: TagsOf | undefined
  readonly from: BlobPath
  readonly to: BlobPath
}

type Source = Pick<BlobProperties, 'etag' | 'sizeBytes'> & KeptProperties

/** Attempts at a blob that others keep writing. */
const maxAttempts = 3

/** Whether a name within a tree is that of the blob which marks the tree itself. */
export function isTreeMarker({ suffix }: { readonly suffix: string }): boolean {
  return suffix === '' || suffix === '/'
}

/**
 * Copies the planned version of a blob, or the one that has replaced it; `undefined` when it is
 * gone. Takes what is at the destination for the copy when it is the same, and replaces a
 * directory's marker by another; anything else there is `EEXIST`. `ESTALE` when the source keeps
 * changing.
 */
export async function copyBlob(
  move: TreeMove,
  planned: PlannedBlob,
  options: CallOptions,
): Promise<CopiedBlob | undefined> {
  const { tier } = planned
  let source: Source = { ...planned, accessTier: tier, isTierChosen: tier !== undefined }
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await copyVersion(move, { ...planned, source }, { ...options, ifNoneMatch: '*' })
    } catch (error) {
      if (!isFileSystemError(error, 'EEXIST', 'ESTALE', 'ENOENT')) throw error
      const found = await unlessMissing(move.store.head(at(move.from, planned), call(options)))
      if (found === undefined) return undefined
      const same = isFileSystemError(error, 'ENOENT') && found.etag === source.etag
      if (same || attempt === maxAttempts) throw error
      source = found
      const settled = await settle(move, { ...planned, source: found, error }, options)
      if (settled !== undefined) return settled
    }
  }
}

/** What to do about a blob at the destination: `undefined` when there is none (any more). */
async function settle(
  move: TreeMove,
  copy: PlannedBlob & { readonly source: BlobProperties; readonly error: FileSystemError },
  options: CallOptions,
): Promise<CopiedBlob | undefined> {
  if (copy.error.code !== 'EEXIST') return undefined
  const target = at(move.to, copy)
  const present = await unlessMissing(move.store.head(target, call(options)))
  if (present === undefined) return undefined
  const { suffix, source } = copy
  if (isTreeMarker(copy) && entryFromBlob(target.name, present).type === 'directory') {
    const replaced = await copyVersion(move, copy, { ...options, ifMatch: present.etag })
    return { ...replaced, created: false }
  }
  const from = { path: at(move.from, copy), properties: source }
  if (!(await isSameBlob(move.store, from, { path: target, properties: present }, options))) {
    throw failure('EEXIST', { move, suffix }, 'another blob has taken the name', copy.error)
  }
  const { etag: sourceEtag, sizeBytes } = source
  return { suffix, sourceEtag, sizeBytes, targetEtag: present.etag, created: false }
}

/**
 * Deletes the source of a copy in the version that was copied. A version that is newer is copied
 * first, in the place of the older. `ESTALE` when source and destination have become different
 * files, `ENOENT` when the copy is gone: the source stays. Who has not seen the copy made is `wary`:
 * looks at it before the deletion, unless a listing has just told that it `isThere`, and replaces nothing, because a
 * source that differs may be another file that was made after the deletion of the first. Resolves to what was copied last.
 */
export async function removeSource(
  move: TreeMove,
  copied: CopiedBlob,
  options: CallOptions & {
    readonly wary: boolean
    readonly isThere: boolean
    readonly deletes: GatheredDeletes
  },
): Promise<CopiedBlob> {
  const from = at(move.from, copied)
  if (options.wary && !options.isThere) return removeAnyVersion(move, copied, options)
  try {
    await unlessMissing(options.deletes.delete({ path: from, ifMatch: copied.sourceEtag }))
    return copied
  } catch (error) {
    if (!isFileSystemError(error, 'ESTALE')) throw error
    return removeAnyVersion(move, copied, options)
  }
}

async function removeAnyVersion(
  move: TreeMove,
  copied: CopiedBlob,
  options: CallOptions & { readonly wary: boolean },
): Promise<CopiedBlob> {
  let { targetEtag } = copied
  for (let attempt = 1; ; attempt += 1) {
    try {
      const source = await unlessMissing(move.store.head(at(move.from, copied), call(options)))
      if (source === undefined) return { ...copied, targetEtag }
      targetEtag = await bringUpToDate(move, { ...copied, source, targetEtag }, options)
      const ifMatch = source.etag
      await unlessMissing(move.store.delete(at(move.from, copied), { ...call(options), ifMatch }))
      return { ...copied, sourceEtag: source.etag, targetEtag }
    } catch (error) {
      if (!isFileSystemError(error, 'ESTALE') || attempt === maxAttempts) throw error
    }
  }
}

/** Makes the copy one of `source`, unless it is; the copy's etag. */
async function bringUpToDate(
  move: TreeMove,
  copy: CopiedBlob & { readonly source: BlobProperties },
  options: CallOptions & { readonly wary: boolean },
): Promise<string> {
  const { source, suffix } = copy
  const path = at(move.to, copy)
  const properties = await unlessMissing(move.store.head(path, call(options)))
  if (properties === undefined) {
    throw failure('ENOENT', { move, suffix }, 'its copy is gone, so the source was kept')
  }
  const isOurs = properties.etag === copy.targetEtag
  if (isOurs && source.etag === copy.sourceEtag) return properties.etag
  const from = { path: at(move.from, copy), properties: source }
  if (await isSameBlob(move.store, from, { path, properties }, options)) return properties.etag
  if (!isOurs || options.wary) {
    throw failure('ESTALE', { move, suffix }, 'it was changed after it was copied; both were kept')
  }
  const { targetEtag } = await copyVersion(move, copy, { ...options, ifMatch: properties.etag })
  const arrived = await move.store.head(path, call(options))
  if (arrived.etag !== targetEtag || arrived.sizeBytes === source.sizeBytes) return targetEtag
  throw failure('EIO', { move, suffix }, `of ${source.sizeBytes} bytes ${arrived.sizeBytes} came`)
}

async function copyVersion(
  move: TreeMove,
  copy: { readonly suffix: string; readonly source: Source },
  options: CallOptions & {
    readonly ifMatch?: string | undefined
    readonly ifNoneMatch?: '*' | undefined
  },
): Promise<CopiedBlob> {
  const { suffix, source } = copy
  const { ifMatch, ifNoneMatch } = options
  const from = at(move.from, copy)
  const { etag } = await move.store.copy(from, at(move.to, copy), {
    ...call(options),
    ...(await keptInCopy(move.tagsOf, from, keptOf(source), options)),
    sourceIfMatch: source.etag,
    ifMatch,
    ifNoneMatch,
  })
  const { etag: sourceEtag, sizeBytes } = source
  return { suffix, sourceEtag, targetEtag: etag, sizeBytes, created: true }
}

/** The blob of a tree that is named by what its name adds. */
export function at(tree: BlobPath, { suffix }: { readonly suffix: string }): BlobPath {
  return { container: tree.container, name: tree.name + suffix }
}

function failure(
  code: ErrnoCode,
  blob: { readonly move: TreeMove; readonly suffix: string },
  detail: string,
  cause?: unknown,
): FileSystemError {
  return new FileSystemError(code, 'rename', {
    path: formatPath(at(blob.move.from, blob)),
    dest: formatPath(at(blob.move.to, blob)),
    detail,
    ...(cause === undefined ? {} : { cause }),
  })
}

function call(options: CallOptions): CallOptions {
  return callOptions(options)
}
