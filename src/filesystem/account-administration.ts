import type {
  BlobAdministration,
  Permission,
  SignRequest,
  TaggedBlob,
  Tags,
  Tier,
  TierOptions,
  TierState,
} from '../blob/administration.ts'
import {
  type BlobProperties,
  type CallOptions,
  type FormerId,
  listAll,
  type Metadata,
  type StateMark,
} from '../blob/store.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { expectFormer, expectText, expectTexts, shown } from '../expect-option.ts'
import { parentName } from '../namespace/blob-name.ts'
import type { BlobPath } from '../path.ts'
import { AccountAccess } from './account-access.ts'
import type { AzureBlobFileSystemOptions } from './account-tree.ts'
import { demandWord } from './demand-word.ts'
import { fullName } from './file-info.ts'
import { statesAt } from './list-states.ts'
import type { PathInput } from './location.ts'
import { collect } from './walk.ts'

export interface SetMetadataOptions extends CallOptions {
  /** Keeps what is not given. Default true. */
  readonly merge?: boolean | undefined
  /** The file must have this etag: else `ESTALE`. */
  readonly ifMatch?: string | undefined
}

export interface SignOptions
  extends Omit<SignRequest, 'path' | 'permissions' | 'startsAtMs' | 'expiresAtMs'> {
  /** Default `read`. */
  readonly permissions?: readonly Permission[] | undefined
  /** How long the URL is good for, milliseconds. Default an hour. */
  readonly expiresInMs?: number | undefined
}

/** A file as it is, was, or was when it was deleted. */
export interface FileState extends StateMark {
  /** `container/path`. */
  readonly name: string
  readonly properties: Pick<BlobProperties, 'sizeBytes' | 'etag' | 'lastModifiedMs' | 'accessTier'>
}

const maxAttempts = 5
const hourMs = 60 * 60 * 1000
/** Clocks differ: a signature is good from a little before it was made. */
const clockSkewMs = 5 * 60 * 1000

/** Metadata, tags, tiers, former states and signatures. See `AzureBlobFileSystem`. */
export class AccountAdministration extends AccountAccess {
  readonly #administration: BlobAdministration | undefined

  constructor(options: AzureBlobFileSystemOptions) {
    super(options)
    this.#administration = options.administration
  }

  /** The metadata of a file, as the service has it now. */
  async getMetadata(path: PathInput, options: CallOptions = {}): Promise<Metadata> {
    const place = this.filePlace(path, 'getMetadata', options)
    return (await this.remote.store.head(place, { signal: options.signal })).metadata ?? {}
  }

  /**
   * Changes metadata and returns all of it. What others change meanwhile is kept, unless `merge` is
   * false. The content stays, the etag changes.
   */
  async setMetadata(
    path: PathInput,
    metadata: Metadata,
    options: SetMetadataOptions = {},
  ): Promise<Metadata> {
    const place = this.filePlace(path, 'setMetadata', options)
    expectTexts('metadata', metadata)
    const { merge = true, signal } = options
    for (let attempt = 1; ; attempt += 1) {
      const before = merge ? await this.remote.store.head(place, { signal }) : undefined
      const ifMatch = options.ifMatch ?? before?.etag
      const all = { ...before?.metadata, ...lowerCased(metadata) }
      try {
        await this.remote.store.setMetadata(place, all, { ifMatch, signal })
        forget(this.remote.namespace, place)
        return all
      } catch (error) {
        const isOurs = options.ifMatch === undefined && isFileSystemError(error, 'ESTALE')
        if (!isOurs || attempt === maxAttempts) throw error
      }
    }
  }

  /** One value of the metadata; `undefined` when there is none. Names are compared in lower case. */
  async getXattr(
    path: PathInput,
    name: string,
    options: CallOptions = {},
  ): Promise<string | undefined> {
    expectText('name', name, 'a text')
    return (await this.getMetadata(path, options))[name.toLowerCase()]
  }

