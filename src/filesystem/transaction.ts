import { createReadStream } from 'node:fs'
import type { CallOptions, Metadata } from '../blob/store.ts'
import { forEachConcurrent } from '../concurrency.ts'
import { FileSystemError } from '../errors.ts'
import { expectCall, expectFunction, expectOptions } from '../expect-option.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { BlobFileReader } from './blob-file-reader.ts'
import { BlobFileWriter } from './blob-file-writer.ts'
import { demandWord } from './demand-word.ts'
import { planTransfers } from './destination.ts'
import type { ExpandOptions } from './expand-path.ts'
import { changedInfo, type FileInfo, fullName, pathOf } from './file-info.ts'
import type { FileData } from './given-bytes.ts'
import { innerName } from './inner-name.ts'
import { keptOf } from './kept.ts'
import { onLocalDisk } from './local-error.ts'
import { LocalView, localName } from './local-view.ts'
import { locateFile, locateName, type PathInput } from './location.ts'
import type { WriteOptions } from './pipe.ts'
import type { Remote } from './remote.ts'
import { hitsOf } from './remove.ts'
import type { Pending, Removal } from './transaction-commit.ts'
import { TransactionWriter } from './transaction-writer.ts'
import { relativeName, type TreeEntry } from './tree-view.ts'

// Every file of a transaction is a writer of its own that has uploaded its blocks but not named them.
// Committing first looks that all are complete and writes a journal, then names the blocks of all files side
// by side, and deletes last. Each file appears whole; the service has no step that makes several appear at once.

/** What became of a transaction. */
export interface TransactionResult {
  readonly written: readonly FileInfo[]
  /** Names of files that were deleted. */
  readonly removed: readonly string[]
}

export interface TransactionOptions {
  /** A directory that all paths, and the names of the result, are relative to. Absent: the account. */
  readonly root?: PathInput | undefined
}

/**
 * Changes of many files that become visible together or not at all. Nobody sees anything before
 * `commit()`; reading in between gives what was there before. A transaction that is discarded,
 * disposed of or left leaves no trace. When the commit of one file fails (`ESTALE`, `EEXIST`, the
 * network), the others are committed all the same, no file is deleted, and the error names the one.
 * What a process that died in `commit()`, or the network, left half done, `AzureBlobFileSystem.recover`
 * finishes.
 */
export class Transaction {
  readonly #remote: Remote
  readonly #writes = new Map<string, Pending>()
  readonly #removals = new Map<string, Removal>()
  readonly #root: string | undefined
  #state: 'open' | 'committed' | 'discarded' = 'open'

  constructor(remote: Remote, options: TransactionOptions = {}) {
    expectOptions(options, 'an object such as { root }')
    const { root } = options
    this.#remote = remote
    this.#root = root === undefined ? undefined : locateName(remote.store.account, root, 'open')
  }

  /** Opens a file to be written anew; `x` demands that none exists, at open and at commit. */
  async open(
    path: PathInput,
    mode: 'w' | 'x' = 'w',
    options: WriteOptions = {},
  ): Promise<TransactionWriter> {
    expectCall(options)
    demandWord('mode', mode, ['w', 'x'])
    return this.#open(this.#file(path, 'open'), { ...options, exclusive: mode === 'x' })
  }

  /** Makes `data` the file when the transaction is committed. */
  async pipeFile(
    path: PathInput,
    data: FileData,
    options: WriteOptions & { readonly mode?: 'overwrite' | 'create' | undefined } = {},
  ): Promise<void> {
    expectCall(options)
    const handle = await this.open(path, options.mode === 'create' ? 'x' : 'w', options)
    await handle.write(data)
    await handle.close()
  }

  /** Makes `text` in UTF-8 the file when the transaction is committed. */
  async writeText(path: PathInput, text: string, options?: WriteOptions): Promise<void> {
    return this.pipeFile(path, text, options)
  }

  /** Uploads a local file, which appears when the transaction is committed. */
  async putFile(
    localPath: string | URL,
    remotePath: PathInput,
    options: WriteOptions & { readonly metadata?: Metadata } = {},
  ): Promise<void> {
    expectCall(options)
    await this.#putFile(localName(localPath), this.#file(remotePath, 'putFile'), options)
  }

