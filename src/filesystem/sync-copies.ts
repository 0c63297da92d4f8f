import { dirname } from 'node:path'
import type { CallOptions } from '../blob/store.ts'
import { FileSystemError } from '../errors.ts'
import { makeDirectories } from '../make-directories.ts'
import { refuseReserved } from '../namespace/blob-name.ts'
import { fullName, urlOf } from './file-info.ts'
import { onLocalDisk } from './local-error.ts'
import { locateFile } from './location.ts'
import { type Remote, remoteOf } from './remote.ts'
import {
  blobVersion,
  type LocalSide,
  localVersion,
  placeOf,
  type RemoteSide,
  type SyncSide,
} from './sync-side.ts'
import { directoriesAmong } from './target-directory.ts'
import { TreeFiles } from './tree-files.ts'

interface SyncCopiesOptions extends CallOptions {
  readonly concurrency?: number | undefined
  /** Relative paths of all that will be copied. */
  readonly paths: readonly string[]
  /** Whether somebody wants to know which version each copy is. */
  readonly tellVersions: boolean
}

interface FileCopy {
  /** Relative. */
  readonly path: string
  /** As it was listed; bytes. */
  readonly size: number
  readonly onBytes: (bytes: number) => void
}

/** How the files of a synchronization are copied. */
export interface SyncCopies {
  /** Files to be given at once; absent: the synchronization's. */
  readonly lanes?: number | undefined
  /** Resolves to the version that the copy has, where that is asked for. */
  copy(file: FileCopy): Promise<string>
}

/** Copies from `source` to `target`, of which one is in an account. */
export function syncCopies(
  source: SyncSide,
  target: SyncSide,
  options: SyncCopiesOptions,
): SyncCopies {
  if ('fs' in target) {
    return 'fs' in source
      ? copiesOfService(source, target, options)
      : uploads(source, target, options)
  }
  if ('fs' in source) return downloads(source, target, options)
  throw new TypeError('target: expected a side with fs, as the source is local')
}

function copiesOfService(
  source: RemoteSide,
  target: RemoteSide,
  { signal }: SyncCopiesOptions,
): SyncCopies {
  return {
    async copy({ path, size, onBytes }) {
      const [from, to] = [placeOf(source, path), placeOf(target, path)]
      const info = await target.fs.cpFile(from, to, { signal, from: source.fs })
      onBytes(size)
      return blobVersion(info)
    },
  }
}

function uploads(source: LocalSide, target: RemoteSide, options: SyncCopiesOptions): SyncCopies {
  const { signal, concurrency } = options
  const remote = remoteOf(target.fs)
  if (remote === undefined) return plainUploads(source, target, options)
  const files = new TreeFiles(remote, concurrency)
  let looking: Promise<ReadonlySet<string>> | undefined
  // All at once: asking about each file would take two requests more.
  const look = () => {
    looking ??= directoriesIn(remote, target, options).catch((error: unknown) => {
      looking = undefined
      throw error
    })
    return looking
  }
  return {
    lanes: files.lanes,
    async copy({ path, size, onBytes }) {
      const pair = {
        remote: locateFile(target.fs.account, placeOf(target, path), 'putFile'),
        local: placeOf(source, path),
      }
      refuseReserved(pair.remote, 'open')
      const name = fullName(pair.remote)
      if ((await look()).has(name))
        throw new FileSystemError('EISDIR', 'open', { path: urlOf(name) })
      return blobVersion({ etag: await files.put(pair, { signal, size, onBytes }) })
    },
  }
}

/** By a file system that is not of this library. */
function plainUploads(
  source: LocalSide,
  target: RemoteSide,
  { signal }: SyncCopiesOptions,
): SyncCopies {
  return {
    copy: async ({ path, onBytes }) =>
      blobVersion(
        await target.fs.putFile(placeOf(source, path), placeOf(target, path), { signal, onBytes }),
      ),
  }
}

/** Which of the names that files are to get are directories' there. */
async function directoriesIn(
  remote: Remote,
  target: RemoteSide,
  { paths, signal, concurrency }: SyncCopiesOptions,
): Promise<ReadonlySet<string>> {
  const names = paths.flatMap((path) => nameIn(target, path))
  return (await directoriesAmong(remote, names, { signal, concurrency })).directories
}

/** None for what cannot be a name, which its own copy tells. */
function nameIn(target: RemoteSide, path: string): string[] {
  try {
    return [fullName(locateFile(target.fs.account, placeOf(target, path), 'putFile'))]
  } catch {
    return []
  }
}

function downloads(source: RemoteSide, target: LocalSide, options: SyncCopiesOptions): SyncCopies {
  const { signal, concurrency, tellVersions } = options
  const remote = remoteOf(source.fs)
  const files = remote === undefined ? undefined : new TreeFiles(remote, concurrency)
  const made = new Set<string>()
  return {
    lanes: files?.lanes,
    async copy({ path, size, onBytes }) {
      const [from, local] = [placeOf(source, path), placeOf(target, path)]
      checkSegments(path)
      const directory = dirname(local)
      if (!made.has(directory)) await onLocalDisk(local, () => makeDirectories(directory))
      made.add(directory)
      if (files === undefined) await source.fs.getFile(from, local, { signal, onBytes })
      else {
        const pair = { remote: locateFile(source.fs.account, from, 'getFile'), local }
        await files.get(pair, { signal, size, onBytes })
      }
      return tellVersions ? localVersion(local) : ''
    },
  }
}

/** A blob's name could leave the target directory. */
function checkSegments(path: string): void {
  const odd = path.split('/').some((segment) => ['', '.', '..'].includes(segment))
  if (!odd) return
  const detail = 'a name with empty, "." or ".." segments has no place on a disk'
  throw new FileSystemError('EINVAL', 'sync', { path, detail })
}
