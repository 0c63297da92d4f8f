import type { ContentSettings, FormerId, Tier, TierOptions } from '../blob/administration.ts'
import type { CallOptions } from '../blob/store.ts'
import { isFileSystemError } from '../errors.ts'
import { expectCall, expectFormer, expectTexts } from '../expect-option.ts'
import {
  AccountAdministration,
  forget,
  retryStale,
  type SignOptions,
} from './account-administration.ts'
import { type Capabilities, probe } from './capabilities.ts'
import type { FileInfo } from './file-info.ts'
import { FileLock, type LockOptions } from './file-lock.ts'
import { FormerFile } from './former-file.ts'
import type { FileData } from './given-bytes.ts'
import type { PathInput } from './location.ts'
import { type PipeOptions, pipeFile } from './pipe.ts'

/** Working beside others, and what an account offers. See `AzureBlobFileSystem`. */
export class AccountSharing extends AccountAdministration {
  /** Locks a file, which is made where it is missing, until the lock is released; see {@link FileLock}. */
  async lock(path: PathInput, options: LockOptions = {}): Promise<FileLock> {
    const place = this.filePlace(path, 'lock', options)
    const administration = this.admin('lock')
    return FileLock.acquire(this.remote, place, { ...options, administration })
  }

  /** Makes `data` the file unless there is one: then `undefined`, and nothing is changed. */
  async putIfAbsent(
    path: PathInput,
    data: FileData,
    options: Omit<PipeOptions, 'mode' | 'ifMatch'> = {},
  ): Promise<FileInfo | undefined> {
    const place = this.filePlace(path, 'putIfAbsent', options)
    try {
      return await pipeFile(this.remote, place, data, { ...options, mode: 'create' })
    } catch (error) {
      if (isFileSystemError(error, 'EEXIST')) return undefined
      throw error
    }
  }

  /** What the account and the credential offer at `path`; see {@link Capabilities}. */
  async capabilities(path: PathInput = '', options: CallOptions = {}): Promise<Capabilities> {
    const place = this.place(path, 'capabilities', options)
    const { administration } = this
    return probe(this.remote, place, { ...options, administration })
  }

  /** Changes the headers that a file is answered with; those that are not given stay. Content stays. */
  async setContentSettings(
    path: PathInput,
    settings: ContentSettings,
    options: CallOptions = {},
  ): Promise<void> {
    const place = this.filePlace(path, 'setContentSettings', options)
    expectTexts('settings', settings)
    const administration = this.admin('setContentSettings')
    await retryStale(async () => {
      const { etag, contentType, contentMd5, headers } = await this.remote.store.head(
        place,
        options,
      )
      const all = { contentType, contentMd5, ...headers, ...settings }
      await administration.setHeaders(place, all, { ...options, ifMatch: etag })
    })
    forget(this.remote.namespace, place)
  }

  /** Opens a former state for reading. `ENOENT` when it is not kept. */
  async openVersion(
    path: PathInput,
    former: FormerId,
    options: CallOptions = {},
  ): Promise<FormerFile> {
    const place = this.filePlace(path, 'openVersion', options)
    expectFormer(former)
    const { store } = this.remote
    const { sizeBytes } = await store.head(place, { ...options, former })
    return new FormerFile({ store, path: place, former, sizeBytes })
  }

  /** Takes a file out of the archive, to `tier` (default `Hot`); that takes hours. */
  async rehydrate(
    path: PathInput,
    options: TierOptions & { readonly tier?: Tier | undefined } = {},
  ): Promise<void> {
    expectCall(options)
    const { tier = 'Hot', ...more } = options
    return this.setTier(path, tier, more)
  }

  /** A URL with which anybody may upload one file for a while. It is a secret. */
  async signUpload(
    path: PathInput,
    options: Omit<SignOptions, 'permissions'> = {},
  ): Promise<string> {
    expectCall(options)
    return this.sign(path, { ...options, permissions: ['create', 'write'] })
  }

  /** A URL for all that is below a directory of a hierarchical account. It is a secret. */
  async signDirectory(path: PathInput, options: SignOptions = {}): Promise<string> {
    expectCall(options)
    return this.sign(path, { permissions: ['read', 'list'], ...options, directory: true })
  }
}
