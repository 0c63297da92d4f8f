import type { Verb } from '../verb.ts'
import { checkWrite, readConditions } from '../wire/conditions.ts'
import { leaseOutcome } from './lease-action.ts'
import { changedHeaders, existingTarget, needOnPath, subjectOf } from './target.ts'

/** Path - Lease: acquire, renew, change, release, break. */
export const leasePath: Verb = {
  name: 'Path - Lease',
  matches: ({ face, method, path }) => face === 'dfs' && method === 'POST' && path !== undefined,
  needs: (request) => needOnPath(request, 'write'),
  run: (context) => {
    const { request, account } = context
    const { place, record, state } = existingTarget(context)
    checkWrite(readConditions(request), subjectOf(record), 'PathAlreadyExists')
    const { lease, status, headers } = leaseOutcome(state.lease, request, account.nowMs())
    place.container.paths.put({ ...state, lease })
    return { status, headers: { ...changedHeaders(record), ...headers } }
  },
}
