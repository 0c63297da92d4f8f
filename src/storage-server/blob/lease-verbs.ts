import { stateOf } from '../model/changes.ts'
import type { Container } from '../model/container.ts'
import {
  applyLease,
  invalidLeaseHeader,
  type LeaseRequest,
  leaseTimeSeconds,
  parseLeaseId,
} from '../model/lease.ts'
import type { Lease } from '../model/record.ts'
import type { Verb, VerbContext } from '../verb.ts'
import type { StorageAnswer } from '../wire/answer.ts'
import { checkWrite, readConditions } from '../wire/conditions.ts'
import { requireHeader } from '../wire/metadata.ts'
import { invalidHeader, refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { needOnPath, subjectOf, targetOf } from './target.ts'

/** Lease Container and Lease Blob: acquire, renew, change, release, break. */
export const leaseVerbs: readonly Verb[] = [
  {
    name: 'LeaseContainer',
    matches: (request) =>
      request.method === 'PUT' &&
      request.container !== undefined &&
      request.path === undefined &&
      request.query.get('restype') === 'container' &&
      request.query.get('comp') === 'lease',
    needs: ({ container }) => [{ right: 'write', resource: 'container', container }],
    run: leaseContainer,
  },
  {
    name: 'LeaseBlob',
    matches: (request) =>
      request.method === 'PUT' &&
      request.path !== undefined &&
      request.query.get('comp') === 'lease',
    needs: (request) => needOnPath(request, 'write'),
    run: leaseBlob,
  },
]

/** What the lease headers of a request ask for; also what dfs's `Path - Lease` reads. */
export function readLeaseRequest(request: StorageRequest): LeaseRequest {
  const action = requireHeader(request, 'x-ms-lease-action').toLowerCase()
  switch (action) {
    case 'acquire':
      return {
        action,
        proposedId: idHeader(request, 'x-ms-proposed-lease-id'),
        durationSeconds: readDuration(request),
      }
    case 'renew':
    case 'release':
      return { action, id: requiredId(request, 'x-ms-lease-id') }
    case 'change':
      return {
        action,
        id: requiredId(request, 'x-ms-lease-id'),
        proposedId: requiredId(request, 'x-ms-proposed-lease-id'),
      }
    case 'break':
      return { action, periodSeconds: readBreakPeriod(request) }
    default:
      throw invalidHeader('x-ms-lease-action', action)
  }
}

/** The status that Azure gives each lease action when it is done. */
export const leaseStatus: Readonly<Record<LeaseRequest['action'], number>> = {
  acquire: 201,
  renew: 200,
  change: 200,
  release: 200,
  break: 202,
}

function leaseBlob(context: VerbContext): StorageAnswer {
  const { account, request } = context
  const asked = readLeaseRequest(request)
  const { place, name, record } = targetOf(context)
  if (record === undefined) throw refusal('BlobNotFound')
  checkWrite(readConditions(request), subjectOf(record))
  const state = stateOf(place.container, name)
  const lease = applyLease(state.lease, asked, account.nowMs())
  place.container.paths.put({ ...state, lease })
  return leaseAnswer({ asked, lease, leased: record, nowMs: account.nowMs() })
}

function leaseContainer(context: VerbContext): StorageAnswer {
  const { account, request } = context
  const asked = readLeaseRequest(request)
  const { properties }: Container = context.container()
  checkWrite(readConditions(request), properties)
  const lease = applyLease(properties.lease, asked, account.nowMs())
  account.putContainer({ ...properties, lease })
  return leaseAnswer({ asked, lease, leased: properties, nowMs: account.nowMs() })
}

interface Done {
  readonly asked: LeaseRequest
  readonly lease: Lease | undefined
  readonly leased: { readonly etag: string; readonly lastModifiedMs: number }
  readonly nowMs: number
}

/** A lease verb changes neither the etag nor the time of what it leases. */
function leaseAnswer({ asked, lease, leased, nowMs }: Done): StorageAnswer {
  const broken = asked.action === 'break'
  return {
    status: leaseStatus[asked.action],
    headers: {
      etag: leased.etag,
      'last-modified': new Date(leased.lastModifiedMs).toUTCString(),
      'x-ms-lease-id': broken ? undefined : lease?.id,
      'x-ms-lease-time': broken ? String(leaseTimeSeconds(lease, nowMs)) : undefined,
    },
  }
}

function readDuration(request: StorageRequest): number | undefined {
  const text = requireHeader(request, 'x-ms-lease-duration')
  if (text === '-1') return undefined
  const seconds = Number(text)
  if (Number.isInteger(seconds) && seconds >= 15 && seconds <= 60) return seconds
  throw invalidHeader('x-ms-lease-duration', text)
}

function readBreakPeriod(request: StorageRequest): number | undefined {
  const text = request.headers['x-ms-lease-break-period']
  if (text === undefined) return undefined
  if (/^\d{1,2}$/u.test(text) && Number(text) <= 60) return Number(text)
  throw invalidHeader('x-ms-lease-break-period', text)
}

function requiredId(request: StorageRequest, name: string): string {
  requireHeader(request, name)
  return idHeader(request, name) ?? ''
}

function idHeader(request: StorageRequest, name: string): string | undefined {
  const text = request.headers[name]
  if (text === undefined) return undefined
  const id = parseLeaseId(text)
  if (id === undefined) throw invalidLeaseHeader(name, text)
  return id
}
