import { modeOfPermissions } from '../blob/acl.ts'
import type { Tags } from '../blob/administration.ts'
import type { BlobProperties, Metadata } from '../blob/store.ts'
import { lengthOf } from '../byte-range.ts'
import type { Clock } from '../clock.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { entryFromBlob } from '../namespace/blob-entry.ts'
import { parentName } from '../namespace/blob-name.ts'
import type { Entry, PosixAttributes } from '../namespace/entry.ts'
import type { Namespace } from '../namespace/namespace.ts'
import { type BlobPath, formatPath } from '../path.ts'
import type { FileContent } from '../transfer/file-content.ts'
import type { StagedBlocks } from '../transfer/staged-blocks.ts'
import { publishFault, type Unsaved } from './fault.ts'
import type { KeptReason, KeptVersion } from './journal-record.ts'
import type { Journals } from './journals.ts'
import { metadataOfVersion, type PosixUse } from './posix-use.ts'
import { type Described, upload } from './transfers.ts'

/**
 * What becomes of a version in whose place somebody else's is: nothing (`error`), it replaces theirs
 * (`ours`), theirs stays and that is no error (`theirs`), or it is stored beside theirs (`rename`).
 */
export type ConflictPolicy = 'error' | 'ours' | 'theirs' | 'rename'

export interface CommitContext {
  readonly namespace: Namespace
  readonly clock: Clock
  /** Reads index tags, so that a new version keeps them; absent: they are not kept. */
  readonly tagsOf?: ((path: BlobPath) => Promise<Tags>) | undefined
  /** Where versions are kept that are not stored; absent: they are lost. */
  readonly journals?: Journals | undefined
  /** Default `error`. */
  readonly onConflict?: ConflictPolicy | undefined
  /** Default `write`. */
  readonly posixAttrs?: PosixUse | undefined
  /** Stores what has to be there before a version is: the directories that it is in. */
  readonly beforeCommit?: (() => Promise<void>) | undefined
  /** Told of each conflict that nobody resolved. */
  readonly onUnsaved?: ((version: Unsaved) => void) | undefined
}

/** A version that is to be stored. */
export interface NewVersion {
  readonly path: BlobPath
  readonly content: FileContent
  readonly blocks: StagedBlocks
  readonly description: Described
  /** The version that it may replace; `undefined`: none may be there. */
  readonly replaces: string | undefined
  /** Of the lease that this mount holds on the blob. */
  readonly leaseId?: string | undefined
  /** What was set of a file that is new, and never written: that of whoever made it too is as good. `undefined`: it has more. */
  readonly setOnMade?: PosixAttributes | undefined
}

/** What the version before had, with what was set here: a new version loses nothing. */
export async function describe(
  { tagsOf, posixAttrs = 'write' }: CommitContext,
  path: BlobPath,
  version: {
    readonly before: Entry | undefined
    readonly changes: PosixAttributes
    readonly metadata: Metadata
  },
): Promise<Described> {
  const { before } = version
  const metadata = metadataOfVersion(version, posixAttrs)
  if (before === undefined) return { metadata }
  const { contentType, headers, chosenTier: tier, tagCount = 0 } = before
  const tags = tagCount === 0 ? undefined : await tagsOf?.(path)
  return { metadata, contentType, headers, tier, tags }
}

/**
 * Stores a version and returns what it is now; `undefined` when somebody else's stays in its place,
 * by the mount's choice or because the version was only made. `ESTALE` for a conflict that is nobody's choice: the error tells where the
 * local version is kept. Until it returns the content is as it was.
 */
export async function commitVersion(
  context: CommitContext,
  version: NewVersion,
  before: Entry | undefined,
): Promise<Entry | undefined> {
  const { namespace } = context
  const { path, content, description } = version
  if (context.beforeCommit !== undefined) await context.beforeCommit()
  const access = await namespace.accessBefore(path, before)
  const properties = await store(context, version)
  if (properties === undefined) return undefined
  const { metadata } = description
  const committed = entryFromBlob(path.name, { ...properties, metadata, facts: undefined })
  const { etag, sizeBytes } = properties
  content.committed({ path, etag, sizeBytes })
  const { leaseId } = version
  const asked =
    (context.posixAttrs ?? 'write') === 'write' ? committed : withFormerMode(committed, before)
  return namespace.settleCommitted(path, asked, { before: access, leaseId })
}

/** Of a hierarchical account: a version that is replaced takes its permissions along, and metadata tells none. */
function withFormerMode(committed: Entry, before: Entry | undefined): Entry {
  const mode = modeOfPermissions(before?.permissions)
  return mode === undefined ? committed : { ...committed, posix: { ...committed.posix, mode } }
}

/** Writes a version down for its owner; where that is, or `undefined` when nothing can be kept. */
async function keepVersion(
  { journals }: CommitContext,
  version: NewVersion,
  reason: KeptReason,
): Promise<{ readonly kept: KeptVersion; readonly place: string } | undefined> {
  if (journals === undefined) return undefined
  const { content, path, description, replaces } = version
  try {
    const kept = await journals.kept.keep({ reason, path, description, replaces }, content, {
      all: true,
    })
    return { kept, place: journals.kept.placeOf(kept) }
  } catch (error) {
    publishFault('journal', path, error)
    return undefined
  }
}

