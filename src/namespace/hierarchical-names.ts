/**
 * The operations on names where the account has a hierarchy: each is one request, or one per page
 * of a large tree, and what the service answers is the error that the system call would give.
 */
import { aclOfMode, formatAcl, parseAcl, permissionsOf, withMode } from '../blob/acl.ts'
import { type AccessControl, deleteTree, type HierarchyStore } from '../blob/hierarchy.ts'
import type { CallOptions, Conditions, Metadata } from '../blob/store.ts'
import { forEachConcurrent } from '../concurrency.ts'
import { type ErrnoCode, FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { type FaultEvent, faultChannel } from '../telemetry.ts'
import { bitsInMetadata } from './blob-entry.ts'
import { childPrefix } from './blob-name.ts'
import { type NamespaceParts, requireParent } from './directories.ts'
import type { Entry, PosixAttributes } from './entry.ts'
import { walkPaths } from './hierarchy-listing.ts'
import type { UnreachableListener } from './listing.ts'
import { parentOf } from './listing-cache.ts'
import { callOptions, unlessMissing } from './lookup.ts'
import type { RenameProgress } from './move-tree.ts'
import { keepingTime, readPosixAttributes, withPosixAttributes } from './posix-metadata.ts'
import type { TreeOptions } from './tree.ts'

interface DirectoryOptions extends CallOptions {
  readonly posix?: PosixAttributes | undefined
  readonly parents?: boolean | undefined
}

interface MoveOptions extends CallOptions {
  readonly noReplace?: boolean | undefined
  readonly onProgress?: ((progress: RenameProgress) => void) | undefined
}

/** Attempts at replacing what others keep changing. */
const maxAttempts = 3
/** Deletions of one level of a container under way at once. */
const defaultConcurrency = 16

/** What becomes of a file that was just committed. */
export interface SettleOptions extends CallOptions, Pick<Conditions, 'leaseId'> {
  /** The access that it had. */
  readonly before?: AccessControl | undefined
}

interface PosixChange extends CallOptions, Pick<Conditions, 'leaseId'> {
  readonly attributes: PosixAttributes
}

/** What `Namespace` does with names of a hierarchical account. */
export class HierarchicalNames {
  readonly hierarchy: HierarchyStore
  readonly #parts: NamespaceParts
  /** Whether this process may say who may do what: learnt from the first refusal. */
  #mayGrant = true

  constructor(parts: NamespaceParts, hierarchy: HierarchyStore) {
    this.#parts = parts
    this.hierarchy = hierarchy
  }

  walk(
    directory: BlobPath,
    options: CallOptions & {
      readonly directories: boolean
      readonly metadata?: boolean | undefined
      readonly prefix?: string | undefined
      readonly onUnreachable: UnreachableListener
    },
  ): AsyncGenerator<readonly Entry[], void, undefined> {
    const faces = { hierarchy: this.hierarchy, store: this.#parts.store }
    return inPages(missingAsNothing(directory, walkPaths(faces, directory, options)))
  }

  async makeDirectory(path: BlobPath, options: DirectoryOptions): Promise<Entry> {
    if (options.parents !== true) await requireParent(this.#parts, path, callOptions(options))
    const { mode } = options.posix ?? {}
    const kept = keptInMetadata(options.posix ?? {}, { posix: {}, type: 'directory' })
    const metadata = withoutFlag(withPosixAttributes({}, 'directory', kept))
    const made = await this.hierarchy.createDirectory(path, {
      ...callOptions(options),
      ifNoneMatch: '*',
      mode,
      metadata,
    })
    const posix = { ...readPosixAttributes(metadata), ...(mode === undefined ? {} : { mode }) }
    const { name } = path
    const entry: Entry = {
      name,
      type: 'directory',
      sizeBytes: 0,
      ...made,
      posix,
      metadata,
      markerName: name,
    }
    this.#parts.cache.upsert(path, { ...entry, partial: true })
    this.#parts.cache.keep(path, new Map(), { slashMarker: false })
    return entry
  }

  async removeDirectory(path: BlobPath, options: CallOptions): Promise<void> {
    const found = await this.#parts.lookup.stat(path, { ...callOptions(options), fresh: true })
    if (found.type !== 'directory') throw failure('ENOTDIR', 'rmdir', { path })
    await this.hierarchy.deletePath(path, callOptions(options))
    this.#forget(path)
  }

  /** A directory with all below it; of a container all that is in it. */
  async removeTree(path: BlobPath, options: TreeOptions): Promise<void> {
    try {
      if (path.name === '') await this.#empty(path, options)
      else await deleteTree(this.hierarchy, path, callOptions(options))
    } finally {
      this.#parts.cache.invalidate(path, true)
    }
    if (path.name === '') return
    this.#forget(path)
    options.onProgress?.({ path, sizeBytes: 0 })
  }

  /**
   * One request where nothing has the new name. Where something has, it is looked at as rename(2)
   * does, and replaced in the version that was seen.
   */
  async rename(from: BlobPath, to: BlobPath, options: MoveOptions): Promise<void> {
    checkRename(from, to)
    if (isSame(from, to)) {
      await this.#parts.lookup.stat(from, callOptions(options))
      if (options.noReplace === true) throw failure('EEXIST', 'rename', { path: from, dest: to })
      return
    }
    const known = this.#parts.lookup.known(from)
    try {
      await this.#renameToFree(from, to, options)
    } catch (error) {
      if (!isFileSystemError(error, 'EEXIST') || options.noReplace === true) throw error
      await this.#replace(from, to, options)
    }
    this.#noteMoved(from, to)
    const sizeBytes = typeof known === 'object' ? known.sizeBytes : 0
    const totals = { files: 1, totalFiles: 1, bytes: sizeBytes, totalBytes: sizeBytes }
    options.onProgress?.({ phase: 'deleted', path: from, sizeBytes, ...totals })
  }

  /** Permissions go into access control; numbers of owners and times, which it has not, into metadata. */
  async setAttributes(path: BlobPath, known: Entry, change: PosixChange): Promise<Entry> {
    const options = { ...callOptions(change), leaseId: change.leaseId }
    let entry = known
    const { mode } = change.attributes
    const others = keptInMetadata(change.attributes, known)
    if (Object.values(others).some((value) => value !== undefined)) {
      if (entry.partial === true) {
        entry = await this.#parts.lookup.stat(path, { ...options, fresh: true })
      }
      entry = await this.#writeMetadata(path, entry, { ...options, attributes: others })
    }
    if (mode !== undefined) {
      // The etag of a directory moves with what is in it.
      const ifMatch = entry.type === 'file' ? entry.etag : undefined
      const changed = await this.hierarchy.setAccessControl(path, { mode }, { ...options, ifMatch })
      const permissions = permissionsAfter(entry, mode)
      entry = { ...entry, ...changed, posix: { ...entry.posix, mode }, permissions }
    }
    this.#parts.cache.upsert(path, entry)
    return entry
  }

  /**
   * Gives a file that was just committed the rights it had, or the mode that it is to have. A
   * credential that may not do so leaves the file as the service made it: what was written is safe,
   * and the refusal is published as a fault, once.
   */
  async settle(path: BlobPath, entry: Entry, options: SettleOptions): Promise<Entry> {
    const { mode } = entry.posix
    const { before, leaseId } = options
    if (!this.#mayGrant || (before === undefined && mode === undefined)) return entry
    const changes = before === undefined ? { mode } : { acl: aclFor(before, mode) }
    try {
      const call = { ...callOptions(options), leaseId }
      const made = await this.hierarchy.setAccessControl(path, changes, call)
      return { ...entry, ...made, permissions: before?.permissions }
    } catch (error) {
      if (!isFileSystemError(error, 'EACCES')) throw error
      this.#mayGrant = false
      const fault: FaultEvent = { operation: 'settle', path: formatPath(path), error }
      faultChannel.publish(fault)
      return entry
    }
  }

  async #empty(container: BlobPath, options: TreeOptions): Promise<void> {
    const rows = await this.hierarchy.listPaths(container, callOptions(options))
    const limit = options.concurrency ?? defaultConcurrency
    await forEachConcurrent(rows.paths, limit, async ({ name, isDirectory, sizeBytes }) => {
      const path = { ...container, name }
      const call = callOptions(options)
      if (isDirectory) await unlessMissing(deleteTree(this.hierarchy, path, call))
      else await unlessMissing(this.hierarchy.deletePath(path, call))
      options.onProgress?.({ path, sizeBytes })
    })
    // What is deleted is no longer in the way: the next page is the first again.
    if (rows.continuation !== undefined) await this.#empty(container, options)
  }

  /** Directories above the new name that are missing are made, as a write there would make them. */
  async #renameToFree(from: BlobPath, to: BlobPath, options: MoveOptions): Promise<void> {
    const conditions = { ...callOptions(options), ifNoneMatch: '*' } as const
    try {
      await this.hierarchy.rename(from, to, conditions)
    } catch (error) {
      if (!isFileSystemError(error, 'ENOENT') || error.serviceCode !== missingParent) throw error
      await this.hierarchy.createDirectory(parentOf(to), callOptions(options))
      await this.hierarchy.rename(from, to, conditions)
    }
  }

  async #replace(from: BlobPath, to: BlobPath, options: MoveOptions): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const ifMatch = await this.#replaceable(from, to, options)
      try {
        return await this.hierarchy.rename(from, to, { ...callOptions(options), ifMatch })
      } catch (error) {
        // A directory that has got something in it meanwhile.
        if (isFileSystemError(error, 'EEXIST')) throw full(from, to, error)
        if (!isFileSystemError(error, 'ESTALE') || attempt === maxAttempts) throw error
      }
    }
  }

  /** The version to replace; `undefined` for a directory, which is held by being empty. */
  async #replaceable(
    from: BlobPath,
    to: BlobPath,
    options: MoveOptions,
  ): Promise<string | undefined> {
    const fresh = { ...callOptions(options), fresh: true }
    const [source, target] = await Promise.all([
      this.#parts.lookup.find(from, fresh),
      this.#parts.lookup.find(to, fresh),
    ])
    const both = { path: from, dest: to }
    if (typeof source === 'string') throw failure(source, 'rename', both)
    if (typeof target === 'string') return undefined
    if (target.type !== 'directory') {
      if (source.type === 'directory') throw failure('ENOTDIR', 'rename', both)
      return target.etag
    }
    if (source.type !== 'directory') throw failure('EISDIR', 'rename', both)
    const page = await this.hierarchy.listPaths(to, { ...callOptions(options), maxResults: 1 })
    if (page.paths.length > 0) throw failure('ENOTEMPTY', 'rename', both)
    return undefined
  }

  async #writeMetadata(path: BlobPath, entry: Entry, change: PosixChange): Promise<Entry> {
    // A directory's time is the service's, which moves it with what is in it.
    const isTimed = entry.type !== 'directory'
    const attributes = isTimed ? keepingTime(change.attributes, entry) : change.attributes
    const metadata = withPosixAttributes(entry.metadata, entry.type, attributes)
    // A directory's version is not asked for: what is in it changes it on some services.
    const ifMatch = entry.type === 'directory' ? undefined : entry.etag
    const options = { ...callOptions(change), ifMatch, leaseId: change.leaseId }
    const { etag, lastModifiedMs } = await this.#parts.store.setMetadata(path, metadata, options)
    const mode = change.attributes.mode ?? entry.posix.mode
    const posix = { ...readPosixAttributes(metadata), ...(mode === undefined ? {} : { mode }) }
    return { ...entry, etag, lastModifiedMs, metadata, posix }
  }

  #noteMoved(from: BlobPath, to: BlobPath): void {
    const { cache } = this.#parts
    this.#forget(from)
    cache.invalidate(to, true)
    cache.invalidate(parentOf(to), false)
  }

  #forget(path: BlobPath): void {
    this.#parts.cache.remove(path)
    this.#parts.cache.invalidate(path, true)
  }
}

