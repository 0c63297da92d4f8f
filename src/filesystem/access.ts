import { formatAcl, mergeAcl, parseAcl, withoutAcl } from '../blob/acl.ts'
import type {
  AccessChanges,
  AccessControl,
  AclFailure,
  AclMode,
  Expiry,
  HierarchyStore,
} from '../blob/hierarchy.ts'
import type { CallOptions } from '../blob/store.ts'
import { FileSystemError } from '../errors.ts'
import { parentName } from '../namespace/blob-name.ts'
import { type BlobPath, formatPath } from '../path.ts'
import type { Remote } from './remote.ts'

/** How far a change of access control lists is. */
export interface AclProgress {
  /** Paths changed so far. */
  readonly directories: number
  readonly files: number
  /** Paths that refused so far. */
  readonly failureCount: number
  /** Where `continuation` goes on after an interruption; `undefined` at the end. */
  readonly continuation: string | undefined
}

export interface AclOptions extends CallOptions {
  /** With all that is below. Default false. */
  readonly recursive?: boolean | undefined
  /** Goes on after paths that refuse, and tells them in the result. Default false: rejects. */
  readonly continueOnFailure?: boolean | undefined
  /** Where an interrupted change ended. */
  readonly continuation?: string | undefined
  readonly onProgress?: ((progress: AclProgress) => void) | undefined
}

/** What a change of access control lists has done. */
export interface AclResult extends AclProgress {
  /** The first of the paths that refused, at most 100. */
  readonly failures: readonly AclFailure[]
}

/** Owner, group, permissions and access control list of a path. `ENOTSUP` on flat accounts. */
export async function getAcl(
  remote: Remote,
  path: BlobPath,
  options: CallOptions,
): Promise<AccessControl> {
  const hierarchy = await remote.namespace.hierarchy(path, 'getAcl', options)
  return hierarchy.getAccessControl(path, { signal: options.signal })
}

/** Changes owner, group, mode or list of one path. */
export async function setAccess(
  remote: Remote,
  path: BlobPath,
  options: CallOptions & { readonly changes: AccessChanges; readonly syscall: string },
): Promise<void> {
  const { changes, syscall, signal } = options
  const hierarchy = await remote.namespace.hierarchy(path, syscall, { signal })
  if (changes.acl !== undefined) parseAcl(changes.acl)
  await hierarchy.setAccessControl(path, changes, { signal })
  forget(remote, path)
}

/** Replaces, changes or removes entries of lists, of one path or of all below it. */
export async function changeAcl(
  remote: Remote,
  path: BlobPath,
  change: AclOptions & { readonly mode: AclMode; readonly acl: string },
): Promise<AclResult> {
  const { mode, acl, signal } = change
  parseAcl(acl, { keys: mode === 'remove' })
  const hierarchy = await remote.namespace.hierarchy(path, `${mode}Acl`, { signal })
  try {
    if (change.recursive === true) return await changeTree(hierarchy, path, change)
    return await changeOne(hierarchy, path, change)
  } finally {
    forget(remote, path)
  }
}

/** `RangeError` for what is no permission bits. */
export function checkMode(mode: number): void {
  if (Number.isInteger(mode) && mode >= 0 && mode <= 0o1777) return
  throw new RangeError(`mode: expected permission bits from 0 to 0o1777, got ${mode}`)
}

/** Says when a file goes by itself. `EISDIR` for directories. */
export async function setExpiry(
  remote: Remote,
  path: BlobPath,
  options: CallOptions & { readonly expiry: Expiry },
): Promise<void> {
  const { signal } = options
  const hierarchy = await remote.namespace.hierarchy(path, 'setExpiry', { signal })
  await hierarchy.setExpiry(path, options.expiry, { signal })
  forget(remote, path)
}

/** Reads, changes and writes the list, in the version that was read. */
async function changeOne(
  hierarchy: HierarchyStore,
  path: BlobPath,
  change: AclOptions & { readonly mode: AclMode; readonly acl: string },
): Promise<AclResult> {
  const { signal } = change
  const before = await hierarchy.getAccessControl(path, { signal })
  const { isDirectory } = path.name === '' ? rootFacts : await hierarchy.headPath(path, { signal })
  const ifMatch = before.etag === '' ? undefined : before.etag
  await hierarchy.setAccessControl(
    path,
    { acl: changedAcl(before.acl, change) },
    { signal, ifMatch },
  )
  const count = isDirectory ? { directories: 1, files: 0 } : { directories: 0, files: 1 }
  const result = { ...count, failureCount: 0, continuation: undefined }
  change.onProgress?.(result)
  return { ...result, failures: [] }
}

const rootFacts = { isDirectory: true }

/** A mask that the change does not give is left for the service to work out. */
function changedAcl(
  before: string,
  { mode, acl }: { readonly mode: AclMode; readonly acl: string },
): string {
  if (mode === 'set') return acl
  const changes = parseAcl(acl, { keys: mode === 'remove' })
  const kept = parseAcl(before).filter(
    ({ type, isDefault }) =>
      type !== 'mask' || !changes.some((entry) => entry.isDefault === isDefault),
  )
  return formatAcl(mode === 'remove' ? withoutAcl(kept, changes) : mergeAcl(kept, changes))
}

async function changeTree(
  hierarchy: HierarchyStore,
  path: BlobPath,
  change: AclOptions & { readonly mode: AclMode; readonly acl: string },
): Promise<AclResult> {
  const { mode, acl, continueOnFailure, signal } = change
  const failures: AclFailure[] = []
  const progress = { directories: 0, files: 0, failureCount: 0 }
  let { continuation } = change
  do {
    const options = { mode, acl, continueOnFailure, signal, continuation }
    const page = await hierarchy.changeAcl(path, options)
    progress.directories += page.directories
    progress.files += page.files
    progress.failureCount += page.failureCount
    failures.push(...page.failures.slice(0, maxFailures - failures.length))
    continuation = page.continuation
    change.onProgress?.({ ...progress, continuation })
    if (page.failureCount > 0 && continueOnFailure !== true) throw refused(path, failures)
  } while (continuation !== undefined)
  return { ...progress, failures, continuation }
}

const maxFailures = 100

function refused(path: BlobPath, failures: readonly AclFailure[]): FileSystemError {
  const [first] = failures
  const where = first === undefined ? path : { ...path, name: first.name }
  return new FileSystemError('EACCES', 'changeAcl', {
    path: formatPath(where),
    detail: `${first?.reason ?? 'a path below refuses'}; continueOnFailure goes on with the others`,
  })
}

function forget(remote: Remote, path: BlobPath): void {
  remote.namespace.invalidate(path)
  remote.namespace.invalidate({ ...path, name: parentName(path.name) }, { recursive: false })
}
