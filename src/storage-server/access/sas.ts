import type { StorageAccount } from '../model/account.ts'
import type { AccessPolicy } from '../model/container.ts'
import type { StorageRequest } from '../wire/request.ts'
import type { DelegationKeys, KeyFields } from './delegation-key.ts'
import { isSignedBy, type Signer } from './hmac.ts'
import {
  authenticationFailed,
  keyAuthenticationNotPermitted,
  protocolMismatch,
  signatureMismatch,
  sourceAddressMismatch,
} from './refusal.ts'
import { sasStringToSign } from './sas-string-to-sign.ts'
import { parseSas, parseSasTime, type SasToken } from './sas-token.ts'

/*
 * Verifying a shared access signature: the signature first, so that nobody learns anything from
 * fields they made up; then its stored policy, times, protocol and address.
 */

/** What signatures are computed with. */
export interface SasSigners {
  readonly keys: DelegationKeys
  readonly signer: Signer
}

/** Verifies the signature in the query; throws `StorageError` 403. */
export function verifySas(
  request: StorageRequest,
  account: StorageAccount,
  { keys, signer }: SasSigners,
): SasToken {
  const sas = parseSas(request)
  checkSignature(sas, request, { account, keys, signer })
  const effective = sas.kind === 'service' ? withPolicy(sas, request, account) : sas
  checkTimes(effective, request, account.nowMs())
  checkPlace(effective, request)
  return effective
}

interface Signers extends SasSigners {
  readonly account: StorageAccount
}

function checkSignature(sas: SasToken, request: StorageRequest, signers: Signers): void {
  const text = sasStringToSign(sas, request)
  const keys = signingKeys(sas, request, signers)
  if (!isSignedBy(keys, text, sas.signature, signers.signer)) {
    throw signatureMismatch(text)
  }
}

function signingKeys(
  sas: SasToken,
  request: StorageRequest,
  { account, keys }: Signers,
): readonly string[] {
  if (sas.kind === 'userDelegation') return [keys.valueOf(account, keyFields(sas, request))]
  if (!account.settings.allowSharedKey) throw keyAuthenticationNotPermitted()
  return account.settings.keys
}

function keyFields(sas: SasToken, request: StorageRequest): KeyFields {
  const field = (name: string): string => request.query.get(name) ?? ''
  if (sas.version < '2018-11-09') {
    throw authenticationFailed('sv is too old for a user delegation signature')
  }
  return {
    signedObjectId: field('skoid'),
    signedTenantId: field('sktid'),
    signedStart: field('skt'),
    signedExpiry: field('ske'),
    signedService: field('sks'),
    signedVersion: field('skv'),
    signedDelegatedUserTenantId: request.query.get('skdutid'),
  }
}

function withPolicy(sas: SasToken, request: StorageRequest, account: StorageAccount): SasToken {
  if (sas.policy === undefined || sas.policy === '') return sas
  const container = account.container(request.container ?? '')
  const policy = container?.properties.policies.get(sas.policy)
  if (policy === undefined) throw authenticationFailed('The stored access policy does not exist')
  return {
    ...sas,
    permissions: oneOf(sas.permissions, policy.permissions, 'sp'),
    startsMs: oneOf(sas.startsMs, policy.startsMs, 'st'),
    expiresMs: oneOf(sas.expiresMs, policy.expiresMs, 'se'),
  }
}

function oneOf<T extends AccessPolicy[keyof AccessPolicy]>(
  own: T | undefined,
  stored: T | undefined,
  name: string,
): T | undefined {
  if (own !== undefined && stored !== undefined) {
    throw authenticationFailed(`${name} is in the signature and in its stored access policy`)
  }
  return own ?? stored
}

function checkTimes(sas: SasToken, request: StorageRequest, nowMs: number): void {
  if (sas.permissions === undefined) throw authenticationFailed('sp is mandatory')
  if (sas.expiresMs === undefined) throw authenticationFailed('se is mandatory')
  checkWindow('Signature', { startMs: sas.startsMs, endMs: sas.expiresMs, nowMs })
  if (sas.kind !== 'userDelegation') return
  const [startMs, endMs] = ['skt', 'ske'].map((name) => parseSasTime(request.query.get(name) ?? ''))
  if (endMs === undefined) throw authenticationFailed('ske is not valid')
  checkWindow('Key', { startMs, endMs, nowMs })
}

interface TimeWindow {
  readonly startMs: number | undefined
  readonly endMs: number
  readonly nowMs: number
}

function checkWindow(what: string, { startMs, endMs, nowMs }: TimeWindow): void {
  if (nowMs >= (startMs ?? nowMs) && nowMs <= endMs) return
  const [start, end, current] = [startMs ?? nowMs, endMs, nowMs].map((ms) =>
    new Date(ms).toUTCString(),
  )
  throw authenticationFailed(
    `${what} not valid in the specified time frame: Start [${start}] - Expiry [${end}] - Current [${current}]`,
  )
}

function checkPlace(sas: SasToken, request: StorageRequest): void {
  // Without `spr` both protocols do.
  if (sas.protocol === 'https' && !request.secure) throw protocolMismatch()
  if (sas.addresses !== undefined && !isWithin(request.remoteAddress, sas.addresses)) {
    throw sourceAddressMismatch(request.remoteAddress)
  }
}

function isWithin(address: string, range: string): boolean {
  const [first = '', last = first, ...others] = range.split('-')
  const [low, high, own] = [first, last, address.replace(/^::ffff:/i, '')].map(numberOf)
  if (low === undefined || high === undefined || others.length > 0) {
    throw authenticationFailed('sip is not a valid address or range')
  }
  return own !== undefined && low <= own && own <= high
}

/** An IPv4 address as a number. */
function numberOf(address: string): number | undefined {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(address)?.slice(1).map(Number)
  if (parts === undefined || parts.some((part) => part > 255)) return undefined
  return parts.reduce((sum, part) => sum * 256 + part, 0)
}
