import { strict as assert } from 'node:assert'
import { createHmac, createSecretKey, type KeyObject } from 'node:crypto'
import { LRUCache } from 'lru-cache'
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
  const prepared = preparedKey(key)
  const fields = fieldsOf(scope, prepared, options)
  const path = prefix === undefined ? '' : `/${prefix}`
  const text = stringToSign(fields, `/blob/${account}/${container}${path}`)
  const sig = createHmac('sha256', prepared.secret).update(text, 'utf8').digest('base64')
  const query = queryOf({ ...fields, sig })
  assertReach(query, { scope, options, key })
  return query
}

/** What a key says of itself in every signature that it makes. */
interface KeyFields {
  readonly skoid: string
  readonly sktid: string
  readonly skt: string
  readonly ske: string
  readonly sks: string
  readonly skv: string
}

interface PreparedKey {
  readonly secret: KeyObject
  readonly fields: KeyFields
}

/** A key makes thousands of signatures: what they have in common is made once. */
const preparedKeys = new WeakMap<DelegationKey, PreparedKey>()

function preparedKey(delegation: DelegationKey): PreparedKey {
  const known = preparedKeys.get(delegation)
  if (known !== undefined) return known
  const { key } = delegation
  const prepared = {
    secret: createSecretKey(Buffer.from(key.value, 'base64')),
    fields: {
      skoid: key.signedObjectId,
      sktid: key.signedTenantId,
      skt: instant(key.signedStartsOn.getTime()),
      ske: instant(key.signedExpiresOn.getTime()),
      sks: key.signedService,
      skv: key.signedVersion,
    },
  }
  preparedKeys.set(delegation, prepared)
  return prepared
}

/** The fields of the query, by their names there. */
interface SignedFields extends KeyFields {
  readonly sv: string
  readonly spr: string
  readonly st: string
  readonly se: string
  readonly scid: string | undefined
  readonly sr: 'b' | 'c' | 'd'
  /** Segments of the directory. */
  readonly sdd: string | undefined
  readonly sp: string
}

function fieldsOf(
  scope: Scope,
  key: PreparedKey,
  options: SignatureOptions & { readonly blob?: boolean | undefined },
): SignedFields {
  const depth = segmentsOf(scope.prefix).length
  const resource = depth === 0 ? 'c' : 'd'
  return {
    sv: STORAGE_VERSION,
    spr: 'https',
    st: instant(options.startsAtMs),
    se: instant(options.expiresAtMs),
    ...key.fields,
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
  let query = ''
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue
    query += `${query === '' ? '' : '&'}${name}=${encodeURIComponent(value)}`
  }
  return query
}

/** Signatures of one second share their times. */
const instants = new LRUCache<number, string>({ max: 64 })

/** Signatures carry whole seconds. */
function instant(timeMs: number): string {
  const second = Math.floor(timeMs / 1000)
  const known = instants.get(second)
  if (known !== undefined) return known
  const text = new Date(second * 1000).toISOString().replace('.000Z', 'Z')
  instants.set(second, text)
  return text
}
