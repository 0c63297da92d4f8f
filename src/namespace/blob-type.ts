import type { CallOptions } from '../blob/store.ts'
import { type ErrnoCode, FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import type { Entry } from './entry.ts'
import type { Namespace } from './namespace.ts'

export interface TypeDemand extends CallOptions {
  readonly code: ErrnoCode
  readonly syscall: string
  /** The type of what is to be there. Default a block blob. */
  readonly type?: Entry['blobType']
  /** Whether the service has just told what is there, rather than a listing. Default false. */
  readonly isCurrent?: boolean
}

/**
 * Refuses, with `code`, that a blob of another type takes the place of `there`, the entry at `path`: Azure changes
 * no blob's type as long as the blob is there. Where names are hierarchical a rename can replace it. Asks nobody unless
 * a listing says that the types differ: then the service has to confirm it.
 */
export async function demandSameType(
  namespace: Namespace,
  path: BlobPath,
  there: Entry | undefined,
  demand: TypeDemand,
): Promise<void> {
  const { type, isCurrent = false, signal } = demand
  if (!differs(there, type)) return
  if (await namespace.isHierarchical(path.container, { signal })) return
  const now = isCurrent ? there : await namespace.find(path, { fresh: true, signal })
  if (!differs(now, type)) return
  throw new FileSystemError(demand.code, demand.syscall, {
    path: formatPath(path),
    detail: reasonOf(now),
    serviceCode: 'InvalidBlobType',
  })
}

/** Whether a file is there, and of another type. */
function differs(there: Entry | undefined, type: Entry['blobType']): there is Entry {
  return there !== undefined && there.type !== 'directory' && there.blobType !== type
}

function reasonOf({ blobType }: Entry): string {
  const isThere = `${kinds[blobType ?? 'BlockBlob']} is there, and Azure changes no blob's type`
  if (blobType !== 'AppendBlob') return `${isThere}: remove it first, or take another name`
  return `${isThere}: remove it first, or append to it by the library's open(path, 'a')`
}

const kinds = { AppendBlob: 'an append blob', BlockBlob: 'a block blob', PageBlob: 'a page blob' }
