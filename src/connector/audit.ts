import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import { nextTurn } from '../clock.ts'
import type { Scope } from '../credential/credential.ts'
import type { CredentialKind, CredentialReach } from './protocol.ts'
import type { TokenTarget } from './token-target.ts'

/** What was decided on: credentials and tokens, sessions, and what administrators do. */
export type AuditAction =
  | 'audit.read'
  | 'blobs.list'
  | 'blobs.sign'
  | 'connectors.change'
  | 'connectors.read'
  | 'connectors.use'
  | 'connectors.verify'
  | 'credentials.issue'
  | 'keys.change'
  | 'keys.read'
  | 'policies.change'
  | 'policies.read'
  | 'resources.list'
  | 'sessions.introspect'
  | 'sessions.open'
  | 'sessions.refresh'
  | 'sessions.revoke'
  | 'tokens.issue'

/** One decision. It holds no token and no signature. */
export interface AuditRecord {
  /** ISO 8601, UTC. */
  readonly time: string
  readonly auditId: string
  readonly action: AuditAction
  readonly decision: 'granted' | 'denied' | 'failed'
  /** The caller's name; absent when its proof was refused. */
  readonly caller?: string | undefined
  /** Where the request came from. */
  readonly peer?: string | undefined
  /** The connector whose identity issued; absent for the configuration's own. */
  readonly connector?: string | undefined
  /** The session that asked. */
  readonly session?: string | undefined
  /** What an administrator changed: `connector/NAME`, with its new revision. */
  readonly subject?: string | undefined
  readonly requested?: Scope | undefined
  readonly granted?: Scope | undefined
  /** The blobs that were signed. */
  readonly blobs?: readonly string[] | undefined
  /** What a token was asked for; it was granted whole or not at all. */
  readonly target?: TokenTarget | undefined
  readonly kind?: CredentialKind | undefined
  readonly reach?: CredentialReach | undefined
  readonly expiresAt?: string | undefined
  /** First 8 hexadecimal digits of the SHA-256 of what was given. */
  readonly fingerprint?: string | undefined
  readonly code?: string | undefined
  readonly reason?: string | undefined
  readonly detail?: string | undefined
  /** Why an upstream refused, in its own words. */
  readonly upstream?: string | undefined
  readonly upstreamIds?: readonly string[] | undefined
}

/** Where decisions are written. A credential leaves only after its record was written. */
export interface AuditLog {
  /** Rejects when the record could not be written. */
  write(record: AuditRecord): Promise<void>
  /** Waits for what is being written; never throws. */
  close(): Promise<void>
}

/**
 * Appends one JSON line per record to a file that its owner alone may read (created 0600). With
 * `sync` a record counts as written when the disk has it: it outlives the machine, not only this process.
 */
export async function openFileAudit(
  file: string,
  { sync = false }: { readonly sync?: boolean | undefined } = {},
): Promise<AuditLog> {
  const handle = await open(file, 'a', 0o600)
  return new FileAudit(handle, sync)
}

/** Writes one JSON line per record to a stream, which it does not close. */
export function streamAudit(stream: Writable): AuditLog {
  return {
    write: (record) =>
      new Promise((resolve, reject) => {
        stream.write(line(record), (error) => (error ? reject(error) : resolve()))
      }),
    close: async () => undefined,
  }
}

/** Writes each record to both; it is written when both have it. */
export function bothAudits(first: AuditLog, second: AuditLog): AuditLog {
  return {
    write: async (record) => void (await Promise.all([first.write(record), second.write(record)])),
    close: async () => void (await Promise.all([first.close(), second.close()])),
  }
}

/** What the log says of a secret: enough to recognise it, too little to use it. */
export function fingerprint(secret: string): string {
  return createHash('sha256').update(secret).digest('hex').slice(0, 8)
}

interface PendingLine {
  readonly text: string
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Lines that come while others are being written go out together: one system call for all. */
class FileAudit implements AuditLog {
  readonly #handle: FileHandle
  readonly #sync: boolean
  #pending: PendingLine[] = []
  #writing: Promise<void> | undefined
  /** Whether a write failed, perhaps within a line. */
  #torn = false

  constructor(handle: FileHandle, sync: boolean) {
    this.#handle = handle
    this.#sync = sync
  }

  write(record: AuditRecord): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ text: line(record), resolve, reject })
      this.#writing ??= this.#writeAll()
    })
  }

  async close(): Promise<void> {
    await this.#writing
    await this.#handle.close().catch(() => undefined)
  }

  async #writeAll(): Promise<void> {
    // Requests that arrived together are decided in the same turn: their lines are one batch.
    await nextTurn()
    while (this.#pending.length > 0) {
      const batch = this.#pending
      this.#pending = []
      await this.#writeBatch(batch)
    }
    this.#writing = undefined
  }

  /** Lines that failed do not stop the next from being tried, on a line of their own. */
  async #writeBatch(batch: readonly PendingLine[]): Promise<void> {
    const text = batch.map((each) => each.text).join('')
    try {
      await this.#handle.appendFile(this.#torn ? `\n${text}` : text)
      if (this.#sync) await this.#handle.datasync()
      this.#torn = false
      for (const { resolve } of batch) resolve()
    } catch (error) {
      this.#torn = true
      for (const { reject } of batch) reject(error)
    }
  }
}

function line(record: AuditRecord): string {
  return `${JSON.stringify(record)}\n`
}
