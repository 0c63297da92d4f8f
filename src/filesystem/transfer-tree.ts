import { lstat, mkdir, readlink, rm, symlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { refuseReserved } from '../namespace/blob-name.ts'
import type { PosixAttributes } from '../namespace/entry.ts'
import { planTransfers, type Transfer, type TransferRequest } from './destination.ts'
import type { ExpandOptions } from './expand-path.ts'
import { type FileInfo, pathOf, urlOf } from './file-info.ts'
import { onLocalDisk } from './local-error.ts'
import { getFile, putFileUnchecked } from './local-file.ts'
import { type LocalEntry, LocalView } from './local-view.ts'
import { applyAttributes, attributesOf } from './posix-preserve.ts'
import type { Remote } from './remote.ts'
import { runAll, Tally, type TransferProgress, type TransferResult } from './transfer-run.ts'
import { parentName, type TreeEntry, type TreeView } from './tree-view.ts'

export type { TransferProgress, TransferResult } from './transfer-run.ts'

export interface TransferOptions extends ExpandOptions {
  /** Files under way at once. Default: the file system's. */
  readonly concurrency?: number | undefined
  /**
   * Keeps mode, owner, modification time and symbolic links, in metadata under AzCopy's keys.
   * Without it a local link to a file is taken for the file, and other links are skipped.
   */
  readonly preserve?: boolean | undefined
  readonly onProgress?: ((progress: TransferProgress) => void) | undefined
  /**
   * `ignore`: a source that is gone when its turn comes is told in `skipped`, and the rest goes on.
   * Default `raise`. One that was never there is `ENOENT` all the same.
   */
  readonly onError?: 'raise' | 'ignore' | undefined
}

/** A plan, by what is to be done with each entry. */
interface Work<E extends TreeEntry> {
  readonly files: readonly Transfer<E>[]
  readonly directories: readonly Transfer<E>[]
  readonly others: readonly Transfer<E>[]
  readonly tally: Tally
  /** Files that were gone when their turn came. */
  readonly vanished: string[]
}

/** Downloads. Directories come first, links last, so that no file is written through a link. */
export async function getTree(
  remote: Remote,
  request: TransferRequest,
  options: TransferOptions,
): Promise<TransferResult> {
  const views = { source: remote.wholeView, target: new LocalView({ followLinks: true }) }
  const work = sort(await planTransfers(views, request, options), options)
  const run = runOptions(remote, options, 'get')
  await makeLocalDirectories(work)
  await runFiles(work, { ...run, source: views.source }, async ({ from, to }) => {
    const onBytes = (bytes: number) => work.tally.addBytes(to, bytes)
    const { signal, preserve } = options
    await getFile(remote, { remote: pathOf(from.name), local: to }, { signal, preserve, onBytes })
    work.tally.addFile(to)
  })
  if (options.preserve !== true) return resultOf(work, work.others)
  const links = work.others.filter(({ from }) => from.isLink)
  await runAll(links, run, (link) => getLink(remote, link, options))
  // The deepest first: writing into a directory changes its time.
  for (const { from, to } of [...work.directories].reverse()) {
    await onLocalDisk(to, () => applyAttributes(to, from))
  }
  return resultOf(
    work,
    work.others.filter(({ from }) => !from.isLink),
  )
}

/** Uploads. Directories are marked when they are empty, and with `preserve` all. */
export async function putTree(
  remote: Remote,
  request: TransferRequest,
  options: TransferOptions,
): Promise<TransferResult> {
  const preserve = options.preserve === true
  const views = { source: new LocalView({ followLinks: !preserve }), target: remote.view }
  const work = sort(await planTransfers(views, request, options), options)
  const run = runOptions(remote, options, 'put')
  await refuseDirectories(remote, work.files, options)
  await runFiles(work, { ...run, source: views.source }, async ({ from, to }) => {
    const onBytes = (bytes: number) => work.tally.addBytes(to, bytes)
    const pair = { remote: pathOf(to), local: from.name }
    await putFileUnchecked(remote, pair, { signal: options.signal, preserve, onBytes })
    work.tally.addFile(to)
  })
  const links = preserve ? work.others.filter(({ from }) => from.isLink) : []
  await runAll(links, run, (link) => putLink(remote, link, options))
  const marked = preserve ? work.directories : emptyOnes(work)
  await runAll(marked, run, (directory) => putDirectory(remote, directory, options))
  const taken = new Set(links)
  return resultOf(
    work,
    work.others.filter((other) => !taken.has(other)),
  )
}

/** Copies on the server's side; links and attributes are metadata and come along. */
export async function copyTree(
  remote: Remote,
  request: TransferRequest,
  options: TransferOptions,
): Promise<TransferResult> {
  const { signal } = options
  const views = { source: remote.wholeView, target: remote.view }
  const plan = await planTransfers(views, request, options)
  const work = sort(withBlobs(plan), options)
  const run = runOptions(remote, options, 'copy')
  await refuseDirectories(remote, work.files, options)
  await runFiles(work, { ...run, source: views.source }, async ({ from, to }) => {
    await remote.namespace.copyFile(pathOf(from.name), pathOf(to), { signal })
    work.tally.addBytes(to, from.size)
    work.tally.addFile(to)
  })
  const marked = work.directories.filter(({ from }) => from.etag !== undefined)
  await runAll(marked, run, async ({ from, to }) => {
    await ensureDirectory(remote, to, { signal, posix: posixOf(from) })
  })
  return resultOf(work, [])
}

/** What is no directory is a blob, and copied as one. */
function withBlobs(plan: readonly Transfer<FileInfo>[]): Transfer<FileInfo>[] {
  return plan.map((transfer) =>
    transfer.from.type === 'other'
      ? { ...transfer, from: { ...transfer.from, type: 'file' } }
      : transfer,
  )
}

function sort<E extends TreeEntry>(plan: Transfer<E>[], options: TransferOptions): Work<E> {
  const ofType = (type: TreeEntry['type']) => plan.filter(({ from }) => from.type === type)
  const files = ofType('file')
  const tally = new Tally(files, options.onProgress)
  return { files, directories: ofType('directory'), others: ofType('other'), tally, vanished: [] }
}

/** Runs `task` for every file; those that vanished are noted where that is no error. */
function runFiles<E extends TreeEntry>(
  work: Work<E>,
  run: ReturnType<typeof runOptions> & { readonly source: TreeView<E> },
  task: (transfer: Transfer<E>) => Promise<void>,
): Promise<void> {
  return runAll(work.files, run, async (transfer) => {
    try {
      await task(transfer)
    } catch (error) {
      if (run.onError !== 'ignore' || !isFileSystemError(error, 'ENOENT')) throw error
      const { name } = transfer.from
      if ((await run.source.stat(name, { signal: run.signal, fresh: true })) !== undefined) {
        throw error
      }
      work.vanished.push(name)
    }
  })
}

function runOptions(remote: Remote, options: TransferOptions, syscall: string) {
  const concurrency = options.concurrency ?? remote.concurrency
  return { signal: options.signal, concurrency, syscall, onError: options.onError }
}

function resultOf(work: Work<TreeEntry>, skipped: readonly Transfer<TreeEntry>[]): TransferResult {
  return {
    files: work.tally.files,
    directories: work.directories.length,
    bytes: work.tally.bytes,
    skipped: [...skipped.map(({ from }) => from.name), ...work.vanished.sort()],
  }
}

async function makeLocalDirectories(work: Work<FileInfo>): Promise<void> {
  const needed = new Set(work.directories.map(({ to }) => to))
  for (const { to } of [...work.files, ...work.others]) needed.add(dirname(to))
  for (const directory of needed) {
    await onLocalDisk(directory, () => mkdir(directory, { recursive: true }))
  }
}

async function getLink(
  remote: Remote,
  { from, to }: Transfer<FileInfo>,
  options: TransferOptions,
): Promise<void> {
  const target = await remote.namespace.readSymlink(pathOf(from.name), { signal: options.signal })
  await onLocalDisk(to, async () => {
    await rm(to, { force: true })
    await symlink(target, to)
    await applyAttributes(to, from, { isLink: true })
  })
}

async function putLink(
  remote: Remote,
  { from, to }: Transfer<LocalEntry>,
  options: TransferOptions,
): Promise<void> {
  const { signal } = options
  const [target, stats] = await onLocalDisk(from.name, () =>
    Promise.all([readlink(from.name), lstat(from.name, { bigint: true })]),
  )
  const posix = attributesOf(stats)
  try {
    await remote.namespace.createSymlink(pathOf(to), target, { signal, posix })
  } catch (error) {
    if (!isFileSystemError(error, 'EEXIST')) throw error
    await remote.namespace.removeFile(pathOf(to), { signal })
    await remote.namespace.createSymlink(pathOf(to), target, { signal, posix })
  }
}

async function putDirectory(
  remote: Remote,
  { from, to }: Transfer<LocalEntry>,
  options: TransferOptions,
): Promise<void> {
  const { signal, preserve } = options
  const stats = await onLocalDisk(from.name, () => lstat(from.name, { bigint: true }))
  await ensureDirectory(remote, to, { signal, posix: preserve ? attributesOf(stats) : {} })
}

async function ensureDirectory(
  remote: Remote,
  name: string,
  options: Pick<TransferOptions, 'signal'> & { readonly posix: PosixAttributes },
): Promise<void> {
  const path = pathOf(name)
  const { signal, posix } = options
  if (path.name === '') return
  try {
    await remote.namespace.makeDirectory(path, { signal, posix, parents: true })
  } catch (error) {
    if (!isFileSystemError(error, 'EEXIST')) throw error
    const entry = await remote.namespace.stat(path, { signal })
    if (entry.type !== 'directory') throw error
    if (Object.keys(posix).length > 0) await remote.namespace.setAttributes(path, posix, { signal })
  }
}

function posixOf(info: FileInfo): PosixAttributes {
  const { mode, uid, gid, mtimeNs } = info
  return { mode, uid, gid, mtimeNs }
}

/** Directories that no planned entry implies. */
function emptyOnes(work: Work<LocalEntry>): readonly Transfer<LocalEntry>[] {
  const implied = new Set<string>()
  for (const { to } of [...work.files, ...work.directories]) {
    for (let name = parentName(to); name !== '' && !implied.has(name); name = parentName(name)) {
      implied.add(name)
    }
  }
  return work.directories.filter(({ to }) => !implied.has(to))
}

/**
 * `EISDIR` when a file would take the name of a directory, `EPERM` a name of abfs's own; costs one
 * listing per directory.
 */
async function refuseDirectories(
  remote: Remote,
  files: readonly Transfer<TreeEntry>[],
  options: TransferOptions,
): Promise<void> {
  const { signal } = options
  for (const { to } of files) refuseReserved(pathOf(to), 'open')
  const parents = [...new Set(files.map(({ to }) => parentName(to)))]
  const taken = new Set<string>()
  const run = { ...runOptions(remote, options, 'open'), signal }
  await runAll(parents, run, async (parent) => {
    for (const child of await remote.view.list(parent, { signal })) {
      if (child.type === 'directory') taken.add(child.name)
    }
  })
  const refused = files.find(({ to }) => taken.has(to))
  if (refused !== undefined)
    throw new FileSystemError('EISDIR', 'open', { path: urlOf(refused.to) })
}
