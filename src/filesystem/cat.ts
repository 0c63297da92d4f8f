import type { BlobProperties, CallOptions } from '../blob/store.ts'
import { type ByteRange, KiB, lengthOf } from '../byte-range.ts'
import { mapConcurrent } from '../concurrency.ts'
import { FileSystemError } from '../errors.ts'
import { expectCall, expectList, expectOptions, shown } from '../expect-option.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { restarting, type WholeConsistency, wholeConsistency } from './consistency.ts'
import { type DownloadOptions, download, readAtOnce } from './download.ts'
import { fullName } from './file-info.ts'
import { locateFile, type PathInput } from './location.ts'
import type { Remote } from './remote.ts'

/** The bytes `[start, end)` of a file; negative ones count from its end. */
export interface RangeRequest {
  readonly path: PathInput
  readonly start?: number | undefined
  readonly end?: number | undefined
}

export interface CatRangesOptions extends CallOptions {
  /** What happens when a file is replaced between its ranges. Default `pinned`. */
  readonly consistency?: WholeConsistency | undefined
  /** Ranges of one file at most this many bytes apart share a request. Default 0: adjoining ones. */
  readonly maxGap?: number | undefined
  /** Bytes that ranges which share a request, and what lies between them, have at most. Default: any number. */
  readonly maxBlock?: number | undefined
  /** `return` puts the error in the place of the range. Default `raise`. */
  readonly onError?: 'raise' | 'return' | undefined
}

interface Group {
  readonly path: BlobPath
  readonly requests: { readonly request: RangeRequest; readonly index: number }[]
}

export interface CatFileOptions extends CallOptions {
  /** The first byte; negative ones count from the end. Default 0. */
  readonly start?: number | undefined
  /** The byte after the last; negative ones count from the end. Absent: the end of the file. */
  readonly end?: number | undefined
  /** What happens when the file is replaced meanwhile. Default `pinned`. */
  readonly consistency?: WholeConsistency | undefined
}

/** The bytes `[start, end)` of one version of a file, clamped to it. Throws at once what is wrong with `options`. */
export function catFile(
  remote: Remote,
  path: BlobPath,
  options: CatFileOptions & Pick<DownloadOptions, 'likelyEmpty'> = {},
): Promise<Uint8Array> {
  expectOptions(options, '{ start, end, consistency, signal }')
  expectCall(options)
  if (wholeConsistency(options.consistency) === 'pinned') return catOnce(remote, path, options)
  return restarting(() => catOnce(remote, path, options), options)
}

async function catOnce(
  remote: Remote,
  path: BlobPath,
  options: Ends & CallOptions & Pick<DownloadOptions, 'likelyEmpty'>,
): Promise<Uint8Array> {
  const range = plainRange(options) ?? (await sizedRange(remote, path, options))
  if (lengthOf(range) === 0) {
    await remote.namespace.stat(path, { signal: options.signal })
    return new Uint8Array()
  }
  return (await readRange(remote, path, range, options)).data
}

/** See `AzureBlobFileSystem.catRanges`. The ranges of one file come from one version: else `ESTALE`. */
export async function catRanges(
  remote: Remote,
  requests: readonly RangeRequest[],
  options: CatRangesOptions = {},
): Promise<(Uint8Array | Error)[]> {
  const isPinned = wholeConsistency(options.consistency) === 'pinned'
  checkLimits(options)
  const results: (Uint8Array | Error)[] = []
  const groups = groupByPath(remote.store.account, requests)
  await mapConcurrent(groups, remote.concurrency, async (group) => {
    try {
      const read = () => readGroup(remote, group, { options, results })
      await (isPinned ? read() : restarting(read, options))
    } catch (error) {
      if (options.onError !== 'return' || !(error instanceof Error)) throw error
      for (const { index } of group.requests) results[index] = error
    }
  })
  return results
}

function groupByPath(account: string, requests: readonly RangeRequest[]): Group[] {
  expectList('requests', requests, '{ path, start, end }')
  const groups = new Map<string, Group>()
  for (const [index, request] of requests.entries()) {
    const path = locateFile(account, request.path, 'catRanges')
    const key = fullName(path)
    const group = groups.get(key) ?? { path, requests: [] }
    group.requests.push({ request, index })
    groups.set(key, group)
  }
  return [...groups.values()]
}

