import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { CallOptions } from '../blob/store.ts'
import { Bulk, bulkPhase } from '../bulk.ts'
import { mapConcurrent } from '../concurrency.ts'
import { FileSystemError } from '../errors.ts'
import { demandWord } from './demand-word.ts'
import { onLocalDisk } from './local-error.ts'
import { compilePattern, pathMatcher } from './pattern.ts'
import {
  listSide,
  placeOf,
  removeFrom,
  type SyncFile,
  type SyncSide,
  type SyncTree,
} from './sync-side.ts'

// Both trees are listed once, compared in memory, and what differs is copied file by file. Nothing is
// deleted before every copy succeeded.

/** Whether two files of the same path are the same. */
export type SyncCompare =
  | 'size'
  | 'mtime'
  | 'md5'
  | ((source: SyncFile, target: SyncFile) => boolean | Promise<boolean>)

export interface SyncOptions extends CallOptions {
  /**
   * `size`: of equal size. `mtime` (the default): of equal size, and the source not changed since the
   * target was. `md5`: of equal size and MD5; files without one count as different.
   */
  readonly compare?: SyncCompare | undefined
  /** Whether files of the target that the source lacks are deleted. Default false. */
  readonly deleteExtra?: boolean | undefined
  /** Only says what would be done. Default false. */
  readonly dryRun?: boolean | undefined
  /** Patterns of relative paths that take part; absent: all. What takes no part is left alone. */
  readonly include?: readonly string[] | undefined
  /** Patterns of relative paths that do not, even if included. */
  readonly exclude?: readonly string[] | undefined
  /** Files under way at once. Default 16. */
  readonly concurrency?: number | undefined
}

/** What a synchronization does, or would. Paths are relative, in order. */
export interface SyncPlan {
  readonly copied: readonly { readonly path: string; readonly reason: 'new' | 'changed' }[]
  readonly deleted: readonly string[]
  readonly unchanged: number
  /** Of all that is copied. */
  readonly bytes: number
}

/**
 * Makes the files below `target` those below `source`, copying only what differs. Between accounts
 * the bytes go through this process; within one the service copies. `ENOENT` when the source is
 * missing, so that nothing is deleted for a mistyped name. Empty directories and links take no part.
 */
export async function sync(
  source: SyncSide,
  target: SyncSide,
  options: SyncOptions = {},
): Promise<SyncPlan> {
  if ('local' in source && 'local' in target) {
    throw new TypeError('target: expected a side with fs, as the source is local')
  }
  const { compare = 'mtime' } = options
  if (typeof compare !== 'function') demandWord('compare', compare, ['size', 'mtime', 'md5'])
  await demandSource(source, options)
  const [from, to] = await Promise.all([listSide(source, options), listSide(target, options)])
  const plan = await makePlan(from, to, options)
  if (options.dryRun === true) return plan
  const { signal, concurrency = 16 } = options
  const run = { signal, concurrency, syscall: 'sync' }
  const copies = bulkPhase(
    plan.copied,
    ({ path }) => path,
    ({ path }) => copyFile(source, target, { path, signal }),
  )
  const removals = bulkPhase(
    plan.deleted,
    (path) => path,
    (path) => removeFrom(target, path, { signal }),
  )
  await new Bulk([copies, removals], run).run()
  return plan
}

async function demandSource(source: SyncSide, options: CallOptions): Promise<void> {
  const { signal } = options
  const path = placeOf(source, '').replace(/\/+$/, '')
  const isDirectory =
    'fs' in source
      ? (await source.fs.info(source.path, { signal, refresh: true })).type === 'directory'
      : (await onLocalDisk(path, () => stat(path))).isDirectory()
  if (!isDirectory) throw new FileSystemError('ENOTDIR', 'sync', { path })
}

async function makePlan(from: SyncTree, to: SyncTree, options: SyncOptions): Promise<SyncPlan> {
  const takesPart = filterOf(options)
  const wanted = [...from.values()].filter(({ path }) => takesPart(path))
  const { compare = 'mtime', concurrency = 16 } = options
  const reasons = await mapConcurrent(wanted, concurrency, async (file) => {
    const other = to.get(file.path)
    if (other === undefined) return 'new' as const
    return (await isSame(file, other, compare)) ? undefined : ('changed' as const)
  })
  const copied = wanted.flatMap(({ path }, index) => {
    const reason = reasons[index]
    return reason === undefined ? [] : [{ path, reason }]
  })
  const extra = [...to.keys()].filter((path) => takesPart(path) && !from.has(path))
  const deleted = options.deleteExtra === true ? extra : []
  const bytes = copied.reduce((total, { path }) => total + (from.get(path)?.size ?? 0), 0)
  return { copied, deleted, unchanged: wanted.length - copied.length, bytes }
}

async function isSame(source: SyncFile, target: SyncFile, compare: SyncCompare): Promise<boolean> {
  if (typeof compare === 'function') return compare(source, target)
  if (source.size !== target.size) return false
  if (compare === 'size') return true
  if (compare === 'mtime') return source.modifiedMs <= target.modifiedMs
  const [one, other] = await Promise.all([source.md5(), target.md5()])
  return one !== undefined && one === other
}

function filterOf({ include, exclude = [] }: SyncOptions): (path: string) => boolean {
  const matchers = (patterns: readonly string[]) =>
    patterns.map((pattern) => pathMatcher(compilePattern(pattern).segments))
  const [included, excluded] = [matchers(include ?? ['**']), matchers(exclude)]
  return (path) =>
    included.some((matches) => matches(path)) && !excluded.some((matches) => matches(path))
}

async function copyFile(
  source: SyncSide,
  target: SyncSide,
  { path, signal }: CallOptions & { readonly path: string },
): Promise<void> {
  const [from, to] = [placeOf(source, path), placeOf(target, path)]
  if ('local' in source) {
    if ('fs' in target) await target.fs.putFile(from, to, { signal })
    return
  }
  if ('local' in target) {
    checkSegments(path)
    await onLocalDisk(to, () => mkdir(dirname(to), { recursive: true }))
    return source.fs.getFile(from, to, { signal })
  }
  await target.fs.cpFile(from, to, { from: source.fs, signal })
}

/** A blob's name could leave the target directory. */
function checkSegments(path: string): void {
  const odd = path.split('/').some((segment) => ['', '.', '..'].includes(segment))
  if (!odd) return
  const detail = 'a name with empty, "." or ".." segments has no place on a disk'
  throw new FileSystemError('EINVAL', 'sync', { path, detail })
}
