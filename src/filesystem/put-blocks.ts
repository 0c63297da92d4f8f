import { randomBytes } from 'node:crypto'
import type { BigIntStats } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import type {
  BlobProperties,
  BlobStore,
  CallOptions,
  CommitOptions,
  CommittedBlock,
} from '../blob/store.ts'
import { maxBlocks } from '../blob/validate.ts'
import { type ByteRange, lengthOf, splitRange } from '../byte-range.ts'
import { mapConcurrent } from '../concurrency.ts'
import { type Crc64Part, composeCrc64, crc64Aside } from '../crc64.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import type { BlobPath } from '../path.ts'
import { baseBlockBytes } from '../transfer/block-size.ts'
import { clearStagedBlocks, isBarred } from '../transfer/clear-staged-blocks.ts'
import { fullName } from './file-info.ts'
import type { Remote } from './remote.ts'
import { checksumOf, type TransferJournal } from './transfer-journal.ts'

// A block is read straight into the buffer that it is sent from, several at a time. With a journal its id
// tells its bytes: session (4 bytes), checksum (8), number (4). A later run then knows from the service's
// list which blocks need not be sent again, and a block whose source has changed has another id.

/** An open local file, and what it was when it was opened. */
export interface Source {
  readonly file: FileHandle
  readonly stats: BigIntStats
  readonly local: string
}

export interface BlockUploadOptions extends CommitOptions {
  readonly onBytes?: ((bytes: number) => void) | undefined
  readonly journal?: TransferJournal | undefined
  /** Told of bytes that an earlier run has sent. */
  readonly onResumed?: ((bytes: number) => void) | undefined
}

/** Blocks of one file under way at once. */
const blocksAtOnce = 4

/** Uploads a regular file block by block, and commits it when it has not changed meanwhile: else `ESTALE`. */
export async function putBlocks(
  remote: Remote,
  path: BlobPath,
  source: Source,
  options: BlockUploadOptions,
): Promise<BlobProperties> {
  const { journal, signal } = options
  const name = fullName(path)
  const known = journal?.wasStaging(name) === true ? await sentBlocks(remote, path, options) : none
  await journal?.noteStaging(name)
  try {
    return await sendBlocks(remote, path, source, { ...options, known })
  } catch (error) {
    if (isBarred(error)) return sendCleared(remote, path, source, options)
    // Another writer's commit drops what an earlier run had staged.
    const lost = isFileSystemError(error) && error.serviceCode === 'InvalidBlockList'
    if (!lost || known.size === 0 || signal?.aborted === true) throw error
    return sendBlocks(remote, path, source, { ...options, known: none })
  }
}

/** From the beginning: what was staged up to here goes with what was in the way. */
async function sendCleared(
  remote: Remote,
  path: BlobPath,
  source: Source,
  options: BlockUploadOptions,
): Promise<BlobProperties> {
  const { ifMatch, leaseId, signal } = options
  const remade = await clearStagedBlocks(remote.store, path, { leaseId, signal })
  const isOurs = ifMatch !== undefined && ifMatch === remade?.from
  const known = { ifMatch: isOurs ? remade?.to : ifMatch, known: none }
  return sendBlocks(remote, path, source, { ...options, ...known })
}

const none: ReadonlyMap<string, number> = new Map()

/** What an earlier run may have sent: staged, or committed by a process that died before it noted so. */
async function sentBlocks(
  { store }: Remote,
  path: BlobPath,
  { signal }: BlockUploadOptions,
): Promise<ReadonlyMap<string, number>> {
  const staged = await store.getStagedBlocks(path, { signal })
  const blocks = staged.length > 0 ? staged : await committedBlocks(store, path, { signal })
  return new Map(blocks.map(({ id, sizeBytes }) => [id, sizeBytes]))
}

async function committedBlocks(
  store: BlobStore,
  path: BlobPath,
  options: CallOptions,
): Promise<readonly CommittedBlock[]> {
  try {
    return (await store.getBlocks(path, options)).blocks
  } catch (error) {
    // Nothing is there, or no block blob.
    if (isFileSystemError(error, 'ENOENT', 'EINVAL')) return []
    throw error
  }
}

