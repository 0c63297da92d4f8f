import type { Need } from '../access/access.ts'
import { amendCurrent, deleteCurrent, keep, type Place } from '../model/changes.ts'
import type { Container } from '../model/container.ts'
import { assertLease } from '../model/lease.ts'
import type { PathRecord, PathState } from '../model/record.ts'
import type { Verb, VerbContext } from '../verb.ts'
import { checkSource, readConditions } from '../wire/conditions.ts'
import { parseUrlPath, parseUrlQuery } from '../wire/parse-url.ts'
import { invalidQuery, refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { requireEmptyBody } from './create-path.ts'
import { hasChildren } from './directories.ts'
import { readContentHeaders } from './new-path.ts'
import { parentOf } from './ownership.ts'
import { readProperties } from './properties.ts'
import { dfsRefusal, existing } from './refusals.ts'
import {
  assertWritable,
  changedHeaders,
  cleanName,
  type DfsTarget,
  type ExistingTarget,
  lookUp,
  needOnPath,
  pathName,
  requireHierarchical,
  stamp,
  subjectOf,
  targetOf,
} from './target.ts'

// All checks and the move happen between two awaits: nobody sees both names, or neither.

/** Path - Create with `x-ms-rename-source`: one step for a file or a whole tree. */
export const renamePath: Verb = {
  name: 'Path - Rename',
  matches: ({ face, method, path, headers }) =>
    face === 'dfs' &&
    method === 'PUT' &&
    path !== undefined &&
    headers['x-ms-rename-source'] !== undefined,
  needs: (request) => [...needOnPath(request, 'write', 'create'), ...needsOfSource(request)],
  run: async (context) => {
    requireHierarchical(context)
    await authorizeSource(context)
    requireEmptyBody(context)
    requireMode(context.request)
    const source = sourceOf(context)
    const target = targetOf(context)
    if (isSame(source, target) && source.record.kind === 'blob') {
      return { status: 201, headers: changedHeaders(source.record) }
    }
    assertRename(context, source, target)
    move(source, target)
    const record = overlay(context.request, target.place, target.name, source.record)
    return { status: 201, headers: changedHeaders(record) }
  },
}

// No HTTP parser lets a blank through: only `authorizeSource` sends it.
const sourceMethod = 'RENAME SOURCE'

/** Finds out whether a signature lets its path be renamed away. */
export const checkRenameSource: Verb = {
  name: 'Path - Rename (source)',
  matches: ({ face, method }) => face === 'dfs' && method === sourceMethod,
  needs: (request) => needOnPath(request, 'move', 'delete'),
  run: () => ({ status: 200 }),
}

/** Where a path of the `x-ms-rename-source` header is: `/container/path`, still encoded, with query. */
export interface RenameSource {
  readonly container: string
  readonly path: string
  /** The query behind the path, a signature for the source; '' when there is none. */
  readonly query: string
}

/** Reads `x-ms-rename-source`; throws 400 `InvalidSourceUri`. */
export function renameSource(request: StorageRequest): RenameSource {
  const [path = '', ...query] = (request.headers['x-ms-rename-source'] ?? '').split('?')
  const segments = segmentsOf(path.startsWith('/') ? path : `/${path}`)
  const named = request.pathStyle && segments[0] === request.account && segments.length > 2
  const [container = '', ...rest] = named ? segments.slice(1) : segments
  const name = cleanName(rest.join('/'))
  if (container === '' || name === '') {
    throw dfsRefusal('InvalidSourceUri')
  }
  return { container, path: name, query: query.join('?') }
}

function segmentsOf(path: string): readonly string[] {
  try {
    return parseUrlPath(path)
  } catch (cause) {
    throw dfsRefusal('InvalidSourceUri', { cause })
  }
}

/** Nothing when the source brings its own signature. */
function needsOfSource(request: StorageRequest): readonly Need[] {
  const { container, path, query } = renameSource(request)
  return query === '' ? needOnPath({ container, path }, 'move', 'delete') : []
}

/** Checks the signature that the source brings along, as a request of its own. */
async function authorizeSource({ request, dispatch }: VerbContext): Promise<void> {
  const { container, path, query } = renameSource(request)
  if (query !== '') {
    const headers = { ...request.headers, authorization: undefined }
    const source = { ...request, headers, container, path, query: parseUrlQuery(query) }
    await dispatch({ ...source, method: sourceMethod })
  }
}

function requireMode({ query }: StorageRequest): void {
  const mode = query.get('mode')
  if (mode !== undefined && mode !== 'legacy' && mode !== 'posix') {
    throw invalidQuery('mode', mode)
  }
}

function sourceOf({ request, account }: VerbContext): ExistingTarget {
  const { container: name, path } = renameSource(request)
  const container = account.container(name)
  if (!container) {
    throw refusal('FilesystemNotFound')
  }
  const source = lookUp({ account, container }, path)
  if (!source.record) {
    throw dfsRefusal('SourcePathNotFound')
  }
  checkSource(readConditions(request, 'x-ms-source-'), subjectOf(source.record))
  assertLease(source.state, request, {
    use: 'write',
    nowMs: account.nowMs(),
    header: 'x-ms-source-lease-id',
  })
  return { ...source, record: source.record }
}

function isSame(source: DfsTarget, target: DfsTarget): boolean {
  return source.place.container === target.place.container && source.name === target.name
}

function assertRename(context: VerbContext, source: ExistingTarget, target: DfsTarget): void {
  const within = source.place.container === target.place.container
  if (within && (isSame(source, target) || target.name.startsWith(`${source.name}/`))) {
    throw dfsRefusal('InvalidRenameSourcePath')
  }
  assertParent(target)
  assertWritable(context, target)
  const { record } = target
  if (!record) {
    return
  }
  if (record.kind !== source.record.kind) {
    throw dfsRefusal('InvalidSourceOrDestinationResourceType')
  }
  if (record.kind === 'directory' && hasChildren(target.place, target.name)) {
    throw existing('PathAlreadyExists', 'directory')
  }
}

function assertParent({ place, name }: DfsTarget): void {
  if (pathName({ path: name }) === '') {
    throw dfsRefusal('InvalidDestinationPath')
  }
  const parent = parentOf(name)
  if (parent === '') {
    return
  }
  const { record } = lookUp(place, parent)
  if (!record) {
    throw dfsRefusal('RenameDestinationParentPathNotFound')
  }
  if (record.kind !== 'directory') {
    throw dfsRefusal('InvalidDestinationPath')
  }
}

function move(source: ExistingTarget, target: DfsTarget): void {
  const { container } = target.place
  if (container.paths.get(target.name)?.current) {
    deleteCurrent(target.place, target.name)
  }
  if (container === source.place.container) {
    container.paths.rename(source.name, target.name)
  } else {
    moveAcross(source, container, target.name)
  }
}

/** Soft-deleted records stay under the name, and in the container, they were deleted in. */
function moveAcross({ place, name, state }: ExistingTarget, to: Container, toName: string): void {
  const moved = [state, ...place.container.paths.below(name)]
  for (const each of moved) {
    const { deleted, ...rest } = each
    keep(place.container, { name: each.name, deleted })
    const renamed: PathState = { ...rest, name: `${toName}${each.name.slice(name.length)}` }
    keep(to, { ...renamed, deleted: to.paths.get(renamed.name)?.deleted })
  }
}

/** A rename keeps etag, times, rights and properties; what the request names replaces them. */
function overlay(
  request: StorageRequest,
  place: Place,
  name: string,
  record: PathRecord,
): PathRecord {
  const metadata = readProperties(request)
  const headers = readContentHeaders(request)
  const hasHeaders = record.kind === 'blob' && Object.keys(headers).length > 0
  if (metadata === undefined && !hasHeaders) {
    return record
  }
  const changed = { ...record, ...stamp(place), metadata: metadata ?? record.metadata }
  return amendCurrent(
    place,
    name,
    changed.kind === 'blob' ? { ...changed, headers: { ...changed.headers, ...headers } } : changed,
  )
}
