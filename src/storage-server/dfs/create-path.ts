import { amendCurrent, replaceCurrent } from '../model/changes.ts'
import { applyLease } from '../model/lease.ts'
import type { PathRecord } from '../model/record.ts'
import type { Verb, VerbContext } from '../verb.ts'
import { isFolderMarker } from '../wire/metadata.ts'
import { invalidQuery } from '../wire/refusals.ts'
import { makeParents, newDirectory } from './directories.ts'
import { readExpiry } from './expiry.ts'
import { acquire } from './lease-action.ts'
import { namesRights, newFile, newOwnership } from './new-path.ts'
import { callerName } from './ownership.ts'
import { readProperties } from './properties.ts'
import { dfsRefusal, existing, missingQuery } from './refusals.ts'
import {
  assertWritable,
  changedHeaders,
  type DfsTarget,
  needOnPath,
  stamp,
  targetOf,
} from './target.ts'

type Kind = 'file' | 'directory'

/** Path - Create of a file or directory; what is there is replaced unless conditions forbid it. */
export const createPath: Verb = {
  name: 'Path - Create',
  matches: ({ face, method, path }) => face === 'dfs' && method === 'PUT' && path !== undefined,
  needs: (request) => needOnPath(request, 'create', 'write'),
  run: (context) => {
    const kind = kindOf(context)
    const target = targetOf(context)
    requireEmptyBody(context)
    if (target.name === '') {
      throw existing('PathAlreadyExists', 'directory')
    }
    assertReplaceable(context, target, kind)
    assertReadable(context, target, kind)
    makeParents(target.place, target.name, callerName(context.caller, context.request))
    const record = kind === 'file' ? createFile(context, target) : createDirectory(context, target)
    takeLease(context, target)
    return {
      status: 201,
      headers: { ...changedHeaders(record), 'x-ms-request-server-encrypted': 'true' },
    }
  },
}

/** Whether a record is a directory, or stands for one on a flat account. */
export function isDirectory(record: PathRecord): boolean {
  return record.kind === 'directory' || isFolderMarker(record.metadata)
}

/** 400 `ContentLengthMustBeZero` for a request with a body. */
export function requireEmptyBody({ request }: Pick<VerbContext, 'request'>): void {
  if ((request.headers['content-length'] ?? '0') !== '0') {
    throw dfsRefusal('ContentLengthMustBeZero')
  }
}

function kindOf({ request }: VerbContext): Kind {
  const resource = request.query.get('resource')?.toLowerCase()
  if (resource === undefined) {
    throw missingQuery('resource')
  }
  if (resource !== 'file' && resource !== 'directory') {
    throw invalidQuery('resource', resource)
  }
  return resource
}

function assertReplaceable(context: VerbContext, target: DfsTarget, kind: Kind): void {
  const { record } = target
  assertWritable(context, target)
  if (!record) {
    return
  }
  if (isDirectory(record) !== (kind === 'directory')) {
    throw existing('PathConflict', isDirectory(record) ? 'directory' : 'blob')
  }
  const { container } = context.request
  context.authorize([{ right: 'write', resource: 'path', container, path: target.name }])
}

/** Reads every header, so that one that is wrong is refused before the directories above are made. */
function assertReadable(context: VerbContext, { name }: DfsTarget, kind: Kind): void {
  const { request, account } = context
  newOwnership(context, name, kind)
  newFile(context, undefined)
  readProperties(request)
  readExpiry(request, account, account.nowMs())
  if (request.headers['x-ms-proposed-lease-id'] !== undefined) {
    acquire(request)
  }
}

function createFile(context: VerbContext, { place, name }: DfsTarget): PathRecord {
  const { request, account } = context
  const expiry = readExpiry(request, account, account.nowMs())
  return replaceCurrent(place, name, {
    ...newFile(context, newOwnership(context, name, 'file')),
    metadata: readProperties(request) ?? {},
    expiresMs: expiry === 'never' ? undefined : expiry,
  })
}

/** An existing directory keeps what it holds, and its rights unless the request names some. */
function createDirectory(context: VerbContext, { place, name, record }: DfsTarget): PathRecord {
  const { request, account } = context
  const metadata = readProperties(request)
  const ownership = newOwnership(context, name, 'directory')
  if (!account.settings.hierarchical) {
    const marker = { ...metadata, hdi_isfolder: 'true' }
    return replaceCurrent(place, name, { ...newFile(context, undefined), metadata: marker })
  }
  if (record?.kind !== 'directory') {
    return amendCurrent(place, name, {
      ...newDirectory(place, ownership),
      metadata: metadata ?? {},
    })
  }
  return amendCurrent(place, name, {
    ...record,
    ...stamp(place),
    metadata: metadata ?? record.metadata,
    ownership: namesRights(request) ? ownership : record.ownership,
  })
}

function takeLease({ request, account }: VerbContext, { place, name }: DfsTarget): void {
  const state = place.container.paths.get(name)
  if (state && request.headers['x-ms-proposed-lease-id'] !== undefined) {
    const lease = applyLease(state.lease, acquire(request), account.nowMs())
    place.container.paths.put({ ...state, lease })
  }
}