  /** Sets values of the metadata; `undefined` removes one. Others stay. */
  async setXattrs(
    path: PathInput,
    values: Readonly<Record<string, string | undefined>>,
    options: CallOptions = {},
  ): Promise<void> {
    const place = this.filePlace(path, 'setXattrs', options)
    expectTexts('values', values)
    await retryStale(async () => {
      const { etag, metadata } = await this.remote.store.head(place, options)
      const changed = withoutUndefined({ ...metadata, ...lowerCased(values) })
      await this.remote.store.setMetadata(place, changed, { ...options, ifMatch: etag })
    })
    forget(this.remote.namespace, place)
  }

  /** The index tags of a file. */
  async getTags(path: PathInput, options?: CallOptions): Promise<Tags> {
    return this.admin('getTags').getTags(this.filePlace(path, 'getTags', options), options)
  }

  /** Replaces the index tags of a file: at most 10. Content and etag stay. */
  async setTags(path: PathInput, tags: Tags, options?: CallOptions): Promise<void> {
    const place = this.filePlace(path, 'setTags', options)
    expectTexts('tags', tags)
    await this.admin('setTags').setTags(place, tags, options)
    forget(this.remote.namespace, place)
  }

  /** Files of a container for which an expression such as `"state" = 'done'` holds; a minute late. */
  async *findByTags(
    container: PathInput,
    expression: string,
    options?: CallOptions,
  ): AsyncGenerator<TaggedBlob, void> {
    const place = this.place(container, 'findByTags', options)
    expectText('expression', expression, `a text such as "state" = 'done'`)
    yield* this.admin('findByTags').findByTags(place.container, expression, options)
  }

  /** Where the bytes of a file are kept, and whether it is on its way out of the archive. */
  async getTier(path: PathInput, options?: CallOptions): Promise<TierState> {
    return this.admin('getTier').getTier(this.filePlace(path, 'getTier', options), options)
  }

  /** Moves a file to another tier; out of the archive it takes hours, in which reading is `EREMOTEIO`. */
  async setTier(path: PathInput, tier: Tier, options?: TierOptions): Promise<void> {
    const place = this.filePlace(path, 'setTier', options)
    demandWord('tier', tier, ['Hot', 'Cool', 'Cold', 'Archive'] satisfies Tier[])
    await this.admin('setTier').setTier(place, tier, options)
    forget(this.remote.namespace, place)
  }

  /** Keeps a file as it is now; returns the snapshot's id. */
  async createSnapshot(path: PathInput, options?: CallOptions): Promise<string> {
    const place = this.filePlace(path, 'createSnapshot', options)
    return this.admin('createSnapshot').createSnapshot(place, options)
  }

  /** The states that a file is and was in: versions and snapshots, as far as the account keeps them. */
  async listVersions(path: PathInput, options: CallOptions = {}): Promise<FileState[]> {
    const place = this.filePlace(path, 'listVersions', options)
    const what = { ...options, versions: true, snapshots: true }
    const states = await collect(statesAt(this.remote, place, what))
    return states.map((row) => toFileState(place.container, row))
  }

  /** The bytes `[start, end)` of a former state, at most 256 MiB. Absent: all of it. */
  async readVersion(
    path: PathInput,
    former: FormerId,
    options: CallOptions & { readonly start?: number; readonly end?: number } = {},
  ): Promise<Uint8Array> {
    const place = this.filePlace(path, 'readVersion', options)
    expectFormer(former)
    const { start, end, signal } = options
    const range =
      start === undefined && end === undefined
        ? undefined
        : { start: start ?? 0, end: end ?? Number.MAX_SAFE_INTEGER }
    return (await this.remote.store.get(place, { former, range, signal })).data
  }

  /** Makes a former state the current one. What is current stays a version where the account keeps them. */
  async restoreVersion(path: PathInput, former: FormerId, options?: CallOptions): Promise<void> {
    const place = this.filePlace(path, 'restoreVersion', options)
    expectFormer(former)
    await this.admin('restoreVersion').restore(place, former, options)
    forget(this.remote.namespace, place)
  }

