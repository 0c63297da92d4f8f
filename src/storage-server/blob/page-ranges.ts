import type { BlobRecord } from '../model/record.ts'
import { clipped, rewritten, type Stretch, withoutStretch } from '../model/sparse-content.ts'
import type { Verb, VerbContext } from '../verb.ts'
import type { StorageAnswer } from '../wire/answer.ts'
import { readRange } from '../wire/range.ts'
import { invalidQuery, refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { element, xmlDeclaration } from '../wire/xml.ts'
import { needOnPath, type ReadTarget, readTarget } from './target.ts'

/** Get Page Ranges, of a blob or against an earlier snapshot of it. */
export const pageRangeVerbs: readonly Verb[] = [
  {
    name: 'GetPageRanges',
    matches: ({ method, path, query }) =>
      method === 'GET' && path !== undefined && query.get('comp') === 'pagelist',
    needs: (request) => needOnPath(request, 'read'),
    run: getPageRanges,
  },
]

interface Listed extends Stretch {
  readonly kind: 'PageRange' | 'ClearRange'
}

function getPageRanges(context: VerbContext): StorageAnswer {
  const { request } = context
  const target = readTarget(context)
  const { record } = target
  if (record.blobType !== 'PageBlob') throw refusal('InvalidBlobType')
  const window = windowOf(request, record)
  const skip = readMarker(request)
  const limit = readMaxResults(request)
  const ranges = listed(request, target, window)
  const page = ranges.slice(skip, skip + limit)
  const next = skip + limit < ranges.length ? `range:${skip + limit}` : ''
  return {
    status: 200,
    headers: {
      'content-type': 'application/xml',
      etag: record.etag,
      'last-modified': new Date(record.lastModifiedMs).toUTCString(),
      'x-ms-blob-content-length': String(record.content.sizeBytes),
    },
    body: [
      `${xmlDeclaration}<PageList>`,
      ...page.map(rangeElement),
      next === '' ? '' : element('NextMarker', next),
      '</PageList>',
    ].join(''),
  }
}

function listed(request: StorageRequest, target: ReadTarget, window: Stretch): readonly Listed[] {
  const { pages = [] } = target.record
  const previous = previousSnapshot(request, target)
  if (previous === undefined) {
    return clipped(pages, window).map((range) => ({ kind: 'PageRange', ...range }))
  }
  const changed = rewritten(previous.content, target.record.content)
  const written = within(pages, changed)
  const formerly = within(previous.pages ?? [], changed)
  const cleared = written.reduce<readonly Stretch[]>(withoutStretch, formerly)
  return [
    ...clipped(written, window).map((range) => ({ kind: 'PageRange' as const, ...range })),
    ...clipped(cleared, window).map((range) => ({ kind: 'ClearRange' as const, ...range })),
  ].sort((one, other) => one.start - other.start)
}

function within(stretches: readonly Stretch[], windows: readonly Stretch[]): readonly Stretch[] {
  return windows.flatMap((window) => clipped(stretches, window))
}

function previousSnapshot({ query }: StorageRequest, target: ReadTarget): BlobRecord | undefined {
  const previous = query.get('prevsnapshot')
  if (previous === undefined) return undefined
  const record = target.state.snapshots?.get(previous)
  if (record === undefined) throw refusal('PreviousSnapshotNotFound')
  if (target.snapshot !== undefined && previous > target.snapshot) {
    throw refusal('PreviousSnapshotCannotBeNewer')
  }
  return record
}

/** Whole pages that the range touches. */
function windowOf(request: StorageRequest, { content }: BlobRecord): Stretch {
  const range = readRange(request.headers)
  if (range === undefined) return { start: 0, end: content.sizeBytes }
  if (range.start > content.sizeBytes) throw refusal('InvalidRange')
  return {
    start: Math.floor(range.start / 512) * 512,
    end: Math.min(Math.ceil(range.end / 512) * 512, content.sizeBytes),
  }
}

function rangeElement({ kind, start, end }: Listed): string {
  return `<${kind}>${element('Start', start)}${element('End', end - 1)}</${kind}>`
}

function readMaxResults({ query }: StorageRequest): number {
  const text = query.get('maxresults')
  if (text === undefined) return Number.POSITIVE_INFINITY
  if (!/^[1-9]\d{0,8}$/u.test(text)) throw refusal('OutOfRangeQueryParameterValue')
  return Math.min(Number(text), 10_000)
}

function readMarker({ query }: StorageRequest): number {
  const marker = query.get('marker') ?? ''
  if (marker === '') return 0
  const skip = /^range:(\d{1,9})$/u.exec(marker)?.[1]
  if (skip === undefined) throw invalidQuery('marker', marker)
  return Number(skip)
}
