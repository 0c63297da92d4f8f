import { amendCurrent } from '../model/changes.ts'
import type { Verb } from '../verb.ts'
import { missingHeader } from '../wire/refusals.ts'
import { readExpiry } from './expiry.ts'
import {
  asFile,
  changedHeaders,
  changedTarget,
  needOnPath,
  requireHierarchical,
  stamp,
} from './target.ts'

/** Set Blob Expiry: the Data Lake client sends it to the blob face. */
export const setExpiry: Verb = {
  name: 'SetBlobExpiry',
  matches: ({ method, path, query }) =>
    method === 'PUT' && path !== undefined && query.get('comp') === 'expiry',
  needs: (request) => needOnPath(request, 'write'),
  run: (context) => {
    requireHierarchical(context)
    const { place, name, record } = asFile(changedTarget(context))
    const expiry = readExpiry(context.request, context.account, record.createdMs)
    if (expiry === undefined) {
      throw missingHeader('x-ms-expiry-option')
    }
    const expiresMs = expiry === 'never' ? undefined : expiry
    const after = amendCurrent(place, name, { ...record, ...stamp(place), expiresMs })
    return { status: 200, headers: changedHeaders(after) }
  },
}
