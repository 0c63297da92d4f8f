import { Buffer } from 'node:buffer'
import type { Readable } from 'node:stream'
import { FileSystemError } from '../errors.ts'
import { expectSignal } from '../expect-option.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { appendFile } from './append-file.ts'
import { BlobFileEditor } from './blob-file-editor.ts'
import { BlobFileReader } from './blob-file-reader.ts'
import { BlobFileWriter } from './blob-file-writer.ts'
import { demandWord } from './demand-word.ts'
import { fullName } from './file-info.ts'
import { NodeStats } from './node-stats.ts'
import { type NodeReadStreamOptions, nodeReadStream } from './node-streams.ts'
import type { Remote } from './remote.ts'

/** How `open` of the shape of `node:fs/promises` opens: to read, to change in place, anew, or at the end. */
export type NodeOpenFlags = 'r' | 'r+' | 'w' | 'wx' | 'a'

const knownFlags: readonly string[] = ['r', 'r+', 'w', 'wx', 'a'] satisfies NodeOpenFlags[]

/** What a read fills and where it begins; `position` `null` or absent: where the one before ended. */
export interface NodeReadOptions {
  readonly buffer?: Uint8Array | undefined
  readonly offset?: number | null | undefined
  readonly length?: number | null | undefined
  readonly position?: number | bigint | null | undefined
}

type Opened = BlobFileReader | BlobFileEditor | BlobFileWriter

/**
 * An open file in the shape of Node's `FileHandle`. What is written becomes visible when it is closed (`r+`: or
 * synced), all at once; a handle that is never closed leaves the file as it was. Files that are written anew or
 * added to are written from one end to the other: other positions are `ENOTSUP`.
 */
export class NodeFileHandle {
  readonly #remote: Remote
  readonly #path: BlobPath
  readonly #file: Opened
  readonly #signal: AbortSignal | undefined

  private constructor(
    remote: Remote,
    path: BlobPath,
    file: Opened,
    signal: AbortSignal | undefined,
  ) {
    this.#remote = remote
    this.#path = path
    this.#file = file
    this.#signal = signal
  }

  /** `ENOENT`, `EISDIR`, `EEXIST` as Node has them. */
  static async open(
    remote: Remote,
    path: BlobPath,
    options: { readonly flags: NodeOpenFlags; readonly signal?: AbortSignal | undefined },
  ): Promise<NodeFileHandle> {
    const { flags, signal } = options
    demandWord('flags', flags, knownFlags)
    return new NodeFileHandle(remote, path, await openAs(remote, path, options), signal)
  }

  /** Fills `buffer` (16 KiB where there is none) from `offset` on; at the end `bytesRead` is 0. */
  async read(
    buffer?: Uint8Array | NodeReadOptions | null,
    offset?: number | NodeReadOptions | null,
    length?: number | null,
    position?: number | bigint | null,
  ): Promise<{ bytesRead: number; buffer: Uint8Array }> {
    const asked = readRequest(buffer, offset, { length, position })
    const target = asked.buffer.subarray(asked.offset, asked.offset + asked.length)
    return { bytesRead: await this.#readInto(target, asked.position), buffer: asked.buffer }
  }

  /** What follows the position, to the end: the bytes, or with an encoding the text. */
  async readFile(options?: null | { encoding?: null }): Promise<Buffer>
  async readFile(options: BufferEncoding | { readonly encoding: BufferEncoding }): Promise<string>
  async readFile(
    options?: BufferEncoding | { readonly encoding?: BufferEncoding | null } | null,
  ): Promise<Buffer | string> {
    const file = this.#readable('read')
    const rest = Buffer.from(await file.read(Math.max(file.size - file.tell(), 0)))
    const encoding = typeof options === 'object' ? options?.encoding : options
    return encoding ? rest.toString(encoding) : rest
  }

  /** Bytes with `offset`, `length` and `position`, or a text with `position` and encoding. */
  async write<Data extends Uint8Array | string>(
    data: Data,
    offsetOrPosition?: number | null,
    lengthOrEncoding?: number | BufferEncoding | null,
    position?: number | null,
  ): Promise<{ bytesWritten: number; buffer: Data }> {
    const given: Uint8Array | string = data
    if (typeof given === 'string') {
      const encoding = typeof lengthOrEncoding === 'string' ? lengthOrEncoding : 'utf8'
      const bytes = Buffer.from(given, encoding)
      await this.#write(bytes, offsetOrPosition ?? undefined)
      return { bytesWritten: bytes.byteLength, buffer: data }
    }
    const start = offsetOrPosition ?? 0
    const end = typeof lengthOrEncoding === 'number' ? start + lengthOrEncoding : undefined
    const bytes = given.subarray(start, end)
    await this.#write(bytes, position ?? undefined)
    return { bytesWritten: bytes.byteLength, buffer: data }
  }

  /** Writes `data` at the position. */
  async writeFile(data: Uint8Array | string, encoding?: BufferEncoding | null): Promise<void> {
    await this.#write(
      typeof data === 'string' ? Buffer.from(data, encoding ?? 'utf8') : data,
      undefined,
    )
  }

  /** The same as {@link writeFile}, as in Node. */
  appendFile(data: Uint8Array | string, encoding?: BufferEncoding | null): Promise<void> {
    return this.writeFile(data, encoding)
  }

