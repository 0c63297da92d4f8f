import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { Clock } from '../../clock.ts'
import type { AuditAction, AuditLog, AuditRecord } from '../audit.ts'
import { ConnectorError } from '../connector-error.ts'
import type { Caller } from '../issuance.ts'
import { etagOf, type StoredRecord } from '../model/record.ts'
import type { Registry } from '../registry/registry.ts'
import type { State } from '../state/state.ts'

/** What administrators' requests are answered from. */
export interface Administration {
  readonly registry: Registry
  /** Absent where the configuration file says everything. */
  readonly state?: State | undefined
  readonly audit: AuditLog
  readonly clock: Clock
}

/** What every object has on the wire. */
export interface RecordView {
  readonly id: string
  readonly revision: number
  /** For `If-Match`. */
  readonly etag: string
  readonly createdAt: string
  readonly updatedAt: string
  /** Whether it stands in the configuration file, where alone it can be changed. */
  readonly declared: boolean
}

/** The fields of a {@link RecordView}, for schemas of answers. */
export const recordFields: {
  readonly [K in keyof RecordView]: z.ZodType<RecordView[K]>
} = {
  id: z.string(),
  revision: z.number().int(),
  etag: z.string(),
  createdAt: z.string(),
  updatedAt: z.string(),
  declared: z.boolean(),
}

/** The path of one object, by id or name. */
export const idParams: z.ZodType<{ readonly id: string }> = z.strictObject({
  id: z.string().min(1).max(64),
})

/** What is said of every object. */
export function recordView(record: StoredRecord<unknown>): RecordView {
  const { id, revision, createdAtMs, updatedAtMs, declared } = record
  return {
    id,
    revision,
    etag: etagOf(record),
    createdAt: new Date(createdAtMs).toISOString(),
    updatedAt: new Date(updatedAtMs).toISOString(),
    declared,
  }
}

/** The headers of an answer that is one object. */
export function etagHeader(record: StoredRecord<unknown>): { readonly etag: string } {
  return { etag: etagOf(record) }
}

/** Throws `permission_not_granted` for callers who are no administrators. */
export function checkAdministrator({ principal }: Caller): void {
  if (principal.admin === true) return
  throw new ConnectorError('access_denied', 'permission_not_granted', {
    detail: `caller '${principal.name}' does not administer this connector`,
    hint: 'use the key of a caller with admin: true',
  })
}

/** The state there is; throws `conflict` where the file says everything. */
export function changeable({ state }: Administration): State {
  if (state !== undefined) return state
  throw new ConnectorError('invalid_request', 'conflict', {
    status: 409,
    detail: 'this connector is described by its configuration file alone',
    hint: "operator: change the file, or give it a 'state' in which the API can keep things",
  })
}

/** Throws `conflict` for an object of the configuration file. */
export function checkStored(kind: string, name: string, record?: StoredRecord<unknown>): void {
  if (record?.declared !== true) return
  throw new ConnectorError('invalid_request', 'conflict', {
    status: 409,
    detail: `the ${kind} '${name}' stands in the configuration file`,
    hint: 'operator: change it there',
  })
}

/** The revision that `If-Match` names; `undefined` where any will do. */
export function expectedRevision(ifMatch: string | undefined, id: string): number | undefined {
  if (ifMatch === undefined || ifMatch === '*') return undefined
  const [, tagged, revision] = /^"([0-9a-f-]{36})\.(\d+)"$/.exec(ifMatch) ?? []
  // A tag of another object fits no revision of this one.
  return tagged === id ? Number(revision) : 0
}

/** Does what was asked, and answers only when the audit log has taken it. */
export async function recorded<T>(
  desk: Administration,
  caller: Caller,
  action: AuditAction,
  work: () => Promise<{ readonly result: T; readonly subject: string }>,
): Promise<T> {
  checkAdministrator(caller)
  const { result, subject } = await work()
  desk.registry.invalidate()
  const record: AuditRecord = {
    time: new Date(desk.clock.nowMs()).toISOString(),
    auditId: randomUUID(),
    action,
    decision: 'granted',
    caller: caller.principal.name,
    peer: caller.peer,
    subject,
  }
  try {
    await desk.audit.write(record)
  } catch (cause) {
    throw unrecorded(cause)
  }
  return result
}

function unrecorded(cause: unknown): ConnectorError {
  return new ConnectorError('server_error', 'audit_unavailable', {
    detail: 'it was done, but the connector cannot write its audit log',
    hint: 'operator: check the audit log and the disk or database it is on',
    cause,
  })
}
