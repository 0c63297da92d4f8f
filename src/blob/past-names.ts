/** What each name of a container was at one time, from one listing of all that it ever was. */
import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { type BlobProperties, type BlobStore, type FormerId, listPages } from './store.ts'

/** A time, and which of a blob's former states are looked at. */
export interface Moment {
  /**
   * `versions`: what reading the name gave then. `snapshots`: the last snapshot that was taken by then;
   * a name without one is none.
   */
  readonly of: 'versions' | 'snapshots'
  /** As ids of versions and snapshots are written: `2026-08-01T00:00:00.0000000Z`. */
  readonly at: string
}

/** A blob as it was. */
export interface PastBlob {
  readonly name: string
  /** `undefined` for what has not been changed since, and has no id. */
  readonly former: FormerId | undefined
  readonly properties: BlobProperties
}

/** The blobs of one moment, in the order of a listing. */
export interface PastNames {
  readonly blobs: readonly PastBlob[]
  readonly byName: ReadonlyMap<string, PastBlob>
}

/**
 * Lists all versions, or snapshots, of what begins with `prefix.name`. Rejects with `ENOTSUP` where none of
 * the blobs that are there has the id of a version: the account keeps none, and the past is not known;
 * with `EINVAL` where there are blobs, and none has a snapshot from by then.
 */
export async function readPastNames(
  store: BlobStore,
  prefix: BlobPath,
  { of, at, signal }: Moment & { readonly signal?: AbortSignal | undefined },
): Promise<PastNames> {
  const byName = new Map<string, PastBlob & { readonly id: string }>()
  let rows = 0
  let versions = 0
  for await (const page of listPages(store, prefix, { [of]: true, signal })) {
    for (const row of page) {
      if (row.kind !== 'blob' || row.state?.isDeleted === true) continue
      const { name, properties, state } = row
      const { snapshot, versionId } = state ?? {}
      rows += 1
      if (versionId !== undefined) versions += 1
      const former = of === 'versions' ? versionOf(versionId) : snapshotOf(snapshot)
      // A blob from before versions were kept has been what it is since it was written.
      const id = former?.id ?? (of === 'versions' ? idOfMs(properties.lastModifiedMs) : undefined)
      if (id === undefined || id > at || id < (byName.get(name)?.id ?? '')) continue
      byName.set(name, { name, former: former?.former, properties, id })
    }
  }
  if (of === 'versions' && rows > 0 && versions === 0) throw keepsNone(prefix)
  if (of === 'snapshots' && rows > 0 && byName.size === 0) throw hasNone(prefix, at)
  return { blobs: [...byName.values()], byName }
}

/** The id that a version of this time would have. */
export function idOfMs(timeMs: number): string {
  return new Date(timeMs).toISOString().replace('Z', '0000Z')
}

interface Identified {
  readonly id: string
  readonly former: FormerId
}

function versionOf(versionId: string | undefined): Identified | undefined {
  return versionId === undefined ? undefined : { id: versionId, former: { versionId } }
}

function snapshotOf(snapshot: string | undefined): Identified | undefined {
  return snapshot === undefined ? undefined : { id: snapshot, former: { snapshot } }
}

function hasNone(prefix: BlobPath, at: string): FileSystemError {
  const detail = `no blob there has a snapshot that was taken by ${at}`
  return new FileSystemError('EINVAL', 'list', { path: formatPath(prefix), detail })
}

function keepsNone(prefix: BlobPath): FileSystemError {
  return new FileSystemError('ENOTSUP', 'list', {
    path: formatPath(prefix),
    detail:
      'the account keeps no versions, so that what was there before is not known: versioning is a setting ' +
      'of flat accounts, and begins when it is turned on; snapshots are shown by --snapshot',
  })
}
