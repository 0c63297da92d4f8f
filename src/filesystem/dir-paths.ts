import type { CallOptions } from '../blob/store.ts'
import type { BulkResult } from '../bulk.ts'
import { expectCall } from '../expect-option.ts'
import type { AzureBlobFileSystem } from './azure-blob-file-system.ts'
import { changedInfo, type FileInfo } from './file-info.ts'
import { innerName } from './inner-name.ts'
import type { Progress, ProgressOptions } from './progress.ts'
import type { TransferResult } from './transfer-run.ts'
import { relativeName } from './tree-view.ts'

/** One path, or several, relative to a directory. */
export type InnerPaths = string | readonly string[]

/** Which names of a transfer's result are of the account: the others are of the local disk. */
interface RemoteNames {
  readonly isTarget: boolean
  readonly isSource: boolean
}

/** What paths below a directory stand for, and the other way round. See `DirFileSystem`. */
export class DirPaths {
  readonly #fs: AzureBlobFileSystem
  /** The directory, as `container/path`. */
  readonly root: string

  constructor(fs: AzureBlobFileSystem, root: string) {
    this.#fs = fs
    this.root = root
  }

  /** The whole of which it is a part. */
  protected get fs(): AzureBlobFileSystem {
    return this.#fs
  }

  protected inside(path: string, syscall: string): string {
    return this.pattern(path, syscall).replace(/\/$/, '')
  }

  /** With the slash at its end, which has a meaning in patterns and destinations. */
  protected pattern(path: string, syscall: string): string {
    return innerName(this.root, path, syscall)
  }

  protected patterns(paths: InnerPaths, syscall: string): string | string[] {
    if (typeof paths === 'string') return this.pattern(paths, syscall)
    return paths.map((path) => this.pattern(path, syscall))
  }

  protected relative(name: string): string {
    return relativeName(this.root, name)
  }

  protected outside(info: FileInfo): FileInfo {
    return changedInfo(info, { name: this.relative(info.name) })
  }

  protected all(infos: readonly FileInfo[]): FileInfo[] {
    return infos.map((info) => this.outside(info))
  }

  protected bulk(result: BulkResult): BulkResult {
    return { ...this.#named(result), retry: async () => this.bulk(await result.retry()) }
  }

  protected transferred(result: TransferResult, names: RemoteNames): TransferResult {
    const { skipped } = result
    return {
      ...result,
      ...(names.isTarget ? this.#named(result) : {}),
      skipped: names.isSource ? skipped.map((name) => this.relative(name)) : skipped,
      retry: async () => this.transferred(await result.retry(), names),
    }
  }

  /** Options with an `onProgress` that is told names of the directory, where the names are its own. */
  protected reporting<O extends ProgressOptions & CallOptions>(
    options: O,
    isOwn: (progress: Progress) => boolean = () => true,
  ): O {
    expectCall(options)
    const { onProgress } = options
    if (typeof onProgress !== 'function') return options
    const report = (progress: Progress) =>
      onProgress(isOwn(progress) ? { ...progress, path: this.relative(progress.path) } : progress)
    return { ...options, onProgress: report }
  }

  #named({ ok, failed, waiting }: BulkResult): Omit<BulkResult, 'retry'> {
    return {
      ok: ok.map((name) => this.relative(name)),
      failed: failed.map(({ path, error }) => ({ path: this.relative(path), error })),
      waiting,
    }
  }
}
