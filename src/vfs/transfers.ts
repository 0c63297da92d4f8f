import type { BlobProperties, BlobStore, Conditions, Metadata, PutOptions } from '../blob/store.ts'
import { MiB, splitRange } from '../byte-range.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { BlobReader, type BlobReaderOptions } from '../transfer/blob-reader.ts'
import type { Spool } from './spool.ts'
import type { StagedBlocks } from './staged-blocks.ts'

/** Writes the first `sizeBytes` of a blob's version into `content`. `ESTALE` when it is gone. */
export async function download(
  content: Spool,
  sizeBytes: number,
  options: BlobReaderOptions,
): Promise<void> {
  const reader = new BlobReader(options)
  try {
    for (const range of splitRange({ start: 0, end: sizeBytes }, 4 * MiB)) {
      let at = range.start
      for (const part of await reader.read(range)) {
        await content.write(at, part)
        at += part.length
      }
    }
  } finally {
    reader.close()
  }
}

/** What a file becomes as a blob. */
export interface UploadOptions {
  readonly content: Spool
  readonly blocks: StagedBlocks
  readonly metadata: Metadata
  readonly contentType: string | undefined
  /** The version that must be there; `undefined`: none may be. */
  readonly replaces: string | undefined
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
  try {
    return await send(store, path, options)
  } catch (error) {
    await options.blocks.reset()
    if (!isFileSystemError(error, 'ESTALE', 'EEXIST')) throw error
    const own = await findOwn(store, path, options)
    if (own !== undefined) return own
    throw conflict(path, error)
  }
}

function conflict(path: BlobPath, cause: FileSystemError): FileSystemError {
  return new FileSystemError('ESTALE', 'close', {
    path: formatPath(path),
    detail: CONFLICT,
    cause,
  })
}

async function send(
  store: BlobStore,
  path: BlobPath,
  options: UploadOptions,
): Promise<BlobProperties> {
  const { content, blocks, metadata, contentType, replaces } = options
  const conditions: Conditions =
    replaces === undefined ? { ifNoneMatch: '*' } : { ifMatch: replaces }
  const put: PutOptions = { metadata, contentType, ...conditions }
  if (content.sizeBytes > blocks.blockBytes) {
    return store.commitBlocks(path, await blocks.complete(path), put)
  }
  const data = await content.read({ start: 0, end: content.sizeBytes })
  const properties = await store.put(path, data, put)
  await blocks.reset()
  return properties
}

/**
 * The blob that is there when it is what was sent: a commit whose answer was lost on the way is
 * sent again and then meets itself. The time of modification, in nanoseconds, tells it apart.
 */
async function findOwn(
  store: BlobStore,
  path: BlobPath,
  sent: UploadOptions,
): Promise<BlobProperties | undefined> {
  try {
    const found = await store.head(path)
    if (found.sizeBytes !== sent.content.sizeBytes) return undefined
    const keys = Object.keys(sent.metadata)
    const same = keys.every((key) => found.metadata?.[key] === sent.metadata[key])
    return same ? found : undefined
  } catch (error) {
    // The conflict is the news; that nothing is there, or nothing answers, only confirms it.
    if (error instanceof FileSystemError) return undefined
    throw error
  }
}

const CONFLICT =
  'somebody else wrote or removed the file since it was opened here: this version was not stored, copy it again over theirs if it is the better one'
