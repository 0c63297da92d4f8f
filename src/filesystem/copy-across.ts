import { randomBytes } from 'node:crypto'
import type { BlobProperties, CallOptions, SourceAccess } from '../blob/store.ts'
import { maxBlocks } from '../blob/validate.ts'
import { type ByteRange, MiB, splitRange } from '../byte-range.ts'
import { mapConcurrent } from '../concurrency.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { clearStagedBlocks, isBarred } from '../transfer/clear-staged-blocks.ts'
import { notedSum } from '../transfer/content-check.ts'
import { BlobFileReader } from './blob-file-reader.ts'
import { BlobFileWriter } from './blob-file-writer.ts'
import type { FileInfo } from './file-info.ts'
import { noteCommitted, refuseDirectory, refuseOtherType } from './pipe.ts'
import type { Remote } from './remote.ts'

/** The service moves the bytes: a block costs a request and nothing else here. Below what it takes (4,000 MiB). */
const blockBytes = 64 * MiB
/** Blocks of one file under way at once. */
const blocksAtOnce = 4

/** A file, and the account that it is in. */
export interface Place {
  readonly remote: Remote
  readonly path: BlobPath
}

/**
 * Copies a file to another account: the service reads it block by block, with the source's own
 * credential, and commits it whole, with its metadata, its content headers and the sum that abfs noted of all
 * its bytes, which whoever reads the copy compares. Where the service cannot reach the source, the bytes pass
 * through here, with metadata and content type. Either way they are of one version: `ESTALE` when it is
 * replaced meanwhile.
 */
export async function copyAcross(
  source: Place,
  target: Place,
  options: CallOptions = {},
): Promise<FileInfo> {
  const existing = await refuseDirectory(target.remote, target.path, options)
  await refuseOtherType(target.remote, target.path, existing, options)
  const version = await source.remote.store.head(source.path, options)
  const stage = () => stageAll(source, target, { ...options, version })
  try {
    return await stage()
  } catch (error) {
    if (isBarred(error)) {
      await clearStagedBlocks(target.remote.store, target.path, options)
      return stage()
    }
    if (!isBeyondReach(error)) throw error
    return relay(source, target, { ...options, version })
  }
}

/** The service could not read the source, for a reason that may not be ours. */
function isBeyondReach(error: unknown): boolean {
  if (isFileSystemError(error, 'ENOTSUP')) return true
  return isFileSystemError(error) && error.serviceCode === 'CannotVerifyCopySource'
}

type Options = CallOptions & { readonly version: BlobProperties }

async function stageAll(source: Place, target: Place, options: Options): Promise<FileInfo> {
  const { version, signal } = options
  const { lendRead } = source.remote
  if (lendRead === undefined) throw new FileSystemError('ENOTSUP', 'copy')
  const { sizeBytes, metadata, contentType, headers } = version
  const { store, limiter } = target.remote
  const described = { metadata, contentType, headers, signal }
  if (sizeBytes === 0) {
    const properties = await store.put(target.path, new Uint8Array(0), described)
    return noteCommitted(target.remote, target.path, { properties, metadata, contentType })
  }
  const size = Math.max(blockBytes, Math.ceil(sizeBytes / maxBlocks))
  const session = randomBytes(12)
  const stage = async (range: ByteRange, index: number) => {
    const id = blockId(session, index)
    // Asked for each block: credentials may end before a long copy does.
    const access: SourceAccess = await lendRead(source.path, { signal })
    const block = { path: source.path, range, ifMatch: version.etag, access }
    await limiter.run(() => store.stageBlockFrom(target.path, id, block, { signal }), signal)
    return id
  }
  const ranges = splitRange({ start: 0, end: sizeBytes }, size)
  const ids = await mapConcurrent(ranges, blocksAtOnce, stage)
  const commit = { ...described, sizeBytes, crc64: notedSum(version) }
  const properties = await store.commitBlocks(target.path, ids, commit)
  checkSize(properties.sizeBytes, target, sizeBytes)
  return noteCommitted(target.remote, target.path, { properties, metadata, contentType })
}

function blockId(session: Buffer, index: number): string {
  const id = Buffer.alloc(16)
  session.copy(id)
  id.writeUInt32BE(index, 12)
  return id.toString('base64')
}

function checkSize(found: number, { path }: Place, expected: number): void {
  if (found === expected) return
  const detail = `the copy has ${found} bytes of ${expected}: repeat it`
  throw new FileSystemError('EIO', 'copy', { path: formatPath(path), detail, retryable: true })
}

/** Through this machine, a MiB at a time. */
async function relay(source: Place, target: Place, options: Options): Promise<FileInfo> {
  const { signal, version } = options
  const { metadata, contentType, headers } = version
  const reader = await BlobFileReader.open(source.remote, source.path, { signal })
  try {
    if (reader.info.etag !== version.etag) {
      throw new FileSystemError('ESTALE', 'copy', { path: formatPath(source.path) })
    }
    const described = { metadata, contentType, headers, signal, exclusive: false }
    await using writer = await BlobFileWriter.open(target.remote, target.path, described)
    for (let piece = await reader.read(MiB); piece.byteLength > 0; piece = await reader.read(MiB)) {
      await writer.write(piece)
    }
    return await writer.close()
  } finally {
    await reader.close()
  }
}
