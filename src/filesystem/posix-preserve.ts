import type { BigIntStats } from 'node:fs'
import { chmod, lchown, lutimes } from 'node:fs/promises'
import type { PosixAttributes } from '../namespace/entry.ts'

const permissionBits = 0o7777n

/** The attributes of a local file, as metadata keeps them. */
export function attributesOf(stats: BigIntStats): PosixAttributes {
  return {
    mode: Number(stats.mode & permissionBits),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    mtimeNs: stats.mtimeNs,
  }
}

/**
 * Gives a local file the attributes that are known: the owner only as root, as `cp -p` does, the
 * mode never to a link. Times have a precision of about 200 ns.
 */
export async function applyAttributes(
  path: string,
  attributes: PosixAttributes,
  options: { readonly isLink: boolean } = { isLink: false },
): Promise<void> {
  const { mode, uid, gid, mtimeNs } = attributes
  if (uid !== undefined && gid !== undefined && process.getuid?.() === 0) {
    await lchown(path, uid, gid)
  }
  // After the owner: changing that clears the set-user-id bits.
  if (mode !== undefined && !options.isLink) await chmod(path, mode)
  if (mtimeNs !== undefined) await lutimes(path, Number(mtimeNs) / 1e9, Number(mtimeNs) / 1e9)
}
