import { type CallOptions, type ListEntry, listAll } from '../blob/store.ts'
import { forEachConcurrent } from '../concurrency.ts'
import type { BlobPath } from '../path.ts'
import { childPrefix } from './blob-name.ts'
import type { NamespaceParts } from './directories.ts'
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

/** All blobs whose names begin with the directory's and a slash. */
export async function* blobsBelow(
  parts: NamespaceParts,
  directory: BlobPath,
  options: CallOptions,
): AsyncGenerator<BlobRow, void, undefined> {
  const prefix = { ...directory, name: childPrefix(directory.name) }
  for await (const row of listAll(parts.store, prefix, callOptions(options))) {
    if (row.kind === 'blob') yield row
  }
}

/** Requests under way at once. */
export function limitOf(options: Pick<TreeOptions, 'concurrency'>): number {
  return options.concurrency ?? defaultConcurrency
}
