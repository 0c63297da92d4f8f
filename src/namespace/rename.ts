import { type ErrnoCode, FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { isImplied } from './blob-entry.ts'
import { childPrefix } from './blob-name.ts'
import { keepParent, type NamespaceParts } from './directories.ts'
import type { Entry } from './entry.ts'
import { callOptions, unlessMissing } from './lookup.ts'
import { moveBlobs, type TreeOptions } from './tree.ts'

export interface RenameOptions extends TreeOptions {
  /** `EEXIST` when the destination exists, instead of replacing it. */
  readonly noReplace?: boolean | undefined
}

/** `rename(2)` on blobs: see `Namespace.rename`. */
export async function rename(
  parts: NamespaceParts,
  move: { readonly from: BlobPath; readonly to: BlobPath },
  options: RenameOptions,
): Promise<void> {
  const { from, to } = move
  checkPaths(from, to)
  const [source, target] = await Promise.all([
    parts.lookup.find(from, callOptions(options)),
    parts.lookup.find(to, callOptions(options)),
  ])
  if (typeof source === 'string') throw failure(source, from, to)
  if (target === 'ENOTDIR') throw failure('ENOTDIR', from, to)
  if (target !== 'ENOENT' && options.noReplace === true) throw failure('EEXIST', from, to)
  if (from.container === to.container && from.name === to.name) return
  if (target !== 'ENOENT') checkKinds(source, target, move)
  if (source.type !== 'directory') return renameFile(parts, { ...move, source }, options)
  await renameDirectory(parts, { ...move, source, target }, options)
}

/**
 * Copies on the server's side the version of `source` that is known; looks again, once, when that
 * version is gone. Returns the entry at the destination.
 */
export async function copyEntry(
  parts: NamespaceParts,
  copy: { readonly from: BlobPath; readonly to: BlobPath; readonly source: Entry },
  options: RenameOptions,
): Promise<{ readonly source: Entry; readonly copied: Entry }> {
  const { from, to, source } = copy
  try {
    return { source, copied: await copyVersion(parts, copy, options) }
  } catch (error) {
    if (!isFileSystemError(error, 'ESTALE')) throw error
    const found = await parts.lookup.stat(from, { ...callOptions(options), fresh: true })
    if (found.type === 'directory') throw failure('EISDIR', from, to)
    return { source: found, copied: await copyVersion(parts, { from, to, source: found }, options) }
  }
}

async function copyVersion(
  parts: NamespaceParts,
  copy: { readonly from: BlobPath; readonly to: BlobPath; readonly source: Entry },
  options: RenameOptions,
): Promise<Entry> {
  const { from, to, source } = copy
  const properties = await parts.store.copy(from, to, {
    ...callOptions(options),
    sourceIfMatch: source.etag,
    ...(options.noReplace === true ? { ifNoneMatch: '*' } : {}),
  })
  const { etag, lastModifiedMs } = properties
  const copied = { ...source, name: to.name, etag, lastModifiedMs, createdMs: undefined }
  parts.cache.upsert(to, copied)
  return copied
}

async function renameFile(
  parts: NamespaceParts,
  move: { readonly from: BlobPath; readonly to: BlobPath; readonly source: Entry },
  options: RenameOptions,
): Promise<void> {
  const { source } = await copyEntry(parts, move, options)
  await keepParent(parts, move.from, options)
  const ifMatch = source.etag
  await unlessMissing(parts.store.delete(move.from, { ...callOptions(options), ifMatch }))
  parts.cache.remove(move.from)
  options.onProgress?.({ path: move.from, sizeBytes: source.sizeBytes })
}

async function renameDirectory(
  parts: NamespaceParts,
  move: {
    readonly from: BlobPath
    readonly to: BlobPath
    readonly source: Entry
    readonly target: Entry | 'ENOENT'
  },
  options: RenameOptions,
): Promise<void> {
  const { from, to, source } = move
  if (move.target !== 'ENOENT') await requireEmpty(parts, move, options)
  const entry = await parts.lookup.stat(from, { ...callOptions(options), fresh: true })
  if (entry.type !== 'directory') throw failure('ENOTDIR', from, to)
  try {
    await keepParent(parts, from, options)
    await moveBlobs(parts, { from, entry, to }, options)
  } finally {
    parts.cache.invalidate(from, true)
    parts.cache.invalidate(to, true)
  }
  parts.cache.remove(from)
  const kept = isImplied(source) && typeof move.target === 'object' ? move.target : source
  parts.cache.upsert(to, moved(kept, to))
}

/** The entry at its destination; its marker's etag there is not known, so nothing relies on it. */
function moved(entry: Entry, to: BlobPath): Entry {
  const slash = entry.markerName?.endsWith('/') === true
  const markerName = slash ? childPrefix(to.name) : to.name
  return {
    ...entry,
    name: to.name,
    ...(entry.markerName === undefined ? {} : { markerName }),
  }
}

async function requireEmpty(
  parts: NamespaceParts,
  move: { readonly from: BlobPath; readonly to: BlobPath },
  options: RenameOptions,
): Promise<void> {
  const rows = await parts.lookup.firstBelow(move.to, 2, callOptions(options))
  const marker = childPrefix(move.to.name)
  if (rows.some((row) => row.name !== marker)) throw failure('ENOTEMPTY', move.from, move.to)
}

function checkPaths(from: BlobPath, to: BlobPath): void {
  if (from.name === '' || to.name === '') {
    const detail = 'a container is neither renamed nor replaced'
    throw failure('EBUSY', from, to, detail)
  }
  const inside = from.container === to.container && to.name.startsWith(childPrefix(from.name))
  if (inside) throw failure('EINVAL', from, to, 'a directory cannot move into itself')
}

function checkKinds(
  source: Entry,
  target: Entry,
  move: { readonly from: BlobPath; readonly to: BlobPath },
): void {
  const intoDirectory = target.type === 'directory'
  if (source.type !== 'directory' && intoDirectory) throw failure('EISDIR', move.from, move.to)
  if (source.type === 'directory' && !intoDirectory) throw failure('ENOTDIR', move.from, move.to)
}

function failure(code: ErrnoCode, from: BlobPath, to: BlobPath, detail?: string): FileSystemError {
  return new FileSystemError(code, 'rename', {
    path: formatPath(from),
    dest: formatPath(to),
    ...(detail === undefined ? {} : { detail }),
  })
}
