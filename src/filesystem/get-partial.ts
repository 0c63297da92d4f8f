import { type FileHandle, open, rename } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { BlobProperties, CallOptions } from '../blob/store.ts'
import { type ByteRange, lengthOf } from '../byte-range.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { formatPath } from '../path.ts'
import { writeFully } from '../transfer/write-fully.ts'
import { download } from './download.ts'
import { isMissing, onLocalDisk } from './local-error.ts'
import type { FilePair } from './local-file.ts'
import type { Remote } from './remote.ts'
import { checksumOf, type DoneRange, type TransferJournal } from './transfer-journal.ts'

// The partial file has the same name in every run of one transfer. A range counts as there when the journal
// names it and the bytes on the disk have its checksum: what a crash of the machine lost is read again.

export interface PartialOptions extends CallOptions {
  readonly journal: TransferJournal
  /** What the service's listing tells of the blob. */
  readonly listed: { readonly etag?: string | undefined; readonly size: number }
  readonly onBytes?: ((bytes: number) => void) | undefined
  /** Told of bytes that an earlier run has brought. */
  readonly onResumed?: ((bytes: number) => void) | undefined
  /** Runs on the partial file before it takes its name. */
  readonly finish?: ((partial: string, properties: BlobProperties) => Promise<void>) | undefined
}

/**
 * Downloads one version of a blob, going on with what an earlier run has left of that version; of another
 * nothing is used. What fails leaves the partial file for the next run.
 */
export async function getPartial(
  remote: Remote,
  pair: FilePair,
  options: PartialOptions,
): Promise<BlobProperties> {
  const partial = partialNameOf(pair.local, options.journal.session)
  const properties = await fetchAll(remote, { ...pair, partial }, options)
  await options.finish?.(partial, properties)
  await onLocalDisk(pair.local, () => rename(partial, pair.local))
  return properties
}

type PartialPair = FilePair & { readonly partial: string }

async function fetchAll(
  remote: Remote,
  pair: PartialPair,
  options: PartialOptions,
): Promise<BlobProperties> {
  const known = await knownRanges(pair, options)
  if (known.length === 0) return fetchWhole(remote, pair, options)
  try {
    return await fetchRest(remote, pair, { ...options, known })
  } catch (error) {
    if (!isFileSystemError(error, 'ESTALE')) throw error
    return fetchWhole(remote, pair, options)
  }
}

/** The ranges of the partial file that are there, in order. */
async function knownRanges(
  { local, partial }: PartialPair,
  { journal, listed, signal }: PartialOptions,
): Promise<DoneRange[]> {
  const begun = journal.partialFile(local)
  if (begun === undefined || begun.etag !== listed.etag) return []
  const known: DoneRange[] = []
  const file = await openIfAny(partial)
  try {
    for (const range of [...begun.ranges].sort((a, b) => a.start - b.start)) {
      signal?.throwIfAborted()
      if (file !== undefined && (await holds(file, range))) known.push(range)
    }
  } finally {
    await file?.close()
  }
  return known
}

async function holds(file: FileHandle, range: DoneRange): Promise<boolean> {
  const data = Buffer.allocUnsafe(lengthOf(range))
  const { bytesRead } = await file.read(data, 0, data.byteLength, range.start)
  return bytesRead === data.byteLength && sumOf(data) === range.sum
}

async function fetchWhole(
  remote: Remote,
  pair: PartialPair,
  options: PartialOptions,
): Promise<BlobProperties> {
  const { journal, signal } = options
  const file = await onLocalDisk(pair.local, () => open(pair.partial, 'w', 0o666))
  try {
    let isLong = false
    const begin = async ({ etag, sizeBytes }: BlobProperties) => {
      isLong = sizeBytes > remote.blockBytes
      if (isLong) await journal.notePart(pair.local, etag)
    }
    const accept = async (data: Uint8Array, offset: number) => {
      await take(file, pair, { data, offset, options: isLong ? options : undefined })
      options.onBytes?.(data.byteLength)
    }
    return await download(remote, pair.remote, { signal, sink: { begin, accept } })
  } finally {
    await file.close()
  }
}

async function fetchRest(
  remote: Remote,
  pair: PartialPair,
  options: PartialOptions & { readonly known: readonly DoneRange[] },
): Promise<BlobProperties> {
  const { known, listed, signal } = options
  const file = await onLocalDisk(pair.local, () => open(pair.partial, 'r+'))
  let counted = 0
  const count = (bytes: number) => {
    counted += bytes
    options.onBytes?.(bytes)
  }
  const bytes = known.reduce((sum, range) => sum + lengthOf(range), 0)
  count(bytes)
  options.onResumed?.(bytes)
  try {
    const ranges = gapsOf(known, listed.size)
    if (ranges.length === 0) return await headVersion(remote, pair, options)
    const accept = async (data: Uint8Array, offset: number) => {
      await take(file, pair, { data, offset, options })
      count(data.byteLength)
    }
    const ifMatch = listed.etag
    return await download(remote, pair.remote, { ranges, ifMatch, signal, sink: { accept } })
  } catch (error) {
    count(-counted)
    options.onResumed?.(-bytes)
    throw error
  } finally {
    await file.close()
  }
}

async function take(
  file: FileHandle,
  { local }: PartialPair,
  piece: {
    readonly data: Uint8Array
    readonly offset: number
    /** Absent: the journal is not told. */
    readonly options: PartialOptions | undefined
  },
): Promise<void> {
  const { data, offset, options } = piece
  await onLocalDisk(local, () => writeFully(file, data, offset))
  const end = offset + data.byteLength
  await options?.journal.noteRange(local, { start: offset, end, sum: sumOf(data) })
}

async function headVersion(
  remote: Remote,
  { remote: path }: PartialPair,
  { listed, signal }: PartialOptions,
): Promise<BlobProperties> {
  const properties = await remote.store.head(path, { signal })
  if (properties.etag === listed.etag) return properties
  throw new FileSystemError('ESTALE', 'read', { path: formatPath(path) })
}

/** What lies between `ranges`, which are in order, up to `end`. */
export function gapsOf(ranges: readonly ByteRange[], end: number): ByteRange[] {
  const gaps: ByteRange[] = []
  let at = 0
  for (const range of ranges) {
    if (range.start > at) gaps.push({ start: at, end: range.start })
    at = Math.max(at, range.end)
  }
  if (at < end) gaps.push({ start: at, end })
  return gaps
}

function sumOf(data: Uint8Array): string {
  return checksumOf(data).toString('base64')
}

/** Beside the destination; the same in every run. */
function partialNameOf(local: string, session: string): string {
  const own = checksumOf(Buffer.from(basename(local)))
    .toString('hex')
    .slice(0, 8)
  return join(dirname(local), `.${basename(local).slice(0, 40)}.${session}-${own}.part`)
}

async function openIfAny(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if (isMissing(error)) return undefined
    return onLocalDisk(path, () => Promise.reject(error))
  }
}
