import { expectFunction } from '../expect-option.ts'
import type { TreeEntry, TreeView } from './tree-view.ts'

/** How far an operation on many files is. */
export interface Progress {
  /**
   * What is being done. `listing`: the totals grow with all that is met, also what a pattern then does not match.
   * `transferring`: bytes arrive where they are to be. `deleting`: files go, of `mv` and `sync` after all transfers.
   */
  readonly phase: 'listing' | 'transferring' | 'deleting'
  /** The file that this is about; of a transfer its destination, of `mv` its old name, of `listing` the directory. */
  readonly path: string
  /** Of all files together that this phase has dealt with, up to here; 0 where a directory goes whole, as `rm` has it on hierarchical accounts. */
  readonly bytes: number
  /** Of all files that this phase is about, as far as it knows of them. */
  readonly totalBytes: number
  /** Files that are complete. */
  readonly files: number
  readonly totalFiles: number
}

/** Options of what tells how far it is. */
export interface ProgressOptions {
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

/** `TypeError` for an `onProgress` that is no function. */
export function checkProgress({ onProgress }: ProgressOptions): void {
  if (onProgress !== undefined) expectFunction('onProgress', onProgress, 'a function')
}

/** `view`, which tells what it lists. */
export function tellingView<E extends TreeEntry>(
  view: TreeView<E>,
  { onProgress }: ProgressOptions,
): TreeView<E> {
  if (onProgress === undefined) return view
  const met = new Met(onProgress)
  return {
    stat: (name, options) => view.stat(name, options),
    list: async (name, options) => {
      const entries = await view.list(name, options)
      met.tell(name, entries)
      return entries
    },
    listTree: async function* (name, options) {
      for await (const page of view.listTree(name, options)) {
        met.tell(name, page)
        yield page
      }
    },
  }
}

/** Counts the files that are listed, and tells how many. */
export class Met {
  readonly #onProgress: ((progress: Progress) => void) | undefined
  #totalFiles = 0
  #totalBytes = 0

  constructor(onProgress: ((progress: Progress) => void) | undefined) {
    this.#onProgress = onProgress
  }

  get totalBytes(): number {
    return this.#totalBytes
  }

  /** What the directory `path` holds, or a part of it. */
  tell(path: string, entries: readonly TreeEntry[]): void {
    for (const { type, size } of entries) {
      if (type === 'file') this.#totalFiles += 1
      this.#totalBytes += size
    }
    const [totalFiles, totalBytes] = [this.#totalFiles, this.#totalBytes]
    this.#onProgress?.({ phase: 'listing', path, bytes: 0, totalBytes, files: 0, totalFiles })
  }
}
