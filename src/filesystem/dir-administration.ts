import type {
  ContentSettings,
  FormerId,
  TaggedBlob,
  Tags,
  Tier,
  TierOptions,
  TierState,
} from '../blob/administration.ts'
import type { AccessControl, Expiry } from '../blob/hierarchy.ts'
import type { CallOptions, Metadata } from '../blob/store.ts'
import type { AclOptions, AclResult } from './access.ts'
import type { FileState, SetMetadataOptions, SignOptions } from './account-administration.ts'
import type { Capabilities } from './capabilities.ts'
import { DirContent } from './dir-content.ts'
import { fullName } from './file-info.ts'
import type { FileLock, LockOptions } from './file-lock.ts'
import type { FormerFile } from './former-file.ts'

/** A file of a directory and its tags. */
export interface TaggedFile extends Pick<TaggedBlob, 'tags'> {
  /** From the directory. */
  readonly name: string
}

/** Metadata, tags, tiers, former states, signatures, locks and rights. See `DirFileSystem`. */
export class DirAdministration extends DirContent {
  async getMetadata(path: string, options?: CallOptions): Promise<Metadata> {
    return this.fs.getMetadata(this.inside(path, 'getMetadata'), options)
  }

  async setMetadata(
    path: string,
    metadata: Metadata,
    options?: SetMetadataOptions,
  ): Promise<Metadata> {
    return this.fs.setMetadata(this.inside(path, 'setMetadata'), metadata, options)
  }

  async getXattr(path: string, name: string, options?: CallOptions): Promise<string | undefined> {
    return this.fs.getXattr(this.inside(path, 'getXattr'), name, options)
  }

  async setXattrs(
    path: string,
    values: Readonly<Record<string, string | undefined>>,
    options?: CallOptions,
  ): Promise<void> {
    await this.fs.setXattrs(this.inside(path, 'setXattrs'), values, options)
  }

  async setContentSettings(
    path: string,
    settings: ContentSettings,
    options?: CallOptions,
  ): Promise<void> {
    await this.fs.setContentSettings(this.inside(path, 'setContentSettings'), settings, options)
  }

  async getTags(path: string, options?: CallOptions): Promise<Tags> {
    return this.fs.getTags(this.inside(path, 'getTags'), options)
  }

  async setTags(path: string, tags: Tags, options?: CallOptions): Promise<void> {
    await this.fs.setTags(this.inside(path, 'setTags'), tags, options)
  }

  /** Of the files of the container for which `expression` holds those below the directory. */
  async *findByTags(expression: string, options?: CallOptions): AsyncGenerator<TaggedFile, void> {
    const [container = ''] = this.root.split('/')
    for await (const blob of this.fs.findByTags(container, expression, options)) {
      const name = fullName(blob)
      if (name.startsWith(`${this.root}/`)) yield { name: this.relative(name), tags: blob.tags }
    }
  }

  async getTier(path: string, options?: CallOptions): Promise<TierState> {
    return this.fs.getTier(this.inside(path, 'getTier'), options)
  }

  async setTier(path: string, tier: Tier, options?: TierOptions): Promise<void> {
    await this.fs.setTier(this.inside(path, 'setTier'), tier, options)
  }

  async rehydrate(
    path: string,
    options?: TierOptions & { readonly tier?: Tier | undefined },
  ): Promise<void> {
    await this.fs.rehydrate(this.inside(path, 'rehydrate'), options)
  }

  async createSnapshot(path: string, options?: CallOptions): Promise<string> {
    return this.fs.createSnapshot(this.inside(path, 'createSnapshot'), options)
  }

  async listVersions(path: string, options?: CallOptions): Promise<FileState[]> {
    const states = await this.fs.listVersions(this.inside(path, 'listVersions'), options)
    return states.map((state) => ({ ...state, name: this.relative(state.name) }))
  }

  async openVersion(path: string, former: FormerId, options?: CallOptions): Promise<FormerFile> {
    return this.fs.openVersion(this.inside(path, 'openVersion'), former, options)
  }

  async readVersion(
    path: string,
    former: FormerId,
    options?: CallOptions & { readonly start?: number; readonly end?: number },
  ): Promise<Uint8Array> {
    return this.fs.readVersion(this.inside(path, 'readVersion'), former, options)
  }

  async restoreVersion(path: string, former: FormerId, options?: CallOptions): Promise<void> {
    await this.fs.restoreVersion(this.inside(path, 'restoreVersion'), former, options)
  }

  async deleteVersion(path: string, former: FormerId, options?: CallOptions): Promise<void> {
    await this.fs.deleteVersion(this.inside(path, 'deleteVersion'), former, options)
  }

  async *listDeleted(path = '', options?: CallOptions): AsyncGenerator<FileState, void> {
    for await (const state of this.fs.listDeleted(this.inside(path, 'listDeleted'), options)) {
      yield { ...state, name: this.relative(state.name) }
    }
  }

  async undelete(path: string, options?: CallOptions): Promise<void> {
    await this.fs.undelete(this.inside(path, 'undelete'), options)
  }

  async sign(path: string, options?: SignOptions): Promise<string> {
    return this.fs.sign(this.inside(path, 'sign'), options)
  }

  async signUpload(path: string, options?: Omit<SignOptions, 'permissions'>): Promise<string> {
    return this.fs.signUpload(this.inside(path, 'sign'), options)
  }

  async signDirectory(path = '', options?: SignOptions): Promise<string> {
    return this.fs.signDirectory(this.inside(path, 'sign'), options)
  }

  async lock(path: string, options?: LockOptions): Promise<FileLock> {
    return this.fs.lock(this.inside(path, 'lock'), options)
  }

  async capabilities(path = '', options?: CallOptions): Promise<Capabilities> {
    return this.fs.capabilities(this.inside(path, 'capabilities'), options)
  }

  async getAcl(path = '', options?: CallOptions): Promise<AccessControl> {
    return this.fs.getAcl(this.inside(path, 'getAcl'), options)
  }

  async setAcl(path: string, acl: string, options?: AclOptions): Promise<AclResult> {
    return this.fs.setAcl(this.inside(path, 'setAcl'), acl, options)
  }

  async updateAcl(path: string, acl: string, options?: AclOptions): Promise<AclResult> {
    return this.fs.updateAcl(this.inside(path, 'updateAcl'), acl, options)
  }

  async removeAcl(path: string, acl: string, options?: AclOptions): Promise<AclResult> {
    return this.fs.removeAcl(this.inside(path, 'removeAcl'), acl, options)
  }

  async chmod(path: string, mode: number, options?: CallOptions): Promise<void> {
    await this.fs.chmod(this.inside(path, 'chmod'), mode, options)
  }

  async chown(
    path: string,
    owners: { readonly owner?: string | undefined; readonly group?: string | undefined },
    options?: CallOptions,
  ): Promise<void> {
    await this.fs.chown(this.inside(path, 'chown'), owners, options)
  }

  async setExpiry(path: string, expiry: Expiry, options?: CallOptions): Promise<void> {
    await this.fs.setExpiry(this.inside(path, 'setExpiry'), expiry, options)
  }
}