  /** Makes each of `files`, given by path, a file when the transaction is committed. */
  async pipe(
    files: ReadonlyMap<PathInput, FileData> | Readonly<Record<string, FileData>>,
    options: WriteOptions = {},
  ): Promise<void> {
    expectCall(options)
    const given: readonly (readonly [PathInput, FileData])[] =
      files instanceof Map ? [...files] : Object.entries(files)
    await forEachConcurrent(given, this.#remote.concurrency, ([path, data]) =>
      this.pipeFile(path, data, options),
    )
  }

  /** Uploads files and (`recursive`) trees, as `AzureBlobFileSystem.put` places them. Empty directories are left out. */
  async put(
    source: string | readonly string[],
    target: PathInput,
    options: ExpandOptions = {},
  ): Promise<void> {
    expectCall(options)
    this.#demandOpen('put')
    const views = { source: new LocalView({ followLinks: true }), target: this.#remote.view }
    const names = typeof source === 'string' ? localName(source) : source.map(localName)
    const request = { source: names, target: this.#name(target, 'put') }
    const plan = await planTransfers<TreeEntry>(views, request, options)
    const files = plan.filter(({ from }) => from.type === 'file')
    const { signal } = options
    await forEachConcurrent(files, this.#remote.concurrency, ({ from, to }) =>
      this.#putFile(from.name, pathOf(to), { signal }),
    )
  }

  /**
   * Copies one file as it is now, with its metadata, headers, tier and tags; its bytes pass through this process. The
   * copy appears when the transaction is committed.
   */
  async cpFile(from: PathInput, to: PathInput, options: CallOptions = {}): Promise<void> {
    expectCall(options)
    await this.#copy(this.#file(from, 'cpFile'), to, options)
  }

  /**
   * Renames one file when the transaction is committed: its copy appears then, and it goes. When somebody else wrote it
   * meanwhile it stays, and `commit` is `ESTALE`.
   */
  async mv(from: PathInput, to: PathInput, options: CallOptions = {}): Promise<void> {
    expectCall(options)
    const path = this.#file(from, 'mv')
    this.#demandUnused(path)
    const ifMatch = await this.#copy(path, to, options)
    this.#removals.set(fullName(path), { path, ifMatch })
  }

  /** Deletes one file when the transaction is committed, after all files were written. */
  async rmFile(path: PathInput, options: CallOptions = {}): Promise<void> {
    expectCall(options)
    this.#demandOpen('rmFile')
    const place = this.#file(path, 'rmFile')
    this.#demandUnused(place)
    await this.#remote.namespace.stat(place, { signal: options.signal })
    this.#removals.set(fullName(place), { path: place })
  }

  /**
   * Deletes files, what patterns match now, and (`recursive`) directories when the transaction is committed. `EBUSY` for
   * a directory that the transaction writes in. A file that such a directory hid, by having its name, stays, and `commit`
   * is `EEXIST`.
   */
  async rm(
    paths: PathInput | readonly PathInput[],
    options: Omit<ExpandOptions, 'maxDepth'> = {},
  ): Promise<void> {
    expectCall(options)
    this.#demandOpen('rm')
    const list = typeof paths === 'string' || paths instanceof URL ? [paths] : paths
    const names = list.map((path) => this.#name(path, 'rm'))
    const hits = await hitsOf(this.#remote, names, options)
    const removals = hits.map(({ name, type }) => {
      const path = pathOf(name)
      this.#demandUnused(path)
      const isTree = type === 'directory'
      if (isTree) this.#demandNothingBelow(path)
      return [name, { path, isTree }] as const
    })
    for (const [name, removal] of removals) this.#removals.set(name, removal)
  }

  /** Makes all of it visible. `EBUSY`, and nothing is, while a writer is not closed. */
  async commit(options: CallOptions = {}): Promise<TransactionResult> {
    expectCall(options)
    this.#demandOpen('commit')
    const pending = [...this.#writes.values()]
    const incomplete = pending.find(({ handle }) => !handle.isComplete)
    if (incomplete !== undefined) {
      await this.discard()
      throw unfinished(incomplete.path)
    }
    this.#state = 'committed'
    const removals = [...this.#removals.values()]
    const { commitChanges } = await import('./transaction-commit.ts')
    const written = await commitChanges(this.#remote, { pending, removals }, options)
    const shown = written.map((info) => changedInfo(info, { name: this.#shown(info.name) }))
    return { written: shown, removed: [...this.#removals.keys()].map((name) => this.#shown(name)) }
  }

  /** Gives up all of it. Never throws; without effect after `commit()`. */
  async discard(): Promise<void> {
    if (this.#state !== 'open') return
    this.#state = 'discarded'
    const pending = [...this.#writes.values()]
    await forEachConcurrent(pending, this.#remote.concurrency, ({ writer }) => writer.abort())
  }

  /** Gives up what was not committed: leaving a block by an error changes nothing. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.discard()
  }

  async #open(
    path: BlobPath,
    options: WriteOptions & { readonly exclusive: boolean },
  ): Promise<TransactionWriter> {
    this.#demandOpen('open')
    this.#demandUnused(path)
    const writer = await BlobFileWriter.open(this.#remote, path, options)
    const handle = new TransactionWriter(writer)
    this.#writes.set(fullName(path), { path, writer, handle })
    return handle
  }

  async #putFile(local: string, path: BlobPath, options: WriteOptions): Promise<void> {
    const handle = await this.#open(path, { ...options, exclusive: false })
    await onLocalDisk(local, async () => {
      const stream = createReadStream(local, { signal: options.signal })
      for await (const chunk of stream) await handle.write(chunk)
    })
    await handle.close()
  }

  /** Resolves to the version that was copied. */
  async #copy(from: BlobPath, to: PathInput, { signal }: CallOptions): Promise<string> {
    this.#demandOpen('cpFile')
    await using reader = await BlobFileReader.open(this.#remote, from, { signal })
    const entry = await this.#remote.namespace.stat(from, { signal, fresh: true })
    const { etag } = reader.info
    if (etag === undefined || entry.etag !== etag) throw changed(from)
    const kept = await keptOf(this.#remote, from, entry)
    const target = this.#file(to, 'cpFile')
    const handle = await this.#open(target, { ...kept, signal, exclusive: false })
    for await (const piece of reader) await handle.write(piece)
    await handle.close()
    return etag
  }

  #file(path: PathInput, syscall: string): BlobPath {
    const given = this.#root === undefined ? path : innerName(this.#root, String(path), syscall)
    return locateFile(this.#remote.store.account, given, syscall)
  }

  #name(path: PathInput, syscall: string): string {
    const given = this.#root === undefined ? path : innerName(this.#root, String(path), syscall)
    return locateName(this.#remote.store.account, given, syscall)
  }

  #shown(name: string): string {
    return this.#root === undefined ? name : relativeName(this.#root, name)
  }

  #demandUnused(path: BlobPath): void {
    const name = fullName(path)
    const above = [...this.#removals].find(
      ([removed, { isTree }]) => isTree && name.startsWith(`${removed}/`),
    )
    if (!this.#writes.has(name) && !this.#removals.has(name) && above === undefined) return
    throw inUse(path)
  }

  #demandNothingBelow(path: BlobPath): void {
    const prefix = `${fullName(path)}/`
    for (const name of [...this.#writes.keys(), ...this.#removals.keys()]) {
      if (name.startsWith(prefix)) throw inUse(pathOf(name))
    }
  }

  #demandOpen(syscall: string): void {
    if (this.#state === 'open') return
    const detail = `the transaction is ${this.#state}; start another`
    throw new FileSystemError('EBADF', syscall, { detail })
  }
}

/** Commits what `work` did when it ends well, and gives it up when it throws. */
export async function runTransaction<T>(
  transaction: Transaction,
  work: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  try {
    expectFunction('work', work, 'a function that is given the transaction')
    const result = await work(transaction)
    await transaction.commit()
    return result
  } finally {
    await transaction.discard()
  }
}

function inUse(path: BlobPath): FileSystemError {
  const detail = 'the transaction changes this file already'
  return new FileSystemError('EBUSY', 'open', { path: formatPath(path), detail })
}

function changed(path: BlobPath): FileSystemError {
  const detail = 'somebody else wrote the file while it was opened; try again'
  return new FileSystemError('ESTALE', 'cpFile', { path: formatPath(path), detail })
}

function unfinished(path: BlobPath): FileSystemError {
  const detail = 'a writer of the transaction was not closed; all of it was given up'
  return new FileSystemError('EBUSY', 'commit', { path: formatPath(path), detail })
}
