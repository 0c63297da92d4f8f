import { applyLease, type LeaseRequest, leaseTimeSeconds, parseLeaseId } from '../model/lease.ts'
import type { Lease } from '../model/record.ts'
import { invalidHeader, missingHeader } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'

/** A lease after an action, and what the answer says of it. */
export interface LeaseOutcome {
  readonly lease: Lease | undefined
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
}

const statuses = { acquire: 201, change: 200, renew: 200, release: 200, break: 202 }

/** Does what `x-ms-lease-action` of Path - Lease asks for; throws 400 and 409. */
export function leaseOutcome(
  lease: Lease | undefined,
  request: StorageRequest,
  nowMs: number,
): LeaseOutcome {
  const asked = leaseRequest(request)
  const after = applyLease(lease, asked, nowMs)
  const named = asked.action !== 'release' && asked.action !== 'break'
  return {
    lease: after,
    status: statuses[asked.action],
    headers: {
      'x-ms-lease-id': named ? after?.id : undefined,
      'x-ms-lease-time':
        asked.action === 'break' ? String(leaseTimeSeconds(after, nowMs)) : undefined,
    },
  }
}

/** The lease that `x-ms-lease-action` of an append or flush asks to hold before it writes. */
export function leaseBeforeWrite(
  lease: Lease | undefined,
  request: StorageRequest,
  nowMs: number,
): Lease | undefined {
  switch (writeAction(request)) {
    case 'acquire':
    case 'acquire-release':
      return applyLease(lease, acquire(request), nowMs)
    case 'auto-renew':
      return applyLease(lease, { action: 'renew', id: leaseId(request, 'x-ms-lease-id') }, nowMs)
    default:
      return lease
  }
}

/** The lease once the write is done. */
export function leaseOnceWritten(
  lease: Lease | undefined,
  request: StorageRequest,
  nowMs: number,
): Lease | undefined {
  const action = writeAction(request)
  if (lease && (action === 'release' || action === 'acquire-release')) {
    const id = action === 'release' ? leaseId(request, 'x-ms-lease-id') : lease.id
    return applyLease(lease, { action: 'release', id }, nowMs)
  }
  return lease
}

/** Whether the write renews its lease: `x-ms-lease-renewed`. */
export function renewsLease(request: StorageRequest): boolean {
  return writeAction(request) === 'auto-renew'
}

/** Whether the write acquires the lease itself, so that none has to be named. */
export function acquiresLease(request: StorageRequest): boolean {
  return writeAction(request)?.startsWith('acquire') ?? false
}

/** Acquires as `x-ms-proposed-lease-id` and `x-ms-lease-duration` say. */
export function acquire(request: StorageRequest): LeaseRequest {
  return {
    action: 'acquire',
    proposedId: request.headers['x-ms-proposed-lease-id']
      ? leaseId(request, 'x-ms-proposed-lease-id')
      : undefined,
    durationSeconds: duration(request),
  }
}

function writeAction({ headers }: StorageRequest): string | undefined {
  const action = headers['x-ms-lease-action']?.toLowerCase()
  const known = ['acquire', 'auto-renew', 'release', 'acquire-release']
  if (action !== undefined && !known.includes(action)) {
    throw invalidHeader('x-ms-lease-action', action)
  }
  return action
}

function leaseRequest(request: StorageRequest): LeaseRequest {
  const action = request.headers['x-ms-lease-action']?.toLowerCase()
  switch (action) {
    case 'acquire':
      return acquire(request)
    case 'renew':
    case 'release':
      return { action, id: leaseId(request, 'x-ms-lease-id') }
    case 'change': {
      const id = leaseId(request, 'x-ms-lease-id')
      return { action, id, proposedId: leaseId(request, 'x-ms-proposed-lease-id') }
    }
    case 'break':
      return { action, periodSeconds: breakPeriod(request) }
    case undefined:
      throw missingHeader('x-ms-lease-action')
    default:
      throw invalidHeader('x-ms-lease-action', action)
  }
}

function leaseId({ headers }: StorageRequest, name: string): string {
  const text = headers[name]
  if (text === undefined) {
    throw missingHeader(name)
  }
  const id = parseLeaseId(text)
  if (id === undefined) {
    throw invalidHeader(name, text)
  }
  return id
}

/** 15 to 60 seconds; `undefined` for -1, infinite. */
function duration({ headers }: StorageRequest): number | undefined {
  const text = headers['x-ms-lease-duration']
  if (text === undefined) {
    throw missingHeader('x-ms-lease-duration')
  }
  if (text === '-1') {
    return undefined
  }
  return seconds('x-ms-lease-duration', text, [15, 60])
}

function breakPeriod({ headers }: StorageRequest): number | undefined {
  const text = headers['x-ms-lease-break-period']
  return text === undefined ? undefined : seconds('x-ms-lease-break-period', text, [0, 60])
}

function seconds(name: string, text: string, [least, most]: readonly [number, number]): number {
  const value = /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= least && value <= most)) {
    throw invalidHeader(name, text)
  }
  return value
}
