import { type ChallengeRules, claimsChallenge } from '../access/challenge.ts'
import { StorageError } from '../wire/storage-error.ts'
import type { FaultEffect } from './fault-rule.ts'

const usualCodes: Readonly<Record<number, readonly [code: string, message: string]>> = {
  401: ['InvalidAuthenticationInfo', 'Server failed to authenticate the request.'],
  403: [
    'AuthorizationPermissionMismatch',
    'This request is not authorized to perform this operation using this permission.',
  ],
  404: ['ResourceNotFound', 'The specified resource does not exist.'],
  409: ['OperationNotAllowedInCurrentState', 'The operation is not allowed in the current state.'],
  412: ['ConditionNotMet', 'The condition specified using HTTP conditional header(s) is not met.'],
  429: ['TooManyRequests', 'Too many requests. Please retry after some time.'],
  500: ['InternalError', 'The server encountered an internal error. Please retry the request.'],
  503: ['ServerBusy', 'The server is currently unable to receive requests. Please retry.'],
}

/** The refusal that a fault of kind `status` makes. */
export function faultAnswer(
  effect: FaultEffect & { readonly kind: 'status' },
  challenge: ChallengeRules,
): StorageError {
  const { status, retryAfterSeconds, claims } = effect
  const [code, message] = usualCodes[status] ?? ['InternalError', 'A fault on command.']
  const headers: Record<string, string> = {}
  if (retryAfterSeconds !== undefined) headers['retry-after'] = String(retryAfterSeconds)
  if (claims !== undefined) headers['www-authenticate'] = claimsChallenge(challenge, claims)
  return new StorageError(status, effect.code ?? code, message, { headers })
}
