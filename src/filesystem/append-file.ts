import { tmpdir } from 'node:os'
import type { CommittedBlock } from '../blob/store.ts'
import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { FileContent } from '../transfer/file-content.ts'
import { StagedBlocks } from '../transfer/staged-blocks.ts'
import { BlobFileReader } from './blob-file-reader.ts'
import { BlobFileWriter } from './blob-file-writer.ts'
import { keptOf } from './kept.ts'
import { refuseDirectory, refuseOtherType, type WriteOptions } from './pipe.ts'
import type { Remote } from './remote.ts'

/** Ids shorter than this might meet another writer's. */
const minIdBytes = 6

/** The head of a file that stays as it is. */
interface KeptHead {
  readonly blockIds: readonly string[]
  readonly sizeBytes: number
  readonly idBytes: number | undefined
  readonly hasStaged?: boolean
}

export interface AppendFileOptions extends WriteOptions {
  /**
   * Whether a new file is an append blob, made at once, of which each block can be seen when it is sent. Default
   * false: a block blob, of which all can be seen at the end. What is an append blob stays one.
   */
  readonly appendBlob?: boolean | undefined
}

/**
 * Opens a file to be written on at its end, or anew where there is none. Its blocks stay, whoever wrote
 * them and whatever their sizes are; those at the end that are together smaller than one are sent again,
 * so that many small appends do not use up the blocks that a blob may have. What was put without blocks
 * is made into blocks by the service where it can do that. `close()` rejects with `ESTALE` (`EEXIST` for
 * a new file) when somebody else wrote the file meanwhile. Headers, tier and tags stay, and metadata
 * and content type unless others are given.
 */
export async function appendFile(
  remote: Remote,
  path: BlobPath,
  options: AppendFileOptions = {},
): Promise<BlobFileWriter> {
  const { signal } = options
  signal?.throwIfAborted()
  // Asked past what listings remember: the condition is about the version that is there now.
  remote.namespace.invalidate(path)
  const existing = await refuseDirectory(remote, path, { signal })
  if (existing?.blobType === 'AppendBlob') return onAppendBlob(remote, path, options)
  await refuseOtherType(remote, path, existing, options)
  if (existing === undefined && options.appendBlob === true) {
    const { metadata, contentType, headers, tags } = options
    const described = { metadata, contentType, headers, tags }
    const made = { ...described, signal, appendable: true, ifNoneMatch: '*' } as const
    await remote.store.put(path, new Uint8Array(), made)
    return BlobFileWriter.onAppendBlob(remote, path, {
      ...options,
      metadata: undefined,
      sizeBytes: 0,
    })
  }
  if (existing === undefined) {
    return BlobFileWriter.open(remote, path, { ...options, exclusive: true })
  }
  await using reader = await BlobFileReader.open(remote, path, { signal })
  const { etag = '' } = reader.info
  if (existing.etag !== etag) throw stale(path)
  const kept = await keptOf(remote, path, existing)
  const { leaseId } = options
  const continues = await keptHead(remote, path, { etag, sizeBytes: reader.size, leaseId })
  const writer = await BlobFileWriter.open(remote, path, {
    ...options,
    ifMatch: options.ifMatch ?? etag,
    metadata: options.metadata ?? kept.metadata,
    contentType: options.contentType ?? kept.contentType,
    headers: options.headers ?? kept.headers,
    tier: options.tier ?? kept.tier,
    tags: options.tags ?? kept.tags,
    exclusive: false,
    continues,
  })
  try {
    reader.seek(continues?.sizeBytes ?? 0)
    for await (const piece of reader) await writer.write(piece)
    return writer
  } catch (error) {
    await writer.abort()
    throw error
  }
}

async function onAppendBlob(
  remote: Remote,
  path: BlobPath,
  options: WriteOptions,
): Promise<BlobFileWriter> {
  const { sizeBytes, etag } = await remote.store.head(path, { signal: options.signal })
  if (options.ifMatch !== undefined && options.ifMatch !== etag) throw stale(path)
  return BlobFileWriter.onAppendBlob(remote, path, { ...options, sizeBytes })
}

function stale(path: BlobPath): FileSystemError {
  return new FileSystemError('ESTALE', 'open', { path: formatPath(path) })
}

interface HeadVersion {
  readonly etag: string
  readonly sizeBytes: number
  /** Of the lock that the caller holds on the file. */
  readonly leaseId: string | undefined
}

/** `undefined` for a file that is sent again whole. */
async function keptHead(
  remote: Remote,
  path: BlobPath,
  version: HeadVersion,
): Promise<KeptHead | undefined> {
  const { store, blockBytes } = remote
  if (version.sizeBytes <= blockBytes) return undefined
  const { etag, blocks } = await store.getBlocks(path)
  if (etag !== version.etag) throw stale(path)
  const idBytes = Math.min(...blocks.map(({ id }) => Buffer.from(id, 'base64').length))
  if (blocks.length > 0 && idBytes >= minIdBytes)
    return withoutSmallEnd(blocks, blockBytes, idBytes)
  return copiedHead(remote, path, version)
}

function withoutSmallEnd(
  blocks: readonly CommittedBlock[],
  blockBytes: number,
  idBytes: number,
): KeptHead {
  let sizeBytes = blocks.reduce((sum, block) => sum + block.sizeBytes, 0)
  let endBytes = 0
  const kept = [...blocks]
  for (let last = kept.at(-1); last !== undefined; last = kept.at(-1)) {
    if (endBytes + last.sizeBytes >= blockBytes) break
    endBytes += last.sizeBytes
    sizeBytes -= last.sizeBytes
    kept.pop()
  }
  return { blockIds: kept.map(({ id }) => id), sizeBytes, idBytes }
}

/** Blocks that the service makes of a version that has none. */
async function copiedHead(remote: Remote, path: BlobPath, version: HeadVersion): Promise<KeptHead> {
  const { store, chunkCache, blockBytes } = remote
  const spool = { directory: tmpdir() }
  const { leaseId, ...base } = version
  const content = new FileContent({ store, chunkCache, spool, base: { path, ...base } })
  try {
    const blocks = new StagedBlocks({ store, content, blockBytes, leaseId: () => leaseId })
    const blockIds = await blocks.complete(path)
    return { blockIds, sizeBytes: version.sizeBytes, idBytes: undefined, hasStaged: true }
  } finally {
    await content.close()
  }
}
