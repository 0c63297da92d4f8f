import { randomUUID } from 'node:crypto'
import type { BigIntStats } from 'node:fs'
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { BlobProperties, CallOptions, Metadata } from '../blob/store.ts'
import { MiB } from '../byte-range.ts'
import { FileSystemError } from '../errors.ts'
import { readPosixAttributes, withPosixAttributes } from '../namespace/posix-metadata.ts'
import type { BlobPath } from '../path.ts'
import { BlobWriter } from '../transfer/blob-writer.ts'
import { writeFully } from '../transfer/write-fully.ts'
import { restarting, type WholeConsistency, wholeConsistency } from './consistency.ts'
import { download } from './download.ts'
import { type FileInfo, fullName } from './file-info.ts'
import { getPartial, type PartialOptions } from './get-partial.ts'
import { isMissing, localError, onLocalDisk } from './local-error.ts'
import { noteCommitted, refuseDirectory, refuseOtherType, type WriteOptions } from './pipe.ts'
import { applyAttributes, attributesOf } from './posix-preserve.ts'
import { checkUnchanged, putBlocks, type Source } from './put-blocks.ts'
import type { Remote } from './remote.ts'
import { sendAgain } from './send-again.ts'
import type { LocalState, TransferJournal } from './transfer-journal.ts'

export interface LocalFileOptions extends CallOptions {
  /** Keeps mode, owner and modification time, under AzCopy's metadata keys. */
  readonly preserve?: boolean | undefined
  /** Told of bytes that have arrived since the last call. */
  readonly onBytes?: ((bytes: number) => void) | undefined
}

export interface GetFileOptions extends LocalFileOptions {
  /**
   * What happens when the file is replaced while it is read. Default `pinned`. `onBytes` is then given what was
   * counted as a negative number.
   */
  readonly consistency?: WholeConsistency | undefined
}

/** What a file of a tree is transferred with, where that can be resumed. */
export interface ResumableOptions {
  readonly journal?: TransferJournal | undefined
  /** Told of bytes that an earlier run has moved. */
  readonly onResumed?: ((bytes: number) => void) | undefined
}

/** A file on both sides. */
export interface FilePair {
  readonly remote: BlobPath
  /** An absolute path. */
  readonly local: string
}

/** A file up to this size is read whole; larger ones in pieces of it. */
const readBytes = MiB

/**
 * Downloads one version of a blob. The bytes go to a file beside the destination that takes its
 * name when all are there; on failure it is removed and the destination stays as it was. What is
 * no regular file, such as a pipe or `/dev/stdout`, is written to directly.
 */
export async function getFile(
  remote: Remote,
  pair: FilePair,
  options: GetFileOptions & ResumableOptions & Partial<Pick<PartialOptions, 'listed'>> = {},
): Promise<void> {
  if (wholeConsistency(options.consistency) === 'pinned') return getOnce(remote, pair, options)
  const { signal, onBytes } = options
  let counted = 0
  const count = (bytes: number) => {
    counted += bytes
    onBytes?.(bytes)
  }
  const undo = async () => {
    // What a pipe was given cannot be taken back.
    if (counted > 0 && (await kindOf(pair.local)) === 'stream') return false
    if (counted > 0) onBytes?.(-counted)
    counted = 0
    return true
  }
  const attempt = () => getOnce(remote, pair, { ...options, onBytes: count })
  await restarting(attempt, { signal, undo })
}

async function getOnce(
  remote: Remote,
  pair: FilePair,
  options: LocalFileOptions & ResumableOptions & Partial<Pick<PartialOptions, 'listed'>>,
): Promise<void> {
  const kind = await kindOf(pair.local)
  if (kind === 'directory') throw new FileSystemError('EISDIR', 'open', { path: pair.local })
  if (kind === 'stream') return getToStream(remote, pair, options)
  const { journal, listed } = options
  if (journal !== undefined && listed !== undefined) {
    return getResumable(remote, pair, { ...options, journal, listed })
  }
  const partial = partialName(pair.local)
  try {
    await getToFile(remote, { ...pair, partial }, options)
    await onLocalDisk(pair.local, () => rename(partial, pair.local))
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  }
}

