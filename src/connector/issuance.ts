import { randomUUID } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import type { BearerCredential, Scope } from '../credential/credential.ts'
import { type AuditAction, type AuditLog, type AuditRecord, fingerprint } from './audit.ts'
import { canonicalScope } from './canonical-scope.ts'
import { ConnectorError } from './connector-error.ts'
import type { Issued, IssuedToken, IssueOptions, Issuer, SignedBlobs } from './issuer.ts'
import {
  directoryOfPrefix,
  type ListRequest,
  listPermissions,
  type SignRequest,
} from './mediation.ts'
import {
  type Denial,
  decide,
  type Grant,
  type Policy,
  type PolicyQuestion,
  type Principal,
} from './policy.ts'
import type { CredentialAnswer, CredentialRequest } from './protocol.ts'
import type { SessionBody } from './session/session.ts'
import { covers, coversTarget, type Session } from './session/sessions.ts'
import { decideToken, type TokenGrant } from './token-policy.ts'
import type { TokenTarget } from './token-target.ts'
import { spanned } from './tracing.ts'

/** What an {@link Issuance} works with. */
export interface IssuanceOptions {
  /** The rules, or what gives those that stand at the moment. */
  readonly policy: Policy | (() => Promise<Policy>)
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
  /** The thumbprint of the key that signed the request, where a proof of possession came with it. */
  readonly jkt?: string | undefined
  /** The session that asks: it gets what its connector gives, and no more than its grants. */
  readonly session?: Session | undefined
}

/**
 * Policy, issuer and audit log in their order: nothing is issued that policy did not grant, and
 * nothing leaves that the audit log did not take.
 */
export class Issuance {
  readonly #policy: () => Promise<Policy>
  readonly #issuer: Issuer
  readonly #audit: AuditLog
  readonly #clock: Clock
  readonly #timeoutMs: number

  constructor(options: IssuanceOptions) {
    const { policy } = options
    this.#policy = typeof policy === 'function' ? policy : async () => policy
    this.#issuer = options.issuer
    this.#audit = options.audit
    this.#clock = options.clock
    this.#timeoutMs = options.timeoutMs ?? 20_000
  }

