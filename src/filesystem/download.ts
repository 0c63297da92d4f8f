import type { BlobContent, BlobProperties, CallOptions } from '../blob/store.ts'
import { type ByteRange, clampRange, KiB, lengthOf, MiB, splitRange } from '../byte-range.ts'
import { forEachConcurrent, type Limiter } from '../concurrency.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { typeFromBlob } from '../namespace/blob-entry.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { BlobReader } from '../transfer/blob-reader.ts'
import type { BlobStream } from '../transfer/blob-stream.ts'
import { ContentCheck } from '../transfer/content-check.ts'
import type { Claim } from '../transfer/memory-budget.ts'
import type { Remote } from './remote.ts'

/** Receives a download. */
export interface DownloadSink {
  /** Told before the first piece: what the service says of the version that is read. */
  begin?(properties: BlobProperties): Promise<void> | void
  /** Takes the piece that belongs at `offset`; pieces come in any order. The buffer is used again. */
  accept(data: Uint8Array, offset: number): Promise<void> | void
}

/** What a stream is cut into. */
const streamPieceBytes = MiB
/** Pieces of one file under way at once. */
const piecesAtOnce = 4

export interface DownloadOptions extends CallOptions {
  /** What is read, in order, none of it empty. Absent: all. */
  readonly ranges?: readonly ByteRange[] | undefined
  /** The version that is meant. Absent: the one that is there. */
  readonly ifMatch?: string | undefined
  /** Whether a listing said that it is empty. Absent: whether one that is kept does. */
  readonly likelyEmpty?: boolean | undefined
  readonly sink: DownloadSink
}

const whole: ByteRange = { start: 0, end: Number.MAX_SAFE_INTEGER }

/**
 * Reads a blob, or `ranges` of it, from one version: the first piece tells the etag, all others
 * demand it. `ESTALE` when the blob is replaced meanwhile, `EISDIR` when it is a directory, `EBADMSG` when
 * all of it was read and is not what was written.
 */
export async function download(
  remote: Remote,
  path: BlobPath,
  options: DownloadOptions,
): Promise<BlobProperties> {
  const { signal, ifMatch, likelyEmpty } = options
  if (remote.chunkCache.disk !== undefined) return downloadThroughDisk(remote, path, options)
  const [asked = whole, ...others] = options.ranges ?? [whole]
  const { start, end } = asked
  const limit = others.length > 0 ? 0 : end
  const sink = new CheckedSink(remote, path, { start, limit, sink: options.sink })
  const head = { start, end: Math.min(end, start + remote.blockBytes) }
  const properties = await takeFirst(remote, path, head, { signal, sink, ifMatch, likelyEmpty })
  const pieces: ByteRange[] = []
  for (const range of [{ start: head.end, end }, ...others]) {
    const rest = { start: range.start, end: Math.min(range.end, properties.sizeBytes) }
    if (rest.start >= rest.end) continue
    const reached = await streamRest(remote, { path, properties, range: rest, sink, signal })
    pieces.push(...splitRange({ start: reached, end: rest.end }, remote.blockBytes))
  }
  await forEachConcurrent(pieces, piecesAtOnce, async (range) => {
    const take = async () => {
      const data = await getPiece(remote, path, { range, ifMatch: properties.etag, signal })
      await sink.accept(data, range.start)
    }
    await remote.memory.run(lengthOf(range), take, signal)
  })
  sink.finish()
  return properties
}

/**
 * As {@link download} of a range that one request brings and memory may hold, without what many pieces need;
 * not by way of the local disk. What comes back is shorter where the blob ends before.
 */
export async function readAtOnce(
  remote: Remote,
  path: BlobPath,
  options: Omit<FirstOptions, 'ifMatch'>,
): Promise<BlobContent> {
  const { range, signal } = options
  const bytes = lengthOf(range)
  signal?.throwIfAborted()
  const claim = remote.memory.tryClaim(bytes) ?? (await remote.memory.claim(bytes, signal))
  try {
    const content = await getFirst(remote, path, options)
    const { data, properties } = content
    refuseDirectory(path, properties)
    const isWhole = range.start === 0 && data.byteLength === properties.sizeBytes
    if (!isWhole || remote.store.integrity !== 'crc64') return content
    const check = ContentCheck.of(path, properties)
    await check?.add(data, 0)
    check?.finish()
    return content
  } finally {
    claim.release()
  }
}

