/** Symbolic links: blobs whose body is the target. */
import type { CallOptions } from '../blob/store.ts'
import { type ErrnoCode, FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { entryFromBlob } from './blob-entry.ts'
import { type NamespaceParts, requireAbsent } from './directories.ts'
import type { Entry, PosixAttributes } from './entry.ts'
import { callOptions } from './lookup.ts'
import { withPosixAttributes } from './posix-metadata.ts'

/** As `Namespace.createSymlink`. */
export async function createSymlink(
  parts: NamespaceParts,
  path: BlobPath,
  target: string,
  options: CallOptions & { readonly posix?: PosixAttributes | undefined },
): Promise<Entry> {
  if (path.name === '') throw failure('EEXIST', 'symlink', path, 'it is a container')
  if (target === '') throw failure('EINVAL', 'symlink', path, 'a link needs a target')
  await requireAbsent(parts, path, { ...callOptions(options), syscall: 'symlink' })
  const body = Buffer.from(target)
  const metadata = withPosixAttributes({}, 'symlink', { mode: 0o777, ...options.posix })
  const put = { ...callOptions(options), metadata, ifNoneMatch: '*' } as const
  const properties = await parts.store.put(path, body, put)
  const sizeBytes = body.byteLength
  const entry = entryFromBlob(path.name, { ...properties, sizeBytes, metadata })
  parts.cache.upsert(path, entry)
  return entry
}

/** As `Namespace.readSymlink`. */
export async function readSymlink(
  { lookup, store }: NamespaceParts,
  path: BlobPath,
  options: CallOptions,
): Promise<string> {
  const entry = await lookup.stat(path, callOptions(options))
  if (entry.type !== 'symlink') throw failure('EINVAL', 'readlink', path, 'not a symbolic link')
  const { data } = await store.get(path, callOptions(options))
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString()
}

function failure(
  code: ErrnoCode,
  syscall: string,
  path: BlobPath,
  detail: string,
): FileSystemError {
  return new FileSystemError(code, syscall, { path: formatPath(path), detail })
}
