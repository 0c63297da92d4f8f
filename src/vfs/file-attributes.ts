import type { PosixAttributes } from '../namespace/entry.ts'
import type { MetadataChange } from '../namespace/entry-metadata.ts'
import { withoutStored } from './attributes.ts'
import type { Inode } from './inode-table.ts'
import type { Tree } from './tree.ts'
import type { WritableFile } from './writable-file.ts'

/**
 * Changes of what inodes say of themselves: with the next commit while the file is open for writing,
 * at once otherwise.
 */
export class FileAttributes {
  readonly #tree: Tree
  /** Waits for commits of a file that are under way, which send attributes as well. */
  readonly settle: (inode: Inode) => Promise<void>

  constructor(tree: Tree, settle: (inode: Inode) => Promise<void>) {
    this.#tree = tree
    this.settle = settle
  }

  /** Changes mode, owner or time of modification, where the mount keeps them: else nothing, which is no error. */
  async set(inode: Inode, changes: PosixAttributes): Promise<void> {
    if (this.#tree.posixAttrs !== 'write') return
    const kept = inode.unlinked ? inode.writable : writtenContent(inode)
    if (kept !== undefined) return kept.setAttributes(changes)
    const local = inode.writable ?? inode.unstored
    if ((await local?.amend(changes)) === true) return
    await this.settle(inode)
    const { posix } = await this.#tree.entryOf(inode, { toChange: true })
    const different = withoutStored(changes, posix)
    if (Object.keys(different).length > 0) await this.#tree.setAttributes(inode, different)
  }

  /** Changing content takes the set-user-id and set-group-id bits away, unless root does it. */
  async dropPrivileges(inode: Inode): Promise<void> {
    const { mode = 0 } = (inode.writable?.entry() ?? (await this.#tree.entryOf(inode))).posix
    const kept = mode & ((mode & 0o010) === 0 ? ~0o4000 : ~0o6000)
    if (kept !== mode) await this.set(inode, { mode: kept })
  }

  /** Changes metadata that is not POSIX attributes. */
  async changeMetadata(inode: Inode, change: MetadataChange): Promise<void> {
    const content = writtenContent(inode)
    if (content === undefined) await this.#changeStored(inode, change)
    else await content.changeMetadata(change)
    this.#tree.touch(inode)
  }

  async #changeStored(inode: Inode, change: MetadataChange): Promise<void> {
    await this.settle(inode)
    const path = this.#tree.pathOf(inode)
    if (path.name === '') throw this.#tree.failure('ENOTSUP', 'setxattr', path)
    await this.#tree.entryOf(inode, { toChange: true })
    const leaseId = inode.lock?.lease?.leaseId
    const keepsTime = this.#tree.posixAttrs === 'write'
    await this.#tree.changed(inode, (onVersion) =>
      this.#tree.namespace.changeMetadata(path, change, { leaseId, keepsTime, onVersion }),
    )
  }
}

function writtenContent({ writable }: Inode): WritableFile | undefined {
  return writable !== undefined && writable.writers > 0 ? writable : undefined
}