/**
 * Uploads a local file, in blocks when it is large. `ESTALE` when it changed while it was read: then
 * nothing is written.
 */
export async function putFile(
  remote: Remote,
  pair: FilePair,
  options: LocalFileOptions & WriteOptions = {},
): Promise<FileInfo> {
  const existing = await refuseDirectory(remote, pair.remote, options)
  await refuseOtherType(remote, pair.remote, existing, options)
  return putFileUnchecked(remote, pair, options)
}

/** As {@link putFile}; the caller knows that the remote name is no directory. */
export async function putFileUnchecked(
  remote: Remote,
  pair: FilePair,
  options: LocalFileOptions & WriteOptions & ResumableOptions = {},
): Promise<FileInfo> {
  const file = await onLocalDisk(pair.local, () => open(pair.local, 'r'))
  try {
    const stats = await file.stat({ bigint: true })
    if (stats.isDirectory()) throw new FileSystemError('EISDIR', 'open', { path: pair.local })
    const metadata = metadataOf(stats, options)
    const source = { file, stats, local: pair.local }
    const { journal } = options
    const small = stats.isFile() && stats.size <= remote.blockBytes
    const sendLarge = stats.isFile() ? putBlocks : putStream
    const send = small ? putWhole : sendLarge
    const properties = await sendAgain(
      () => send(remote, pair.remote, source, { ...options, metadata }),
      { mayRepeat: stats.isFile() && options.ifMatch === undefined },
    )
    await journal?.noteDone(fullName(pair.remote), { ...stateOf(stats), etag: properties.etag })
    return noteCommitted(remote, pair.remote, { ...options, properties, metadata })
  } catch (error) {
    throw localError(error, pair.local)
  } finally {
    await file.close()
  }
}

type Send = LocalFileOptions & WriteOptions & ResumableOptions

/** Whether a local file is still what it was. */
export async function isUnchanged(path: string, { size, mtimeNs }: LocalState): Promise<boolean> {
  try {
    const now = stateOf(await stat(path, { bigint: true }))
    return now.size === size && now.mtimeNs === mtimeNs
  } catch (error) {
    if (isMissing(error)) return false
    throw localError(error, path)
  }
}

/** What a local file is known again by. */
export function stateOf(stats: BigIntStats): LocalState {
  return { size: Number(stats.size), mtimeNs: String(stats.mtimeNs) }
}

async function putWhole(
  remote: Remote,
  path: BlobPath,
  source: Source,
  options: Send,
): Promise<BlobProperties> {
  const { signal, metadata, contentType, headers, tier, tags, ifMatch, leaseId } = options
  const send = async () => {
    const data = await source.file.readFile()
    await checkUnchanged(source, data.byteLength)
    const properties = await remote.store.put(path, data, {
      signal,
      metadata,
      contentType,
      headers,
      tier,
      tags,
      ifMatch,
      leaseId,
    })
    options.onBytes?.(data.byteLength)
    return properties
  }
  const { size } = source.stats
  return remote.memory.run(Number(size), () => remote.limiter.run(send, signal), signal)
}

/** What is no regular file has no size and no places: it is read to its end. */
async function putStream(
  remote: Remote,
  path: BlobPath,
  source: Source,
  options: Send,
): Promise<BlobProperties> {
  const { metadata, contentType, headers, tier, tags, ifMatch, leaseId, signal } = options
  await using writer = new BlobWriter({
    store: remote.store,
    path,
    conditions: { ifMatch, leaseId },
    metadata,
    contentType,
    kept: { headers, tier, tags },
    blockBytes: remote.blockBytes,
    memory: remote.memory,
  })
  for await (const data of piecesOf(source.file, signal)) {
    await writer.write(data)
    options.onBytes?.(data.byteLength)
  }
  signal?.throwIfAborted()
  // Awaited here: leaving this block ends a writer that has not committed.
  return await writer.commit()
}