async function sendBlocks(
  remote: Remote,
  path: BlobPath,
  source: Source,
  options: BlockUploadOptions & { readonly known: ReadonlyMap<string, number> },
): Promise<BlobProperties> {
  const { journal, known, signal, onBytes, onResumed, ...commit } = options
  const { leaseId } = commit
  const sizeBytes = Number(source.stats.size)
  const ranges = splitRange({ start: 0, end: sizeBytes }, blockBytesFor(remote, sizeBytes))
  const idOf = journal === undefined ? randomIds() : contentIds(journal.session)
  const isSummed = remote.store.integrity === 'crc64'
  const sums: (Crc64Part | undefined)[] = ranges.map(() => undefined)
  const ids = await mapConcurrent(ranges, blocksAtOnce, (range, index) =>
    withBuffer(remote, lengthOf(range), signal, async (buffer) => {
      signal?.throwIfAborted()
      const data = await readRange(source, range, buffer)
      const id = idOf(index, data)
      const crc64 = isSummed ? await crc64Aside(data) : undefined
      if (crc64 !== undefined) sums[index] = { crc64, bytes: data.byteLength }
      if (known.get(id) === data.byteLength) onResumed?.(data.byteLength)
      else await remote.store.stageBlock(path, id, data, { signal, crc64, leaseId })
      onBytes?.(data.byteLength)
      return id
    }),
  )
  await checkUnchanged(source, sizeBytes)
  signal?.throwIfAborted()
  const crc64 = composeCrc64(sums)
  return remote.store.commitBlocks(path, ids, { ...commit, signal, sizeBytes, crc64 })
}

/** Larger than usual only where the blob could not have so many blocks. */
function blockBytesFor({ blockBytes }: Remote, sizeBytes: number): number {
  return sizeBytes <= blockBytes * maxBlocks ? blockBytes : baseBlockBytes(blockBytes, sizeBytes)
}

/** Spare buffers are few: they count for no claim. */
const maxSpareBuffers = 4

/** Runs `task` when there are memory and a place for its request, with a buffer of `bytes` or more. */
function withBuffer<T>(
  { memory, limiter, spareBuffers }: Remote,
  bytes: number,
  signal: AbortSignal | undefined,
  task: (buffer: Buffer) => Promise<T>,
): Promise<T> {
  const work = async () => {
    const spare = spareBuffers.pop()
    const isFit = spare !== undefined && spare.byteLength >= bytes
    const buffer = isFit ? spare : Buffer.allocUnsafeSlow(bytes)
    try {
      return await task(buffer)
    } finally {
      if (spareBuffers.length < maxSpareBuffers) spareBuffers.push(buffer)
    }
  }
  return memory.run(bytes, () => limiter.run(work, signal), signal)
}

type IdOf = (index: number, data: Uint8Array) => string

/** Two writers of one blob never name the same block. */
function randomIds(): IdOf {
  const session = randomBytes(12)
  return (index) => blockId(session, index)
}

function contentIds(session: string): IdOf {
  const tag = Buffer.from(session, 'hex')
  return (index, data) => blockId(Buffer.concat([tag, checksumOf(data).subarray(0, 8)]), index)
}

function blockId(head: Buffer, index: number): string {
  const id = Buffer.alloc(16)
  head.copy(id)
  id.writeUInt32BE(index, 12)
  return id.toString('base64')
}

/** `ESTALE` where the file has become shorter. */
async function readRange(
  source: Source,
  { start, end }: ByteRange,
  buffer: Buffer,
): Promise<Buffer> {
  const data = buffer.subarray(0, end - start)
  for (let done = 0; done < data.byteLength; ) {
    const { bytesRead } = await source.file.read(data, done, data.byteLength - done, start + done)
    if (bytesRead === 0) throw changedSource(source.local)
    done += bytesRead
  }
  return data
}

/** `ESTALE` when the file is not what it was when it was opened. */
export async function checkUnchanged(source: Source, bytesRead: number): Promise<void> {
  if (!source.stats.isFile()) return
  const after = await source.file.stat({ bigint: true })
  const { size, mtimeNs } = source.stats
  if (after.size !== size || after.mtimeNs !== mtimeNs || size !== BigInt(bytesRead)) {
    throw changedSource(source.local)
  }
}

/** The error for a local file that is not what it was. */
export function changedSource(path: string): FileSystemError {
  return new FileSystemError('ESTALE', 'read', {
    path,
    detail: 'the local file changed while it was read; nothing was written',
    retryable: true,
  })
}
