import { FileSystemError } from '../errors.ts'
import type { Entry } from '../namespace/entry.ts'
import {
  type AzureAttributes,
  azureValue,
  isUserName,
  removeAzureValue,
  setAzureValue,
  userNames,
  userValue,
  withUserValue,
} from './extended-attributes.ts'
import type { FileAttributes } from './file-attributes.ts'
import type { Inode } from './inode-table.ts'
import type { CallContext, XattrChange } from './operations.ts'
import type { Tree } from './tree.ts'
import type { VfsOptions } from './vfs-options.ts'

/** The extended attributes of inodes, as xattr(7) has them. */
export class ExtendedAttributes {
  readonly #tree: Tree
  readonly #attributes: FileAttributes
  readonly #azure: AzureAttributes
  readonly #offered: boolean

  constructor(
    tree: Tree,
    attributes: FileAttributes,
    options: Pick<VfsOptions, 'administration' | 'xattrs'>,
  ) {
    const { store } = tree.namespace
    const { administration } = options
    this.#tree = tree
    this.#attributes = attributes
    this.#azure = { head: (path, call) => store.head(path, call), administration }
    this.#offered = options.xattrs ?? true
  }

  async get(inode: Inode, name: string, context: CallContext): Promise<Uint8Array | undefined> {
    this.#check('getxattr')
    if (isUserName(name)) {
      const { metadata } = await this.#tree.entryOf(inode, { signal: context.signal })
      return userValue(metadata, name)
    }
    if (!name.startsWith('azure.')) {
      throw this.#tree.failure('ENOTSUP', 'getxattr', this.#tree.pathOf(inode))
    }
    if (inode.writable?.unborn === true || inode.unstored !== undefined) return undefined
    const value = await azureValue(this.#azure, this.#tree.pathOf(inode), name)
    return value === undefined ? undefined : Buffer.from(value)
  }

  /** The `user.…` ones: programs that copy a file copy what is listed, and no other has `azure.…`. */
  async list(inode: Inode, context: CallContext): Promise<readonly string[]> {
    this.#check('listxattr')
    return userNames((await this.#tree.entryOf(inode, { signal: context.signal })).metadata)
  }

  async set(inode: Inode, name: string, change: XattrChange): Promise<boolean> {
    this.#check('setxattr')
    this.#tree.checkWritable('setxattr', inode)
    if (isUserName(name)) return this.#changeUserValue(inode, name, change)
    const path = this.#tree.pathOf(inode)
    if (name === 'user.') throw this.#tree.failure('EINVAL', 'setxattr', path)
    if (!name.startsWith('azure.')) throw this.#tree.failure('ENOTSUP', 'setxattr', path)
    await this.#attributes.settle(inode)
    const kept = await setAzureValue(this.#azure, path, { name, value: change.value })
    this.#note(inode, kept)
    return true
  }

  async remove(inode: Inode, name: string): Promise<boolean> {
    this.#check('removexattr')
    this.#tree.checkWritable('removexattr', inode)
    if (isUserName(name)) return this.#changeUserValue(inode, name, undefined)
    const path = this.#tree.pathOf(inode)
    if (!name.startsWith('azure.')) throw this.#tree.failure('ENOTSUP', 'removexattr', path)
    await this.#attributes.settle(inode)
    const had = await removeAzureValue(this.#azure, path, name)
    this.#note(inode, { tagCount: undefined })
    return had
  }

  /** The next version, and the next name, are to have them too. */
  #note(inode: Inode, kept: Pick<Entry, 'tagCount' | 'chosenTier'>): void {
    inode.writable?.noteKept(kept)
    const { namespace } = this.#tree
    const path = this.#tree.pathOf(inode)
    const known = namespace.known(path)
    if (known !== undefined) namespace.noteCommitted(path, { ...known, ...kept })
  }

  /** The kernel takes ENOSYS to heart: it does not ask again. */
  #check(syscall: string): void {
    if (!this.#offered) throw new FileSystemError('ENOSYS', syscall)
  }

  async #changeUserValue(
    inode: Inode,
    name: string,
    change: XattrChange | undefined,
  ): Promise<boolean> {
    let found = true
    await this.#attributes.changeMetadata(inode, (metadata) => {
      const changed = withUserValue(metadata, name, change)
      found = changed !== undefined
      return changed
    })
    return found
  }
}
