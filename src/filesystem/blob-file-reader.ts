import type { CallOptions } from '../blob/store.ts'
import { KiB, MiB, splitRange } from '../byte-range.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { expectCall } from '../expect-option.ts'
import { entryFromBlob } from '../namespace/blob-entry.ts'
import type { Entry } from '../namespace/entry.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { BlobReader, wholeBlobBytes } from '../transfer/blob-reader.ts'
import { readAhead } from '../transfer/read-ahead.ts'
import { type CachePolicy, type CacheType, policyOf, windowOf } from './cache-type.ts'
import { type Consistency, consistencyOf, restarting } from './consistency.ts'
import { type FileInfo, toFileInfo } from './file-info.ts'
import { LatestVersion } from './latest-version.ts'
import type { Remote } from './remote.ts'

export interface OpenOptions extends CallOptions {
  /** What is fetched beyond what is read. Default `readahead`. */
  readonly cacheType?: CacheType | undefined
  /**
   * Which version is read. `pinned` (the default): the one that was there at open; once that is replaced, what is
   * not in memory is `ESTALE`. `restart`: the same, but while no call has given a byte yet, a call that finds the
   * version gone goes on with the one that is there, at most five times. `latest`: each call reads the version that is
   * there then, all of it from one; nothing is kept or fetched ahead, so that `cacheType` cannot be said with it.
   */
  readonly consistency?: Consistency | undefined
}

/** Bytes that a search for a delimiter fetches at once. */
const searchBytes = 64 * KiB
/** Bytes that iteration yields at once. */
const stepBytes = MiB
/** A read this long is its own window, and would drive everything else out of the shared memory. */
const directBytes = 32 * MiB
/** So is the rest of a file, when it is iterated. */
const streamBytes = 16 * MiB

interface Version {
  readonly info: FileInfo
  readonly reader: BlobReader
}

/**
 * An open file with a position. Unless {@link OpenOptions.consistency} says otherwise all bytes come from the version
 * that it had when it was opened: once that is replaced, reading what is not in memory rejects with `ESTALE`.
 */
export class BlobFileReader implements AsyncIterable<Uint8Array> {
  readonly #policy: CachePolicy
  readonly #latest: LatestVersion | undefined
  /** Opens the version that is there now; only while nothing was given and it may be another one. */
  #renew: (() => Promise<Version>) | undefined
  #version: Version
  #position = 0

  private constructor(
    version: Version,
    policy: CachePolicy,
    others: { readonly latest?: LatestVersion; readonly renew?: () => Promise<Version> },
  ) {
    this.#version = version
    this.#policy = policy
    this.#latest = others.latest
    this.#renew = others.renew
  }

  /** Opens the version that `path` has now. `ENOENT`, `EISDIR`. */
  static async open(
    remote: Remote,
    path: BlobPath,
    options: OpenOptions = {},
  ): Promise<BlobFileReader> {
    const consistency = consistencyOf(options.consistency)
    if (consistency === 'latest' && options.cacheType !== undefined) {
      throw new TypeError("cacheType: consistency 'latest' keeps nothing and fetches nothing ahead")
    }
    const policy = policyOf(options.cacheType ?? 'readahead', remote.caches)
    const look = consistency === 'latest' ? { ...options, cacheType: 'none' } : options
    const version = await openVersion(remote, path, { ...look, policy })
    if (consistency === 'latest') {
      return new BlobFileReader(version, policy, {
        latest: new LatestVersion(remote, path, version.info),
      })
    }
    const renew = () => openVersion(remote, path, { cacheType: options.cacheType, policy })
    return new BlobFileReader(version, policy, consistency === 'restart' ? { renew } : {})
  }

  /** Of the version that is read: as it was at open, but for `restart` and `latest`. */
  get info(): FileInfo {
    return this.#latest?.info ?? this.#version.info
  }

  /** Bytes of the whole file. */
  get size(): number {
    return this.info.size
  }

