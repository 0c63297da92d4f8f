import type { BlobProperties, CallOptions, Conditions } from '../blob/store.ts'
import { type ErrnoCode, FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { isImplied } from './blob-entry.ts'
import { childPrefix, maxNameCharacters } from './blob-name.ts'
import { findDirectory, type NamespaceParts, takeAway } from './directories.ts'
import type { Entry } from './entry.ts'
import { keptInCopy, keptOf } from './kept-by-renames.ts'
import { callOptions, unlessMissing } from './lookup.ts'
import { type MoveTreeOptions, moveTree } from './move-tree.ts'
import { RenameJournal } from './rename-journal.ts'
import type { PlannedBlob } from './rename-records.ts'
import { recoverOverlapping } from './rename-recovery.ts'
import { blobPagesBelow } from './tree.ts'

/** How often what was added to a tree while it moved is moved after it. */
const maxRounds = 3

export interface RenameOptions extends MoveTreeOptions {
  /** `EEXIST` when the destination exists, instead of replacing it. */
  readonly noReplace?: boolean | undefined
}

/** A file that was copied on the service's side: what it was and what it is at the other name. */
export interface CopiedEntry {
  readonly source: Entry
  readonly copied: Entry
}

/** What became of a file; `undefined` where nothing was copied, and of a directory. */
export type Renamed = CopiedEntry | undefined

/** `rename(2)` on blobs: see `Namespace.rename`. */
export async function rename(
  parts: NamespaceParts,
  move: { readonly from: BlobPath; readonly to: BlobPath },
  options: RenameOptions,
): Promise<Renamed> {
  const { from, to } = move
  checkPaths(from, to)
  const [source, target] = await Promise.all([
    parts.lookup.find(from, callOptions(options)),
    parts.lookup.find(to, callOptions(options)),
  ])
  if (typeof source === 'string') throw failure(source, from, to)
  if (target === 'ENOTDIR') throw failure('ENOTDIR', from, to)
  if (target !== 'ENOENT' && options.noReplace === true) throw failure('EEXIST', from, to)
  if (from.container === to.container && from.name === to.name) return undefined
  if (target !== 'ENOENT') checkKinds(source, target, move)
  if (source.type !== 'directory') return renameFile(parts, { ...move, source }, options)
  await renameDirectory(parts, { ...move, source, target }, options)
  return undefined
}

/** As `Namespace.copyFile`. */
export async function copyFile(
  parts: NamespaceParts,
  from: BlobPath,
  to: BlobPath,
  options: CallOptions & Pick<Conditions, 'leaseId'>,
): Promise<Entry> {
  const [source, target] = await Promise.all([
    parts.lookup.stat(from, callOptions(options)),
    parts.lookup.find(to, callOptions(options)),
  ])
  if (source.type === 'directory') throw isDirectory('copy', from)
  if (typeof target === 'object' && target.type === 'directory') throw isDirectory('copy', to)
  return (await copyEntry(parts, { from, to, source }, options)).copied
}

interface CopyEntryOptions extends RenameOptions {
  /** Whether the copy takes the place of its source, and so keeps tags and tier. */
  readonly moves?: boolean | undefined
  /** Of the lease that the caller holds on the destination. */
  readonly leaseId?: string | undefined
}

/**
 * Copies on the server's side the version of `source` that is known; looks again, once, when that
 * version is gone. Returns the entry at the destination.
 */
async function copyEntry(
  parts: NamespaceParts,
  copy: { readonly from: BlobPath; readonly to: BlobPath; readonly source: Entry },
  options: CopyEntryOptions,
): Promise<CopiedEntry> {
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
  options: CopyEntryOptions,
): Promise<Entry> {
  const { from, to, source } = copy
  const { chosenTier: tier, tagCount } = source
  const kept =
    options.moves === true && (await keptInCopy(parts.tagsOf, from, { tier, tagCount }, options))
  const properties = await parts.store.copy(from, to, {
    ...callOptions(options),
    ...kept,
    sourceIfMatch: source.etag,
    leaseId: options.leaseId,
    ...(options.noReplace === true ? { ifNoneMatch: '*' } : {}),
  })
  const { etag, lastModifiedMs } = properties
  const own = kept === false ? { chosenTier: undefined, tagCount: undefined } : {}
  const copied = { ...source, ...own, name: to.name, etag, lastModifiedMs, createdMs: undefined }
  parts.cache.upsert(to, copied)
  return copied
}

async function renameFile(
  parts: NamespaceParts,
  move: { readonly from: BlobPath; readonly to: BlobPath; readonly source: Entry },
  options: RenameOptions,
): Promise<CopiedEntry> {
  const moved = await copyEntry(parts, move, { ...options, moves: true })
  const { source } = moved
  const ifMatch = source.etag
  await takeAway(parts, move.from, options, async () => {
    await unlessMissing(parts.store.delete(move.from, { ...callOptions(options), ifMatch }))
    parts.cache.remove(move.from)
  })
  const { sizeBytes } = source
  const totals = { files: 1, totalFiles: 1, bytes: sizeBytes, totalBytes: sizeBytes }
  options.onProgress?.({ phase: 'deleted', path: move.from, sizeBytes, ...totals })
  return moved
}

interface DirectoryMove {
  readonly from: BlobPath
  readonly to: BlobPath
  readonly source: Entry
  readonly target: Entry | 'ENOENT'
}

async function renameDirectory(
  parts: NamespaceParts,
  move: DirectoryMove,
  options: RenameOptions,
): Promise<void> {
  const { from, to } = move
  const { recovered, finishedThis } = await recoverOverlapping(parts, move, options)
  const source = await findDirectory(parts, from, options)
  if (finishedThis && source === undefined) return
  // What an earlier rename had left was in the way of this one's look at both names.
  if (recovered && !finishedThis) {
    await rename(parts, { from, to }, options)
    return
  }
  if (source === undefined) throw failure('ENOENT', from, to)
  if (!finishedThis && move.target !== 'ENOENT') await requireEmpty(parts, move, options)
  try {
    await moveAll(parts, { ...move, source }, options)
  } finally {
    parts.cache.invalidate(from, true)
    parts.cache.invalidate(to, true)
  }
  parts.cache.remove(from)
  const kept = isImplied(source) && typeof move.target === 'object' ? move.target : source
  parts.cache.upsert(to, moved(kept, to))
}

/** Moves the tree, then what was added to it meanwhile, until nothing is left of it. */
async function moveAll(
  parts: NamespaceParts,
  move: DirectoryMove,
  options: RenameOptions,
): Promise<void> {
  const { from, to } = move
  for (let round = 1; round <= maxRounds; round += 1) {
    const journal = await RenameJournal.plan(parts, move, sourcesOf(parts, move, options))
    try {
      const { emptied } = await moveTree(parts, journal, { ...options, resumed: false })
      if (emptied) return
    } catch (error) {
      if (round === 1 || !isFileSystemError(error)) throw error
      const detail = `the tree was moved, but not what was added to it meanwhile: ${error.message}`
      throw failure(error.code, from, to, { detail, cause: error })
    }
  }
  const detail = 'the tree was moved, but files are still being added at the old name'
  throw failure('EBUSY', from, to, { detail })
}

/** All blobs of the tree, many at a time, its own marker first. `ENAMETOOLONG` before anything is changed. */
async function* sourcesOf(
  parts: NamespaceParts,
  move: DirectoryMove,
  options: CallOptions,
): AsyncGenerator<readonly PlannedBlob[], void, undefined> {
  const { from, to, source } = move
  if (source.markerName === from.name) {
    const marker = await unlessMissing(parts.store.head(from, callOptions(options)))
    if (marker !== undefined) yield [planned('', marker)]
  }
  for await (const rows of blobPagesBelow(parts, from, options)) {
    yield rows.map(({ name, properties }) => {
      const suffix = name.slice(from.name.length)
      if (to.name.length + suffix.length <= maxNameCharacters) return planned(suffix, properties)
      const detail = `the new name of ${formatPath({ ...from, name })} would be too long`
      throw failure('ENAMETOOLONG', from, to, { detail })
    })
  }
}

function planned(suffix: string, properties: BlobProperties): PlannedBlob {
  const { etag, sizeBytes } = properties
  const { tier, tagCount } = keptOf(properties)
  const plan = { suffix, etag, sizeBytes }
  return tier === undefined && tagCount === undefined ? plan : { ...plan, tier, tagCount }
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
    throw failure('EBUSY', from, to, { detail })
  }
  const inside = from.container === to.container && to.name.startsWith(childPrefix(from.name))
  if (inside) throw failure('EINVAL', from, to, { detail: 'a directory cannot move into itself' })
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

function isDirectory(syscall: string, path: BlobPath): FileSystemError {
  return new FileSystemError('EISDIR', syscall, { path: formatPath(path) })
}

function failure(
  code: ErrnoCode,
  from: BlobPath,
  to: BlobPath,
  more: { readonly detail?: string; readonly cause?: unknown } = {},
): FileSystemError {
  const path = formatPath(from)
  return new FileSystemError(code, 'rename', { path, dest: formatPath(to), ...more })
}
