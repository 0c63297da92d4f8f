import type { CallOptions } from '../blob/store.ts'

/** One name of a tree, remote or local. */
export interface TreeEntry {
  /** The full path, without trailing slash. */
  readonly name: string
  readonly type: 'file' | 'directory' | 'other'
  /** Bytes; 0 for directories. */
  readonly size: number
}

/**
 * A tree of names as walking, globbing and copying see it: a storage account or the local disk.
 * Names are full paths with `/` between segments. A missing name is no error here.
 */
export interface TreeView<E extends TreeEntry = TreeEntry> {
  /** `undefined` when nothing has that name. */
  stat(name: string, options?: TreeStat): Promise<E | undefined>
  /** The direct children in any order; none when the name is missing or no directory. */
  list(name: string, options?: CallOptions): Promise<readonly E[]>
  /** Everything below in any order, directories included, as many at a time as come together. */
  listTree(name: string, options?: TreeListing): AsyncIterable<readonly E[]>
}

export interface TreeStat extends CallOptions {
  /** Asks past what is remembered. */
  readonly fresh?: boolean | undefined
  /** Which is told where a file and a directory have one name. */
  readonly prefer?: 'file' | 'directory' | undefined
}

export interface TreeListing extends CallOptions {
  /** Names whose part below the start does not begin with it need not be told. */
  readonly prefix?: string | undefined
}

/**
 * What names in the child `name` of a directory begin with, for those that begin with `prefix` in the directory;
 * `undefined` where none can.
 */
export function prefixInside(name: string, prefix: string): string | undefined {
  if (name.startsWith(prefix)) return ''
  return prefix.startsWith(`${name}/`) ? prefix.slice(name.length + 1) : undefined
}

/** `parent/child`; the root of an account is the empty string, the local one `/`. */
export function joinName(parent: string, child: string): string {
  return parent === '' || parent.endsWith('/') ? `${parent}${child}` : `${parent}/${child}`
}

/** Everything before the last slash; the empty string when there is none. */
export function parentName(name: string): string {
  return name.slice(0, Math.max(name.lastIndexOf('/'), 0))
}

/** The last segment. */
export function baseName(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1)
}

/** `name` relative to `root`, which lies above it or is it. */
export function relativeName(root: string, name: string): string {
  const from = root === '' || root.endsWith('/') ? root.length : root.length + 1
  return name.slice(from)
}

/** Orders by code units, as Azure orders its listings. */
export function byName(a: TreeEntry, b: TreeEntry): number {
  return a.name < b.name ? -1 : Number(a.name > b.name)
}
