import { baseName, isPathName, isReserved } from '../namespace/blob-name.ts'
import type { Entry } from '../namespace/entry.ts'
import { parentOf } from '../namespace/listing-cache.ts'
import type { BlobPath } from '../path.ts'
import { type Inode, subtree } from './inode-table.ts'
import type { Tree } from './tree.ts'

/** A change of a blob that somebody tells of, who may be this mount itself. */
export interface ForeignChange {
  readonly container: string
  /** The blob's: a directory may have its mark in `name/`. */
  readonly name: string
  readonly kind: 'written' | 'changed' | 'removed'
  /** Without quotes; of the version that the change made. */
  readonly etag: string | undefined
  /** Milliseconds since the epoch. */
  readonly timeMs: number
}

/** What others change, told to a mount that cannot see it: given to the mount when it is made. */
export class ForeignChanges {
  #tree: Tree | undefined

  attach(tree: Tree): void {
    this.#tree = tree
  }

  /** Returns whether anything was told that the change made untrue. */
  note(change: ForeignChange): boolean {
    return this.#tree !== undefined && noteForeignChange(this.#tree, change)
  }

  /** Some changes will not be told. */
  missed(): void {
    if (this.#tree !== undefined) forgetEverything(this.#tree)
  }
}

/** Forgets what a change makes untrue of listings, names and attributes, here and in the kernel; returns whether it did. */
function noteForeignChange(tree: Tree, change: ForeignChange): boolean {
  const path = placeIn(tree, change)
  if (path === undefined || isKnown(tree, path, change)) return false
  const isRemoval = change.kind === 'removed'
  const root = tree.pathOf(tree.table.root)
  tree.namespace.invalidate(path, { recursive: false })
  const own = inodeAt(tree, path)
  if (own !== undefined) tree.listener?.attributesChanged(own.ino)
  if (path.name === root.name) {
    tree.root.forget()
    return true
  }
  let each = path
  do {
    const parent = parentOf(each)
    if (each !== path && stays(tree, each, isRemoval)) break
    tree.namespace.invalidate(parent, { recursive: false })
    forgetName(tree, parent, baseName(each.name))
    each = parent
  } while (each.name !== root.name)
  return true
}

/** Forgets all that may be untrue: nobody knows what has changed. Names that the kernel takes for absent it forgets in time. */
function forgetEverything(tree: Tree): void {
  tree.namespace.invalidate()
  tree.root.forget()
  for (const inode of subtree(tree.table.root)) {
    tree.listener?.attributesChanged(inode.ino)
    if (inode.parent === undefined) continue
    if (inode.type !== 'directory') tree.listener?.nameChanged(inode.parent.ino, inode.name)
    inode.parent.changeNames()
  }
}

/** The path of a change that this mount would show. */
function placeIn(tree: Tree, { container, name }: ForeignChange): BlobPath | undefined {
  const root = tree.pathOf(tree.table.root)
  const bare = name.replace(/\/$/, '')
  if (container !== root.container || !isPathName(bare) || isReserved(bare)) return undefined
  const isBelow = root.name === '' || bare === root.name || bare.startsWith(`${root.name}/`)
  return isBelow ? { container, name: bare } : undefined
}

/** Whether all that is told of `path` is the version that the change made, or a later one. */
function isKnown(tree: Tree, path: BlobPath, change: ForeignChange): boolean {
  const listing = tree.namespace.believed(parentOf(path))
  const listed = listing?.entries.get(baseName(path.name))
  const inode = inodeAt(tree, path)
  if (inode !== undefined && !isAsLate(inode.entry, change)) return false
  if (listing !== undefined) {
    return listed === undefined
      ? change.kind === 'removed' && inode === undefined
      : isAsLate(listed, change)
  }
  return inode !== undefined
}

function isAsLate(entry: Entry | undefined, { kind, etag, timeMs }: ForeignChange): boolean {
  if (entry?.etag === undefined) return false
  // Whole seconds: what was stored in the second after the change, or later, came after it.
  if ((entry.lastModifiedMs ?? 0) > timeMs) return true
  return kind !== 'removed' && entry.etag.replaceAll('"', '') === etag
}

/** Whether the directory `path` was there before the change and is after it, so that those above know it. */
function stays(tree: Tree, path: BlobPath, isRemoval: boolean): boolean {
  const known = tree.namespace.believed(parentOf(path))?.entries.get(baseName(path.name))
  return isRemoval ? known?.markerName !== undefined : known?.type === 'directory'
}

/** The kernel asks anew for `name` in `parent`, and for all names in it. */
export function forgetName(tree: Tree, parent: BlobPath, name: string): void {
  const directory = inodeAt(tree, parent)
  if (directory === undefined) return
  directory.changeNames()
  directory.namesToldUntilMs = undefined
  tree.listener?.nameChanged(directory.ino, name)
}

/** The inode that stands for `path`, if anybody uses it. */
function inodeAt(tree: Tree, path: BlobPath): Inode | undefined {
  const root = tree.pathOf(tree.table.root)
  const below = path.name.slice(root.name === '' ? 0 : root.name.length + 1)
  if (below === '') return tree.table.root
  let at: Inode | undefined = tree.table.root
  for (const name of below.split('/')) at = at?.children.get(name)
  return at
}
