import type { CallOptions } from '../blob/store.ts'
import { expectSignal } from '../expect-option.ts'
import { AccountSharing } from './account-sharing.ts'
import { type ChangeListing, type ChangesOptions, changesOf } from './changes.ts'
import { explainGlob, type GlobPlan } from './explain-glob.ts'
import { type FileInfo, fullName } from './file-info.ts'
import { type GlobOptions, globIter } from './glob.ts'
import { fileOfRow, type StateChoice } from './list-states.ts'
import type { PathInput } from './location.ts'
import { type Change, type UpdateOptions, updateFile } from './update-file.ts'
import { everythingBelow, type FindOptions } from './walk.ts'

export interface ListOptions extends CallOptions, StateChoice {
  /** Names that one request tells, at most 5,000 (the default). */
  readonly pageSize?: number | undefined
  /** Where a listing that was interrupted goes on. */
  readonly continuation?: string | undefined
}

/** Files of one page, in the service's order. */
export interface FilePage {
  readonly files: readonly FileInfo[]
  /** What goes on after this page, in another process too; `undefined` on the last. */
  readonly continuation: string | undefined
}

/** Where a listing stands. */
export interface ListCheckpoint {
  /** What a later listing goes on from; `undefined` before the first page and after the last. */
  readonly continuation: string | undefined
  /** Whether the last page was given. */
  readonly isDone: boolean
  /** Files in the pages that were given. */
  readonly files: number
}

/** Pages of a listing, which tells where it stands. */
export interface FileListing extends AsyncGenerator<FilePage, void> {
  /** Behind the page that was given last. JSON keeps it; `list` goes on from its `continuation`. */
  checkpoint(): ListCheckpoint
}

type Prefixed = CallOptions & Pick<FindOptions, 'prefix'>

/** Long listings, plans of searches, and changes that nobody's are lost by. See `AzureBlobFileSystem`. */
export class AccountSearch extends AccountSharing {
  /**
   * All files below a directory, page by page, with what a later listing goes on from. Nothing when it
   * is missing. What was written or removed meanwhile behind the page may or may not be told.
   */
  list(path: PathInput, options: ListOptions = {}): FileListing {
    expectSignal(options)
    let last: ListCheckpoint = { continuation: options.continuation, isDone: false, files: 0 }
    const note = ({ files, continuation }: FilePage) => {
      last = { continuation, isDone: continuation === undefined, files: last.files + files.length }
    }
    return Object.assign(this.#pages(path, options, note), { checkpoint: () => last })
  }

  async *#pages(
    path: PathInput,
    options: ListOptions,
    note: (page: FilePage) => void,
  ): AsyncGenerator<FilePage, void> {
    const place = this.place(path, 'list', options)
    const { pageSize, signal, versions, snapshots, deleted, tags } = options
    if (pageSize !== undefined && !(Number.isInteger(pageSize) && pageSize > 0)) {
      throw new RangeError(`pageSize: expected an integer above 0, got ${pageSize}`)
    }
    const prefix = { ...place, name: place.name === '' ? '' : `${place.name}/` }
    let { continuation } = options
    do {
      const states = { versions, snapshots, deleted, tags }
      const request = { ...states, maxResults: pageSize, continuation, signal }
      const page = await this.remote.store.listPage(prefix, request)
      continuation = page.continuation
      const files = page.entries.flatMap((row) => fileOfRow(place.container, row) ?? [])
      const found = { files, continuation }
      note(found)
      yield found
    } while (continuation !== undefined)
  }

  /**
   * What became of files at and below `path`, from the account's change feed: minutes late; of each file in
   * the order of its changes, of several roughly in that of time. A row may be told again where a program
   * that ended goes on from an earlier `checkpoint()`; its `id` is the same. The feed tells of no appended
   * blocks and written pages. `ENOTSUP` where the account keeps none, `EACCES` where it may not be read,
   * `ESTALE` where it does not keep what follows `continuation`, `EIO` where it is damaged (see `onDamage`).
   * {@link https://learn.microsoft.com/azure/storage/blobs/storage-blob-change-feed}
   */
  changes(path: PathInput = '', options: ChangesOptions = {}): ChangeListing {
    const { store, clock } = this.remote
    expectSignal(options)
    const below = this.place(path, 'changes')
    return changesOf({ account: this.account, store, clock, below }, options)
  }

  /** Files below `path` as they are listed, in no order; `path` itself when it is a file. With `prefix` as {@link find}. */
  async *findIter(path: PathInput, options: Prefixed = {}): AsyncGenerator<FileInfo, void> {
    const name = fullName(this.place(path, 'findIter', options))
    for await (const page of everythingBelow(this.remote.view, name, options)) {
      for (const entry of page) {
        options.signal?.throwIfAborted()
        if (entry.type !== 'directory') yield entry
      }
    }
  }

  /** What matches `pattern`, in no order, as it is found; see {@link glob}. */
  async *globIter(pattern: PathInput, options: GlobOptions = {}): AsyncGenerator<FileInfo, void> {
    yield* globIter(this.remote.view, this.namePlace(pattern, 'globIter', options), options)
  }

  /** What {@link glob} would list and ask for. Runs the search; reads no file. */
  async explainGlob(pattern: PathInput, options: GlobOptions = {}): Promise<GlobPlan> {
    const name = this.namePlace(pattern, 'explainGlob', options)
    return explainGlob(this.remote.view, name, options)
  }

  /**
   * Gives `change` the bytes of a file (`undefined` when there is none) and makes what it returns the
   * file, unless somebody else wrote it meanwhile: then from the beginning again, after a pause. `change`
   * may run several times. Metadata and content type stay. `ESTALE` after `retries`.
   */
  async update(path: PathInput, change: Change, options: UpdateOptions = {}): Promise<FileInfo> {
    const place = this.filePlace(path, 'update', options)
    return updateFile(this.remote, place, { ...options, change })
  }
}