/** As `keepVersion`, of what failed for another reason than a conflict; told where all failures are. */
export async function keepFailed(
  context: CommitContext,
  version: NewVersion,
  cause: FileSystemError,
): Promise<string | undefined> {
  if (version.content.sizeBytes === 0) return undefined
  const kept = await keepVersion(context, version, 'failed')
  if (kept === undefined) return undefined
  const detail = `what could not be stored is kept in ${kept.place}${butForSent(version.content)}`
  publishFault('keep', version.path, new FileSystemError(cause.code, 'keep', { detail, cause }))
  return kept.place
}

/** `stored` with what a listing does not tell and no commit here changes. */
export function withKnownHeaders(stored: Entry, before: Entry | undefined): Entry {
  if (stored.headers !== undefined || before === undefined) return stored
  const { headers, chosenTier, tagCount } = before
  return { ...stored, headers, chosenTier, tagCount }
}

async function store(
  context: CommitContext,
  version: NewVersion,
): Promise<BlobProperties | undefined> {
  try {
    return await upload(context.namespace.store, version.path, version)
  } catch (error) {
    if (!isFileSystemError(error, 'ESTALE')) throw error
    return resolve(context, version, error)
  }
}

async function resolve(
  context: CommitContext,
  version: NewVersion,
  cause: FileSystemError,
): Promise<BlobProperties | undefined> {
  const { namespace, onConflict = 'error' } = context
  const { path } = version
  namespace.invalidate({ ...path, name: parentName(path.name) }, { recursive: false })
  if (version.setOnMade !== undefined && version.replaces === undefined) {
    const detail = 'somebody else has made the file too: it stays as they made it'
    const known = new FileSystemError('EEXIST', 'create', { path: formatPath(path), detail, cause })
    publishFault('create', path, known)
    return undefined
  }
  const kept = await keepVersion(context, version, 'conflict')
  const conflict = conflictError(version, kept?.place, cause)
  const giveUp = (): FileSystemError => {
    context.onUnsaved?.({ path: formatPath(path), error: conflict, place: kept?.place })
    return conflict
  }
  // What is there now is of another type, which nothing of ours replaces: not to be tried for ever.
  const unlessOtherType = (error: unknown): never => {
    throw isFileSystemError(error) && error.serviceCode === 'InvalidBlobType' ? giveUp() : error
  }
  if (onConflict === 'theirs') publishFault('close', path, conflict)
  if (onConflict === 'theirs') return undefined
  // What is not here any more, and neither there, is nowhere: no whole version can be made.
  if (onConflict === 'error' || !(await isWhole(version.content))) throw giveUp()
  const made =
    onConflict === 'ours' ? await replace(context, version).catch(unlessOtherType) : undefined
  if (onConflict === 'rename') await storeBeside(context, version, conflict)
  if (kept !== undefined) await context.journals?.kept.remove(kept.kept)
  return made
}

/** What was uploaded is gone with theirs: a commit takes away what is staged under its name. */
async function isWhole(content: FileContent): Promise<boolean> {
  return !content.isSent({ start: 0, end: content.sizeBytes }) && content.detach()
}

/** Replaces whatever is there: somebody may write once more meanwhile. */
async function replace(context: CommitContext, version: NewVersion): Promise<BlobProperties> {
  const { store: blobs } = context.namespace
  for (let attempt = 1; ; attempt += 1) {
    const theirs = await blobs.head(version.path).catch((error: unknown) => {
      if (!isFileSystemError(error, 'ENOENT')) throw error
    })
    try {
      return await upload(blobs, version.path, { ...version, replaces: theirs?.etag })
    } catch (error) {
      if (!isFileSystemError(error, 'ESTALE') || attempt === maxAttempts) throw error
    }
  }
}

const maxAttempts = 5

async function storeBeside(
  { namespace, clock }: CommitContext,
  version: NewVersion,
  conflict: FileSystemError,
): Promise<void> {
  const { path } = version
  const time = new Date(clock.nowMs()).toISOString().replace(/[-:.]/g, '')
  const beside = { ...path, name: `${path.name}.conflict-${time}` }
  await upload(namespace.store, beside, { ...version, replaces: undefined, leaseId: undefined })
  const detail = `somebody else wrote the file since it was opened here: this version is ${formatPath(beside)}`
  publishFault('close', path, new FileSystemError('ESTALE', 'close', { detail, cause: conflict }))
}

function conflictError(
  { path, content }: NewVersion,
  place: string | undefined,
  cause: FileSystemError,
): FileSystemError {
  const kept =
    place === undefined ? 'could not be kept' : `is kept in ${place}${butForSent(content)}`
  const detail =
    'somebody else wrote or removed the file since it was opened here; this version was not ' +
    `stored and ${kept}`
  return new FileSystemError('ESTALE', 'close', { path: formatPath(path), detail, cause })
}

/** What a kept version lacks, in words: nobody shall take it for the whole. */
function butForSent(content: FileContent): string {
  const sent = content.sentIn({ start: 0, end: content.sizeBytes })
  if (sent.length === 0) return ''
  const bytes = sent.reduce((total, range) => total + lengthOf(range), 0)
  const places = sent.slice(0, 8).map(({ start, end }) => `${start}-${end - 1}`)
  const more = sent.length > places.length ? ' and more' : ''
  return (
    `, without ${bytes} bytes (${places.join(', ')}${more}) that were uploaded and, as the disk which ` +
    'buffers unsaved writes was full, not kept here: they are lost, zeros stand in their place'
  )
}

/** What a file that was made is told where its name is not a file's any more. */
export function replacedBy(theirs: Entry | undefined, path: BlobPath): FileSystemError {
  const detail = `somebody else has made a ${theirs?.type} of this name`
  return new FileSystemError('ESTALE', 'close', { path: formatPath(path), detail })
}
