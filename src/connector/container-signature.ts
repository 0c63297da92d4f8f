import { strict as assert } from 'node:assert'
import { createHmac } from 'node:crypto'
import type { UserDelegationKey } from '@azure/storage-blob'
import type { Permission, Scope } from '../credential/credential.ts'
import { isContainerName } from './canonical-scope.ts'
import { type DelegationKey, STORAGE_VERSION } from './delegation-keys.ts'

/** The life and the log entry of a signature. */
export interface SignatureOptions {
  readonly startsAtMs: number
  readonly expiresAtMs: number
  /** A GUID that Azure writes into its logs; absent for an emulator, which cannot verify it. */
  readonly correlationId?: string | undefined
}

/**
 * Signs a container for a scope's permissions with a user delegation key: a query without `?`.
 * The library for blobs cannot: it refuses the letters of owners and access control lists.
 */
export function signContainer(scope: Scope, key: DelegationKey, options: SignatureOptions): string {
  const { account, container = '' } = scope
  assert(isContainerName(container) && scope.prefix === undefined, 'only containers are signed')
  assert(scope.permissions.length > 0, 'a signature allows something')
  const fields = fieldsOf(scope, key.key, options)
  assert(Date.parse(fields.se) <= options.expiresAtMs, 'the signature ends in time')
  const text = stringToSign(fields, `/blob/${account}/${container}`)
  const sig = createHmac('sha256', Buffer.from(key.key.value, 'base64'))
    .update(text, 'utf8')
    .digest('base64')
  return queryOf({ ...fields, sig })
}

/** The letters of a container signature, in the order in which Azure wants them. */
export function sasPermissions(permissions: readonly Permission[]): string {
  return [...'rcwdltmeop']
    .filter((letter) => permissions.some((p) => LETTERS[p] === letter))
    .join('')
}

/** `w` includes creating; `c` alone refuses to replace what exists. */
const LETTERS: Record<Permission, string> = {
  read: 'r',
  create: 'c',
  write: 'w',
  delete: 'd',
  list: 'l',
  tag: 't',
  move: 'm',
  execute: 'e',
  ownership: 'o',
  permissions: 'p',
}

/** The fields of the query, by their names there. */
interface SignedFields {
  readonly sv: string
  readonly spr: string
  readonly st: string
  readonly se: string
  readonly skoid: string
  readonly sktid: string
  readonly skt: string
  readonly ske: string
  readonly sks: string
  readonly skv: string
  readonly scid: string | undefined
  readonly sr: string
  readonly sp: string
}

function fieldsOf(scope: Scope, key: UserDelegationKey, options: SignatureOptions): SignedFields {
  return {
    sv: STORAGE_VERSION,
    spr: 'https',
    st: instant(options.startsAtMs),
    se: instant(options.expiresAtMs),
    skoid: key.signedObjectId,
    sktid: key.signedTenantId,
    skt: instant(key.signedStartsOn.getTime()),
    ske: instant(key.signedExpiresOn.getTime()),
    sks: key.signedService,
    skv: key.signedVersion,
    scid: options.correlationId,
    sr: 'c',
    sp: sasPermissions(scope.permissions),
  }
}

/**
 * "Create a user delegation SAS", versions 2020-12-06 to 2025-05-05. What is not used here is
 * signed as empty: who may hold it (`saoid`, `suoid`), addresses, snapshot, encryption scope and the
 * five response headers.
 */
function stringToSign(fields: SignedFields, resource: string): string {
  const { sp, st, se, skoid, sktid, skt, ske, sks, skv, scid, spr, sv, sr } = fields
  const key = [skoid, sktid, skt, ske, sks, skv]
  const holder = ['', '', scid ?? '', '']
  const content = ['', '', '', '', '', '', '']
  return [sp, st, se, resource, ...key, ...holder, spr, sv, sr, ...content].join('\n')
}

function queryOf(fields: SignedFields & { readonly sig: string }): string {
  return Object.entries(fields)
    .flatMap(([name, value]) => (value === undefined ? [] : `${name}=${encodeURIComponent(value)}`))
    .join('&')
}

/** Signatures carry whole seconds. */
function instant(timeMs: number): string {
  return new Date(timeMs).toISOString().replace(/\.\d{3}Z$/, 'Z')
}
