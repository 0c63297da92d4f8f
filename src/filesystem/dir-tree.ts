import type { CallOptions } from '../blob/store.ts'
import { expectList } from '../expect-option.ts'
import type { FileListing, FilePage, ListOptions } from './account-search.ts'
import type { InfoOptions, ListingOptions, Preference } from './account-tree.ts'
import type { ChangeListing, ChangesOptions, FileChange } from './changes.ts'
import { DirPaths, type InnerPaths } from './dir-paths.ts'
import type { TreeDrawingOptions } from './draw-tree.ts'
import type { ExpandOptions } from './expand-path.ts'
import type { GlobPlan } from './explain-glob.ts'
import type { FileInfo } from './file-info.ts'
import type { GlobOptions } from './glob.ts'
import type { StateChoice } from './list-states.ts'
import type { ProgressOptions } from './progress.ts'
import { joinName } from './tree-view.ts'
import type { FindOptions, WalkOptions, WalkStep } from './walk.ts'

/** What a directory holds: listing, searching and asking. See `DirFileSystem`. */
export class DirTree extends DirPaths {
  /** See `AzureBlobFileSystem.ls`; so for all that follow. */
  async ls(path = '', options?: ListingOptions): Promise<FileInfo[]> {
    return this.all(await this.fs.ls(this.inside(path, 'ls'), options))
  }

  async info(path = '', options?: InfoOptions & Preference): Promise<FileInfo> {
    return this.outside(await this.fs.info(this.inside(path, 'info'), options))
  }

  stat(path = '', options?: InfoOptions & Preference): Promise<FileInfo> {
    return this.info(path, options)
  }

  async exists(path = '', options?: InfoOptions): Promise<boolean> {
    return this.fs.exists(this.inside(path, 'info'), options)
  }

  lexists(path = '', options?: InfoOptions): Promise<boolean> {
    return this.exists(path, options)
  }

  async isDir(path = '', options?: InfoOptions): Promise<boolean> {
    return this.fs.isDir(this.inside(path, 'info'), options)
  }

  async isFile(path = '', options?: InfoOptions): Promise<boolean> {
    return this.fs.isFile(this.inside(path, 'info'), options)
  }

  async size(path: string, options?: InfoOptions): Promise<number> {
    return this.fs.size(this.inside(path, 'info'), options)
  }

  async sizes(paths: readonly string[], options?: InfoOptions): Promise<number[]> {
    expectList('paths', paths, 'paths')
    return this.fs.sizes(
      paths.map((path) => this.inside(path, 'info')),
      options,
    )
  }

  async created(path: string, options?: InfoOptions): Promise<Date> {
    return this.fs.created(this.inside(path, 'info'), options)
  }

  async modified(path: string, options?: InfoOptions): Promise<Date> {
    return this.fs.modified(this.inside(path, 'info'), options)
  }

  async checksum(path: string, options?: InfoOptions): Promise<string> {
    return this.fs.checksum(this.inside(path, 'info'), options)
  }

  async ukey(path: string, options?: InfoOptions): Promise<string> {
    return this.fs.ukey(this.inside(path, 'info'), options)
  }

  async isSameFile(a: string, b: string, options?: InfoOptions): Promise<boolean> {
    return this.fs.isSameFile(this.inside(a, 'info'), this.inside(b, 'info'), options)
  }

  async find(path = '', options?: FindOptions & StateChoice): Promise<FileInfo[]> {
    return this.all(await this.fs.find(this.inside(path, 'find'), options))
  }

  async *findIter(
    path = '',
    options?: CallOptions & Pick<FindOptions, 'prefix'>,
  ): AsyncGenerator<FileInfo, void> {
    for await (const info of this.fs.findIter(this.inside(path, 'findIter'), options)) {
      yield this.outside(info)
    }
  }

  list(path = '', options?: ListOptions): FileListing {
    const listing = this.fs.list(this.inside(path, 'list'), options)
    return Object.assign(this.#pages(listing), { checkpoint: () => listing.checkpoint() })
  }

  async *#pages(listing: FileListing): AsyncGenerator<FilePage, void> {
    for await (const page of listing) yield { ...page, files: this.all(page.files) }
  }

  changes(path = '', options?: ChangesOptions): ChangeListing {
    const listing = this.fs.changes(this.inside(path, 'changes'), options)
    return Object.assign(this.#changes(listing), { checkpoint: () => listing.checkpoint() })
  }

  async *#changes(listing: ChangeListing): AsyncGenerator<FileChange, void> {
    for await (const change of listing) yield { ...change, name: this.relative(change.name) }
  }

  /** The arrays of a step may be changed, as those of the whole file system. */
  async *walk(path = '', options?: WalkOptions): AsyncGenerator<WalkStep<FileInfo>, void> {
    for await (const step of this.fs.walk(this.inside(path, 'walk'), options)) {
      const dirs = this.all(step.dirs)
      yield { path: this.relative(step.path), dirs, files: this.all(step.files) }
      const kept = dirs.map(({ name }) => joinName(this.root, name))
      const byName = new Map(step.dirs.map((dir) => [dir.name, dir]))
      const chosen = kept.map((name) => byName.get(name)).filter((dir) => dir !== undefined)
      step.dirs.splice(0, step.dirs.length, ...chosen)
    }
  }

  async glob(pattern: string, options?: GlobOptions): Promise<FileInfo[]> {
    return this.all(await this.fs.glob(this.pattern(pattern, 'glob'), options))
  }

  async *globIter(pattern: string, options?: GlobOptions): AsyncGenerator<FileInfo, void> {
    for await (const info of this.fs.globIter(this.pattern(pattern, 'globIter'), options)) {
      yield this.outside(info)
    }
  }

  async explainGlob(pattern: string, options?: GlobOptions): Promise<GlobPlan> {
    const plan = await this.fs.explainGlob(this.pattern(pattern, 'explainGlob'), options)
    const names = (all: readonly string[]) => all.map((name) => this.relative(name))
    const { listed, walked, asked } = plan
    return { ...plan, listed: names(listed), walked: names(walked), asked: names(asked) }
  }

  async expandPath(paths: InnerPaths, options?: ExpandOptions): Promise<FileInfo[]> {
    return this.all(await this.fs.expandPath(this.patterns(paths, 'expandPath'), options))
  }

  async du(path = '', options: FindOptions & ProgressOptions = {}): Promise<number> {
    return this.fs.du(this.inside(path, 'du'), this.reporting(options))
  }

  async diskUsage(path = '', options?: FindOptions): Promise<Map<string, number>> {
    const sizes = await this.fs.diskUsage(this.inside(path, 'du'), options)
    return new Map([...sizes].map(([name, size]) => [this.relative(name), size]))
  }

  /** The first line is the path from the directory, `/` for itself. */
  async *tree(path = '', options?: TreeDrawingOptions): AsyncGenerator<string, void> {
    const name = this.inside(path, 'tree')
    let isFirst = true
    for await (const line of this.fs.tree(name, options)) {
      yield isFirst ? this.relative(name) || '/' : line
      isFirst = false
    }
  }

  async readLink(path: string, options?: CallOptions): Promise<string> {
    return this.fs.readLink(this.inside(path, 'readLink'), options)
  }

  isHierarchical(options?: CallOptions): Promise<boolean> {
    return this.fs.isHierarchical(this.root, options)
  }

  invalidateCache(path = ''): void {
    this.fs.invalidateCache(this.inside(path, 'invalidateCache'))
  }
}
