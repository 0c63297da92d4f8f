import { type CallOptions, type ListEntry, listPages } from '../blob/store.ts'
import { BulkError, type BulkFailure, defaultMaxFailures } from '../bulk.ts'
import { forEachConcurrent } from '../concurrency.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { childPrefix } from './blob-name.ts'
import type { NamespaceParts } from './directories.ts'
import { GatheredDeletes } from './gathered-deletes.ts'
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
  const deletes = new GatheredDeletes(parts.store, options)
  const remove = async ({ name }: BlobRow, sizeBytes: number) => {
    const path = { ...directory, name }
    await unlessMissing(deletes.delete({ path }))
    options.onProgress?.({ path, sizeBytes })
  }
  const prefix = childPrefix(directory.name)
  const slashMarkers: BlobRow[] = []
  const failed: BulkFailure[] = []
  const rows = blobsBelow(parts, directory, options)
  await forEachConcurrent(unlessMany(rows, failed), deletes.limit, async (row) => {
    if (row.name === prefix) slashMarkers.push(row)
    else await noteFailure(failed, directory, row, () => remove(row, row.properties.sizeBytes))
  })
  options.signal?.throwIfAborted()
  if (failed.length > 0) throw failureOf(failed, () => removeBlobs(parts, directory, options))
  for (const row of slashMarkers) await remove(row, 0)
}

/** Ends when so much has failed that the cause is hardly in the blobs. */
async function* unlessMany<T>(
  items: AsyncIterable<T>,
  failed: readonly BulkFailure[],
): AsyncGenerator<T, void, undefined> {
  for await (const item of items) {
    if (failed.length >= defaultMaxFailures) return
    yield item
  }
}

async function noteFailure(
  failed: BulkFailure[],
  { container }: BlobPath,
  { name }: BlobRow,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work()
  } catch (error) {
    failed.push({ path: formatPath({ container, name }), error })
  }
}

function failureOf(failed: readonly BulkFailure[], again: () => Promise<void>): unknown {
  if (failed.length === 1) return failed[0]?.error
  const result = async () => {
    await again()
    return { ok: [], failed: [], waiting: 0, retry: result }
  }
  return new BulkError('removeTree', { ok: [], failed, waiting: 0, retry: result })
}

/** All blobs whose names begin with the directory's and a slash, without their metadata, page by page. */
export async function* blobPagesBelow(
  parts: NamespaceParts,
  directory: BlobPath,
  options: CallOptions,
): AsyncGenerator<readonly BlobRow[], void, undefined> {
  const prefix = { ...directory, name: childPrefix(directory.name) }
  const listing = { ...callOptions(options), metadata: false }
  for await (const rows of listPages(parts.store, prefix, listing)) {
    yield rows.filter((row) => row.kind === 'blob')
  }
}

async function* blobsBelow(
  ...place: Parameters<typeof blobPagesBelow>
): AsyncGenerator<BlobRow, void, undefined> {
  for await (const rows of blobPagesBelow(...place)) yield* rows
}
