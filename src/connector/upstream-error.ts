import { ConnectorError } from './connector-error.ts'

/**
 * What the client is told when Entra refuses or does not answer the connector. The answer names
 * the AADSTS code alone; Entra's own text stays in the cause, for the connector's log.
 */
export function identityError(cause: unknown): ConnectorError {
  if (cause instanceof ConnectorError) return cause
  const tenant = /not configured to acquire tokens for tenant ([\w.-]+?)\.?(\s|$)/.exec(
    textOf(cause),
  )
  if (tenant !== null) return otherTenant(`the account is of tenant ${tenant[1]}`, cause)
  const code = /AADSTS\d+/.exec(textOf(cause))?.[0]
  if (code === undefined) {
    return new ConnectorError('temporarily_unavailable', 'identity_unavailable', {
      detail: "the connector's own identity gave no token",
      hint: 'operator: see the connector log; Entra or the managed identity does not answer',
      retryable: true,
      cause,
    })
  }
  const transient = TRANSIENT.has(code)
  return new ConnectorError('temporarily_unavailable', 'identity_refused', {
    detail: `Entra refused the connector's own identity (${code})`,
    hint: `operator: ${REMEDIES[code] ?? `look up ${code} and correct the identity section`}`,
    retryable: transient,
    cause,
  })
}

/**
 * What the client is told when the storage account gives no user delegation key; `nowMs` is the
 * connector's time. A refusal whose date is far from it is one of clocks.
 */
export function storageError(cause: unknown, account: string, nowMs: number): ConnectorError {
  const { statusCode, code, date } = restFields(cause)
  if (statusCode === undefined && isIdentityError(cause)) return identityError(cause)
  const isRefusal = statusCode !== undefined && statusCode >= 400 && statusCode <= 403
  const aheadMs = date === undefined ? 0 : nowMs - date
  if (isRefusal && Math.abs(aheadMs) >= maxSkewMs) return clocksDiffer(account, aheadMs, cause)
  if (statusCode === 401 && /\bissuer\b/i.test(textOf(cause))) {
    return otherTenant(`account '${account}' takes tokens of its own tenant`, cause)
  }
  if (statusCode === 403 && code === 'AuthorizationFailure') return walledOff(account, cause)
  if (statusCode === 403 || statusCode === 401) {
    return new ConnectorError('access_denied', 'delegator_missing', {
      detail: `account '${account}' refused the connector a user delegation key (${code ?? statusCode})`,
      hint: "operator: give the connector's identity the role Storage Blob Delegator on the account: az role assignment create --role 'Storage Blob Delegator' --assignee CLIENT_ID --scope ACCOUNT_ID",
      cause,
    })
  }
  return new ConnectorError('temporarily_unavailable', 'storage_unavailable', {
    detail: `account '${account}' gave the connector no user delegation key (${code ?? statusCode ?? 'no answer'})`,
    hint: "operator: check the account's name and blobEndpoint, and the network to it",
    retryable: statusCode === undefined || statusCode === 429 || statusCode >= 500,
    cause,
  })
}

/** Storage takes tokens and keys that are this far off; dates are whole seconds. Milliseconds. */
const maxSkewMs = 5 * 60_000

function clocksDiffer(account: string, aheadMs: number, cause: unknown): ConnectorError {
  const seconds = Math.round(Math.abs(aheadMs) / 1000)
  const direction = aheadMs > 0 ? 'ahead of' : 'behind'
  return new ConnectorError('access_denied', 'clock_skew', {
    status: 409,
    detail: `account '${account}' refused the connector, whose clock is ${seconds} s ${direction} Azure's`,
    hint: "operator: set the clock of the connector's machine",
    cause,
  })
}

/** A missing role is AuthorizationPermissionMismatch; this one is the account's network rules. */
function walledOff(account: string, cause: unknown): ConnectorError {
  return new ConnectorError('access_denied', 'network_denied', {
    detail: `the firewall of account '${account}' refused the connector (AuthorizationFailure)`,
    hint: "operator: allow the connector's network in the account's network rules, or use a private endpoint",
    cause,
  })
}

function otherTenant(what: string, cause: unknown): ConnectorError {
  return new ConnectorError('access_denied', 'tenant_mismatch', {
    detail: `${what}, and the connector's identity is of another`,
    hint: "operator: give the connector an identity of the account's tenant, or correct tenantId",
    cause,
  })
}

/** Refusals that pass by themselves. */
const TRANSIENT = new Set(['AADSTS50058', 'AADSTS50078', 'AADSTS90033', 'AADSTS50196'])

const REMEDIES: Record<string, string> = {
  AADSTS7000215: 'the client secret is wrong; write the right one to clientSecretFile',
  AADSTS7000222: 'the client secret has expired; create another and write it to clientSecretFile',
  AADSTS700016: 'the tenant has no such application; check clientId and tenantId',
  AADSTS90002: 'there is no such tenant; check tenantId',
  AADSTS900021: 'tenantId is not a tenant; check it',
  AADSTS700027: 'the certificate is not registered with the application',
  AADSTS700024: "the federated token has expired; check what renews it and this machine's clock",
  AADSTS700211: 'no federated credential fits the issuer of the federated token',
  AADSTS700213: 'no federated credential fits the subject of the federated token',
  AADSTS500011: 'the tenant does not know the resource; check account and cloud',
}

function isIdentityError(cause: unknown): boolean {
  const name = cause instanceof Error ? cause.name : ''
  return /Authentication|CredentialUnavailable/.test(name)
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : ''
}

interface RestFields {
  readonly statusCode?: number
  readonly code?: string
  /** When the service answered, milliseconds since the epoch. */
  readonly date?: number
}

/** What a RestError of the Azure SDK has. */
function restFields(cause: unknown): RestFields {
  if (!(cause instanceof Error)) return {}
  const { statusCode, code, response } = cause as {
    statusCode?: unknown
    code?: unknown
    response?: { headers?: { get?: (name: string) => string | undefined } }
  }
  const date = Date.parse(response?.headers?.get?.('date') ?? '')
  return {
    ...(Number.isNaN(date) ? {} : { date }),
    ...(typeof statusCode === 'number' ? { statusCode } : {}),
    ...(typeof code === 'string' ? { code } : {}),
  }
}