/** What Azure calls a rename into a directory that is not there. */
const missingParent = 'RenameDestinationParentPathNotFound'

/** A directory that is missing has nothing in it: its caller asks what it is. */
async function* missingAsNothing(
  directory: BlobPath,
  entries: AsyncGenerator<Entry, void, undefined>,
): AsyncGenerator<Entry, void, undefined> {
  try {
    yield* entries
  } catch (error) {
    if (directory.name === '' || !isFileSystemError(error, 'ENOENT', 'ENOTDIR')) throw error
  }
}

/** The service sets the flag of a directory itself. */
function withoutFlag(metadata: Metadata): Metadata {
  return Object.fromEntries(Object.entries(metadata).filter(([key]) => key !== 'hdi_isfolder'))
}

function aclFor(before: AccessControl, mode: number | undefined): string {
  return mode === undefined ? before.acl : formatAcl(withMode(parseAcl(before.acl), mode))
}

/** What access control cannot hold; the mode only where bits of it change that are kept there. */
function keptInMetadata(
  attributes: PosixAttributes,
  { posix, type }: Pick<Entry, 'posix' | 'type'>,
): PosixAttributes {
  const { mode, ...others } = attributes
  const bits = bitsInMetadata(type)
  const before = (posix.mode ?? 0) & bits
  return mode === undefined || (mode & bits) === before ? others : attributes
}

