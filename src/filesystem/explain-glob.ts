import type { CallOptions } from '../blob/store.ts'
import { type GlobOptions, glob } from './glob.ts'
import type { TreeEntry, TreeListing, TreeView } from './tree-view.ts'

/** What a search by pattern asks for. */
export interface GlobPlan {
  /** Directories of which one level is listed, by name; the empty string is the account. */
  readonly listed: readonly string[]
  /** Directories below which everything is listed. */
  readonly walked: readonly string[]
  /** Names that are asked for by themselves. */
  readonly asked: readonly string[]
  /** How many files and directories those listings told. */
  readonly entriesSeen: number
  /** How many of them match. */
  readonly matches: number
}

/**
 * Runs a search and tells what it asked for: listings in memory make none of it a request, and a
 * page is 5,000 entries.
 */
export async function explainGlob<E extends TreeEntry>(
  view: TreeView<E>,
  pattern: string,
  options: GlobOptions = {},
): Promise<GlobPlan> {
  const recording = new RecordingView(view)
  const found = await glob(recording, pattern, options)
  const { entriesSeen } = recording
  return {
    listed: recording.listed.sort(),
    walked: recording.walked.sort(),
    asked: recording.asked.sort(),
    entriesSeen,
    matches: found.length,
  }
}

class RecordingView<E extends TreeEntry> implements TreeView<E> {
  readonly listed: string[] = []
  readonly walked: string[] = []
  readonly asked: string[] = []
  entriesSeen = 0
  readonly #view: TreeView<E>

  constructor(view: TreeView<E>) {
    this.#view = view
  }

  stat(name: string, options?: CallOptions): Promise<E | undefined> {
    this.asked.push(name)
    return this.#view.stat(name, options)
  }

  async list(name: string, options?: CallOptions): Promise<readonly E[]> {
    this.listed.push(name)
    const entries = await this.#view.list(name, options)
    this.entriesSeen += entries.length
    return entries
  }

  async *listTree(name: string, options?: TreeListing): AsyncGenerator<readonly E[], void> {
    this.walked.push(name)
    for await (const page of this.#view.listTree(name, options)) {
      this.entriesSeen += page.length
      yield page
    }
  }
}
