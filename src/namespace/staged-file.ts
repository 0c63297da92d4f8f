/**
 * Commits what a transaction that died has staged. Staged blocks can be committed once: the commit takes them away, and so
 * does every other write of the blob. So blocks that are still staged say that nobody has written the file since, and
 * the condition on the version seen before says the same of the moment of the commit.
 */
import type { HierarchyStore } from '../blob/hierarchy.ts'
import type { BlobProperties, BlobStore, CallOptions, Conditions } from '../blob/store.ts'
import { isFileSystemError } from '../errors.ts'
import type { BlobPath } from '../path.ts'
import { unlessMissing } from './lookup.ts'
import type { JournalledFile } from './transaction-records.ts'

/** What staged files are committed with. */
export interface StagedFileParts {
  /** Writes block lists as they are. */
  readonly store: BlobStore
  /** Where the account has one. */
  readonly hierarchy: HierarchyStore | undefined
  /** When the journal was written, by the service's clock; milliseconds since the epoch. */
  readonly createdMs: number
}

/** Somebody else may write the file between the looks at it. */
const maxAttempts = 4

/** Whether `file` is, or was before, made what the transaction wrote; `false` when it is somebody else's. */
export async function commitStagedFile(
  parts: StagedFileParts,
  file: JournalledFile,
  options: CallOptions,
): Promise<boolean> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      if (file.blockIds.length === 0) return await commitEmpty(parts, file, options)
      if (file.stagedAt === undefined) return await commitBlocks(parts, file, options)
      return await putInPlace(parts, file, { ...file.path, name: file.stagedAt }, options)
    } catch (error) {
      if (!isFileSystemError(error, 'ESTALE', 'EEXIST', 'ENOENT')) throw error
      if (attempt === maxAttempts) throw error
    }
  }
}

async function commitBlocks(
  { store, createdMs }: StagedFileParts,
  file: JournalledFile,
  options: CallOptions,
): Promise<boolean> {
  const { path, blockIds } = file
  const current = await unlessMissing(store.head(path, options))
  if (!(await isStaged(store, path, file, options))) return isMadeOf(store, file, options)
  // Azurite leaves blocks staged when a put replaces their blob.
  const conditions = isUntouched(current, createdMs) ? conditionsOf(file, current) : undefined
  if (conditions === undefined) return false
  await store.commitBlocks(path, blockIds, { ...described(file), ...conditions, ...options })
  return true
}

/** Files of a hierarchical account that are replaced: made under a name of their own, and renamed. */
async function putInPlace(
  { store, hierarchy, createdMs }: StagedFileParts,
  file: JournalledFile,
  beside: BlobPath,
  options: CallOptions,
): Promise<boolean> {
  const { path, blockIds, sizeBytes } = file
  if (hierarchy === undefined) return false
  const current = await unlessMissing(store.head(path, options))
  const made = await unlessMissing(store.head(beside, options))
  if (made === undefined && !(await isStaged(store, beside, file, options))) {
    return current?.sizeBytes === sizeBytes
  }
  const conditions = isUntouched(current, createdMs) ? conditionsOf(file, current) : undefined
  if (conditions === undefined) {
    if (made !== undefined) await unlessMissing(store.delete(beside, options))
    return false
  }
  if (made === undefined) {
    const commit = { ...described(file), ifNoneMatch: '*' as const, ...options }
    await store.commitBlocks(beside, blockIds, commit)
  }
  await hierarchy.rename(beside, path, { ...conditions, ...options })
  return true
}

/** Nothing is staged for an empty file: the time tells whether somebody wrote it since. */
async function commitEmpty(
  { store, createdMs }: StagedFileParts,
  file: JournalledFile,
  options: CallOptions,
): Promise<boolean> {
  const current = await unlessMissing(store.head(file.path, options))
  if (current?.sizeBytes === 0) return true
  const conditions = isUntouched(current, createdMs) ? conditionsOf(file, current) : undefined
  if (conditions === undefined) return false
  await store.put(file.path, new Uint8Array(0), { ...described(file), ...conditions, ...options })
  return true
}

/** Whether nobody has written it after the journal; times have whole seconds. */
export function isUntouched(current: BlobProperties | undefined, createdMs: number): boolean {
  return current === undefined || current.lastModifiedMs <= createdMs
}

async function isStaged(
  store: BlobStore,
  path: BlobPath,
  { blockIds }: JournalledFile,
  options: CallOptions,
): Promise<boolean> {
  const staged = new Set((await store.getStagedBlocks(path, options)).map(({ id }) => id))
  return blockIds.every((id) => staged.has(id))
}

/** Others may have added to it or changed a part since. */
async function isMadeOf(
  store: BlobStore,
  { path, blockIds }: JournalledFile,
  options: CallOptions,
): Promise<boolean> {
  try {
    const ours = new Set(blockIds)
    const { blocks } = await store.getBlocks(path, options)
    return blocks.some(({ id }) => ours.has(id))
  } catch (error) {
    // Otherwise it is no block blob, so it is not ours.
    if (isFileSystemError(error, 'ENOENT', 'EINVAL', 'ENOTSUP')) return false
    throw error
  }
}

/** What keeps the commit from replacing another version than the one that was seen; `undefined`: it may not replace that. */
function conditionsOf(
  { ifMatch, ifNoneMatch }: JournalledFile,
  current: BlobProperties | undefined,
): Conditions | undefined {
  if (current === undefined) return ifMatch === undefined ? { ifNoneMatch: '*' } : undefined
  if (ifNoneMatch !== undefined || (ifMatch !== undefined && ifMatch !== current.etag)) {
    return undefined
  }
  return { ifMatch: current.etag }
}

function described(file: JournalledFile) {
  const { metadata, contentType, headers, tier, tags, crc64, sizeBytes } = file
  return { metadata, contentType, headers, tier, tags, crc64, sizeBytes }
}
