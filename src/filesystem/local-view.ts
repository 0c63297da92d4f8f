import { type Dirent, lstatSync, type Stats } from 'node:fs'
import { lstat, readdir, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { CallOptions } from '../blob/store.ts'
import { nextTurn } from '../clock.ts'
import { mapConcurrent } from '../concurrency.ts'
import { shown } from '../expect-option.ts'
import type { NearDisk } from '../transfer/near-disk.ts'
import { isMissing, localError, runNear } from './local-error.ts'
import { joinName, type TreeEntry, type TreeView } from './tree-view.ts'

/** A name on the local disk. */
export interface LocalEntry extends TreeEntry {
  readonly isLink: boolean
}

/** How many names of a directory are looked at at once. */
const statConcurrency = 32
/** So many take a few milliseconds at most: then others have their turn. */
const namesATurn = 256

/** The local disk as a tree. A link to a directory is never entered, so there are no cycles. */
export class LocalView implements TreeView<LocalEntry> {
  readonly #followLinks: boolean
  readonly #disk: NearDisk | undefined

  /**
   * `followLinks`: a link to a file counts as that file. Otherwise links are `other`. Names on what `disk`
   * finds near are looked at on the spot.
   */
  constructor(options: { readonly followLinks: boolean; readonly disk?: NearDisk | undefined }) {
    this.#followLinks = options.followLinks
    this.#disk = options.disk
  }

  async stat(name: string): Promise<LocalEntry | undefined> {
    const stats = await ifAny(() => (this.#followLinks ? stat(name) : lstat(name)), name)
    return stats && entryOf(name, stats)
  }

  async list(name: string, options: CallOptions = {}): Promise<readonly LocalEntry[]> {
    options.signal?.throwIfAborted()
    const children = await ifAny(() => readdir(name, { withFileTypes: true }), name)
    if (this.#disk !== undefined && (await this.#disk.isNear(name))) {
      return this.#entriesNear(name, children ?? [], this.#disk)
    }
    const entries = await mapConcurrent(children ?? [], statConcurrency, (child) =>
      this.#entry(joinName(name, child.name), child),
    )
    return entries.filter((entry) => entry !== undefined)
  }

  async *listTree(
    name: string,
    options: CallOptions = {},
  ): AsyncGenerator<readonly LocalEntry[], void> {
    const entries = await this.list(name, options)
    yield entries
    for (const entry of entries) {
      if (entry.type === 'directory') yield* this.listTree(entry.name, options)
    }
  }

  async #entriesNear(
    name: string,
    children: readonly Dirent[],
    disk: NearDisk,
  ): Promise<LocalEntry[]> {
    const entries: LocalEntry[] = []
    for (const [index, child] of children.entries()) {
      const path = joinName(name, child.name)
      // A link may lead to another disk.
      const entry = child.isSymbolicLink()
        ? await this.#entry(path, child)
        : runNear(disk, path, () => entryNear(path, child))
      if (entry !== undefined) entries.push(entry)
      if (index % namesATurn === namesATurn - 1) await nextTurn()
    }
    return entries
  }

  async #entry(name: string, child: Dirent): Promise<LocalEntry | undefined> {
    if (child.isDirectory()) return { name, type: 'directory', size: 0, isLink: false }
    const own = await ifAny(() => lstat(name), name)
    if (own === undefined || !own.isSymbolicLink() || !this.#followLinks) {
      return own && entryOf(name, own)
    }
    const target = await ifAny(() => stat(name), name)
    return entryOf(name, target?.isFile() === true ? target : own)
  }
}

/** The absolute path, with one trailing slash when the input had any. */
export function localName(path: string | URL): string {
  const text = path instanceof URL ? fileURLToPath(path) : path
  if (typeof text !== 'string' || text === '') {
    throw new TypeError(`localPath: expected a path on this machine, got ${shown(text)}`)
  }
  const absolute = resolve(text)
  return text.endsWith('/') && absolute !== '/' ? `${absolute}/` : absolute
}

function entryNear(name: string, child: Dirent): LocalEntry | undefined {
  if (child.isDirectory()) return { name, type: 'directory', size: 0, isLink: false }
  const stats = lstatSync(name, { throwIfNoEntry: false })
  return stats && entryOf(name, stats)
}

function entryOf(name: string, stats: Stats): LocalEntry {
  const type = stats.isFile() ? 'file' : stats.isDirectory() ? 'directory' : 'other'
  return { name, type, size: type === 'file' ? stats.size : 0, isLink: stats.isSymbolicLink() }
}

async function ifAny<T>(ask: () => Promise<T>, name: string): Promise<T | undefined> {
  try {
    return await ask()
  } catch (error) {
    if (isMissing(error)) return undefined
    throw localError(error, name)
  }
}
