import { randomUUID } from 'node:crypto'
import { deleteCurrent, keep, type Place } from '../model/changes.ts'
import type { DeletedRecord, PathState } from '../model/record.ts'
import type { Verb, VerbContext } from '../verb.ts'
import { refusal } from '../wire/refusals.ts'
import { readContinuation, writeContinuation } from './continuation.ts'
import { isDirectory } from './create-path.ts'
import { hasChildren } from './directories.ts'
import { dfsRefusal } from './refusals.ts'
import { assertWritable, type DfsTarget, needOnPath, queryFlag, targetOf } from './target.ts'

/** How many paths one call of a paginated deletion removes. */
export const deletePageSize = 1000

/** Path - Delete: a file, an empty directory, or a tree at once or page by page. */
export const deletePath: Verb = {
  name: 'Path - Delete',
  matches: ({ face, method, path }) => face === 'dfs' && method === 'DELETE' && path !== undefined,
  needs: (request) => needOnPath(request, 'delete'),
  run: (context) => {
    const { request } = context
    const recursive = queryFlag(request, 'recursive') ?? false
    const paginated = queryFlag(request, 'paginated') ?? false
    const target = deletable(context)
    if (isFile(target)) {
      deleteCurrent(target.place, target.name)
      return { status: 200, headers: deletionHeaders(target.place, target.name) }
    }
    if (!recursive && holdsAnything(target)) {
      throw dfsRefusal('DirectoryNotEmpty')
    }
    const deletionId = readContinuation(request) ?? randomUUID()
    if (paginated && recursive && deletePage(target, deletionId)) {
      return { status: 200, headers: { 'x-ms-continuation': writeContinuation(deletionId) } }
    }
    deleteTree(target, deletionId)
    return { status: 200, headers: deletionHeaders(target.place, target.name) }
  },
}

function deletable(context: VerbContext): DfsTarget {
  const target = targetOf(context)
  if (!target.record && !isVirtual(target)) {
    throw refusal('PathNotFound')
  }
  assertWritable(context, target)
  return target
}

function isFile({ record }: DfsTarget): boolean {
  return record !== undefined && !isDirectory(record)
}

/** A directory of a flat account that is only the beginning of names. */
function isVirtual(target: DfsTarget): boolean {
  return !target.place.account.settings.hierarchical && holdsAnything(target)
}

function holdsAnything({ place, name }: DfsTarget): boolean {
  return hasChildren(place, name)
}

/** Deletes as many of the descendants as a page holds; whether any are left. */
function deletePage({ place, name }: DfsTarget, deletionId: string): boolean {
  const page: PathState[] = []
  let next: PathState | undefined
  for (const state of place.container.paths.below(name)) {
    if (page.length === deletePageSize) {
      next = state
      break
    }
    page.push(state)
  }
  if (!next) {
    return false
  }
  const left = next.name
  const gone = page.filter((state) => !left.startsWith(`${state.name}/`))
  deleteAll(place, gone, { deletionId, withParent: true })
  return true
}

function deleteTree({ place, name }: DfsTarget, deletionId: string): void {
  const below = [...place.container.paths.below(name)]
  const state = place.container.paths.get(name)
  deleteAll(place, below, { deletionId, withParent: state?.current !== undefined })
  deleteAll(place, state ? [state] : [], { deletionId })
}

/** What one deletion takes has one deletion id, so that it comes back together. */
function deleteAll(
  place: Place,
  states: readonly PathState[],
  as: Pick<DeletedRecord, 'deletionId' | 'withParent'>,
): void {
  for (const { name, current } of states.toReversed()) {
    if (!current) {
      continue
    }
    deleteCurrent(place, name)
    const state = place.container.paths.get(name) ?? { name }
    const deleted = [...(state.deleted ?? [])]
    const last = current.kind === 'blob' ? deleted.pop() : undefined
    const { softDeleteDays } = place.account.settings
    if (softDeleteDays !== undefined) {
      const deletedMs = place.account.nowMs()
      const kept = {
        deletedMs,
        remainingDays: softDeleteDays,
        ...last,
        record: current,
        ...as,
      }
      keep(place.container, { ...state, deleted: [...deleted, kept] })
    }
  }
}

function deletionHeaders({ container }: Place, name: string): Record<string, string | undefined> {
  return { 'x-ms-deletion-id': container.paths.get(name)?.deleted?.at(-1)?.deletionId }
}
