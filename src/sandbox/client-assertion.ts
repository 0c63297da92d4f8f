import { createHash, X509Certificate } from 'node:crypto'
import {
  decodeJwt,
  decodeProtectedHeader,
  errors,
  importX509,
  type JWTPayload,
  type JWTVerifyOptions,
  jwtVerify,
  type ProtectedHeaderParameters,
} from 'jose'
import {
  assertionAudienceInvalid,
  assertionOfAnotherClient,
  assertionOutOfTime,
  assertionSignatureInvalid,
  federatedIdentityNotFound,
} from './entra-refusal.ts'
import type { JwtSigner } from './token-issuer.ts'

/** What a federated credential of an application trusts. */
export interface FederatedTrust {
  readonly issuer: string
  readonly subject: string
  readonly audience: string
  /** Knows the issuer's public key. */
  readonly signer: JwtSigner
}

/** What the assertions of one application are checked against. */
export interface AssertionRules {
  readonly clientId: string
  readonly certificatePem: string
  /** Values of `aud` that mean this authority. */
  readonly audiences: readonly string[]
  readonly federation: FederatedTrust
  readonly nowMs: number
}

const clockToleranceSeconds = 300

/**
 * Accepts an assertion signed with the registered certificate, or one of the trusted issuer; throws
 * an `EntraRefusal` for any other. Which of the two is meant follows from the issuer.
 */
export async function checkClientAssertion(
  assertion: string,
  rules: AssertionRules,
): Promise<void> {
  const { header, claims } = decode(assertion)
  const namesCertificate = header.x5t !== undefined || header['x5t#S256'] !== undefined
  if (claims.iss === rules.clientId || namesCertificate) {
    await checkCertificateAssertion(assertion, rules)
  } else {
    await checkFederatedAssertion(assertion, claims, rules)
  }
}

async function checkCertificateAssertion(assertion: string, rules: AssertionRules): Promise<void> {
  const { header, claims } = decode(assertion)
  checkThumbprint(header, rules.certificatePem)
  const key = await importX509(rules.certificatePem, header.alg ?? 'RS256')
  await verify(assertion, key, { ...timing(rules), algorithms: ['RS256', 'PS256'] })
  if (claims.iss !== rules.clientId || claims.sub !== rules.clientId) {
    throw assertionOfAnotherClient(rules.clientId)
  }
  const audience = audienceOf(claims)
  if (!rules.audiences.includes(audience)) throw assertionAudienceInvalid(audience)
}

async function checkFederatedAssertion(
  assertion: string,
  claims: JWTPayload,
  rules: AssertionRules,
): Promise<void> {
  const { federation } = rules
  if (claims.iss !== federation.issuer) {
    throw federatedIdentityNotFound('issuer', claims.iss ?? '')
  }
  await verify(assertion, federation.signer.publicKey, { ...timing(rules), algorithms: ['RS256'] })
  if (claims.sub !== federation.subject) {
    throw federatedIdentityNotFound('subject', claims.sub ?? '')
  }
  const audience = audienceOf(claims)
  if (audience !== federation.audience) throw federatedIdentityNotFound('audience', audience)
}

type VerificationKey = Parameters<typeof jwtVerify>[1]

async function verify(
  assertion: string,
  key: VerificationKey,
  options: JWTVerifyOptions,
): Promise<void> {
  try {
    await jwtVerify(assertion, key, options)
  } catch (error) {
    if (error instanceof errors.JWTExpired) throw assertionOutOfTime('It is expired.')
    if (error instanceof errors.JWTClaimValidationFailed) throw assertionOutOfTime(error.message)
    throw assertionSignatureInvalid(error instanceof Error ? error.message : String(error))
  }
}

function decode(assertion: string): { header: ProtectedHeaderParameters; claims: JWTPayload } {
  try {
    return { header: decodeProtectedHeader(assertion), claims: decodeJwt(assertion) }
  } catch (error) {
    throw assertionSignatureInvalid(error instanceof Error ? error.message : String(error))
  }
}

function timing(rules: AssertionRules): JWTVerifyOptions {
  return {
    currentDate: new Date(rules.nowMs),
    clockTolerance: clockToleranceSeconds,
    requiredClaims: ['exp'],
  }
}

function checkThumbprint(header: ProtectedHeaderParameters, certificatePem: string): void {
  const { raw } = new X509Certificate(certificatePem)
  // Python's MSAL pads its base64url; Entra takes both.
  const named = (header['x5t#S256'] ?? header.x5t)?.toString().replace(/=+$/, '')
  const algorithm = header['x5t#S256'] === undefined ? 'sha1' : 'sha256'
  const registered = createHash(algorithm).update(raw).digest('base64url')
  if (named !== registered) {
    throw assertionSignatureInvalid(
      `The certificate with identifier used to sign the client assertion is not registered on application: thumbprint ${String(named)}.`,
    )
  }
}

function audienceOf(claims: JWTPayload): string {
  return [claims.aud ?? []].flat().join(' ')
}