/** A change of mode leaves the other entries of a list as they are. */
function permissionsAfter({ permissions, type }: Entry, mode: number): string {
  const sticky = type === 'directory' && (mode & 0o1000) !== 0
  return permissionsOf(aclOfMode(mode), sticky) + (permissions?.endsWith('+') === true ? '+' : '')
}

function isSame(from: BlobPath, to: BlobPath): boolean {
  return from.container === to.container && from.name === to.name
}

function checkRename(from: BlobPath, to: BlobPath): void {
  const both = { path: from, dest: to }
  if (from.name === '' || to.name === '') {
    throw failure('EBUSY', 'rename', {
      ...both,
      detail: 'a container is neither renamed nor replaced',
    })
  }
  const inside = from.container === to.container && to.name.startsWith(childPrefix(from.name))
  if (!inside) return
  throw failure('EINVAL', 'rename', { ...both, detail: 'a directory cannot move into itself' })
}

interface Failure {
  readonly path: BlobPath
  readonly dest?: BlobPath
  readonly detail?: string
  readonly cause?: unknown
}

function full(from: BlobPath, to: BlobPath, cause: FileSystemError): FileSystemError {
  return failure('ENOTEMPTY', 'rename', { path: from, dest: to, cause })
}

function failure(code: ErrnoCode, syscall: string, options: Failure): FileSystemError {
  const { path, dest, ...more } = options
  return new FileSystemError(code, syscall, {
    path: formatPath(path),
    ...(dest === undefined ? {} : { dest: formatPath(dest) }),
    ...more,
  })
}

const entriesPerPage = 1000

async function* inPages(
  entries: AsyncIterable<Entry>,
): AsyncGenerator<readonly Entry[], void, undefined> {
  let page: Entry[] = []
  for await (const entry of entries) {
    page.push(entry)
    if (page.length < entriesPerPage) continue
    yield page
    page = []
  }
  yield page
}
