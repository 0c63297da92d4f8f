import type { Place } from '../model/changes.ts'
import type { PathRecord, PathState } from '../model/record.ts'
import type { Verb, VerbContext } from '../verb.ts'
import { queryInteger } from '../wire/parse-url.ts'
import { refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { readContinuation, writeContinuation } from './continuation.ts'
import { isDirectory } from './create-path.ts'
import { type ListedPath, pathsJson } from './path-json.ts'
import { missingQuery } from './refusals.ts'
import { changedHeaders, cleanName, liveRecord, lookUp, queryFlag } from './target.ts'

const maxPageSize = 5000
// Sorts right after everything below a name: see `PathIndex` for the order of either kind.
const pastDirectory = { hierarchical: '\u0001', flat: '0' }

/** Path - List as JSON, in pages. */
export const listPaths: Verb = {
  name: 'Path - List',
  matches: ({ face, method, path, query }) =>
    face === 'dfs' &&
    method === 'GET' &&
    path === undefined &&
    query.get('resource') === 'filesystem',
  needs: ({ container }) => [{ right: 'list', resource: 'container', container }],
  run: (context) => {
    const container = context.container()
    const listing = readListing(context)
    const place = { account: context.account, container }
    requireDirectory(place, listing.directory)
    const pageSize = readPageSize(context.request)
    const page: ListedPath[] = []
    let next: ListedPath | undefined
    for (const listed of walk(place, listing)) {
      if (page.length === pageSize) {
        next = listed
        break
      }
      page.push(listed)
    }
    return {
      status: 200,
      headers: {
        ...changedHeaders(container.properties),
        'content-type': 'application/json;charset=utf-8',
        'x-ms-continuation': next && writeContinuation(page.at(-1)?.resume ?? ''),
      },
      body: pathsJson(place, page),
    }
  },
}

interface Listing {
  readonly directory: string
  readonly recursive: boolean
  /** The first name to look at; '' from the beginning. */
  readonly start: string
}

function readListing({ request }: VerbContext): Listing {
  const recursive = queryFlag(request, 'recursive')
  if (recursive === undefined) {
    throw missingQuery('recursive')
  }
  queryFlag(request, 'upn')
  const directory = directoryOf(request)
  const prefix = directory === '' ? '' : `${directory}/`
  const beginFrom = cleanName(request.query.get('beginfrom') ?? '')
  return { directory, recursive, start: readContinuation(request) ?? prefix + beginFrom }
}

function directoryOf({ query }: StorageRequest): string {
  return cleanName(query.get('directory') ?? '')
}

function readPageSize({ query }: StorageRequest): number {
  const size = queryInteger(query, 'maxresults')
  if (size !== undefined && size <= 0) {
    throw refusal('OutOfRangeQueryParameterValue', {
      details: { QueryParameterName: 'maxResults', QueryParameterValue: String(size) },
    })
  }
  return Math.min(size ?? maxPageSize, maxPageSize)
}

/** 404 `PathNotFound` for a directory that is none. On flat accounts any beginning of a name is one. */
function requireDirectory(place: Place, directory: string): void {
  if (directory === '') {
    return
  }
  const { record } = lookUp(place, directory)
  if (record && isDirectory(record)) {
    return
  }
  const flat = !place.account.settings.hierarchical
  if (!flat || !place.container.paths.below(directory)[Symbol.iterator]().next().value) {
    throw refusal('PathNotFound')
  }
}

function walk(place: Place, listing: Listing): Iterable<ListedPath> {
  return listing.recursive ? walkAll(place, listing) : walkChildren(place, listing)
}

function* walkAll(place: Place, { directory, start }: Listing): Iterable<ListedPath> {
  const prefix = directory === '' ? '' : `${directory}/`
  for (const state of place.container.paths.from(start)) {
    if (!state.name.startsWith(prefix)) {
      return
    }
    const record = liveRecord(place, state)
    if (record) {
      yield { name: state.name, record, resume: `${state.name}\0` }
    }
  }
}

/** Jumps over what lies in each child. */
function* walkChildren(place: Place, { directory, start }: Listing): Iterable<ListedPath> {
  const prefix = directory === '' ? '' : `${directory}/`
  const { hierarchical } = place.account.settings
  let from: string | undefined = start
  while (from !== undefined) {
    const states: Iterable<PathState> = place.container.paths.from(from)
    from = undefined
    for (const state of states) {
      if (!state.name.startsWith(prefix)) {
        return
      }
      const slash = state.name.indexOf('/', prefix.length)
      const child = slash < 0 ? state.name : state.name.slice(0, slash)
      const past = slash < 0 && !hierarchical ? `${child}\0` : pastChild(child, hierarchical)
      const record = liveRecord(place, state)
      if (record) {
        yield* asListed(place, { child, name: state.name, record, resume: past })
      }
      if (slash < 0 ? state.current?.kind === 'directory' : hierarchical || record) {
        from = past
        break
      }
    }
  }
}

function pastChild(child: string, hierarchical: boolean): string {
  return child + (hierarchical ? pastDirectory.hierarchical : pastDirectory.flat)
}

/** On flat accounts a name below the child makes the child a directory, unless a blob marks it. */
function* asListed(
  place: Place,
  entry: { child: string; name: string; record: PathRecord; resume: string },
): Iterable<ListedPath> {
  const { child, name, record, resume } = entry
  if (child === name) {
    yield { name, record, resume }
  } else if (!place.account.settings.hierarchical && !lookUp(place, child).record) {
    yield { name: child, record: undefined, resume }
  }
}
