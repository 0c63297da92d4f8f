import type { CallOptions } from '../blob/store.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { expectFunction } from '../expect-option.ts'
import { entryFromBlob } from '../namespace/blob-entry.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { download } from './download.ts'
import type { FileInfo } from './file-info.ts'
import { keptOf } from './kept.ts'
import { pipeFile } from './pipe.ts'
import type { Remote } from './remote.ts'

export interface UpdateOptions extends CallOptions {
  /** Attempts beside the first. Default 10. */
  readonly retries?: number | undefined
}

/** Makes of the file's bytes (`undefined` when there is none) those that it gets. */
export type Change = (data: Uint8Array | undefined) => Uint8Array | Promise<Uint8Array>

const firstPauseMs = 10
const maxPauseMs = 1000

/** Reads, changes and writes a file, from the beginning again when somebody else wrote it meanwhile. */
export async function updateFile(
  remote: Remote,
  path: BlobPath,
  options: UpdateOptions & { readonly change: Change },
): Promise<FileInfo> {
  const { change, signal, retries = 10 } = options
  expectFunction('change', change, 'a function from bytes to bytes')
  if (!Number.isInteger(retries) || retries < 0) {
    throw new RangeError(`retries: expected an integer of 0 or more, got ${retries}`)
  }
  for (let attempt = 0; ; attempt += 1) {
    const before = await currentVersion(remote, path, signal)
    const data = await change(before?.data)
    const condition =
      before === undefined ? ({ mode: 'create' } as const) : { ifMatch: before.etag }
    try {
      return await pipeFile(remote, path, data, { ...before?.kept, ...condition, signal })
    } catch (error) {
      if (!isFileSystemError(error, 'ESTALE', 'EEXIST', 'ENOENT')) throw error
      if (attempt === retries) throw contended(path, attempt + 1, error)
      // Full jitter: those who met must not meet again.
      const pauseMs = Math.min(firstPauseMs * 2 ** attempt, maxPauseMs)
      await remote.clock.sleep(Math.random() * pauseMs, signal)
    }
  }
}

async function currentVersion(remote: Remote, path: BlobPath, signal: AbortSignal | undefined) {
  let data = new Uint8Array()
  try {
    const sink = {
      begin: ({ sizeBytes }: { readonly sizeBytes: number }) => {
        data = new Uint8Array(sizeBytes)
      },
      accept: (piece: Uint8Array, offset: number) => data.set(piece, offset),
    }
    const properties = await download(remote, path, { sink, signal })
    const kept = await keptOf(remote, path, entryFromBlob(path.name, properties))
    return { data, etag: properties.etag, kept }
  } catch (error) {
    if (isFileSystemError(error, 'ENOENT')) return undefined
    throw error
  }
}

function contended(path: BlobPath, attempts: number, cause: unknown): FileSystemError {
  const detail = `somebody else wrote the file in each of ${attempts} attempts`
  return new FileSystemError('ESTALE', 'update', { path: formatPath(path), detail, cause })
}
