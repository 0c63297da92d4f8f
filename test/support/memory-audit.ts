import type { AuditLog, AuditRecord } from '../../src/connector/audit.ts'

/** An audit log that a test reads. */
export class MemoryAudit implements AuditLog {
  readonly records: AuditRecord[] = []
  /** Rejects every write with this when set. */
  failure: Error | undefined
  closed = false

  async write(record: AuditRecord): Promise<void> {
    if (this.failure !== undefined) throw this.failure
    this.records.push(record)
  }

  async close(): Promise<void> {
    this.closed = true
  }
}
