import type { BlobProperties, BlobStore, Conditions, PutOptions } from '../blob/store.ts'
import { lengthOf, MiB, splitRange } from '../byte-range.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import type { FileContent } from '../transfer/file-content.ts'
import type { StagedBlocks } from '../transfer/staged-blocks.ts'

/** All of a blob but its bytes. */
export type Described = Pick<PutOptions, 'metadata' | 'contentType' | 'headers' | 'tier' | 'tags'>

/** What a file becomes as a blob. */
export interface UploadOptions {
  readonly content: FileContent
  readonly blocks: StagedBlocks
  /** Metadata, headers, tier and tags. */
  readonly description: Described
  /** The version that must be there; `undefined`: none may be. */
  readonly replaces: string | undefined
  /** Of the lease that this mount holds on the blob. */
  readonly leaseId?: string | undefined
}

/**
 * Makes `content` the blob at `path`: one request when it fits a block, else the blocks that are
 * missing and their list. `ESTALE` when another version than `replaces` is there, and nothing is
 * changed.
 */
export async function upload(
  store: BlobStore,
  path: BlobPath,
  options: UploadOptions,
): Promise<BlobProperties> {
  const ids: string[] = []
  try {
    const properties = await send(store, path, options, ids)
    await options.blocks.reset()
    return properties
  } catch (error) {
    await options.blocks.retreat()
    if (!isFileSystemError(error, 'ESTALE', 'EEXIST')) throw error
    const own = await findOwn(store, path, options, ids)
    if (own !== undefined) return own
    throw conflict(path, error)
  }
}

async function send(
  store: BlobStore,
  path: BlobPath,
  options: UploadOptions,
  ids: string[],
): Promise<BlobProperties> {
  const { content, blocks, description, leaseId } = options
  const { sizeBytes } = content
  if (sizeBytes > blocks.blockBytes || content.isSent({ start: 0, end: sizeBytes })) {
    ids.push(...(await blocks.complete(path)))
    const put: PutOptions = { ...description, ...conditionsOf(options), leaseId }
    return store.commitBlocks(path, ids, { ...put, sizeBytes })
  }
  const put: PutOptions = { ...description, ...conditionsOf(options), leaseId }
  // Past the cache: who holds memory may not wait for more.
  return blocks.holding(sizeBytes, async () => {
    const bytes = await content.read({ start: 0, end: sizeBytes }, 'once')
    const properties = await store.put(path, bytes, put)
    content.keepStored(path, properties.etag, bytes)
    return properties
  })
}

/** Once the blocks are staged: clearing the way for them may have changed the etag. */
function conditionsOf({ blocks, replaces }: UploadOptions): Conditions {
  return replaces === undefined ? { ifNoneMatch: '*' } : { ifMatch: blocks.currentEtag(replaces) }
}

/**
 * The blob that is there when it is what was sent: a commit whose answer was lost on the way is
 * sent again and then meets itself. Somebody else's may have the same size and times: blocks or bytes tell.
 */
async function findOwn(
  store: BlobStore,
  path: BlobPath,
  sent: UploadOptions,
  ids: readonly string[],
): Promise<BlobProperties | undefined> {
  try {
    const found = await store.head(path)
    if (found.sizeBytes !== sent.content.sizeBytes) return undefined
    const { metadata = {} } = sent.description
    const same = Object.keys(metadata).every((key) => found.metadata?.[key] === metadata[key])
    return same && (await isSame(store, path, { found, sent, ids })) ? found : undefined
  } catch (error) {
    // The conflict is the news; that nothing is there, or nothing answers, only confirms it.
    if (error instanceof FileSystemError) return undefined
    throw error
  }
}

/**
 * The blocks are the ones that were sent, or, after a process that died, every byte that was changed here
 * is in that version: then nothing of ours is lost, whoever stored it.
 */
async function isSame(
  store: BlobStore,
  path: BlobPath,
  version: {
    readonly found: BlobProperties
    readonly sent: UploadOptions
    readonly ids: readonly string[]
  },
): Promise<boolean> {
  const { found, sent, ids } = version
  if (ids.length > 0) {
    const { etag, blocks } = await store.getBlocks(path)
    if (etag === found.etag && blocks.map(({ id }) => id).join() === ids.join()) return true
  }
  for await (const { range, bytes } of sent.content.changes()) {
    for (const part of splitRange(range, comparedBytes)) {
      const { data } = await store.get(path, { range: part, ifMatch: found.etag })
      const own = bytes?.subarray(part.start - range.start, part.end - range.start)
      if (Buffer.compare(data, own ?? Buffer.alloc(lengthOf(part))) !== 0) return false
    }
  }
  return true
}

/** What is compared at a time. */
const comparedBytes = 4 * MiB

function conflict(path: BlobPath, cause: FileSystemError): FileSystemError {
  return new FileSystemError('ESTALE', 'close', { path: formatPath(path), cause })
}
