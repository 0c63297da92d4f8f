import { randomUUID } from 'node:crypto'
import type { StorageRequest } from '../wire/request.ts'
import { StorageError } from '../wire/storage-error.ts'
import type { Lease } from './record.ts'

/** What Azure calls the state of a lease. */
export type LeaseState = 'available' | 'leased' | 'expired' | 'breaking' | 'broken'

/** What a lease verb asks for. Ids are GUIDs in any of Azure's forms. */
export type LeaseRequest =
  | {
      readonly action: 'acquire'
      readonly proposedId?: string | undefined
      /** Infinite when absent. */
      readonly durationSeconds?: number | undefined
    }
  | { readonly action: 'renew' | 'release'; readonly id: string }
  | { readonly action: 'change'; readonly id: string; readonly proposedId: string }
  | { readonly action: 'break'; readonly periodSeconds?: number | undefined }

/** Something that can be leased: a path, a container. */
export interface Leased {
  readonly lease?: Lease | undefined
}

/** How a request uses what may be leased. */
export interface LeaseUse {
  /** Reads pass without an id; a wrong id fails them too. */
  readonly use: 'read' | 'write'
  /** Names the resource in the codes. Default `blob`. */
  readonly on?: 'blob' | 'container' | undefined
  /** Time of the account, milliseconds since the epoch. */
  readonly nowMs: number
  /** The header that carries the id. Default `x-ms-lease-id`. */
  readonly header?: 'x-ms-lease-id' | 'x-ms-source-lease-id' | undefined
}

/** The state that a lease is in at a time. */
export function leaseState(lease: Lease | undefined, nowMs: number): LeaseState {
  if (lease === undefined) return 'available'
  if (lease.breaksAtMs !== undefined) return lease.breaksAtMs > nowMs ? 'breaking' : 'broken'
  if (lease.durationSeconds === undefined) return 'leased'
  return lease.sinceMs + lease.durationSeconds * 1000 > nowMs ? 'leased' : 'expired'
}

/** `x-ms-lease-state`, `-status` and `-duration` as reads and lists show them. */
export function leaseHeaders(
  lease: Lease | undefined,
  nowMs: number,
): Readonly<Record<string, string | undefined>> {
  const state = leaseState(lease, nowMs)
  const fixed = lease?.durationSeconds !== undefined
  return {
    'x-ms-lease-status': isHeld(state) ? 'locked' : 'unlocked',
    'x-ms-lease-state': state,
    'x-ms-lease-duration': state === 'leased' ? (fixed ? 'fixed' : 'infinite') : undefined,
  }
}

/**
 * Refuses a request that a lease forbids: a write without the id of a lease that holds (412
 * `LeaseIdMissing`), another id (`LeaseIdMismatchWith…Operation`), an id where no lease is
 * (`LeaseNotPresentWith…Operation`) or of a lease that has lapsed (`LeaseLost`).
 */
export function assertLease(leased: Leased, request: StorageRequest, use: LeaseUse): void {
  const { lease } = leased
  // Some clients send the header with nothing in it where they have no id.
  const id = request.headers[use.header ?? 'x-ms-lease-id'] || undefined
  const held = isHeld(leaseState(lease, use.nowMs))
  if (id === undefined) {
    if (held && use.use === 'write') throw leaseError('LeaseIdMissing', use.on)
    return
  }
  if (parseLeaseId(id) === undefined) throw invalidLeaseHeader(use.header ?? 'x-ms-lease-id', id)
  if (lease === undefined) throw leaseError('LeaseNotPresentWithBlobOperation', use.on)
  if (!sameId(lease.id, id)) throw leaseError('LeaseIdMismatchWithBlobOperation', use.on)
  if (!held) throw leaseError('LeaseLost', use.on)
}

/** The lease that a write leaves: one that holds stays, one that has lapsed is forgotten. */
export function leaseAfterWrite(lease: Lease | undefined, nowMs: number): Lease | undefined {
  return isHeld(leaseState(lease, nowMs)) ? lease : undefined
}

/**
 * The lease after a lease verb; `undefined` once released. Throws 409 with Azure's codes when the
 * state does not allow the action.
 */
export function applyLease(
  lease: Lease | undefined,
  request: LeaseRequest,
  nowMs: number,
): Lease | undefined {
  switch (request.action) {
    case 'acquire':
      return acquireLease(lease, request, nowMs)
    case 'renew':
      return renewLease(requireId(lease, request.id), nowMs)
    case 'change':
      return changeLease(present(lease), request, nowMs)
    case 'release':
      requireId(lease, request.id)
      return undefined
    case 'break':
      return breakLease(present(lease), request.periodSeconds, nowMs)
  }
}

/** Whole seconds until a broken lease lets go: `x-ms-lease-time`. */
export function leaseTimeSeconds(lease: Lease | undefined, nowMs: number): number {
  return Math.max(0, Math.ceil(((lease?.breaksAtMs ?? nowMs) - nowMs) / 1000))
}

