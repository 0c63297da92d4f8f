import { amendCurrent } from '../model/changes.ts'
import type { Ownership } from '../model/record.ts'
import type { Verb } from '../verb.ts'
import { missingHeader, refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { completeAcl, formatAcl, parseAcl } from './acl.ts'
import { ownershipOf } from './ownership.ts'
import { parsePermissions, withMode } from './permissions.ts'
import {
  changedHeaders,
  changedTarget,
  type DfsTarget,
  needOnPath,
  pathName,
  requireHierarchical,
  targetOf,
} from './target.ts'

/** Path - Update, `action=setAccessControl`: owner, group and rights of one path. */
export const setAccessControl: Verb = {
  name: 'Path - Set Access Control',
  matches: ({ face, method, query }) =>
    face === 'dfs' && method === 'PATCH' && query.get('action') === 'setAccessControl',
  needs: (request) => {
    const { headers } = request
    const owner = headers['x-ms-owner'] !== undefined || headers['x-ms-group'] !== undefined
    const rights = headers['x-ms-acl'] !== undefined || headers['x-ms-permissions'] !== undefined
    return [
      ...(owner ? needOnPath(request, 'ownership') : []),
      ...(rights || !owner ? needOnPath(request, 'permissions') : []),
    ]
  },
  run: (context) => {
    requireHierarchical(context)
    const isRoot = pathName(context.request) === ''
    const target = isRoot ? targetOf(context) : changedTarget(context)
    const kind = target.record?.kind === 'blob' ? 'file' : 'directory'
    const ownership = ownershipOf(target.place.container, target.name)
    setOwnership(target, changed(ownership, context.request, kind))
    return { status: 200, headers: changedHeaders(target.record ?? context.container().properties) }
  },
}

/** Stores owner and rights of a path or of the root. Etag and times stay: the content did not change. */
export function setOwnership({ place, name, record }: DfsTarget, ownership: Ownership): void {
  if (record) {
    amendCurrent(place, name, { ...record, ownership })
  } else {
    const { properties } = place.container
    place.account.putContainer({ ...properties, rootOwnership: ownership })
  }
}

function changed(
  ownership: Ownership,
  { headers }: StorageRequest,
  kind: 'file' | 'directory',
): Ownership {
  const { 'x-ms-owner': owner, 'x-ms-group': group } = headers
  const { 'x-ms-acl': acl, 'x-ms-permissions': permissions } = headers
  if ((owner ?? group ?? acl ?? permissions) === undefined) {
    throw missingHeader('x-ms-acl')
  }
  if (acl !== undefined && permissions !== undefined) {
    throw refusal('InvalidInput', {
      details: { Reason: 'x-ms-acl and x-ms-permissions exclude each other.' },
    })
  }
  const rights = { ...ownership, owner: owner ?? ownership.owner, group: group ?? ownership.group }
  if (acl !== undefined) {
    return { ...rights, acl: formatAcl(completeAcl(parseAcl(acl), kind)) }
  }
  if (permissions === undefined) {
    return rights
  }
  const mode = parsePermissions(permissions)
  const sticky = kind === 'directory' && (mode & 0o1000) !== 0
  return { ...rights, acl: formatAcl(withMode(parseAcl(ownership.acl), mode)), sticky }
}
