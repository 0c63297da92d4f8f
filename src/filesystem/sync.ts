import { stat } from 'node:fs/promises'
import type { CallOptions } from '../blob/store.ts'
import { Bulk, bulkPhase } from '../bulk.ts'
import { mapConcurrent } from '../concurrency.ts'
import { FileSystemError } from '../errors.ts'
import { expectCall, shown } from '../expect-option.ts'
import { demandWord } from './demand-word.ts'
import { onLocalDisk } from './local-error.ts'
import { compilePattern, pathMatcher } from './pattern.ts'
import { checkProgress, type Progress } from './progress.ts'
import { syncCopies } from './sync-copies.ts'
import { SyncRecord } from './sync-record.ts'
import { removalsFrom } from './sync-removals.ts'
import {
  listSide,
  placeOf,
  type SyncFile,
  type SyncSide,
  type SyncTree,
  titleOf,
} from './sync-side.ts'
import { Tally } from './transfer-run.ts'

// Both trees are listed once, compared in memory, and what differs is copied file by file. Nothing is
// deleted before every copy succeeded.

/** Whether two files of the same path are the same. */
export type SyncCompare =
  | 'size'
  | 'mtime'
  | 'md5'
  | 'crc64'
  | 'etag'
  | ((source: SyncFile, target: SyncFile) => boolean | Promise<boolean>)

