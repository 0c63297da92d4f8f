import type { Need } from '../access/access.ts'
import type { PathIndex } from '../model/container.ts'
import type { PathState } from '../model/record.ts'
import type { Verb, VerbContext } from '../verb.ts'
import type { StorageAnswer } from '../wire/answer.ts'
import { invalidQuery } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { element, textElement, xmlDeclaration, xmlText } from '../wire/xml.ts'
import { isContainer, needOnContainer } from './container-verbs.ts'
import { blobElement, prefixElement, type RowStyle } from './list-entry.ts'
import {
  endpointOf,
  includesOf,
  type Mark,
  pageSizeOf,
  readMarker,
  writeMarker,
} from './list-request.ts'
import { type RowChoice, rowsOf } from './list-rows.ts'

// A page is one walk along the index from where its marker points. With a delimiter the walk seeks
// over everything below a prefix, so that a page costs what it shows, not what the prefixes hold.

const includes: ReadonlySet<string> = new Set([
  'copy',
  'deleted',
  'deletedwithversions',
  'immutabilitypolicy',
  'legalhold',
  'metadata',
  'permissions',
  'snapshots',
  'tags',
  'uncommittedblobs',
  'versions',
])
// After every name that begins with what stands before it.
const lastCharacter = '\u{10ffff}'

/** List Blobs, flat or by a delimiter. */
export const listBlobsVerb: Verb = {
  name: 'ListBlobs',
  matches: (request) => isContainer(request, 'GET', 'list'),
  needs,
  run: listBlobs,
}

interface Listing {
  readonly paths: PathIndex
  readonly prefix: string
  readonly delimiter: string
  readonly start: Mark
  /** Names from here on are left out. */
  readonly endBefore: string | undefined
  readonly pageSize: number
  readonly choice: RowChoice
  readonly style: RowStyle
}

interface Page {
  entries: string
  count: number
  next: Mark | undefined
}

function needs(request: StorageRequest): readonly Need[] {
  const tags = request.query.get('include')?.toLowerCase().split(',').includes('tags') === true
  return [...needOnContainer(request, 'list'), ...(tags ? needOnContainer(request, 'tags') : [])]
}

function listBlobs(context: VerbContext): StorageAnswer {
  const { request, account } = context
  const listing = readListing(context)
  const page = collect(listing)
  const { query } = request
  const name = xmlText(request.container ?? '')
  const endpoint = xmlText(endpointOf(request, account))
  const head = [
    textElement('Prefix', listing.prefix),
    textElement('Marker', query.get('marker') ?? ''),
    query.has('maxresults') ? element('MaxResults', listing.pageSize) : '',
    listing.delimiter === '' ? '' : textElement('Delimiter', listing.delimiter),
  ].join('')
  const marker = page.next === undefined ? '' : writeMarker(page.next)
  return {
    status: 200,
    headers: { 'content-type': 'application/xml' },
    body:
      `${xmlDeclaration}<EnumerationResults ServiceEndpoint="${endpoint}" ContainerName="${name}">` +
      `${head}<Blobs>${page.entries}</Blobs><NextMarker>${marker}</NextMarker>` +
      '</EnumerationResults>',
  }
}

function readListing(context: VerbContext): Listing {
  const { request, account } = context
  const { query } = request
  const wanted = includesOf(request, includes)
  const prefix = query.get('prefix') ?? ''
  const { hierarchical } = account.settings
  const startFrom = query.get('startfrom') ?? ''
  const startsLater = Buffer.compare(Buffer.from(startFrom), Buffer.from(prefix)) > 0
  const endBefore = query.get('endbefore')
  return {
    paths: context.container().paths,
    prefix,
    delimiter: query.get('delimiter') ?? '',
    start: readMarker(request) ?? { name: startsLater ? startFrom : prefix, skip: 0 },
    endBefore: endBefore === '' ? undefined : endBefore,
    pageSize: pageSizeOf(request),
    choice: { account, includes: wanted, showOnly: showOnlyOf(request) },
    style: { includes: wanted, hierarchical, nowMs: account.nowMs() },
  }
}

function showOnlyOf({ query }: StorageRequest): RowChoice['showOnly'] {
  const text = query.get('showonly')?.toLowerCase()
  if (text === undefined || text === '') return undefined
  if (text === 'deleted' || text === 'files' || text === 'directories') return text
  throw invalidQuery('showonly', text)
}

function collect(listing: Listing): Page {
  const page: Page = { entries: '', count: 0, next: undefined }
  let from: string | undefined = listing.start.name
  while (from !== undefined) from = walk(listing, page, from)
  return page
}

/** Takes names in order. Returns the name to seek to after a prefix, or `undefined` at the end. */
function walk(listing: Listing, page: Page, from: string): string | undefined {
  const { prefix, endBefore, delimiter } = listing
  for (const state of listing.paths.from(from)) {
    const { name } = state
    if (!name.startsWith(prefix) || (endBefore !== undefined && name >= endBefore)) return undefined
    const common = delimiter === '' ? undefined : commonPrefix(listing, state)
    if (common === undefined) {
      if (!addRows(listing, page, state)) return undefined
    } else if (hasRows(listing, common, state)) {
      if (page.count === listing.pageSize) {
        page.next = { name, skip: 0 }
        return undefined
      }
      addPrefix(listing, page, common)
      return common + lastCharacter
    }
  }
  return undefined
}

/** The prefix that a name is folded into. A directory is one with what it holds. */
function commonPrefix(
  { prefix, delimiter, style }: Listing,
  { name, current }: PathState,
): string | undefined {
  const isDirectory = style.hierarchical && delimiter === '/' && current?.kind === 'directory'
  const whole = isDirectory ? `${name}/` : name
  const at = whole.indexOf(delimiter, prefix.length)
  return at < 0 ? undefined : whole.slice(0, at + delimiter.length)
}

/** Whether a name shows below the prefix: staged blocks alone are no reason for a prefix. */
function hasRows({ choice, style }: Listing, common: string, state: PathState): boolean {
  if (choice.showOnly === 'files' && style.hierarchical) return !common.endsWith('/')
  if (choice.showOnly === 'directories')
    return rowsOf(state, { ...choice, showOnly: undefined }).length > 0
  return rowsOf(state, choice).length > 0
}

function addPrefix({ paths, style, choice }: Listing, page: Page, common: string): void {
  const state = style.hierarchical ? paths.get(common.replace(/\/$/, '')) : undefined
  const [row] = state === undefined ? [] : rowsOf(state, { ...choice, showOnly: undefined })
  const directory = row?.record.kind === 'directory' ? row : undefined
  page.entries += prefixElement(common, directory, style)
  page.count++
}

/** False when the page is full. */
function addRows(
  { choice, style, start, pageSize }: Listing,
  page: Page,
  state: PathState,
): boolean {
  const rows = rowsOf(state, choice)
  const { name } = state
  for (let at = name === start.name ? start.skip : 0; at < rows.length; at++) {
    if (page.count === pageSize) {
      page.next = { name, skip: at }
      return false
    }
    const row = rows[at]
    if (row === undefined) break
    page.entries += blobElement(row, style)
    page.count++
  }
  return true
}