  /** Rejects with a `ConnectorError` that names its audit record. */
  async answer(caller: Caller, request: CredentialRequest): Promise<CredentialAnswer> {
    const auditId = randomUUID()
    const entry = { ...this.#entry('credentials.issue', auditId, caller), requested: request.scope }
    try {
      const grant = await this.#decide(caller, request)
      const issued = await spanned('issue', () => this.#issue(grant, auditId, request))
      await this.#record({ ...entry, ...grantedFields(grant, issued) })
      const { credential, reach } = issued
      return { credential, reach, auditId, scope: grant.scope, principal: caller.principal.name }
    } catch (error) {
      throw await this.#refusal(entry, error)
    }
  }

  /** Rejects unless policy grants all that a session is for, of its connector; issues nothing. */
  async check(
    principal: Principal,
    { grants, targets, connector }: Pick<SessionBody, 'connector' | 'grants' | 'targets'>,
  ): Promise<void> {
    const policy = await this.#policy()
    const outcomes = [
      ...grants.map((scope) => decideForSession(policy, principal, { scope, connector })),
      ...targets.map((each) => decideToken(policy.tokens ?? [], principal, each, connector)),
    ]
    for (const outcome of outcomes) if (outcome.decision === 'denial') throw denied(outcome)
  }

  /** Writes down what was decided on a session. Rejects when the log cannot be written. */
  async note(caller: Caller, action: AuditAction, session: string): Promise<void> {
    const entry = this.#entry(action, randomUUID(), caller)
    await this.#record({ ...entry, session, decision: 'granted' })
  }

  /** A token for what is no storage. Rejects with a `ConnectorError` that names its audit record. */
  async answerToken(
    caller: Caller,
    target: TokenTarget,
    claims?: string,
  ): Promise<BearerCredential> {
    const auditId = randomUUID()
    const entry = { ...this.#entry('tokens.issue', auditId, caller), target }
    try {
      const { principal, session } = caller
      if (session !== undefined && !coversTarget(session, target)) throw outsideSession()
      const { tokens = [] } = await this.#policy()
      const outcome = decideToken(tokens, principal, target, session?.body.connector)
      if (outcome.decision === 'denial') throw denied(outcome)
      const issued = await spanned('issue', () => this.#issueToken(outcome, { auditId, claims }))
      await this.#record({ ...entry, ...issuedFields(issued) })
      return issued.credential
    } catch (error) {
      throw await this.#refusal(entry, error)
    }
  }

  /**
   * Signs single blobs: all of them or none. Rejects with a `ConnectorError` that names its audit
   * record.
   */
  async sign(caller: Caller, request: SignRequest): Promise<SignedBlobs & { auditId: string }> {
    const auditId = randomUUID()
    const blobs = request.operations.map(({ name }) => name)
    const entry = { ...this.#entry('blobs.sign', auditId, caller), blobs }
    const { account, container, refresh = false } = request
    try {
      const grants = await Promise.all(
        request.operations.map(({ name, permissions }) =>
          this.#decideMediated(caller, { account, container, prefix: name, permissions }),
        ),
      )
      const issuer = this.#issuer
      const signed = await this.#inTime(
        async (signal) => await issuer.signBlobs?.(grants, { auditId, refresh, signal }),
      )
      if (signed === undefined) throw storageAlone()
      const expiresAt = new Date(signed.expiresAtMs).toISOString()
      const { upstreamIds } = signed
      const written = { decision: 'granted', kind: 'sas', reach: 'blob', expiresAt } as const
      const fingerprints = signed.queries.map(fingerprint).join(',')
      await this.#record({ ...entry, ...written, upstreamIds, fingerprint: fingerprints })
      return { ...signed, auditId }
    } catch (error) {
      throw await this.#refusal(entry, error)
    }
  }

  /** One page of a list below a prefix, as the service sends it. Rejects as {@link sign} does. */
  async list(caller: Caller, request: ListRequest): Promise<string> {
    const { account, container, prefix } = request
    const permissions = listPermissions(request)
    const scope = { account, service: 'blob', container, permissions } as const
    const entry = {
      ...this.#entry('blobs.list', randomUUID(), caller),
      requested: { ...scope, prefix },
    }
    try {
      const place = { account, container, prefix: directoryOfPrefix(prefix) }
      const asked = { ...place, permissions }
      const { connector } = await this.#decideMediated(caller, asked)
      const { lister } = (await this.#issuer.lookupsFor?.(connector)) ?? {}
      if (lister === undefined) throw storageAlone()
      const page = await this.#inTime((signal) => lister.list(request, signal))
      await this.#record({ ...entry, decision: 'granted' })
      return page
    } catch (error) {
      throw await this.#refusal(entry, error)
    }
  }

  /** Writes down that a request was turned away before policy saw it. */
  async turnAway(
    error: unknown,
    caller: Partial<Caller>,
    action: AuditAction = 'credentials.issue',
    subject?: string,
  ): Promise<ConnectorError> {
    return this.#refusal({ ...this.#entry(action, randomUUID(), caller), subject }, error)
  }

  async #decide(caller: Caller, request: CredentialRequest): Promise<Grant> {
    const scope = canonicalScope(request.scope)
    const { principal, session } = caller
    if (session !== undefined && !covers(session, scope)) throw outsideSession()
    const connector = session?.body.connector
    const question = { scope, kind: request.kind, connector }
    const outcome = decide(await this.#policy(), principal, question)
    if (outcome.decision === 'grant') return outcome
    throw denied(outcome)
  }

  async #decideMediated(caller: Caller, place: Omit<Scope, 'service'>): Promise<Grant> {
    const scope = canonicalScope({ ...place, service: 'blob' })
    const { principal, session } = caller
    if (session !== undefined && !covers(session, scope)) throw outsideSession()
    const isList = scope.permissions.includes('list')
    const kind = isList ? undefined : ('sas' as const)
    const connector = session?.body.connector
    const question = { scope, kind, connector, mediated: true }
    const outcome = decide(await this.#policy(), principal, question)
    if (outcome.decision === 'grant') return outcome
    throw denied(outcome)
  }

  #issue(grant: Grant, auditId: string, request: CredentialRequest): Promise<Issued> {
    const { refresh = false, claims } = request
    return this.#inTime((signal) => this.#issuer.issue(grant, { auditId, refresh, claims, signal }))
  }

  async #issueToken(
    grant: TokenGrant,
    options: Pick<IssueOptions, 'auditId' | 'claims'>,
  ): Promise<IssuedToken> {
    const issuer = this.#issuer
    if (issuer.issueToken === undefined) throw storageAlone()
    const issued = await this.#inTime(
      async (signal) => await issuer.issueToken?.(grant, { ...options, signal }),
    )
    if (issued === undefined) throw storageAlone()
    const lifeMs = issued.credential.expiresAtMs - this.#clock.nowMs()
    if (lifeMs > (grant.maxTtlMs ?? Number.POSITIVE_INFINITY)) throw livesTooLong(lifeMs)
    return issued
  }

  async #inTime<T>(issue: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const issuing = new AbortController()
    const issued = issue(issuing.signal)
    const settled = issued.then(
      () => true,
      () => true,
    )
    // Most credentials come from memory: for them a timer would cost as much as the signature.
    const atOnce = await Promise.race([settled, setImmediate(false)])
    return atOnce ? issued : this.#beforeDeadline(issued, issuing)
  }

  async #beforeDeadline<T>(issued: Promise<T>, issuing: AbortController): Promise<T> {
    const waiting = new AbortController()
    const late = this.#clock.sleep(this.#timeoutMs, waiting.signal).then(() => {
      const error = tooLate()
      issuing.abort(error)
      throw error
    })
    try {
      return await Promise.race([issued, late])
    } finally {
      late.catch(() => undefined)
      waiting.abort()
    }
  }

  async #record(record: AuditRecord): Promise<void> {
    try {
      await spanned('audit', () => this.#audit.write(record))
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

  #entry(action: AuditAction, auditId: string, caller: Partial<Caller>): Entry {
    return {
      time: this.#time(),
      auditId,
      action,
      caller: caller.principal?.name,
      peer: caller.peer,
      session: caller.session?.id,
    }
  }

  #time(): string {
    return new Date(this.#clock.nowMs()).toISOString()
  }
}

