import { strict as assert } from 'node:assert'
import { createHmac } from 'node:crypto'
import type { UserDelegationKey } from '@azure/storage-blob'
import type { Scope } from '../credential/credential.ts'
import { isContainerName, prefixFault, segmentsOf } from './canonical-scope.ts'
import { type DelegationKey, STORAGE_VERSION } from './delegation-keys.ts'
import { sasPermissions } from './permission-letters.ts'
import { assertReach } from './signature-reach.ts'

/** The life and the log entry of a signature. */
export interface SignatureOptions {
  readonly startsAtMs: number
  readonly expiresAtMs: number
  /** A GUID that Azure writes into its logs; absent for an emulator, which cannot verify it. */
  readonly correlationId?: string | undefined
}

/**
 * Signs a scope with a user delegation key: a query without `?`. A scope with a prefix becomes a
 * directory's signature, which accounts with a hierarchical namespace alone understand; one without
 * becomes the container's; a prefix never becomes its container. With `blob` the prefix is the whole
 * name of one blob. What was made is read back before it is returned. The library for blobs cannot
 * do this: it knows no directories and refuses the letters of owners and access control lists.
 */
export function signScope(
  scope: Scope,
  key: DelegationKey,
  options: SignatureOptions & { readonly blob?: boolean | undefined },
): string {
  const { account, container = '', prefix } = scope
  assert(isContainerName(container), 'a signature is for a container or what lies in one')
  assert(scope.permissions.length > 0, 'a signature allows something')
  assert(prefix === undefined || prefixFault(prefix) === undefined, 'a signed path is canonical')
  assert(options.blob !== true || prefix !== undefined, 'a signed blob has a name')
  const fields = fieldsOf(scope, key.key, options)
  const path = prefix === undefined ? '' : `/${prefix}`
  const text = stringToSign(fields, `/blob/${account}/${container}${path}`)
  const sig = createHmac('sha256', Buffer.from(key.key.value, 'base64'))
    .update(text, 'utf8')
    .digest('base64')
  const query = queryOf({ ...fields, sig })
  assertReach(query, { scope, options, key })
  return query
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
  readonly sr: 'b' | 'c' | 'd'
  /** Segments of the directory. */
  readonly sdd: string | undefined
  readonly sp: string
}

function fieldsOf(
  scope: Scope,
  key: UserDelegationKey,
  options: SignatureOptions & { readonly blob?: boolean | undefined },
): SignedFields {
  const depth = segmentsOf(scope.prefix).length
  const resource = depth === 0 ? 'c' : 'd'
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
    sr: options.blob === true ? 'b' : resource,
    sdd: depth === 0 || options.blob === true ? undefined : String(depth),
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
