import type { CallOptions } from '../blob/store.ts'
import { type BulkResult, runAll } from '../bulk.ts'
import { Limiter } from '../concurrency.ts'
import { FileSystemError } from '../errors.ts'
import type { TreeProgress } from '../namespace/tree.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { demandContainerConsent, removeContainer } from './directories.ts'
import { type ExpandOptions, expandPath } from './expand-path.ts'
import { type FileInfo, fullName, pathOf } from './file-info.ts'
import { FileRemovals } from './file-removals.ts'
import { checkProgress, type Progress, type ProgressOptions } from './progress.ts'
import type { Remote } from './remote.ts'

export interface RemoveOptions extends Omit<ExpandOptions, 'maxDepth'>, ProgressOptions {
  /** Whether a path may be a container, which then goes with all that it holds. */
  readonly allowContainer?: boolean | undefined
  /** Of the lock that the caller holds on the one file that is deleted; see `FileLock`. */
  readonly leaseId?: string | undefined
  /** `return`: everything is tried, and what failed is told. Default `raise`: see `BulkError`. */
  readonly onError?: 'raise' | 'return' | undefined
  /**
   * Told after each file. What directories hold is met while it is deleted: totals grow. A container, and a directory of a
   * hierarchical account, goes in one request and is told as one, of no bytes.
   */
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

/**
 * Deletes what names and patterns stand for. Before the first deletion all of it is checked:
 * `ENOENT`, `EISDIR` for a directory without `recursive`, `EPERM` for a container.
 */
export async function remove(
  remote: Remote,
  names: string | readonly string[],
  options: RemoveOptions = {},
): Promise<BulkResult> {
  checkProgress(options)
  const { signal, onError } = options
  const hits = await hitsOf(remote, names, options)
  const { concurrency } = remote
  const files = hits.filter(({ type }) => type !== 'directory')
  const removals = await FileRemovals.of(remote, files, options)
  // Each is requests of its own, many at a time.
  const trees = new Limiter(concurrency)
  const nameOf = ({ name }: FileInfo) => name
  const run = { signal, concurrency: removals.limit, syscall: 'rm', onError, pathOf: nameOf }
  const tally = new RemovalTally(files, options.onProgress)
  return runAll(hits, run, async ({ name, type, size }) => {
    const path = pathOf(name)
    if (type === 'directory') {
      return trees.run(() => removeDirectoryTree(remote, path, { signal, tally }), signal)
    }
    await removals.remove(path)
    tally.add(path, size)
  })
}

/** What {@link remove} would delete: files, and directories with all that they hold. */
export async function hitsOf(
  remote: Remote,
  names: string | readonly string[],
  { signal, literal, recursive, allowContainer }: RemoveOptions,
): Promise<readonly FileInfo[]> {
  // A name that no listing told is asked for as a directory first, so that it is what listings show.
  const prefer = recursive === true ? 'directory' : undefined
  const hits = outermost(await expandPath(remote.view, names, { signal, literal, prefer }))
  for (const { name, type } of hits) {
    const path = pathOf(name)
    if (path.name === '') demandContainerConsent(path, 'rm', allowContainer)
    if (type !== 'directory' || recursive) continue
    throw new FileSystemError('EISDIR', 'rm', {
      path: formatPath(path),
      detail: 'is a directory; pass recursive: true to delete it with all that it holds',
    })
  }
  return hits
}

/** Deletes one file. `ENOENT`, `EISDIR`. */
export async function removeFile(
  remote: Remote,
  path: BlobPath,
  options: CallOptions & { readonly leaseId?: string | undefined },
): Promise<void> {
  const { signal, leaseId } = options
  const entry = await remote.namespace.stat(path, { signal })
  if (entry.type === 'directory') {
    throw new FileSystemError('EISDIR', 'rmFile', { path: formatPath(path) })
  }
  await remote.namespace.removeFile(path, { signal, leaseId })
}

async function removeDirectoryTree(
  remote: Remote,
  path: BlobPath,
  { signal, tally }: CallOptions & { readonly tally: RemovalTally },
): Promise<void> {
  if (path.name === '') {
    await removeContainer(remote, path, { signal })
    return tally.addMet(path, 0)
  }
  let met = 0
  const onProgress = (removed: TreeProgress) => {
    met++
    tally.addMet(removed.path, removed.sizeBytes)
  }
  const { concurrency } = remote
  const removal = { signal, concurrency, onProgress, isDirectory: true }
  const file = await remote.namespace.removeTree(path, removal)
  if (met === 0) tally.addMet(path, 0)
  if (file !== undefined) throw hiddenFile(path)
}

/** What is left where a directory, now deleted, and a file had one name. */
export function hiddenFile(path: BlobPath): FileSystemError {
  return new FileSystemError('EEXIST', 'rm', {
    path: formatPath(path),
    detail:
      'the directory is deleted; a file of its name, which it hid, is left: delete it by another rm',
  })
}

class RemovalTally {
  readonly #onProgress: RemoveOptions['onProgress']
  #files = 0
  #bytes = 0
  #totalFiles: number
  #totalBytes: number

  constructor(files: readonly FileInfo[], onProgress: RemoveOptions['onProgress']) {
    this.#totalFiles = files.length
    this.#totalBytes = files.reduce((total, { size }) => total + size, 0)
    this.#onProgress = onProgress
  }

  add(path: BlobPath, sizeBytes: number): void {
    this.#files += 1
    this.#bytes += sizeBytes
    const [files, totalFiles] = [this.#files, this.#totalFiles]
    const [bytes, totalBytes] = [this.#bytes, this.#totalBytes]
    const done = { bytes, totalBytes, files, totalFiles }
    this.#onProgress?.({ phase: 'deleting', path: fullName(path), ...done })
  }

  /** One that nobody knew of before. */
  addMet(path: BlobPath, sizeBytes: number): void {
    this.#totalFiles += 1
    this.#totalBytes += sizeBytes
    this.add(path, sizeBytes)
  }
}

/** Without what lies below another: that goes with it. */
function outermost(sorted: readonly FileInfo[]): FileInfo[] {
  const directories = new Set(
    sorted.filter((entry) => entry.type === 'directory').map((entry) => entry.name),
  )
  return sorted.filter((entry) => {
    for (let at = entry.name.indexOf('/'); at >= 0; at = entry.name.indexOf('/', at + 1)) {
      if (directories.has(entry.name.slice(0, at))) return false
    }
    return true
  })
}
