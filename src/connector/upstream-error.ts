import { ConnectorError } from './connector-error.ts'

/**
 * What the client is told when Entra refuses or does not answer the connector. The answer names
 * the AADSTS code alone; Entra's own text stays in the cause, for the connector's log.
 */
export function identityError(cause: unknown): ConnectorError {
  if (cause instanceof ConnectorError) return cause
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

/** What the client is told when the storage account gives no user delegation key. */
export function storageError(cause: unknown, account: string): ConnectorError {
  const { statusCode, code } = restFields(cause)
  if (statusCode === undefined && isIdentityError(cause)) return identityError(cause)
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

/** The two fields that a RestError of the Azure SDK has. */
function restFields(cause: unknown): { statusCode?: number; code?: string } {
  if (!(cause instanceof Error)) return {}
  const { statusCode, code } = cause as { statusCode?: unknown; code?: unknown }
  return {
    ...(typeof statusCode === 'number' ? { statusCode } : {}),
    ...(typeof code === 'string' ? { code } : {}),
  }
}