  /** Deletes one former state. */
  async deleteVersion(path: PathInput, former: FormerId, options?: CallOptions): Promise<void> {
    const place = this.filePlace(path, 'deleteVersion', options)
    expectFormer(former)
    await this.admin('deleteVersion').deleteFormer(place, former, options)
  }

  /** What was deleted at and below `path` and can be brought back. */
  async *listDeleted(path: PathInput, options: CallOptions = {}): AsyncGenerator<FileState, void> {
    const place = this.place(path, 'listDeleted', options)
    const rows = listAll(this.remote.store, place, { signal: options.signal, deleted: true })
    for await (const row of rows) {
      const below = place.name === '' || row.name.startsWith(`${place.name}/`)
      if (row.kind !== 'blob' || row.state?.isDeleted !== true) continue
      if (below || row.name === place.name) {
        yield toFileState(place.container, { ...row, state: row.state })
      }
    }
  }

  /** Brings a deleted file back, with its snapshots. `ENOENT` when it is gone for ever. */
  async undelete(path: PathInput, options?: CallOptions): Promise<void> {
    const place = this.filePlace(path, 'undelete', options)
    await this.admin('undelete').undelete(place, options)
    forget(this.remote.namespace, place)
  }

  /**
   * A URL with which anybody may use a file, a container or (`directory`, on hierarchical accounts) a
   * directory for a while. It is a secret. `EACCES` where the credential cannot sign.
   */
  async sign(path: PathInput, options: SignOptions = {}): Promise<string> {
    const place = this.place(path, 'sign', options)
    const { permissions = ['read'], expiresInMs = hourMs, ...more } = options
    if (!(typeof expiresInMs === 'number' && expiresInMs > 0)) {
      throw new RangeError(`expiresInMs: expected milliseconds above 0, got ${shown(expiresInMs)}`)
    }
    const nowMs = this.remote.clock.nowMs()
    const times = { startsAtMs: nowMs - clockSkewMs, expiresAtMs: nowMs + expiresInMs }
    return (await this.admin('sign').sign({ ...more, path: place, permissions, ...times })).href
  }

  /** What signs, tags and keeps former states; `undefined` where there is none. */
  protected get administration(): BlobAdministration | undefined {
    return this.#administration
  }

  /** The same; `ENOTSUP` where there is none. */
  protected admin(syscall: string): BlobAdministration {
    if (this.#administration !== undefined) return this.#administration
    const detail = 'the file system was made without administration: createFileSystem gives it'
    throw new FileSystemError('ENOTSUP', syscall, { detail })
  }
}

/** Runs `work` again when somebody else changed the file between its reading and its writing. */
export async function retryStale(work: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work()
    } catch (error) {
      if (!isFileSystemError(error, 'ESTALE') || attempt === maxAttempts) throw error
    }
  }
}

function toFileState(
  container: string,
  row: { readonly name: string; readonly properties: BlobProperties; readonly state: StateMark },
): FileState {
  const { sizeBytes, etag, lastModifiedMs, accessTier } = row.properties
  return {
    ...row.state,
    name: fullName({ container, name: row.name }),
    properties: { sizeBytes, etag, lastModifiedMs, accessTier },
  }
}

function lowerCased<T>(values: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name.toLowerCase(), value]),
  )
}

function withoutUndefined(values: Readonly<Record<string, string | undefined>>): Metadata {
  const kept: Record<string, string> = {}
  for (const [name, value] of Object.entries(values)) if (value !== undefined) kept[name] = value
  return kept
}

/** Listings do not know a file any more that was just changed. */
export function forget(
  namespace: { invalidate(path: BlobPath, options?: { readonly recursive: boolean }): void },
  path: BlobPath,
): void {
  namespace.invalidate(path)
  namespace.invalidate({ ...path, name: parentName(path.name) }, { recursive: false })
}