  get #reader(): BlobReader {
    return this.#version.reader
  }

  /** The next `length` bytes, fewer at the end, none after it. The caller owns them. */
  async read(length: number, options: CallOptions = {}): Promise<Uint8Array> {
    expectCall(options)
    if (!Number.isSafeInteger(length) || length < 0) {
      throw new RangeError(`length: expected bytes, 0 or more, got ${length}`)
    }
    return this.#restarting(() => this.#read(length, options), options)
  }

  /**
   * Fills `target` with the next bytes and returns how many there were: fewer at the end, 0 after
   * it. A target of 32 MiB and more is filled from the network without a copy.
   */
  async readInto(target: Uint8Array, options: CallOptions = {}): Promise<number> {
    expectCall(options)
    return this.#restarting(() => this.#readInto(target, options), options)
  }

  /** All bytes from the position to the end. */
  async readAll(options: CallOptions = {}): Promise<Uint8Array> {
    // Whatever version it will be of.
    return this.read(Number.MAX_SAFE_INTEGER, options)
  }

  /**
   * The bytes up to and with the next `delimiter`, or to the end; none at the end. `maxBytes` (default
   * 64 MiB) bounds what is held: without a delimiter in so many bytes that many are returned.
   */
  async readUntil(
    delimiter: Uint8Array | string,
    options: CallOptions & { readonly maxBytes?: number | undefined } = {},
  ): Promise<Uint8Array> {
    expectCall(options)
    const wanted = Buffer.from(delimiter)
    if (wanted.byteLength === 0) throw new RangeError('delimiter: expected at least one byte')
    const { maxBytes = 64 * MiB } = options
    const start = this.#position
    let held = Buffer.alloc(0)
    while (held.byteLength < maxBytes) {
      const count = Math.min(Math.max(searchBytes, held.byteLength), maxBytes - held.byteLength)
      const more = await this.read(count, options)
      const from = Math.max(held.byteLength - wanted.byteLength + 1, 0)
      held = Buffer.concat([held, more])
      const at = held.indexOf(wanted, from)
      const end = at < 0 ? held.byteLength : at + wanted.byteLength
      this.#position = start + end
      if (at >= 0) return held.subarray(0, end)
      if (more.byteLength < count) break
    }
    return held
  }

  /** The next line of UTF-8 without its end (`\n` or `\r\n`); `undefined` at the end. */
  async readLine(options: CallOptions = {}): Promise<string | undefined> {
    expectCall(options)
    const line = await this.readUntil('\n', { ...options, maxBytes: Number.MAX_SAFE_INTEGER })
    if (line.byteLength === 0) return undefined
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(line)
    return withoutReturn(text.endsWith('\n') ? text.slice(0, -1) : text)
  }

  /** Moves the position: an offset from the beginning, or from the end when negative. */
  seek(offset: number): void {
    const position = offset < 0 || Object.is(offset, -0) ? this.size + offset : offset
    if (!Number.isSafeInteger(position) || position < 0) {
      throw new RangeError(`offset: expected a place within the file or after it, got ${offset}`)
    }
    this.#position = position
  }

  /** The position. */
  tell(): number {
    return this.#position
  }

  /** Lines of UTF-8 from the position on, without their ends (`\n` or `\r\n`). */
  async *lines(): AsyncGenerator<string, void> {
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
    let tail = ''
    for await (const data of this) {
      const lines = (tail + decoder.decode(data, { stream: true })).split('\n')
      tail = lines.pop() ?? ''
      for (const line of lines) yield withoutReturn(line)
    }
    tail += decoder.decode()
    if (tail !== '') yield withoutReturn(tail)
  }

  /**
   * The bytes from the position to the end, in pieces of 1 MiB, which the caller owns. What is left
   * of a long file (16 MiB and more) comes straight from the network and is not kept in memory.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      const isSettled = this.#renew === undefined && this.#latest === undefined
      if (isSettled && this.size - this.#position >= streamBytes) yield* this.#stream()
      const data = await this.read(stepBytes)
      if (data.byteLength === 0) return
      yield data
    }
  }

  /** Ends what is being fetched. Never throws; later reads reject with `EBADF`. */
  async close(): Promise<void> {
    this.#latest?.close()
    this.#renew = undefined
    this.#reader.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** What has given a byte stays with the version that it is of. */
  async #restarting<T extends Uint8Array | number>(
    read: () => Promise<T>,
    { signal }: CallOptions,
  ): Promise<T> {
    if (this.#renew === undefined) return read()
    const undo = async () => {
      const version = await this.#renew?.()
      if (version === undefined) return false
      this.#reader.close()
      this.#version = version
      return true
    }
    const result = await restarting(read, { signal, undo })
    if ((typeof result === 'number' ? result : result.byteLength) > 0) this.#renew = undefined
    return result
  }

  async #read(length: number, options: CallOptions): Promise<Uint8Array> {
    if (this.#latest !== undefined) {
      const data = await this.#latest.read(this.#position, length, options)
      this.#position += data.byteLength
      return data
    }
    // Not zeroed: every byte of it is written or cut off.
    const target = Buffer.allocUnsafeSlow(Math.max(Math.min(length, this.size - this.#position), 0))
    return target.subarray(0, await this.#readInto(target, options))
  }

  async #readInto(target: Uint8Array, options: CallOptions): Promise<number> {
    const start = this.#position
    const count = await this.#fill(target, start, options)
    this.#position = start + count
    return count
  }

  async #fill(target: Uint8Array, start: number, options: CallOptions): Promise<number> {
    if (this.#latest !== undefined) {
      const data = await this.#latest.read(start, target.byteLength, options)
      target.set(data)
      return data.byteLength
    }
    return target.byteLength >= directBytes
      ? this.#reader.readInto(target, start, options)
      : this.#copyInto(target, start, options)
  }

  /** Ends where the file does, or where the position is moved by somebody else. */
  async *#stream(): AsyncGenerator<Uint8Array, void> {
    for await (const piece of readAhead(this.#reader, this.#position)) {
      for (const { start, end } of splitRange({ start: 0, end: piece.byteLength }, stepBytes)) {
        this.#position += end - start
        const position = this.#position
        yield piece.subarray(start, end)
        if (this.#position !== position) return
      }
    }
  }

  /** What the policy does not keep is read past the memory. */
  async #copyInto(target: Uint8Array, start: number, options: CallOptions): Promise<number> {
    const { keepBelow = Number.POSITIVE_INFINITY } = this.#policy
    const kept = Math.min(Math.max(keepBelow - start, 0), target.byteLength)
    if (kept === target.byteLength) return this.#copyKept(target, start, options)
    const count = kept === 0 ? 0 : await this.#copyKept(target.subarray(0, kept), start, options)
    return count + (await this.#reader.readInto(target.subarray(kept), start + kept, options))
  }

  async #copyKept(target: Uint8Array, start: number, options: CallOptions): Promise<number> {
    const { blockBytes } = this.#policy
    const end = start + target.byteLength
    if (blockBytes !== undefined && start < this.size) {
      const from = Math.floor(start / blockBytes) * blockBytes
      const to = Math.ceil(Math.min(end, this.size) / blockBytes) * blockBytes
      await this.#reader.read({ start: from, end: to }, options)
    }
    const parts = await this.#reader.read({ start, end: start + target.byteLength }, options)
    let count = 0
    for (const part of parts) {
      target.set(part, count)
      count += part.byteLength
    }
    return count
  }
}

async function openVersion(
  remote: Remote,
  path: BlobPath,
  options: OpenOptions & { readonly policy: CachePolicy },
): Promise<Version> {
  const { entry, head } = await lookAt(remote, path, options)
  const { type, etag, sizeBytes } = entry
  if (type === 'directory' || etag === undefined) {
    throw new FileSystemError('EISDIR', 'open', { path: formatPath(path) })
  }
  const reader = new BlobReader({
    store: remote.store,
    path,
    properties: { etag, sizeBytes },
    head,
    cache: remote.chunkCache,
    chunkBytes: remote.blockBytes,
    maxWindowBytes: windowOf(options.policy, sizeBytes),
    streamBelowMs: remote.streamBelowMs,
    clock: remote.clock,
  })
  return { info: toFileInfo(path.container, entry), reader }
}

/**
 * What `path` is, and its first bytes: of a small file one request brings all. Where blocks are on the disk, and
 * where nothing is to be fetched that is not read, only what it is.
 */
async function lookAt(
  remote: Remote,
  path: BlobPath,
  { signal, cacheType }: OpenOptions,
): Promise<{ readonly entry: Entry; readonly head?: Uint8Array }> {
  const known = remote.namespace.known(path)
  const isOnlyLook = cacheType === 'none' || remote.chunkCache.disk !== undefined
  if (isOnlyLook || known?.type === 'directory')
    return { entry: await statOf(remote, path, signal) }
  // No range of an empty file can be asked for. If it is empty no more, the answer may be too long.
  const range = known?.sizeBytes === 0 ? undefined : { start: 0, end: wholeBlobBytes }
  try {
    const { data, properties } = await remote.store.get(path, { range, signal })
    return { entry: entryFromBlob(path.name, properties), head: data }
  } catch (error) {
    if (!isFileSystemError(error, 'ENOENT', 'EISDIR', 'EFBIG')) throw error
    return { entry: await statOf(remote, path, signal) }
  }
}

function statOf(remote: Remote, path: BlobPath, signal: AbortSignal | undefined): Promise<Entry> {
  return remote.namespace.stat(path, { signal, fresh: true })
}

function withoutReturn(line: string): string {
  return line.endsWith('\r') ? line.slice(0, -1) : line
}
