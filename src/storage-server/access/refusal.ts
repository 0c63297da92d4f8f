import { StorageError } from '../wire/storage-error.ts'

/*
 * What Azure answers to those who may not. Details help a person find the mistake; they hold no
 * signature: `sig` values in headers that were signed are cut out.
 */

const authenticationFailedMessage =
  'Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature.'
const seeChallengeMessage =
  'Server failed to authenticate the request. Please refer to the information in the www-authenticate header.'
const notAuthorized = 'This request is not authorized to perform this operation'

/** 403: the signature, its times or its form are wrong. */
export function authenticationFailed(detail: string): StorageError {
  return new StorageError(403, 'AuthenticationFailed', authenticationFailedMessage, {
    details: { AuthenticationErrorDetail: detail },
  })
}

/** 403: signed, but not with this account's key; shows what the server signed. */
export function signatureMismatch(stringToSign: string): StorageError {
  const shown = withoutSecrets(stringToSign)
  return authenticationFailed(
    `Signature did not match. String to sign used was ${JSON.stringify(shown)}`,
  )
}

/** 400: `Authorization` cannot be read. */
export function authenticationMalformed(detail: string): StorageError {
  return new StorageError(
    400,
    'InvalidAuthenticationInfo',
    'Authentication information is not given in the correct format. Check the value of Authorization header.',
    { details: { AuthenticationErrorDetail: detail } },
  )
}

/** 401: the token is not good enough; `challenge` says what is. */
export function tokenRefused(detail: string, challenge: string, cause?: unknown): StorageError {
  return new StorageError(401, 'InvalidAuthenticationInfo', seeChallengeMessage, {
    cause,
    headers: { 'www-authenticate': challenge },
    details: { AuthenticationErrorDetail: detail },
  })
}

/** 401: no credential was sent where one is wanted. */
export function credentialMissing(challenge: string | undefined): StorageError {
  return new StorageError(401, 'NoAuthenticationInformation', seeChallengeMessage, {
    headers: challenge === undefined ? {} : { 'www-authenticate': challenge },
  })
}

/** 409: the container is public, the account forbids that. */
export function publicAccessNotPermitted(): StorageError {
  return new StorageError(
    409,
    'PublicAccessNotPermitted',
    'Public access is not permitted on this storage account.',
  )
}

/** 404: what API versions without challenges answer to those without a credential. */
export function anonymousNotFound(): StorageError {
  return new StorageError(404, 'ResourceNotFound', 'The specified resource does not exist.')
}

/** 403: the account takes tokens only. */
export function keyAuthenticationNotPermitted(): StorageError {
  return new StorageError(
    403,
    'KeyBasedAuthenticationNotPermitted',
    'Key based authentication is not permitted on this storage account.',
  )
}

/** 403: known, but without the permission. */
export function permissionMismatch(): StorageError {
  return mismatch('AuthorizationPermissionMismatch', 'permission')
}

/** 403: the signature holds for https. */
export function protocolMismatch(): StorageError {
  return mismatch('AuthorizationProtocolMismatch', 'protocol')
}

/** 403: the signature holds for other addresses. */
export function sourceAddressMismatch(address: string): StorageError {
  return mismatch('AuthorizationSourceIPMismatch', `source IP ${address}`)
}

/** 403: the account SAS holds for other services. */
export function serviceMismatch(): StorageError {
  return mismatch('AuthorizationServiceMismatch', 'service')
}

/** 403: the account SAS holds for other kinds of resources. */
export function resourceTypeMismatch(): StorageError {
  return mismatch('AuthorizationResourceTypeMismatch', 'resource type')
}

/** 403: no signature of this kind can grant this. */
export function authorizationFailure(): StorageError {
  return new StorageError(403, 'AuthorizationFailure', `${notAuthorized}.`)
}

/** The text with the values of `sig` and of secret headers cut out. */
export function withoutSecrets(text: string): string {
  return text
    .replace(/\bsig=[^&\s]*/gi, 'sig=REDACTED')
    .replace(
      /^(x-ms-(?:(?:source-)?encryption-key|copy-source-authorization)):.*$/gim,
      '$1:REDACTED',
    )
}

function mismatch(code: string, what: string): StorageError {
  return new StorageError(403, code, `${notAuthorized} using this ${what}.`)
}
