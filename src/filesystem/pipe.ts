import type { BlobProperties, CallOptions, Metadata, PutOptions } from '../blob/store.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { entryFromBlob } from '../namespace/blob-entry.ts'
import { refuseReserved } from '../namespace/blob-name.ts'
import { demandSameType } from '../namespace/blob-type.ts'
import type { Entry } from '../namespace/entry.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { BlobWriter } from '../transfer/blob-writer.ts'
import { demandWord } from './demand-word.ts'
import { type FileInfo, statedInfo, toFileInfo } from './file-info.ts'
import { bytesOf, type FileData } from './given-bytes.ts'
import type { Remote } from './remote.ts'
import { sendAgain } from './send-again.ts'

export interface WriteOptions extends CallOptions, Pick<PutOptions, 'headers' | 'tier' | 'tags'> {
  /** What the file gets beside its bytes; nothing is added. */
  readonly metadata?: Metadata | undefined
  readonly contentType?: string | undefined
  /** The file must have this etag: else `ESTALE`. */
  readonly ifMatch?: string | undefined
  /** Of the lock that the caller holds on the file; see `FileLock`. */
  readonly leaseId?: string | undefined
}

export interface PipeOptions extends WriteOptions {
  /** `create` fails with `EEXIST` when the file exists. Default `overwrite`. */
  readonly mode?: 'overwrite' | 'create' | undefined
}

/** Makes `data` the file: in one request up to a block, in blocks beyond. */
export async function pipeFile(
  remote: Remote,
  path: BlobPath,
  given: FileData,
  options: PipeOptions = {},
): Promise<FileInfo> {
  const { mode, ifMatch, leaseId, ...described } = options
  const { signal, metadata, contentType } = described
  const data = bytesOf(given)
  demandWord('mode', mode ?? 'overwrite', ['overwrite', 'create'])
  const existing = await refuseDirectory(remote, path, { signal })
  if (mode !== 'create') await refuseOtherType(remote, path, existing, { signal })
  const conditions = {
    ifMatch,
    leaseId,
    ifNoneMatch: mode === 'create' ? ('*' as const) : undefined,
  }
  if (data.byteLength > remote.blockBytes) {
    const mayRepeat = ifMatch === undefined && mode !== 'create'
    return sendAgain(() => pipeBlocks(remote, path, data, { ...options, ...conditions }), {
      mayRepeat,
    })
  }
  const properties = await remote.limiter.run(
    () => remote.store.put(path, data, { ...described, ...conditions }),
    signal,
  )
  return noteCommitted(remote, path, { properties, metadata, contentType })
}

/** Writes an empty file, or dates one anew. */
export async function touch(
  remote: Remote,
  path: BlobPath,
  options: CallOptions & { readonly truncate?: boolean } = {},
): Promise<FileInfo> {
  const { signal, truncate = true } = options
  if (truncate) return pipeFile(remote, path, new Uint8Array(), { signal })
  await refuseDirectory(remote, path, { signal })
  try {
    const mtimeNs = BigInt(remote.clock.nowMs()) * 1_000_000n
    const entry = await remote.namespace.setAttributes(path, { mtimeNs }, { signal })
    return toFileInfo(path.container, entry)
  } catch (error) {
    if (!isFileSystemError(error, 'ENOENT')) throw error
    return pipeFile(remote, path, new Uint8Array(), { signal, mode: 'create' })
  }
}

/**
 * `EISDIR` when `path` is a directory: a blob of that name would be hidden behind it. `EPERM` for a
 * name that belongs to abfs itself.
 */
export async function refuseDirectory(
  remote: Remote,
  path: BlobPath,
  options: CallOptions,
): Promise<Entry | undefined> {
  refuseReserved(path, 'open')
  const entry = await entryIfAny(remote, path, options)
  if (entry?.type !== 'directory') return entry
  throw new FileSystemError('EISDIR', 'open', { path: formatPath(path) })
}

/** `EINVAL` where an append or page blob of a flat account would have to become a block blob. */
export async function refuseOtherType(
  remote: Remote,
  path: BlobPath,
  existing: Entry | undefined,
  { signal }: CallOptions,
): Promise<void> {
  const demand = { code: 'EINVAL', syscall: 'open', signal } as const
  await demandSameType(remote.namespace, path, existing, demand)
}

/** What was just written, as the call that wrote it knows it. */
interface Written {
  readonly properties: BlobProperties
  readonly metadata?: Metadata | undefined
  readonly contentType?: string | undefined
}

/**
 * Tells the listings of a blob that was just written, and returns what is known of it: its version, too, where the
 * account keeps versions.
 */
export function noteCommitted(remote: Remote, path: BlobPath, written: Written): FileInfo {
  const info = toFileInfo(path.container, tellListings(remote, path, written))
  const { versionId } = written.properties
  return versionId === undefined ? info : statedInfo(info, { versionId })
}

/** As {@link noteCommitted}, for callers who do not want to know. */
export function tellListings(remote: Remote, path: BlobPath, written: Written): Entry {
  const { properties } = written
  const entry = entryFromBlob(path.name, {
    ...properties,
    metadata: properties.metadata ?? written.metadata ?? {},
    contentType: properties.contentType ?? written.contentType,
  })
  remote.namespace.noteCommitted(path, entry)
  return entry
}

async function pipeBlocks(
  remote: Remote,
  path: BlobPath,
  data: Uint8Array,
  options: WriteOptions & { readonly ifNoneMatch: '*' | undefined },
): Promise<FileInfo> {
  const { ifMatch, leaseId, ifNoneMatch, metadata, contentType, signal } = options
  const { headers, tier, tags } = options
  await using writer = new BlobWriter({
    store: remote.store,
    path,
    conditions: { ifMatch, leaseId, ifNoneMatch },
    metadata,
    contentType,
    kept: { headers, tier, tags },
    blockBytes: remote.blockBytes,
    memory: remote.memory,
    expectedBytes: data.byteLength,
  })
  for (let at = 0; at < data.byteLength; at += remote.blockBytes) {
    signal?.throwIfAborted()
    await writer.write(data.subarray(at, at + remote.blockBytes))
  }
  signal?.throwIfAborted()
  const properties = await writer.commit()
  return noteCommitted(remote, path, { properties, metadata, contentType })
}

async function entryIfAny(
  remote: Remote,
  path: BlobPath,
  options: CallOptions,
): Promise<Entry | undefined> {
  try {
    return await remote.namespace.stat(path, { signal: options.signal })
  } catch (error) {
    if (isFileSystemError(error, 'ENOENT')) return undefined
    throw error
  }
}
