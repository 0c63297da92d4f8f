import { randomUUID } from 'node:crypto'
import type { BlobAdministration } from '../blob/administration.ts'
import type { CallOptions } from '../blob/store.ts'
import { isFileSystemError } from '../errors.ts'
import type { BlobPath } from '../path.ts'
import { statesAt } from './list-states.ts'
import type { Remote } from './remote.ts'

/**
 * What an account and the credential offer, as far as reading and listing tell; `undefined` for what
 * cannot be known without changing something.
 */
export interface Capabilities {
  /** Directories of their own, atomic renames, access control lists. */
  readonly hierarchical: boolean | undefined
  /** Whether the account keeps versions; `undefined` in a container without files. */
  readonly versioning: boolean | undefined
  /** Index tags may be read; `undefined` in a container without files. */
  readonly tags: boolean | undefined
  /**
   * What is deleted is kept for some days, as the account's Blob service says; `undefined` where the credential may
   * not ask it, as of a connector or with a signature for a container.
   */
  readonly softDelete: boolean | undefined
  /** Append blobs may be made, as the account's kind tells; `undefined` where it is not told. */
  readonly appendBlob: boolean | undefined
  /** URLs can be signed. */
  readonly canSign: boolean
  readonly canListContainers: boolean
  readonly canList: boolean
  /** Whether a file may be read; `undefined` in a container without files. */
  readonly canRead: boolean | undefined
  /** Whether files may be written over and changed, and whether they may be deleted; `undefined` at the root. Locks and policies of single files aside. */
  readonly canWrite: boolean | undefined
  readonly canDelete: boolean | undefined
}

const unknown = {
  hierarchical: undefined,
  versioning: undefined,
  tags: undefined,
  softDelete: undefined,
  appendBlob: undefined,
}

const unknownRights = {
  canSign: false,
  canList: false,
  canRead: undefined,
  canWrite: undefined,
  canDelete: undefined,
}

/** Asks once for each, with requests that change nothing. Other refusals than of rights are thrown. */
export async function probe(
  remote: Remote,
  place: BlobPath,
  options: CallOptions & { readonly administration: BlobAdministration | undefined },
): Promise<Capabilities> {
  const { administration, signal } = options
  const { store, namespace, clock } = remote
  const canListContainers = await isAllowed(async () => {
    for await (const _ of store.listContainers({ signal })) break
  })
  if (place.container === '') {
    return { ...unknown, ...unknownRights, canListContainers }
  }
  const expiresAtMs = clock.nowMs() + 60_000
  const permissions = ['read'] as const
  const sign = { path: place, permissions, startsAtMs: clock.nowMs(), expiresAtMs, signal }
  const first = await firstFile(remote, place, { signal })
  const sample = first.path
  const features = await administration?.getFeatures?.(place.container, { signal })
  return {
    hierarchical: await ifTold(() => namespace.isHierarchical(place.container, { signal })),
    versioning: sample && (await hasVersion(remote, sample, { signal })),
    tags:
      sample &&
      administration &&
      (await isAllowed(() => administration.getTags(sample, { signal }))),
    softDelete: features?.softDelete,
    appendBlob: features?.appendBlob,
    canSign: administration !== undefined && (await isAllowed(() => administration.sign(sign))),
    canListContainers,
    canList: first.canList,
    canRead: sample && (await isAllowed(() => store.head(sample, { signal }))),
    ...(await rightsToChange(remote, place, { signal })),
  }
}

/**
 * Asks to change and to delete a file of a name that nobody has, in a version that none ever has: who may is told that
 * there is no such file, others that they may not.
 */
async function rightsToChange(
  { store }: Remote,
  place: BlobPath,
  options: CallOptions,
): Promise<Pick<Capabilities, 'canWrite' | 'canDelete'>> {
  const directory = place.name === '' ? '' : `${place.name}/`
  const nobody = { ...place, name: `${directory}abfs-probe-${randomUUID()}` }
  const never = { ...options, ifMatch: '"0x0"' }
  return {
    canWrite: await isMissing(() => store.setMetadata(nobody, {}, never)),
    canDelete: await isMissing(() => store.delete(nobody, never)),
  }
}

/** Whether the service says that there is no such file. To those without a name it says so of what they may not touch, in other words. */
async function isMissing(ask: () => Promise<unknown>): Promise<boolean> {
  try {
    await ask()
    return true
  } catch (error) {
    if (isFileSystemError(error, 'ENOENT', 'ESTALE')) return isAboutBlob(error.serviceCode)
    if (isFileSystemError(error, 'EACCES', 'EPERM')) return false
    throw error
  }
}

function isAboutBlob(serviceCode: string | undefined): boolean {
  return ['BlobNotFound', 'PathNotFound', 'ConditionNotMet'].includes(serviceCode ?? '')
}

async function firstFile(
  { store }: Remote,
  place: BlobPath,
  options: CallOptions,
): Promise<{ readonly path: BlobPath | undefined; readonly canList: boolean }> {
  const prefix = { ...place, name: place.name === '' ? '' : `${place.name}/` }
  try {
    const { entries } = await store.listPage(prefix, { ...options, maxResults: 10 })
    const found = entries.find(({ kind, name }) => kind === 'blob' && !name.endsWith('/'))
    return { path: found && { ...place, name: found.name }, canList: true }
  } catch (error) {
    if (isFileSystemError(error, 'EACCES')) return { path: undefined, canList: false }
    throw error
  }
}

async function hasVersion(
  remote: Remote,
  path: BlobPath,
  options: CallOptions,
): Promise<boolean | undefined> {
  return ifTold(async () => {
    for await (const { state } of statesAt(remote, path, { ...options, versions: true })) {
      return state.versionId !== undefined
    }
    return false
  })
}

/** False when the service says that it is not allowed, or that there is no such thing. */
async function isAllowed(ask: () => Promise<unknown>): Promise<boolean> {
  try {
    await ask()
    return true
  } catch (error) {
    if (isFileSystemError(error, 'EACCES', 'ENOTSUP', 'EINVAL', 'EPERM', 'EREMOTEIO')) return false
    throw error
  }
}

async function ifTold(ask: () => Promise<boolean | undefined>): Promise<boolean | undefined> {
  try {
    return await ask()
  } catch (error) {
    if (isFileSystemError(error, 'EACCES')) return undefined
    if (isFileSystemError(error, 'ENOTSUP', 'EINVAL')) return false
    throw error
  }
}