/** Hands on to a sink, and checks what it hands on when that is all of a blob. */
class CheckedSink implements DownloadSink {
  readonly #remote: Remote
  readonly #path: BlobPath
  readonly #options: { readonly start: number; readonly limit: number; readonly sink: DownloadSink }
  #check: ContentCheck | undefined

  constructor(
    remote: Remote,
    path: BlobPath,
    options: { readonly start: number; readonly limit: number; readonly sink: DownloadSink },
  ) {
    this.#remote = remote
    this.#path = path
    this.#options = options
  }

  async begin(properties: BlobProperties): Promise<void> {
    const { start, limit, sink } = this.#options
    const isWhole = start === 0 && limit >= properties.sizeBytes
    const isWanted = isWhole && this.#remote.store.integrity === 'crc64'
    this.#check = isWanted ? ContentCheck.of(this.#path, properties) : undefined
    await sink.begin?.(properties)
  }

  async accept(data: Uint8Array, offset: number): Promise<void> {
    await Promise.all([this.#check?.add(data, offset), this.#options.sink.accept(data, offset)])
  }

  /** `EBADMSG` when the bytes are not those that were written. */
  finish(): void {
    this.#check?.finish()
  }
}

/** The first piece, which tells of what version and how long the rest is. */
async function takeFirst(
  remote: Remote,
  path: BlobPath,
  range: ByteRange,
  { signal, sink, ifMatch, likelyEmpty }: DownloadOptions,
): Promise<BlobProperties> {
  const take = async (claim: Claim) => {
    const first = { range, ifMatch, likelyEmpty, signal }
    const { data, properties } = await getFirst(remote, path, first)
    claim.shrink(data.byteLength)
    refuseDirectory(path, properties)
    await sink.begin?.(properties)
    if (data.byteLength > 0) await sink.accept(data, range.start)
    return properties
  }
  return remote.memory.run(lengthOf(range), take, signal)
}

/**
 * The same by way of the blocks on the local disk: one request asks for the version, others for what is
 * not there.
 */
async function downloadThroughDisk(
  remote: Remote,
  path: BlobPath,
  { ranges = [whole], sink, signal, ifMatch }: DownloadOptions,
): Promise<BlobProperties> {
  const properties = await headFile(remote, path, signal)
  if (ifMatch !== undefined && ifMatch !== properties.etag) {
    throw new FileSystemError('ESTALE', 'read', { path: formatPath(path) })
  }
  const { store, chunkCache: cache, streamBelowMs, clock } = remote
  const reader = new BlobReader({ store, path, properties, cache, streamBelowMs, clock })
  try {
    await sink.begin?.(properties)
    const pieces = ranges.flatMap((range) =>
      splitRange(clampRange(range, properties.sizeBytes), remote.blockBytes),
    )
    await forEachConcurrent(pieces, piecesAtOnce, async (piece) => {
      const data = Buffer.allocUnsafeSlow(lengthOf(piece))
      await remote.limiter.run(() => reader.readInto(data, piece.start, { signal }), signal)
      await sink.accept(data, piece.start)
    })
    return properties
  } finally {
    reader.close()
  }
}

interface Rest extends CallOptions {
  readonly path: BlobPath
  readonly properties: BlobProperties
  readonly range: ByteRange
  readonly sink: DownloadSink
}

/**
 * One request for all that is left, where the service is near, that is worth it and it is fast enough.
 * Resolves to where it stopped.
 */
async function streamRest(remote: Remote, rest: Rest): Promise<number> {
  const { store, streamBelowMs, clock } = remote
  const { path, properties, range, signal } = rest
  const reader = new BlobReader({
    store,
    path,
    properties,
    cache: remote.chunkCache,
    streamBelowMs,
    clock,
  })
  try {
    const stream = reader.stream(range.start, range.end)
    if (stream === undefined) return range.start
    const take = () => remote.limiter.run(() => takeAll({ ...rest, reader, stream }), signal)
    return await remote.memory.run(2 * streamPieceBytes, take, signal)
  } finally {
    reader.close()
  }
}

/** One buffer is filled while the other is taken. Resolves to the end of what was taken. */
async function takeAll(
  rest: Rest & { readonly reader: BlobReader; readonly stream: BlobStream },
): Promise<number> {
  const { reader, stream, sink } = rest
  const signal = rest.signal ?? new AbortController().signal
  const fill = async ({ start, end }: ByteRange, buffer: Uint8Array): Promise<Uint8Array> => {
    const target = buffer.subarray(0, end - start)
    if (!(await reader.fillFrom(stream, target, signal)))
      await reader.readInto(target, start, { signal })
    return target
  }
  let [filling, taking] = [0, 0].map(() => Buffer.allocUnsafeSlow(streamPieceBytes))
  let pending: { readonly offset: number; readonly data: Promise<Uint8Array> } | undefined
  let reached = rest.range.start
  for (const range of splitRange(rest.range, streamPieceBytes)) {
    if (!stream.canFill(range.start, range.end - range.start)) break
    reached = range.end
    const before = await pending?.data
    const offset = pending?.offset ?? 0
    ;[filling, taking] = [taking, filling]
    pending = { offset: range.start, data: fill(range, filling ?? Buffer.alloc(0)) }
    pending.data.catch(() => undefined)
    if (before !== undefined) await sink.accept(before, offset)
  }
  if (pending !== undefined) await sink.accept(await pending.data, pending.offset)
  return reached
}

interface FirstOptions extends Pick<DownloadOptions, 'ifMatch' | 'likelyEmpty' | 'signal'> {
  readonly range: ByteRange
  /** As long as the range. */
  readonly into?: Uint8Array | undefined
  /** Absent: that of all content. */
  readonly limiter?: Limiter | undefined
}

function getFirst(remote: Remote, path: BlobPath, options: FirstOptions): Promise<BlobContent> {
  const { range, into, ifMatch, signal, likelyEmpty, limiter = remote.limiter } = options
  const isEmpty = likelyEmpty ?? remote.namespace.known(path)?.sizeBytes === 0
  const get = () => remote.store.get(path, { range, into, ifMatch, signal })
  const ask =
    isEmpty && range.start === 0
      ? async () => (await getShort(remote, path, options)) ?? get()
      : get
  return orDirectory(remote, path, { asked: limiter.run(ask, signal), signal })
}

/** What a blob that was empty is given, in case that it has grown. */
const shortBytes = 4 * KiB

/**
 * No range of an empty blob can be asked for, and the refusal tells neither its version nor whether it stands for
 * a directory: what was empty is asked for whole. `undefined` where it has grown past {@link shortBytes}.
 */
async function getShort(
  remote: Remote,
  path: BlobPath,
  { range, ifMatch, signal }: FirstOptions,
): Promise<BlobContent | undefined> {
  const into = new Uint8Array(Math.min(shortBytes, lengthOf(range)))
  try {
    return await remote.store.get(path, { into, ifMatch, signal })
  } catch (error) {
    if (isFileSystemError(error, 'EFBIG')) return undefined
    throw error
  }
}

/** What the service says of a file; `EISDIR` for a directory. */
export async function headFile(
  remote: Remote,
  path: BlobPath,
  signal: AbortSignal | undefined,
): Promise<BlobProperties> {
  const asked = remote.store.head(path, { signal })
  const properties = await orDirectory(remote, path, { asked, signal })
  refuseDirectory(path, properties)
  return properties
}

/** `EISDIR` for what is missing because it is a directory. */
function orDirectory<T>(
  remote: Remote,
  path: BlobPath,
  { asked, signal }: CallOptions & { readonly asked: Promise<T> },
): Promise<T> {
  return asked.catch(async (error) => {
    if (isFileSystemError(error, 'ENOENT') && (await isDirectory(remote, path, signal))) {
      throw directoryError(path, error)
    }
    throw error
  })
}

async function getPiece(
  remote: Remote,
  path: BlobPath,
  options: CallOptions & { readonly range: ByteRange; readonly ifMatch: string },
): Promise<Uint8Array> {
  const expected = lengthOf(options.range)
  const { data } = await remote.limiter.run(() => remote.store.get(path, options), options.signal)
  if (data.byteLength === expected) return data
  throw new FileSystemError('EIO', 'read', {
    path: formatPath(path),
    detail: `expected ${expected} bytes at ${options.range.start}, got ${data.byteLength}`,
    retryable: true,
  })
}

function refuseDirectory(path: BlobPath, properties: BlobProperties): void {
  if (typeFromBlob(path.name, properties) === 'directory') throw directoryError(path)
}

async function isDirectory(
  remote: Remote,
  path: BlobPath,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    return (await remote.namespace.stat(path, { signal })).type === 'directory'
  } catch (error) {
    if (isFileSystemError(error, 'ENOENT', 'ENOTDIR')) return false
    throw error
  }
}

function directoryError(path: BlobPath, cause?: unknown): FileSystemError {
  return new FileSystemError('EISDIR', 'read', { path: formatPath(path), cause })
}
