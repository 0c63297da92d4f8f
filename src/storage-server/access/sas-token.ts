import type { StorageRequest } from '../wire/request.ts'
import { authenticationFailed } from './refusal.ts'

/** The fields of a shared access signature as sent, decoded: read, not verified. */
export interface SasToken {
  readonly kind: 'account' | 'service' | 'userDelegation'
  /** `sv`. */
  readonly version: string
  readonly signature: string
  /** `sp`; absent when a stored access policy gives it. */
  readonly permissions: string | undefined
  /** Milliseconds since the epoch. */
  readonly startsMs: number | undefined
  readonly expiresMs: number | undefined
  /** `sip`, `spr`. */
  readonly addresses: string | undefined
  readonly protocol: string | undefined
  /** `sr`, of service and user delegation signatures. */
  readonly resource: SasResource | undefined
  /** `sdd`: segments of the directory, of `sr=d`. */
  readonly depth: number | undefined
  /** `si`. */
  readonly policy: string | undefined
  /** `ss` and `srt`, of account signatures. */
  readonly services: string
  readonly resourceTypes: string
  /** `skoid`: who asked for the key. */
  readonly keyObjectId: string | undefined
  /** `saoid`: who acts, vouched for by the key's owner. */
  readonly preauthorizedObjectId: string | undefined
  /** `suoid`: who acts, as far as the access control lists let them. */
  readonly agentObjectId: string | undefined
  /** `sduoid`: the one user that may present it, beside a token of theirs. */
  readonly delegatedUserObjectId: string | undefined
}

/** What a service signature is for: blob, snapshot, version, container, directory. */
export type SasResource = 'b' | 'bs' | 'bv' | 'c' | 'd'

const resources: readonly string[] = ['b', 'bs', 'bv', 'c', 'd'] satisfies readonly SasResource[]
const oldestVersion = '2015-04-05'

/** Whether the request carries a shared access signature. */
export function hasSas(request: StorageRequest): boolean {
  return request.query.has('sig')
}

/** Reads the signature's fields; throws `StorageError` 403 when they do not make one. */
export function parseSas(request: StorageRequest): SasToken {
  const field = (name: string): string | undefined => request.query.get(name)
  const kind = kindOf(request)
  return {
    kind,
    version: versionOf(field('sv')),
    signature: required(field('sig'), 'sig'),
    permissions: field('sp'),
    startsMs: timeOf(field('st'), 'st'),
    expiresMs: timeOf(field('se'), 'se'),
    addresses: field('sip'),
    protocol: protocolOf(field('spr')),
    resource: kind === 'account' ? undefined : resourceOf(field('sr')),
    depth: depthOf(field('sr'), field('sdd')),
    policy: field('si'),
    services: field('ss') ?? '',
    resourceTypes: field('srt') ?? '',
    keyObjectId: field('skoid'),
    preauthorizedObjectId: field('saoid'),
    agentObjectId: field('suoid'),
    delegatedUserObjectId: field('sduoid'),
  }
}

/** Milliseconds of the forms of ISO 8601 that signatures use; `undefined` for any other text. */
export function parseSasTime(text: string): number | undefined {
  const form = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,7})?)?Z)?$/
  const ms = form.test(text) ? Date.parse(text) : Number.NaN
  return Number.isFinite(ms) ? ms : undefined
}

function kindOf({ query }: StorageRequest): SasToken['kind'] {
  if (query.has('skoid')) return 'userDelegation'
  return query.has('ss') || query.has('srt') ? 'account' : 'service'
}

function required(value: string | undefined, name: string): string {
  if (value === undefined || value === '') throw authenticationFailed(`${name} is mandatory`)
  return value
}

function versionOf(value: string | undefined): string {
  const version = required(value, 'sv')
  if (!/^\d{4}-\d\d-\d\d$/.test(version) || version < oldestVersion) {
    throw authenticationFailed(`sv is not a version from ${oldestVersion} on`)
  }
  return version
}

function timeOf(value: string | undefined, name: string): number | undefined {
  if (value === undefined || value === '') return undefined
  const ms = parseSasTime(value)
  if (ms === undefined) throw authenticationFailed(`${name} is not valid`)
  return ms
}

function protocolOf(value: string | undefined): string | undefined {
  if (value === undefined || value === 'https' || value === 'https,http') return value
  throw authenticationFailed('spr is not valid')
}

function resourceOf(value: string | undefined): SasResource {
  const text = required(value, 'sr')
  if (isResource(text)) return text
  throw authenticationFailed('sr is not valid')
}

function isResource(text: string): text is SasResource {
  return resources.includes(text)
}

function depthOf(resource: string | undefined, value: string | undefined): number | undefined {
  if (resource !== 'd') return undefined
  if (!/^(0|[1-9]\d{0,2})$/.test(value ?? '')) throw authenticationFailed('sdd is not valid')
  return Number(value)
}