type Entry = Omit<AuditRecord, 'decision'>

type GrantedFields = Pick<AuditRecord, 'decision'> & Partial<AuditRecord>

function grantedFields(grant: Grant, issued: Issued): GrantedFields {
  const { connector, scope } = grant
  return { connector, granted: scope, ...issuedFields(issued), upstreamIds: issued.upstreamIds }
}

function issuedFields({ credential, reach }: Issued | IssuedToken): GrantedFields {
  return {
    decision: 'granted',
    kind: credential.kind,
    reach,
    expiresAt: new Date(credential.expiresAtMs).toISOString(),
    fingerprint: fingerprint(credential.kind === 'sas' ? credential.query : credential.token),
  }
}

/** A session is for what the connector signs and lists itself, too. */
function decideForSession(
  policy: Policy,
  principal: Principal,
  question: PolicyQuestion,
): Grant | Denial {
  const outcome = decide(policy, principal, question)
  const isUnscopable = outcome.decision === 'denial' && outcome.reason === 'scope_unenforceable'
  if (!isUnscopable) return outcome
  const mediated = decide(policy, principal, { ...question, mediated: true })
  return mediated.decision === 'grant' ? mediated : outcome
}

function outsideSession(): ConnectorError {
  return new ConnectorError('access_denied', 'permission_not_granted', {
    detail: 'the session was not opened for this scope',
    hint: 'open another session with a grant that covers it',
  })
}

function storageAlone(): ConnectorError {
  return new ConnectorError('invalid_scope', 'unsupported_auth_for_resource', {
    detail: 'the identity of this connector issues credentials for storage alone',
    hint: 'ask for credentials of a storage account',
  })
}

function livesTooLong(lifeMs: number): ConnectorError {
  return new ConnectorError('access_denied', 'ttl_exceeds_policy', {
    detail: `the token lives ${Math.round(lifeMs / 1000)} s, longer than the policy allows`,
    hint: "operator: raise maxTtlSeconds of the rule in 'tokens', or leave it out",
  })
}

/** A denial as the wire tells it. */
export function denied(denial: Denial): ConnectorError {
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
