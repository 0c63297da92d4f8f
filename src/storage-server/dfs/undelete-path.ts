import { keep, type Place } from '../model/changes.ts'
import type { DeletedRecord, PathState } from '../model/record.ts'
import type { Verb, VerbContext } from '../verb.ts'
import { parseUrlQuery } from '../wire/parse-url.ts'
import { invalidHeader, refusal } from '../wire/refusals.ts'
import { isDirectory } from './create-path.ts'
import { makeParents } from './directories.ts'
import { callerName } from './ownership.ts'
import { existing } from './refusals.ts'
import { lookUp, needOnPath, pathName, requireHierarchical } from './target.ts'

const dayMs = 24 * 60 * 60 * 1000

/** Path - Undelete: one deletion of a hierarchical account comes back; sent to the blob face. */
export const undeletePath: Verb = {
  name: 'Path - Undelete',
  matches: ({ method, query, headers }) =>
    method === 'PUT' &&
    query.get('comp') === 'undelete' &&
    headers['x-ms-undelete-source'] !== undefined,
  needs: (request) => needOnPath(request, 'write'),
  run: (context) => {
    requireHierarchical(context)
    const place = { account: context.account, container: context.container() }
    const name = pathName(context.request)
    const deletionId = readDeletionId(context)
    const { record } = lookUp(place, name)
    if (record) {
      throw existing('PathAlreadyExists', record.kind)
    }
    const states = [{ ...lookUp(place, name).state }, ...place.container.paths.below(name)]
    const found = states.filter((state) => deletionOf(place, state, deletionId))
    if (!found.some((state) => state.name === name)) {
      throw refusal('PathNotFound')
    }
    makeParents(place, name, callerName(context.caller, context.request))
    for (const state of found) {
      restore(place, state, deletionId)
    }
    const restored = lookUp(place, name).record
    const type = restored && isDirectory(restored) ? 'directory' : 'file'
    return { status: 200, headers: { 'x-ms-resource-type': type } }
  },
}

function readDeletionId({ request }: VerbContext): string {
  const source = request.headers['x-ms-undelete-source'] ?? ''
  const deletionId = parseUrlQuery(source.slice(source.indexOf('?') + 1)).get('deletionid')
  if (!source.includes('?') || deletionId === undefined) {
    throw invalidHeader('x-ms-undelete-source', source)
  }
  return deletionId
}

function deletionOf(
  { account }: Place,
  { deleted }: PathState,
  deletionId: string,
): DeletedRecord | undefined {
  return deleted?.find(
    (each) =>
      each.deletionId === deletionId &&
      each.deletedMs + each.remainingDays * dayMs > account.nowMs(),
  )
}

/** Something made under the name since the deletion stays as it is. */
function restore(place: Place, state: PathState, deletionId: string): void {
  const deletion = deletionOf(place, state, deletionId)
  if (!deletion || state.current) {
    return
  }
  const deleted = state.deleted?.filter((each) => each !== deletion)
  keep(place.container, { ...state, deleted, current: deletion.record })
}