  /** Of the file as it is opened: its size has what was written and cannot be seen yet. */
  async stat(): Promise<NodeStats> {
    const { info, size } = this.#known()
    const found = info ?? (await this.#remote.view.stat(fullName(this.#path)))
    const name = fullName(this.#path)
    const fresh = { name, type: 'file', entryType: 'file', isLink: false, metadata: {} } as const
    return new NodeStats({ ...(found ?? fresh), size })
  }

  /** Cuts the file, or adds zeros: of one that is opened with `r+`. */
  async truncate(length = 0): Promise<void> {
    if (this.#file instanceof BlobFileEditor) return this.#file.truncate(length)
    throw this.#unsupported('truncate', "open it with 'r+'")
  }

  /** Makes what was written visible: of a file that is opened with `r+`, as others are not visible in parts. */
  async sync(): Promise<void> {
    if (this.#file instanceof BlobFileReader) return
    if (this.#file instanceof BlobFileWriter) {
      throw this.#unsupported('fsync', 'a file that is written anew is stored when it is closed')
    }
    await this.#file.flush()
  }

  /** The same as {@link sync}. */
  datasync(): Promise<void> {
    return this.sync()
  }

  /** From the beginning, or `start`, to `end`, which is read too; of the version that is there when it is read first. */
  createReadStream(options: NodeReadStreamOptions = {}): Readable {
    expectSignal(options)
    return nodeReadStream(this.#remote, this.#path, { signal: this.#signal, ...options })
  }

  /** Lines of UTF-8 from the position on. */
  async *readLines(): AsyncGenerator<string, void> {
    if (this.#file instanceof BlobFileReader) return yield* this.#file.lines()
    const text = await this.readFile('utf8')
    yield* text.replace(/\r?\n$/, '').split(/\r?\n/)
  }

  /** Stores what was written, and rejects when that fails. */
  async close(): Promise<void> {
    await this.#file.close()
  }

  /** As {@link close}, as in Node. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #readInto(target: Uint8Array, position: number | undefined): Promise<number> {
    const file = this.#readable('read')
    const before = file.tell()
    if (position !== undefined) file.seek(position)
    try {
      if (file instanceof BlobFileReader) return await file.readInto(target)
      const bytes = await file.read(target.byteLength)
      target.set(bytes)
      return bytes.byteLength
    } finally {
      // A read at a position leaves that of the file alone.
      if (position !== undefined) file.seek(before)
    }
  }

  async #write(bytes: Uint8Array, position: number | undefined): Promise<void> {
    const file = this.#file
    if (file instanceof BlobFileReader) throw this.#notOpenFor('write')
    if (file instanceof BlobFileWriter) {
      if (position === undefined || position === file.size) return file.write(bytes)
      throw this.#unsupported('write', "what lies before its end is changed with 'r+'")
    }
    return position === undefined ? file.write(bytes) : file.writeAt(position, bytes)
  }

  #known(): { readonly info?: BlobFileReader['info']; readonly size: number } {
    const file = this.#file
    return file instanceof BlobFileWriter
      ? { size: file.size }
      : { info: file.info, size: file.size }
  }

  #readable(syscall: string): BlobFileReader | BlobFileEditor {
    if (this.#file instanceof BlobFileWriter) throw this.#notOpenFor(syscall)
    return this.#file
  }

  #notOpenFor(syscall: string): FileSystemError {
    const detail = 'the file is not open for this'
    return new FileSystemError('EBADF', syscall, { path: formatPath(this.#path), detail })
  }

  #unsupported(syscall: string, advice: string): FileSystemError {
    const detail = `a file is written from its beginning to its end: ${advice}`
    return new FileSystemError('ENOTSUP', syscall, { path: formatPath(this.#path), detail })
  }
}

function openAs(
  remote: Remote,
  path: BlobPath,
  { flags, signal }: { readonly flags: NodeOpenFlags; readonly signal?: AbortSignal | undefined },
): Promise<Opened> {
  if (flags === 'r') return BlobFileReader.open(remote, path, { signal })
  if (flags === 'r+') return BlobFileEditor.open(remote, path, { signal })
  if (flags === 'a') return appendFile(remote, path, { signal })
  return BlobFileWriter.open(remote, path, { signal, exclusive: flags === 'wx' })
}

interface ReadRequest {
  readonly buffer: Uint8Array
  readonly offset: number
  readonly length: number
  readonly position: number | undefined
}

/** The three spellings of Node: words in a row, a buffer and options, or options alone. */
function readRequest(
  first: Uint8Array | NodeReadOptions | null | undefined,
  second: number | NodeReadOptions | null | undefined,
  rest: Pick<NodeReadOptions, 'length' | 'position'>,
): ReadRequest {
  const isBuffer = first instanceof Uint8Array
  const inWords = typeof second === 'object' ? (second ?? rest) : { ...rest, offset: second }
  const options: NodeReadOptions = isBuffer ? inWords : (first ?? {})
  const buffer = isBuffer ? first : (options.buffer ?? Buffer.alloc(16_384))
  const offset = options.offset ?? 0
  const length = options.length ?? buffer.byteLength - offset
  if (offset < 0 || length < 0 || offset + length > buffer.byteLength) {
    throw new RangeError(`length: expected at most the ${buffer.byteLength} bytes of the buffer`)
  }
  const { position } = options
  const isPlace = position !== undefined && position !== null && Number(position) >= 0
  return { buffer, offset, length, position: isPlace ? Number(position) : undefined }
}
