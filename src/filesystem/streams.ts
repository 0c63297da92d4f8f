import { Readable, Writable } from 'node:stream'
import type { CallOptions } from '../blob/store.ts'
import { MiB } from '../byte-range.ts'
import { expectSignal } from '../expect-option.ts'
import type { BlobPath } from '../path.ts'
import { BlobFileReader } from './blob-file-reader.ts'
import { BlobFileWriter } from './blob-file-writer.ts'
import type { Consistency } from './consistency.ts'
import type { WriteOptions } from './pipe.ts'
import type { Remote } from './remote.ts'

export interface ReadStreamOptions extends CallOptions {
  /** The first byte. Default 0. */
  readonly start?: number | undefined
  /** The byte after the last, as everywhere in abfs. Absent: the end of the file. */
  readonly end?: number | undefined
  /** Bytes of a piece. Default 1 MiB. */
  readonly highWaterMark?: number | undefined
  /** As for {@link OpenOptions}: `restart` holds until the stream has its first piece. Default `pinned`. */
  readonly consistency?: Consistency | undefined
}

/** The bytes of a file as a Node stream, which opens it at its first read; of one version unless told otherwise. */
export function readStream(
  remote: Remote,
  path: BlobPath,
  options: ReadStreamOptions = {},
): Readable {
  expectSignal(options)
  const { signal } = options
  const ending = new AbortController()
  const until = signal === undefined ? ending.signal : AbortSignal.any([signal, ending.signal])
  const read = pieces(remote, path, { ...options, signal: until })
  return Readable.from(endedBy(ending, read), { objectMode: false, signal })
}

/** `generator`, which would come to its end only when what it waits for has come: who leaves aborts that. */
function endedBy<T>(
  ending: AbortController,
  generator: AsyncGenerator<T, void>,
): AsyncIterable<T, void> {
  const leave = (how: () => Promise<IteratorResult<T, void>>) => {
    ending.abort()
    return how()
  }
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => generator.next(),
      return: () => leave(() => generator.return()),
      throw: (error) => leave(() => generator.throw(error)),
    }),
  }
}

/** A Node stream that makes a file when it ends, by `writer` where one is given, and nothing when it is destroyed. */
export function writeStream(
  remote: Remote,
  path: BlobPath,
  options: WriteOptions & {
    readonly exclusive: boolean
    readonly writer?: Promise<BlobFileWriter> | undefined
  },
): Writable {
  expectSignal(options)
  const { writer = BlobFileWriter.open(remote, path, options) } = options
  // The first call meets the error; without a listener before that the process would end.
  writer.catch(() => undefined)
  return new Writable({
    signal: options.signal,
    write(chunk, encoding, done) {
      const data = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
      settle(
        writer.then((open) => open.write(data)),
        done,
      )
    },
    final(done) {
      settle(
        writer.then((open) => open.close()),
        done,
      )
    },
    destroy(error, done) {
      settle(
        writer.then(
          (open) => open.abort(),
          () => undefined,
        ),
        () => done(error),
      )
    },
  })
}

async function* pieces(
  remote: Remote,
  path: BlobPath,
  options: ReadStreamOptions,
): AsyncGenerator<Uint8Array, void> {
  const { start = 0, end = Number.MAX_SAFE_INTEGER, signal, consistency } = options
  const { highWaterMark = MiB } = options
  const reader = await BlobFileReader.open(remote, path, { signal, consistency })
  try {
    reader.seek(start)
    while (reader.tell() < end) {
      const data = await reader.read(Math.min(highWaterMark, end - reader.tell()), { signal })
      if (data.byteLength === 0) return
      yield data
    }
  } finally {
    await reader.close()
  }
}

function settle(work: Promise<unknown>, done: (error?: Error | null) => void): void {
  work.then(
    () => done(),
    (error: unknown) => done(error instanceof Error ? error : new Error(String(error))),
  )
}
