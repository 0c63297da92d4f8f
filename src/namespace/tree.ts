import { type BlobProperties, type CallOptions, type ListEntry, listAll } from '../blob/store.ts'
import { forEachConcurrent, mapConcurrent } from '../concurrency.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { childPrefix } from './blob-name.ts'
import type { NamespaceParts } from './directories.ts'
import type { Entry } from './entry.ts'
import { callOptions, unlessMissing } from './lookup.ts'

/** One file or directory that an operation on a tree has dealt with. */
export interface TreeProgress {
  readonly path: BlobPath
  readonly sizeBytes: number
}

export interface TreeOptions extends CallOptions {
  /** Requests under way at once. Default 16. */
  readonly concurrency?: number | undefined
  readonly onProgress?: ((progress: TreeProgress) => void) | undefined
}

const defaultConcurrency = 16

type BlobRow = Extract<ListEntry, { kind: 'blob' }>

/** One blob of a tree, and what became of it at its destination. */
interface CopiedBlob {
  readonly source: BlobRow
  readonly target: BlobPath
  readonly copied: BlobProperties
}

/**
 * Deletes all blobs below `directory`, several at a time and while they are listed, then what marks
 * it: until the last moment the directory can be seen, and its removal repeated.
 */
export async function removeBlobs(
  parts: NamespaceParts,
  directory: BlobPath,
  options: TreeOptions,
): Promise<void> {
  const remove = async (row: Pick<BlobRow, 'name'>, sizeBytes: number) => {
    const path = { ...directory, name: row.name }
    await unlessMissing(parts.store.delete(path, callOptions(options)))
    options.onProgress?.({ path, sizeBytes })
  }
  const prefix = childPrefix(directory.name)
  const slashMarkers: BlobRow[] = []
  await forEachConcurrent(blobsBelow(parts, directory, options), limitOf(options), async (row) => {
    if (row.name === prefix) slashMarkers.push(row)
    else await remove(row, row.properties.sizeBytes)
  })
  for (const row of slashMarkers) await remove(row, 0)
}

/**
 * Copies every blob of the directory `from` below `to` on the server's side, several at a time, and
 * makes sure that all have arrived before any source is deleted. When a copy fails, the copies made
 * so far are taken back and the sources stay; when a deletion fails, every blob is at its
 * destination and what could not be deleted is at its source too.
 */
export async function moveBlobs(
  parts: NamespaceParts,
  move: { readonly from: BlobPath; readonly entry: Entry; readonly to: BlobPath },
  options: TreeOptions,
): Promise<void> {
  const sources = await sourcesOf(parts, move, options)
  const copies = await copyAll(parts, { ...move, sources }, options)
  await verify(parts, move.to, copies, options)
  // The marker comes first in `copies` and goes last: the directory stays visible meanwhile.
  const [marker, ...others] = copies
  await forEachConcurrent(others, limitOf(options), (copy) =>
    removeSource(parts, copy, move.from, options),
  )
  if (marker !== undefined) await removeSource(parts, marker, move.from, options)
}

async function sourcesOf(
  parts: NamespaceParts,
  move: { readonly from: BlobPath; readonly entry: Entry },
  options: TreeOptions,
): Promise<BlobRow[]> {
  const rows: BlobRow[] = []
  if (move.entry.markerName === move.from.name) {
    const properties = await parts.store.head(move.from, callOptions(options))
    rows.push({ kind: 'blob', name: move.from.name, properties })
  }
  for await (const row of blobsBelow(parts, move.from, options)) rows.push(row)
  return rows
}

async function copyAll(
  parts: NamespaceParts,
  move: { readonly from: BlobPath; readonly to: BlobPath; readonly sources: readonly BlobRow[] },
  options: TreeOptions,
): Promise<CopiedBlob[]> {
  const made: CopiedBlob[] = []
  try {
    return await mapConcurrent(move.sources, limitOf(options), async (source) => {
      const copy = await copyOne(parts, source, move, options)
      made.push(copy)
      return copy
    })
  } catch (error) {
    await takeBack(parts, made)
    throw error
  }
}

async function copyOne(
  parts: NamespaceParts,
  source: BlobRow,
  move: { readonly from: BlobPath; readonly to: BlobPath },
  options: TreeOptions,
): Promise<CopiedBlob> {
  const from = { ...move.from, name: source.name }
  const name = move.to.name + source.name.slice(move.from.name.length)
  const target = { ...move.to, name }
  const sourceIfMatch = source.properties.etag
  const copied = await parts.store.copy(from, target, { ...callOptions(options), sourceIfMatch })
  return { source, target, copied }
}

/** Best effort: what was to be reported is the failure that led here. */
async function takeBack(parts: NamespaceParts, copies: readonly CopiedBlob[]): Promise<void> {
  await forEachConcurrent(copies, defaultConcurrency, async ({ target, copied }) => {
    try {
      await parts.store.delete(target, { ifMatch: copied.etag })
    } catch (error) {
      if (!isFileSystemError(error)) throw error
    }
  })
}

/** Lists the destination: every copy must be there, in its full size, before a source goes. */
async function verify(
  parts: NamespaceParts,
  to: BlobPath,
  copies: readonly CopiedBlob[],
  options: TreeOptions,
): Promise<void> {
  const sizes = new Map<string, number>()
  const marker = copies.some((copy) => copy.target.name === to.name)
  const head = marker ? await unlessMissing(parts.store.head(to, callOptions(options))) : undefined
  if (head !== undefined) sizes.set(to.name, head.sizeBytes)
  for await (const row of blobsBelow(parts, to, options)) {
    sizes.set(row.name, row.properties.sizeBytes)
  }
  const lost = copies.find((copy) => {
    return sizes.get(copy.target.name) !== copy.source.properties.sizeBytes
  })
  if (lost === undefined) return
  const detail = 'a copy is missing or incomplete at the destination; nothing was deleted'
  throw new FileSystemError('EIO', 'rename', { path: formatPath(lost.target), detail })
}

async function removeSource(
  parts: NamespaceParts,
  copy: CopiedBlob,
  from: BlobPath,
  options: TreeOptions,
): Promise<void> {
  const path = { ...from, name: copy.source.name }
  const ifMatch = copy.source.properties.etag
  await unlessMissing(parts.store.delete(path, { ...callOptions(options), ifMatch }))
  options.onProgress?.({ path, sizeBytes: copy.source.properties.sizeBytes })
}

async function* blobsBelow(
  parts: NamespaceParts,
  directory: BlobPath,
  options: TreeOptions,
): AsyncGenerator<BlobRow, void, undefined> {
  const prefix = { ...directory, name: childPrefix(directory.name) }
  for await (const row of listAll(parts.store, prefix, callOptions(options))) {
    if (row.kind === 'blob') yield row
  }
}

function limitOf(options: TreeOptions): number {
  return options.concurrency ?? defaultConcurrency
}