/** The buffer is used again for each piece. */
async function* piecesOf(
  file: FileHandle,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void> {
  const buffer = Buffer.allocUnsafeSlow(readBytes)
  for (;;) {
    signal?.throwIfAborted()
    const { bytesRead } = await file.read(buffer, 0, readBytes, null)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
  }
}

function metadataOf(stats: BigIntStats, options: Send): Metadata | undefined {
  if (options.preserve !== true) return options.metadata
  return withPosixAttributes(options.metadata ?? {}, 'file', attributesOf(stats))
}

async function getResumable(
  remote: Remote,
  pair: FilePair,
  options: LocalFileOptions & PartialOptions,
): Promise<void> {
  // Noted before it takes its name: a process that dies between the two leaves a file that is known.
  const finish = async (partial: string, properties: BlobProperties) => {
    await keepAttributes({ ...pair, partial }, properties, options)
    const stats = await onLocalDisk(pair.local, () => stat(partial, { bigint: true }))
    await options.journal.noteDone(pair.local, { ...stateOf(stats), etag: properties.etag })
  }
  await getPartial(remote, pair, { ...options, finish })
}

async function getToFile(
  remote: Remote,
  pair: FilePair & { readonly partial: string },
  options: LocalFileOptions,
): Promise<void> {
  const { signal, onBytes } = options
  const file = await onLocalDisk(pair.local, () => open(pair.partial, 'wx'))
  try {
    const accept = async (data: Uint8Array, offset: number) => {
      await onLocalDisk(pair.local, () => writeFully(file, data, offset))
      onBytes?.(data.byteLength)
    }
    const properties = await download(remote, pair.remote, { signal, sink: { accept } })
    await onLocalDisk(pair.local, () => file.close())
    await keepAttributes(pair, properties, options)
  } finally {
    await file.close().catch(() => undefined)
  }
}

async function keepAttributes(
  { local, partial }: FilePair & { readonly partial: string },
  properties: BlobProperties,
  { preserve }: LocalFileOptions,
): Promise<void> {
  if (preserve !== true) return
  const attributes = readPosixAttributes(properties.metadata ?? {})
  await onLocalDisk(local, () => applyAttributes(partial, attributes))
}

/** Pieces must come in order, so they are asked one after the other. */
async function getToStream(
  remote: Remote,
  pair: FilePair,
  options: LocalFileOptions,
): Promise<void> {
  const pieces = new Map<number, Uint8Array>()
  let next = 0
  const file = await onLocalDisk(pair.local, () => open(pair.local, 'w'))
  const accept = async (data: Uint8Array, offset: number) => {
    pieces.set(offset, data)
    for (let piece = pieces.get(next); piece !== undefined; piece = pieces.get(next)) {
      pieces.delete(next)
      next += piece.byteLength
      options.onBytes?.(piece.byteLength)
      const bytes = piece
      await onLocalDisk(pair.local, () => file.writeFile(bytes))
    }
  }
  try {
    await download(remote, pair.remote, { signal: options.signal, sink: { accept } })
  } finally {
    await file.close()
  }
}

async function kindOf(local: string): Promise<'file' | 'directory' | 'stream' | 'missing'> {
  try {
    const stats = await stat(local)
    return stats.isFile() ? 'file' : stats.isDirectory() ? 'directory' : 'stream'
  } catch (error) {
    if (isMissing(error)) return 'missing'
    throw localError(error, local)
  }
}

/** Beside the destination, so that the rename stays on one disk; short enough for any name. */
export function partialName(local: string): string {
  const name = `.${basename(local).slice(0, 40)}.${randomUUID().slice(0, 8)}.part`
  return join(dirname(local), name)
}
