import type { StorageAccount } from '../model/account.ts'
import { queryInteger } from '../wire/parse-url.ts'
import { invalidQuery, refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'

const maxPageSize = 5000

/** `maxresults`: 400 below 1; the service cuts it to 5,000. */
export function pageSizeOf({ query }: StorageRequest): number {
  const size = queryInteger(query, 'maxresults')
  if (size !== undefined && size < 1) {
    throw refusal('OutOfRangeQueryParameterValue', {
      details: {
        QueryParameterName: 'maxresults',
        QueryParameterValue: String(size),
        MinimumAllowed: '1',
        MaximumAllowed: '2147483647',
      },
    })
  }
  return Math.min(size ?? maxPageSize, maxPageSize)
}

/** The words of `include`, lower case: 400 for one that is none of `known`. */
export function includesOf(
  { query }: StorageRequest,
  known: ReadonlySet<string>,
): ReadonlySet<string> {
  const text = query.get('include')
  if (text === undefined || text === '') return new Set()
  const words = text.split(',').map((word) => word.trim().toLowerCase())
  if (words.some((word) => !known.has(word))) throw invalidQuery('include', text)
  return new Set(words)
}

/** Where a page begins: the name, and how many entries of that name came before. */
export interface Mark {
  readonly name: string
  readonly skip: number
}

/** A marker: opaque to clients, and not the name itself, so that none relies on it. */
export function writeMarker({ name, skip }: Mark): string {
  return `2!${skip}!${Buffer.from(name).toString('base64url')}`
}

/** The place that a marker names; `undefined` when there is none. 400 for one not from here. */
export function readMarker({ query }: StorageRequest): Mark | undefined {
  const text = query.get('marker')
  if (text === undefined || text === '') return undefined
  const match = /^2!(\d{1,9})!([\w-]+)$/.exec(text)
  if (match === null) throw invalidQuery('marker', text)
  return { skip: Number(match[1]), name: Buffer.from(match[2] ?? '', 'base64url').toString() }
}

/** `ServiceEndpoint` of a listing. */
export function endpointOf(request: StorageRequest, account: StorageAccount): string {
  const host = request.headers['host'] ?? ''
  const base = `${request.secure ? 'https' : 'http'}://${host}/`
  return request.pathStyle ? `${base}${account.settings.name}/` : base
}
