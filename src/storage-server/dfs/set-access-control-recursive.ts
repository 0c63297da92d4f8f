import type { Need } from '../access/access.ts'
import type { PathState } from '../model/record.ts'
import type { Verb, VerbContext } from '../verb.ts'
import { queryInteger } from '../wire/parse-url.ts'
import { invalidQuery, missingHeader, refusal } from '../wire/refusals.ts'
import { StorageError } from '../wire/storage-error.ts'
import { completeAcl, formatAcl, modifyAcl, parseAcl, parseAclKeys, removeFromAcl } from './acl.ts'
import { readContinuation, writeContinuation } from './continuation.ts'
import { ownershipOf } from './ownership.ts'
import { missingQuery } from './refusals.ts'
import { setOwnership } from './set-access-control.ts'
import {
  type DfsTarget,
  existingTarget,
  lookUp,
  needOnPath,
  pathName,
  queryFlag,
  requireHierarchical,
  targetOf,
} from './target.ts'

const maxBatch = 2000

type Kind = 'file' | 'directory'
type Change = (acl: string, kind: Kind) => string

/** Path - Update, `action=setAccessControlRecursive`: a tree's lists, in batches. */
export const setAccessControlRecursive: Verb = {
  name: 'Path - Set Access Control Recursive',
  matches: ({ face, method, query }) =>
    face === 'dfs' && method === 'PATCH' && query.get('action') === 'setAccessControlRecursive',
  needs: (request) => needOnPath(request, 'permissions'),
  run: (context) => {
    requireHierarchical(context)
    const { request } = context
    const change = readChange(context)
    const force = queryFlag(request, 'forceFlag') ?? false
    const root = pathName(request) === '' ? targetOf(context) : existingTarget(context)
    const { batch, next } = readBatch(context, root)
    const report = newReport()
    const complete = applyTo(context, { batch, change, force, report })
    return {
      status: 200,
      headers: {
        'content-type': 'application/json;charset=utf-8',
        'x-ms-continuation': complete && next ? writeContinuation(next) : undefined,
      },
      body: JSON.stringify(report),
    }
  },
}

interface Report {
  directoriesSuccessful: number
  filesSuccessful: number
  failureCount: number
  readonly failedEntries: { name: string; type: 'FILE' | 'DIRECTORY'; errorMessage: string }[]
}

function newReport(): Report {
  return { directoriesSuccessful: 0, filesSuccessful: 0, failureCount: 0, failedEntries: [] }
}

/** What `mode` and `x-ms-acl` do to one list. What children inherit passes files by. */
function readChange({ request }: VerbContext): Change {
  const text = request.headers['x-ms-acl']
  const mode = request.query.get('mode')?.toLowerCase()
  if (mode === undefined) {
    throw missingQuery('mode')
  }
  if (text === undefined) {
    throw missingHeader('x-ms-acl')
  }
  switch (mode) {
    case 'set': {
      const entries = completeAcl(parseAcl(text), 'directory')
      const directory = formatAcl(entries)
      const file = formatAcl(entries.filter((each) => !each.isDefault))
      return (_, kind) => (kind === 'file' ? file : directory)
    }
    case 'modify': {
      const entries = parseAcl(text)
      return (acl, kind) => formatAcl(modifyAcl(parseAcl(acl), entries, kind))
    }
    case 'remove': {
      const keys = parseAclKeys(text)
      return (acl, kind) => formatAcl(removeFromAcl(parseAcl(acl), keys, kind))
    }
    default:
      throw invalidQuery('mode', mode)
  }
}

function readBatch(
  { request }: VerbContext,
  root: DfsTarget,
): { batch: DfsTarget[]; next: string | undefined } {
  const asked = queryInteger(request.query, 'maxrecords') ?? maxBatch
  if (asked <= 0) {
    throw refusal('OutOfRangeQueryParameterValue', {
      details: { QueryParameterName: 'maxRecords', QueryParameterValue: String(asked) },
    })
  }
  const size = Math.min(asked, maxBatch)
  const start = readContinuation(request)
  const batch: DfsTarget[] = start === undefined ? [root] : []
  for (const { name } of descendants(root, start)) {
    const target = lookUp(root.place, name)
    if (target.record && batch.length === size) {
      return { batch, next: name }
    }
    if (target.record) {
      batch.push(target)
    }
  }
  return { batch, next: undefined }
}

function* descendants({ place, name }: DfsTarget, start: string | undefined): Iterable<PathState> {
  const prefix = name === '' ? '' : `${name}/`
  for (const state of place.container.paths.from(start ?? prefix)) {
    if (!state.name.startsWith(prefix)) {
      return
    }
    yield state
  }
}

/** Whether the walk may go on: a failure ends it unless the request forces it. */
function applyTo(
  context: VerbContext,
  work: { batch: readonly DfsTarget[]; change: Change; force: boolean; report: Report },
): boolean {
  const { report } = work
  for (const target of work.batch) {
    const kind = target.record?.kind === 'blob' ? 'file' : 'directory'
    const failure = applyToOne(context, target, { kind, change: work.change })
    if (failure) {
      report.failureCount++
      const type = kind === 'file' ? 'FILE' : 'DIRECTORY'
      report.failedEntries.push({ name: target.name, type, errorMessage: failure.message })
      if (!work.force) {
        return false
      }
    } else if (kind === 'file') {
      report.filesSuccessful++
    } else {
      report.directoriesSuccessful++
    }
  }
  return true
}

function applyToOne(
  context: VerbContext,
  target: DfsTarget,
  { kind, change }: { kind: Kind; change: Change },
): StorageError | undefined {
  const ownership = ownershipOf(target.place.container, target.name)
  try {
    context.authorize(needsOf(context, target))
    setOwnership(target, { ...ownership, acl: change(ownership.acl, kind) })
    return undefined
  } catch (error) {
    if (error instanceof StorageError && error.status === 403) {
      return error
    }
    throw error
  }
}

function needsOf({ request }: VerbContext, { name }: DfsTarget): readonly Need[] {
  return needOnPath({ container: request.container, path: name }, 'permissions')
}
