import type { CallOptions } from '../blob/store.ts'
import { isFileSystemError } from '../errors.ts'
import { baseName } from '../namespace/blob-name.ts'
import type { Entry } from '../namespace/entry.ts'
import type { Inode } from './inode-table.ts'
import { Listing } from './listing.ts'
import type { Tree } from './tree.ts'
import { isOvertaken, localEntry } from './versions-apart.ts'

/** The entries of a directory, with those that only this mount has yet. */
export async function listNames(
  tree: Tree,
  directory: Inode,
  options: CallOptions = {},
): Promise<Map<string, Entry>> {
  // What is stored and closed while the service lists is not in its answer, nor open any more.
  const unborn = unbornIn(directory)
  const before = new Map(Array.from(directory.children.values(), (each) => [each, each.entry]))
  const isStored = directory.unstored === undefined
  const listed = isStored ? await listStored(tree, directory, options) : []
  const entries = new Map(listed.map((entry) => [baseName(entry.name), entry]))
  for (const child of unborn) {
    if (child.parent !== directory || child.unlinked || child.entry === undefined) continue
    if (!entries.has(child.name)) entries.set(child.name, child.entry)
  }
  for (const child of directory.children.values()) {
    const found = entries.get(child.name)
    const isLater = found !== undefined && isOvertaken(child, before.get(child), found)
    const entry = localEntry(child) ?? (isLater ? child.entry : found)
    if (entry === undefined) continue
    entries.set(child.name, entry)
    if (!tree.setApartFrom(child, entry) && entry.type === child.type) tree.note(child, entry)
  }
  return entries
}

/** Whether a directory holds what only this mount has yet. */
export function hasUnborn(directory: Inode): boolean {
  return unbornIn(directory).length > 0
}

function unbornIn(directory: Inode): Inode[] {
  return [...directory.children.values()].filter(
    ({ writable, unstored }) => writable?.unborn === true || unstored !== undefined,
  )
}

async function listStored(
  tree: Tree,
  directory: Inode,
  options: CallOptions,
): Promise<readonly Entry[]> {
  try {
    const all = await tree.namespace.list(tree.pathOf(directory), new Listing(options))
    const listed = tree.shows === undefined ? all : all.filter(tree.shows)
    return tree.posixAttrs === 'off' ? listed.map(tree.shown) : listed
  } catch (error) {
    // A mounted prefix need not exist before the first file in it; a container must.
    const unborn = directory === tree.table.root && !tree.root.isContainer
    if (unborn && isFileSystemError(error, 'ENOENT')) return []
    throw error
  }
}
