import { createHmac } from 'node:crypto'
import type { UserDelegationKey } from '@azure/storage-blob'
import type { Permission } from '../credential/credential.ts'
import type { TextSigner } from '../credential/text-signer.ts'
import type { SignRequest } from './administration.ts'
import { apiVersion } from './azure-request.ts'

/** Letters in the order in which Azure wants them. */
const letters: readonly (readonly [Permission, string])[] = [
  ['read', 'r'],
  ['create', 'c'],
  ['write', 'w'],
  ['delete', 'd'],
  ['list', 'l'],
  ['tag', 't'],
  ['move', 'm'],
  ['execute', 'e'],
  ['ownership', 'o'],
  ['permissions', 'p'],
]

/** What signs: the account's key, or one that Entra's bearer was lent. */
export type SigningKey =
  | { readonly kind: 'account'; readonly signer: TextSigner }
  | { readonly kind: 'delegation'; readonly key: UserDelegationKey }

/**
 * The query of a service or user delegation signature, without `?`: "Create a service SAS" and
 * "Create a user delegation SAS" of Azure's REST reference, as of version 2025-05-05. The Azure SDK
 * for blobs signs no directories.
 */
export function signatureQuery(account: string, request: SignRequest, key: SigningKey): string {
  const resource = resourceOf(account, request)
  const fields = { ...fieldsOf(request), ...delegationFields(key) }
  const sig =
    key.kind === 'account'
      ? key.signer.signText(serviceText(fields, resource))
      : hmac(key.key.value, delegationText(fields, resource))
  return new URLSearchParams(Object.entries({ ...fields, sig })).toString().replaceAll('+', '%20')
}

type Fields = Readonly<Record<string, string>>

function fieldsOf(request: SignRequest): Fields {
  const { path, directory, ip, contentDisposition, contentType } = request
  const depth = path.name.split('/').length
  return {
    sv: apiVersion,
    st: instant(request.startsAtMs),
    se: instant(request.expiresAtMs),
    sp: lettersOf(request.permissions),
    sr: path.name === '' ? 'c' : directory === true ? 'd' : 'b',
    spr: request.allowHttp === true ? 'https,http' : 'https',
    ...(directory === true && path.name !== '' ? { sdd: String(depth) } : {}),
    ...(ip === undefined ? {} : { sip: ip }),
    ...(contentDisposition === undefined ? {} : { rscd: contentDisposition }),
    ...(contentType === undefined ? {} : { rsct: contentType }),
  }
}

function delegationFields(key: SigningKey): Fields {
  if (key.kind === 'account') return {}
  const { signedObjectId, signedTenantId, signedService, signedVersion } = key.key
  return {
    skoid: signedObjectId,
    sktid: signedTenantId,
    skt: instant(key.key.signedStartsOn.getTime()),
    ske: instant(key.key.signedExpiresOn.getTime()),
    sks: signedService,
    skv: signedVersion,
  }
}

function serviceText(fields: Fields, resource: string): string {
  const named = ['si', 'sip', 'spr', 'sv', 'sr', ...content]
  return lines(fields, ['sp', 'st', 'se'], resource, named)
}

function delegationText(fields: Fields, resource: string): string {
  const key = ['skoid', 'sktid', 'skt', 'ske', 'sks', 'skv', 'saoid', 'suoid', 'scid']
  const named = [...key, 'sip', 'spr', 'sv', 'sr', ...content]
  return lines(fields, ['sp', 'st', 'se'], resource, named)
}

/** Snapshot, encryption scope and the headers of answers. */
const content = ['snapshot', 'ses', 'rscc', 'rscd', 'rsce', 'rscl', 'rsct']

function lines(
  fields: Fields,
  before: readonly string[],
  resource: string,
  after: readonly string[],
): string {
  const value = (name: string) => fields[name] ?? ''
  return [...before.map(value), resource, ...after.map(value)].join('\n')
}

function resourceOf(account: string, { path }: SignRequest): string {
  const name = path.name === '' ? '' : `/${path.name}`
  return `/blob/${account}/${path.container}${name}`
}

function lettersOf(permissions: readonly Permission[]): string {
  return letters.flatMap(([name, letter]) => (permissions.includes(name) ? letter : [])).join('')
}

function hmac(key: string, text: string): string {
  return createHmac('sha256', Buffer.from(key, 'base64')).update(text, 'utf8').digest('base64')
}

/** Signatures carry whole seconds. */
function instant(timeMs: number): string {
  return new Date(timeMs).toISOString().replace(/\.\d{3}Z$/, 'Z')
}