/** A lease id in its usual form, lower case; `undefined` when it is no GUID. */
export function parseLeaseId(text: string): string | undefined {
  const digits = text
    .replace(/^[{(]|[)}]$/gu, '')
    .replaceAll('-', '')
    .toLowerCase()
  if (!/^[0-9a-f]{32}$/u.test(digits)) return undefined
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/u, '$1-$2-$3-$4-$5')
}

/** Refusal of a lease header that cannot be read. */
export function invalidLeaseHeader(name: string, value: string): StorageError {
  return new StorageError(
    400,
    'InvalidHeaderValue',
    'The value for one of the HTTP headers is not in the correct format.',
    { details: { HeaderName: name, HeaderValue: value } },
  )
}

function acquireLease(
  lease: Lease | undefined,
  request: Extract<LeaseRequest, { action: 'acquire' }>,
  nowMs: number,
): Lease {
  const state = leaseState(lease, nowMs)
  const { proposedId, durationSeconds } = request
  const again = lease !== undefined && proposedId !== undefined && sameId(lease.id, proposedId)
  if (state === 'breaking' && again) throw leaseError('LeaseIsBreakingAndCannotBeAcquired')
  if (isHeld(state) && !again) throw leaseError('LeaseAlreadyPresent')
  return { id: proposedId ?? randomUUID(), durationSeconds, sinceMs: nowMs }
}

function renewLease(lease: Lease, nowMs: number): Lease {
  if (lease.breaksAtMs !== undefined) throw leaseError('LeaseIsBrokenAndCannotBeRenewed')
  return { ...lease, sinceMs: nowMs }
}

function changeLease(
  lease: Lease,
  request: Extract<LeaseRequest, { action: 'change' }>,
  nowMs: number,
): Lease {
  const state = leaseState(lease, nowMs)
  if (!isHeld(state)) throw leaseError('LeaseNotPresentWithLeaseOperation')
  if (!sameId(lease.id, request.proposedId)) requireId(lease, request.id)
  if (state === 'breaking') throw leaseError('LeaseIsBreakingAndCannotBeChanged')
  return { ...lease, id: request.proposedId }
}

function breakLease(lease: Lease, periodSeconds: number | undefined, nowMs: number): Lease {
  if (!isHeld(leaseState(lease, nowMs))) return { ...lease, breaksAtMs: lease.breaksAtMs ?? nowMs }
  const fixed = lease.durationSeconds
  const expiresMs = fixed === undefined ? undefined : lease.sinceMs + fixed * 1000
  // An infinite lease without a period breaks at once, a fixed one when it would have expired.
  const restMs = lease.breaksAtMs ?? expiresMs ?? (periodSeconds === undefined ? nowMs : Infinity)
  const askedMs = periodSeconds === undefined ? Infinity : nowMs + periodSeconds * 1000
  return { ...lease, breaksAtMs: Math.min(restMs, askedMs) }
}

function present(lease: Lease | undefined): Lease {
  if (lease === undefined) throw leaseError('LeaseNotPresentWithLeaseOperation')
  return lease
}

function requireId(lease: Lease | undefined, id: string): Lease {
  if (lease !== undefined && sameId(lease.id, id)) return lease
  throw leaseError('LeaseIdMismatchWithLeaseOperation')
}

function sameId(one: string, other: string): boolean {
  return parseLeaseId(one) === parseLeaseId(other)
}

function isHeld(state: LeaseState): boolean {
  return state === 'leased' || state === 'breaking'
}

const refusals = {
  LeaseAlreadyPresent: [409, 'There is already a lease present.'],
  LeaseIdMissing: [
    412,
    'There is currently a lease on the resource and no lease ID was specified in the request.',
  ],
  LeaseIdMismatchWithBlobOperation: [
    412,
    'The lease ID specified did not match the lease ID for the resource.',
  ],
  LeaseIdMismatchWithLeaseOperation: [
    409,
    'The lease ID specified did not match the lease ID for the resource with the specified lease operation.',
  ],
  LeaseIsBreakingAndCannotBeAcquired: [
    409,
    'The lease ID matched, but the lease is currently in breaking state and cannot be acquired until it is broken.',
  ],
  LeaseIsBreakingAndCannotBeChanged: [
    409,
    'The lease ID matched, but the lease is currently in breaking state and cannot be changed.',
  ],
  LeaseIsBrokenAndCannotBeRenewed: [
    409,
    'The lease ID matched, but the lease has been broken explicitly and cannot be renewed.',
  ],
  LeaseLost: [412, 'A lease ID was specified, but the lease for the resource has expired.'],
  LeaseNotPresentWithBlobOperation: [412, 'There is currently no lease on the resource.'],
  LeaseNotPresentWithLeaseOperation: [409, 'There is currently no lease on the resource.'],
} as const

function leaseError(code: keyof typeof refusals, on: 'blob' | 'container' = 'blob'): StorageError {
  const [status, message] = refusals[code]
  return new StorageError(
    status,
    on === 'container' ? code.replace('WithBlobOperation', 'WithContainerOperation') : code,
    message,
  )
}