async function readGroup(
  remote: Remote,
  group: Group,
  into: { readonly options: CatRangesOptions; readonly results: (Uint8Array | Error)[] },
): Promise<void> {
  const { options, results } = into
  const wanted = await mapConcurrent(group.requests, 1, async ({ request, index }) => ({
    ...(plainRange(request) ??
      (await sizedRange(remote, group.path, { ...request, signal: options.signal }))),
    index,
  }))
  const etags = new Set<string>()
  await mapConcurrent(mergeRanges(wanted, options), 4, async (merged) => {
    const { start, end } = merged
    const range = { start, end }
    const { data, properties } = await readRange(remote, group.path, range, {
      signal: options.signal,
    })
    etags.add(properties.etag)
    for (const part of merged.parts) {
      results[part.index] = data.slice(part.start - start, part.end - start)
    }
  })
  if (etags.size > 1) throw new FileSystemError('ESTALE', 'read', { path: formatPath(group.path) })
}

/** Before anything is asked for, and whatever `onError` says. */
function checkLimits({ maxGap = 0, maxBlock = Infinity }: CatRangesOptions): void {
  if (!(maxGap >= 0)) throw new RangeError(`maxGap: expected bytes, 0 or more, got ${maxGap}`)
  if (maxBlock >= 1) return
  throw new RangeError(`maxBlock: expected bytes, 1 or more, got ${maxBlock}`)
}

/** Joins ranges that overlap or lie at most `maxGap` bytes apart, where they are `maxBlock` long together at most. */
function mergeRanges<R extends ByteRange>(
  ranges: readonly R[],
  { maxGap = 0, maxBlock = Infinity }: CatRangesOptions,
): (ByteRange & { readonly parts: readonly R[] })[] {
  const merged: { start: number; end: number; parts: R[] }[] = []
  for (const range of [...ranges].sort((a, b) => a.start - b.start)) {
    const last = merged.at(-1)
    const isNear = last !== undefined && range.start <= last.end + maxGap
    if (!isNear || Math.max(last.end, range.end) - last.start > maxBlock) {
      merged.push({ start: range.start, end: range.end, parts: [range] })
      continue
    }
    last.end = Math.max(last.end, range.end)
    last.parts.push(range)
  }
  return merged
}

/** So much is allocated before it is known how much there is. */
const atOnceBytes = 64 * KiB

/** The bytes of `range` of one version, as far as it goes. */
export function readRange(
  remote: Remote,
  path: BlobPath,
  range: ByteRange,
  { signal, likelyEmpty }: Pick<DownloadOptions, 'likelyEmpty' | 'signal'>,
): Promise<{ readonly data: Uint8Array; readonly properties: BlobProperties }> {
  const bytes = lengthOf(range)
  if (bytes <= Math.min(atOnceBytes, remote.blockBytes) && remote.chunkCache.disk === undefined) {
    return readAtOnce(remote, path, { range, into: new Uint8Array(bytes), likelyEmpty, signal })
  }
  return readInPieces(remote, path, range, { signal, likelyEmpty })
}

async function readInPieces(
  remote: Remote,
  path: BlobPath,
  range: ByteRange,
  options: Pick<DownloadOptions, 'likelyEmpty' | 'signal'>,
): ReturnType<typeof readRange> {
  let data = new Uint8Array()
  const sink = {
    begin({ sizeBytes }: BlobProperties) {
      data = new Uint8Array(Math.max(Math.min(range.end, sizeBytes) - range.start, 0))
    },
    accept: (piece: Uint8Array, offset: number) => data.set(piece, offset - range.start),
  }
  const properties = await download(remote, path, { ...options, ranges: [range], sink })
  return { data, properties }
}

interface Ends {
  readonly start?: number | undefined
  readonly end?: number | undefined
}

/** The range, where no end counts from that of the file. */
function plainRange({ start = 0, end = Number.MAX_SAFE_INTEGER }: Ends): ByteRange | undefined {
  checkEnd('start', start)
  checkEnd('end', end)
  return start >= 0 && end >= 0 ? { start, end: Math.max(start, end) } : undefined
}

function checkEnd(option: 'end' | 'start', value: number): void {
  if (Number.isSafeInteger(value)) return
  throw new RangeError(
    `${option}: expected bytes, an integer (negative: from the end), got ${shown(value)}`,
  )
}

/** As Python slices: negative ends count from the end of the file, whose size is then asked. */
async function sizedRange(
  remote: Remote,
  path: BlobPath,
  { start = 0, end = Number.MAX_SAFE_INTEGER, signal }: Ends & CallOptions,
): Promise<ByteRange> {
  const { sizeBytes } = await remote.namespace.stat(path, { signal, fresh: true })
  const from = start < 0 ? Math.max(sizeBytes + start, 0) : start
  return { start: from, end: Math.max(end < 0 ? sizeBytes + end : end, from) }
}
