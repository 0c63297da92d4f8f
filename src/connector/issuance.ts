import { randomUUID } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { Scope } from '../credential/credential.ts'
import { type AuditLog, type AuditRecord, fingerprint } from './audit.ts'
import { canonicalScope } from './canonical-scope.ts'
import { ConnectorError } from './connector-error.ts'
import type { Issued, Issuer } from './issuer.ts'
import { type Denial, decide, type Grant, type Policy, type Principal } from './policy.ts'
import type { CredentialAnswer, CredentialRequest } from './protocol.ts'

/** What an {@link Issuance} works with. */
export interface IssuanceOptions {
  readonly policy: Policy
  readonly issuer: Issuer
  readonly audit: AuditLog
  readonly clock: Clock
  /** The longest an issuer may take, milliseconds. Default 20 seconds. */
  readonly timeoutMs?: number
}

/** Who asks, and from where. */
export interface Caller {
  readonly principal: Principal
  /** An address, for the audit log. */
  readonly peer?: string | undefined
}

/**
 * Policy, issuer and audit log in their order: nothing is issued that policy did not grant, and
 * nothing leaves that the audit log did not take.
 */
export class Issuance {
  readonly #policy: Policy
  readonly #issuer: Issuer
  readonly #audit: AuditLog
  readonly #clock: Clock
  readonly #timeoutMs: number

  constructor(options: IssuanceOptions) {
    this.#policy = options.policy
    this.#issuer = options.issuer
    this.#audit = options.audit
    this.#clock = options.clock
    this.#timeoutMs = options.timeoutMs ?? 20_000
  }

  /** Rejects with a `ConnectorError` that names its audit record. */
  async answer(caller: Caller, request: CredentialRequest): Promise<CredentialAnswer> {
    const auditId = randomUUID()
    const entry = this.#entry(auditId, caller, request.scope)
    try {
      const grant = this.#decide(caller.principal, request)
      const issued = await this.#issue(grant, auditId, request.refresh === true)
      await this.#record({ ...entry, ...grantedFields(grant, issued) })
      const { credential, reach } = issued
      return { credential, reach, auditId, scope: grant.scope, principal: caller.principal.name }
    } catch (error) {
      throw await this.#refusal(entry, error)
    }
  }

  /** Writes down that a request was turned away before policy saw it. */
  async turnAway(error: ConnectorError, caller: Partial<Caller>): Promise<ConnectorError> {
    return this.#refusal(this.#entry(randomUUID(), caller), error)
  }

  #decide(principal: Principal, request: CredentialRequest): Grant {
    const scope = canonicalScope(request.scope)
    const outcome = decide(this.#policy, principal, { scope, kind: request.kind })
    if (outcome.decision === 'grant') return outcome
    throw denied(outcome)
  }

  async #issue(grant: Grant, auditId: string, refresh: boolean): Promise<Issued> {
    const issuing = new AbortController()
    const waiting = new AbortController()
    const late = this.#clock.sleep(this.#timeoutMs, waiting.signal).then(() => {
      const error = tooLate()
      issuing.abort(error)
      throw error
    })
    try {
      const issued = this.#issuer.issue(grant, { auditId, refresh, signal: issuing.signal })
      return await Promise.race([issued, late])
    } finally {
      late.catch(() => undefined)
      waiting.abort()
    }
  }

  async #record(record: AuditRecord): Promise<void> {
    try {
      await this.#audit.write(record)
    } catch (error) {
      throw unrecorded(error)
    }
  }

  async #refusal(entry: Entry, error: unknown): Promise<ConnectorError> {
    const refusal = error instanceof ConnectorError ? error : unexpected(error)
    const { code, reason, detail, cause } = refusal
    const decision = refusal.status >= 500 ? 'failed' : 'denied'
    const upstream = cause instanceof Error ? cause.message : undefined
    // When the log cannot be written the refusal stands anyway: nothing is given out.
    await this.#audit
      .write({ ...entry, decision, code, reason, detail, upstream })
      .catch(() => undefined)
    return refusal.withAuditId(entry.auditId)
  }

  #entry(auditId: string, caller: Partial<Caller>, requested?: Scope): Entry {
    return {
      time: this.#time(),
      auditId,
      action: 'credentials.issue',
      caller: caller.principal?.name,
      peer: caller.peer,
      requested,
    }
  }

  #time(): string {
    return new Date(this.#clock.nowMs()).toISOString()
  }
}

type Entry = Omit<AuditRecord, 'decision'>

function grantedFields(
  grant: Grant,
  issued: Issued,
): Pick<AuditRecord, 'decision'> & Partial<AuditRecord> {
  const { credential, reach, upstreamIds } = issued
  return {
    decision: 'granted',
    granted: grant.scope,
    kind: credential.kind,
    reach,
    expiresAt: new Date(credential.expiresAtMs).toISOString(),
    fingerprint: fingerprint(credential.kind === 'sas' ? credential.query : credential.token),
    upstreamIds,
  }
}

function denied(denial: Denial): ConnectorError {
  const { code, reason, detail, hint } = denial
  return new ConnectorError(code, reason, { detail, hint })
}

function tooLate(): ConnectorError {
  return new ConnectorError('temporarily_unavailable', 'identity_unavailable', {
    detail: 'neither Entra nor the storage account answered the connector in time',
    hint: "operator: check the network from the connector to Entra's authority and the account",
    retryable: true,
  })
}

/** A fault of the connector itself; its text is for the connector's log alone. */
function unexpected(cause: unknown): ConnectorError {
  return new ConnectorError('server_error', 'internal', {
    detail: 'the connector failed',
    hint: "operator: see the connector's audit log under this id",
    cause,
  })
}

function unrecorded(cause: unknown): ConnectorError {
  return new ConnectorError('server_error', 'audit_unavailable', {
    detail: 'the connector cannot write its audit log, so it gives nothing out',
    hint: 'operator: check the audit file and the disk it is on',
    retryable: true,
    cause,
  })
}
