import type { BlobProperties, BlobStore, CallOptions, Conditions } from '../blob/store.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'

// A blob takes no block any more while 100,000 are staged and not committed, by whoever, and none whose id has
// another length than theirs: writers that died leave theirs for a week. Only a new version of the blob drops them.

/** A blob's version that was put in the place of an equal one; etags. */
export interface Remade {
  readonly from: string
  readonly to: string
}

/** Whether a block was refused for those that are staged for its blob: too many, or under ids of another length. */
export function isBarred(error: unknown): error is FileSystemError {
  if (!isFileSystemError(error)) return false
  const { serviceCode = '', syscall } = error
  if (overfullCodes.includes(serviceCode)) return true
  // Of a commit it says something else: that dfs wrote the file.
  return serviceCode === 'InvalidBlobOrBlock' && stagingCalls.includes(syscall)
}

/** The second is what some answers' reason phrases say. */
const overfullCodes = ['BlockCountExceedsLimit', 'RequestEntityTooLargeBlockCountExceedsLimit']
const stagingCalls = ['blob.stageBlock', 'blob.stageBlockFrom']

/** What a writer says that cannot clear without losing blocks of its own. */
export function barred(path: BlobPath, cause: FileSystemError): FileSystemError {
  const detail =
    'blocks are in the way that are staged for this file by writers that never committed theirs, and those ' +
    'that were sent now cannot be kept while they are cleared: write it again from its beginning, which clears them'
  const { serviceCode = 'BlockCountExceedsLimit' } = cause
  const what = { path: formatPath(path), detail, serviceCode, retryable: true, cause }
  return new FileSystemError('EAGAIN', cause.syscall, what)
}

/**
 * Drops all blocks that are staged for a blob and not committed, of every writer, and changes nothing that
 * readers are told but the etag and the time: the blob is copied onto itself, on the service, with its
 * blocks, metadata, headers, tags and chosen tier. Where none is, an empty one is made and deleted.
 */
export async function clearStagedBlocks(
  store: BlobStore,
  path: BlobPath,
  options: CallOptions & Pick<Conditions, 'leaseId'> = {},
): Promise<Remade | undefined> {
  const current = await currentOf(store, path, options)
  try {
    if (current !== undefined) return await copyOntoItself(store, path, { ...options, current })
    await makeAndDelete(store, path)
  } catch (error) {
    // Somebody wrote or deleted the blob meanwhile, which clears as well.
    if (!isFileSystemError(error, 'ESTALE', 'EEXIST', 'ENOENT')) throw error
  }
  return undefined
}

async function currentOf(
  store: BlobStore,
  path: BlobPath,
  { signal }: CallOptions,
): Promise<BlobProperties | undefined> {
  try {
    return await store.head(path, { signal })
  } catch (error) {
    if (isFileSystemError(error, 'ENOENT')) return undefined
    throw error
  }
}

/** A copy keeps what is not said, but the tags and the tier. */
async function copyOntoItself(
  store: BlobStore,
  path: BlobPath,
  options: CallOptions & Pick<Conditions, 'leaseId'> & { readonly current: BlobProperties },
): Promise<Remade> {
  const { current, leaseId, signal } = options
  const { etag: from, isTierChosen, accessTier } = current
  const tags = current.tagCount === undefined ? undefined : await tagsOf(store, path, { signal })
  const tier = isTierChosen === true ? accessTier : undefined
  const conditions = { ifMatch: from, sourceIfMatch: from, leaseId }
  const { etag: to } = await store.copy(path, path, { ...conditions, tier, tags, signal })
  return { from, to }
}

/** Tags that changed since have changed no etag; who sets them at this moment may lose. */
async function tagsOf(store: BlobStore, path: BlobPath, { signal }: CallOptions) {
  const { entries } = await store.listPage(path, { maxResults: 1, tags: true, signal })
  const [first] = entries
  if (first?.kind === 'blob' && first.name === path.name && first.tags !== undefined) {
    return first.tags
  }
  const detail = 'the tags of the file cannot be read, and would be lost'
  throw new FileSystemError('EACCES', 'blob.list', { path: formatPath(path), detail })
}

/** Not to be cut short between the two. */
async function makeAndDelete(store: BlobStore, path: BlobPath): Promise<void> {
  const { etag } = await store.put(path, new Uint8Array(0), { ifNoneMatch: '*' })
  try {
    await store.delete(path, { ifMatch: etag })
  } catch (error) {
    const isOver = isFileSystemError(error, 'ESTALE', 'ENOENT')
    throw error instanceof FileSystemError && !isOver ? leftBehind(path, error) : error
  }
}

function leftBehind(path: BlobPath, cause: FileSystemError): FileSystemError {
  const detail =
    'blocks that were in the way were cleared by an empty file, which could not be deleted: delete it'
  const { serviceCode } = cause
  const what = { path: formatPath(path), detail, cause }
  return new FileSystemError(cause.code, cause.syscall, {
    ...what,
    ...(serviceCode === undefined ? {} : { serviceCode }),
  })
}
