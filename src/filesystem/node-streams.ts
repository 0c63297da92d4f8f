import type { Readable, Writable } from 'node:stream'
import { expectSignal } from '../expect-option.ts'
import type { BlobPath } from '../path.ts'
import { appendFile } from './append-file.ts'
import { demandWord } from './demand-word.ts'
import type { Remote } from './remote.ts'
import { type ReadStreamOptions, readStream, writeStream } from './streams.ts'

/** As the streams of `node:fs` take them. */
export interface NodeReadStreamOptions extends Omit<ReadStreamOptions, 'end'> {
  /** The last byte that is read, as in Node; everywhere else in abfs `end` is the byte after it. */
  readonly end?: number | undefined
  /** Pieces are texts. Absent: bytes. */
  readonly encoding?: BufferEncoding | null | undefined
}

export interface NodeWriteStreamOptions {
  /** `w` (default) writes anew, `wx` only where nothing is, `a` at the end. */
  readonly flags?: string | undefined
  readonly encoding?: BufferEncoding | null | undefined
  readonly signal?: AbortSignal | undefined
}

const writeFlags: readonly string[] = ['w', 'wx', 'a']

/** `createReadStream` of `node:fs`: `end` is read too, and `encoding` decodes. */
export function nodeReadStream(
  remote: Remote,
  path: BlobPath,
  options: BufferEncoding | NodeReadStreamOptions = {},
): Readable {
  const given = typeof options === 'string' ? { encoding: options } : options
  expectSignal(given)
  const { end, encoding, ...rest } = given
  const after = end === undefined ? undefined : end + 1
  const stream = readStream(remote, path, { ...rest, end: after })
  return encoding ? stream.setEncoding(encoding) : stream
}

/** `createWriteStream` of `node:fs`: the file is there when the stream ends, and as it was when it is destroyed. */
export function nodeWriteStream(
  remote: Remote,
  path: BlobPath,
  options: BufferEncoding | NodeWriteStreamOptions = {},
): Writable {
  const given = typeof options === 'string' ? { encoding: options } : options
  expectSignal(given)
  const { flags = 'w', encoding, signal } = given
  demandWord('flags', flags, writeFlags)
  const writer = flags === 'a' ? appendFile(remote, path, { signal }) : undefined
  const stream = writeStream(remote, path, { exclusive: flags === 'wx', signal, writer })
  return encoding ? stream.setDefaultEncoding(encoding) : stream
}