export interface SyncOptions extends CallOptions {
  /**
   * `size`: of equal size. `mtime` (the default): of equal size, and the source not changed since the
   * target was. `md5`: of equal size and MD5; files without one count as different. `crc64`: of equal size and
   * CRC-64, which abfs notes of what it writes, and which is computed of what others wrote, by reading it. `etag`: neither
   * side has changed since a synchronization with the same `record` copied the file, whatever size and times
   * are; the first one copies everything.
   */
  readonly compare?: SyncCompare | undefined
  /**
   * For `etag`: a file of this machine, outside both trees, that keeps which version of the source became which of the
   * target. Made where it is missing; `EINVAL` when it is of two other trees.
   */
  readonly record?: string | URL | undefined
  /** Whether files of the target that the source lacks are deleted. Default false. */
  readonly deleteExtra?: boolean | undefined
  /** Only says what would be done. Default false. */
  readonly dryRun?: boolean | undefined
  /** Patterns of relative paths that take part; absent: all. What takes no part is left alone. */
  readonly include?: readonly string[] | undefined
  /** Patterns of relative paths that do not, even if included. */
  readonly exclude?: readonly string[] | undefined
  /** Files under way at once. Default 16, and 32 of those up to 64 KiB. */
  readonly concurrency?: number | undefined
  /**
   * How far copying (`transferring`) and then deleting is; paths are relative. A copy that the service makes counts when it is
   * there.
   */
  readonly onProgress?: ((progress: Progress) => void) | undefined
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
 * Makes the files below `target` those below `source`, copying only what differs. Within an
 * account and between two the service copies, as `cpFile` says. `ENOENT` when the source is
 * missing, so that nothing is deleted for a mistyped name. Empty directories and links take no part.
 */
export async function sync(
  source: SyncSide,
  target: SyncSide,
  options: SyncOptions = {},
): Promise<SyncPlan> {
  expectCall(options)
  demandSide('source', source)
  demandSide('target', target)
  if ('local' in source && 'local' in target) {
    throw new TypeError('target: expected a side with fs, as the source is local')
  }
  checkComparison(options)
  checkProgress(options)
  await demandSource(source, options)
  const record = await recordOf(source, target, options)
  const [from, to] = await Promise.all([listSide(source, options), listSide(target, options)])
  const plan = await makePlan(from, to, { ...options, opened: record })
  if (options.dryRun === true) return plan
  await carryOut(plan, { source, target, from, to, record }, options)
  return plan
}

function demandSide(name: string, side: unknown): void {
  const given: { fs?: unknown; path?: unknown; local?: unknown } =
    typeof side === 'object' && side !== null ? side : {}
  const { fs, path, local } = given
  const isPlace = [path, local].some((at) => typeof at === 'string' || at instanceof URL)
  if (isPlace && (local !== undefined || (typeof fs === 'object' && fs !== null))) return
  throw new TypeError(`${name}: expected { fs, path } or { local }, got ${shown(side)}`)
}

const comparisons = ['size', 'mtime', 'md5', 'crc64', 'etag']

function checkComparison({ compare = 'mtime', record }: SyncOptions): void {
  if (typeof compare !== 'function') demandWord('compare', compare, comparisons)
  if (compare === 'etag' && record === undefined) {
    throw new TypeError(
      "record: compare 'etag' expects a file that keeps which versions were copied: a copy has an ETag of its own",
    )
  }
  if (compare !== 'etag' && record !== undefined) {
    throw new TypeError(`record: expected with compare 'etag' only, got ${String(compare)}`)
  }
}

async function recordOf(
  source: SyncSide,
  target: SyncSide,
  { record }: SyncOptions,
): Promise<SyncRecord | undefined> {
  if (record === undefined) return undefined
  return SyncRecord.open(record, { source: titleOf(source), target: titleOf(target) })
}

interface Run {
  readonly source: SyncSide
  readonly target: SyncSide
  readonly from: SyncTree
  readonly to: SyncTree
  readonly record: SyncRecord | undefined
}

async function carryOut(plan: SyncPlan, run: Run, options: SyncOptions): Promise<void> {
  const { source, target, from, to, record } = run
  const { signal, concurrency = 16 } = options
  const sizeOf = (path: string) => from.get(path)?.size ?? 0
  const tally = new Tally(
    plan.copied.map(({ path }) => sizeOf(path)),
    options.onProgress,
  )
  const paths = plan.copied.map(({ path }) => path)
  const how = {
    signal,
    concurrency: options.concurrency,
    paths,
    tellVersions: record !== undefined,
  }
  const copying = syncCopies(source, target, how)
  const copies = bulkPhase(
    plan.copied,
    ({ path }) => path,
    async ({ path }) => {
      const copied = await tally.count(path, (onBytes) =>
        copying.copy({ path, size: sizeOf(path), onBytes }),
      )
      // As listed: what replaced it meanwhile may have been copied, or not, and is copied again.
      record?.note(path, [from.get(path)?.version ?? '', copied])
    },
  )
  const removing = await removalsFrom(target, plan.deleted, { signal, concurrency, tree: to })
  const going = plan.deleted.map((path) => to.get(path)?.size ?? 0)
  const gone = new Tally(going, options.onProgress, 'deleting')
  const removals = {
    ...bulkPhase(
      plan.deleted,
      (path) => path,
      async (path) => {
        await gone.count(path, async (onBytes) => {
          await removing.remove(path)
          onBytes(to.get(path)?.size ?? 0)
        })
        record?.forget(path)
      },
    ),
    concurrency: removing.limit,
  }
  // What is not recorded is copied again.
  const onEnd = record && (() => record.save())
  const copied = { ...copies, concurrency: copying.lanes }
  await new Bulk([copied, removals], { signal, concurrency, syscall: 'sync', onEnd }).run()
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

async function makePlan(
  from: SyncTree,
  to: SyncTree,
  options: SyncOptions & { readonly opened: SyncRecord | undefined },
): Promise<SyncPlan> {
  const takesPart = filterOf(options)
  const wanted = [...from.values()].filter(({ path }) => takesPart(path))
  const { compare = 'mtime', concurrency = 16, opened } = options
  const isSame = opened === undefined ? sameness(compare) : opened.isSame.bind(opened)
  const reasons = await mapConcurrent(wanted, concurrency, async (file) => {
    const other = to.get(file.path)
    if (other === undefined) return 'new' as const
    return (await isSame(file, other)) ? undefined : ('changed' as const)
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

type Sameness = Extract<SyncCompare, (...files: never[]) => unknown>

function sameness(compare: SyncCompare): Sameness {
  if (typeof compare === 'function') return compare
  return async (source, target) => {
    if (source.size !== target.size) return false
    if (compare === 'size') return true
    if (compare === 'mtime') return source.modifiedMs <= target.modifiedMs
    if (compare === 'crc64') return (await source.crc64()) === (await target.crc64())
    const [one, other] = await Promise.all([source.md5(), target.md5()])
    return one !== undefined && one === other
  }
}

function filterOf({ include, exclude = [] }: SyncOptions): (path: string) => boolean {
  const matchers = (patterns: readonly string[]) =>
    patterns.map((pattern) => pathMatcher(compilePattern(pattern).segments))
  const [included, excluded] = [matchers(include ?? ['**']), matchers(exclude)]
  return (path) =>
    included.some((matches) => matches(path)) && !excluded.some((matches) => matches(path))
}
