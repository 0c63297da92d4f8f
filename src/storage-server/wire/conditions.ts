import { invalidHeader, refusal } from './refusals.ts'
import type { StorageRequest } from './request.ts'
import { StorageError } from './storage-error.ts'

/** Conditional headers of a request. */
export interface Conditions {
  /** Etags without quotes, or `*`. */
  readonly ifMatch?: readonly string[] | undefined
  readonly ifNoneMatch?: readonly string[] | undefined
  readonly ifModifiedSinceMs?: number | undefined
  readonly ifUnmodifiedSinceMs?: number | undefined
  /** An expression over tags. */
  readonly ifTags?: string | undefined
}

/** What conditions are checked on. */
export interface ConditionSubject {
  readonly etag: string
  readonly lastModifiedMs: number
  /** Decides `x-ms-if-tags`; without it the condition fails. */
  readonly matchesTags?: ((expression: string) => boolean) | undefined
}

/** Reads the conditions on the resource, or on the source of a copy (`x-ms-source-`). */
export function readConditions(
  { headers }: StorageRequest,
  prefix: '' | 'x-ms-source-' = '',
): Conditions {
  return {
    ifMatch: etags(headers[`${prefix}if-match`]),
    ifNoneMatch: etags(headers[`${prefix}if-none-match`]),
    ifModifiedSinceMs: date(headers, `${prefix}if-modified-since`),
    ifUnmodifiedSinceMs: date(headers, `${prefix}if-unmodified-since`),
    ifTags: headers[prefix === '' ? 'x-ms-if-tags' : 'x-ms-source-if-tags'],
  }
}

/** Checks a read: 412 `ConditionNotMet`, or 304 for what the caller has already. */
export function checkRead(conditions: Conditions, subject: ConditionSubject): void {
  if (conditions.ifNoneMatch?.includes('*') === true) throw refusal('UnsatisfiableCondition')
  if (failsMatch(conditions, subject)) throw refusal('ConditionNotMet')
  if (failsNoneMatch(conditions, subject)) throw notModified(subject)
}

/**
 * Checks a write on what is there: 412 `ConditionNotMet`; for `If-None-Match: *` 409 with the code
 * given, when anything is there.
 */
export function checkWrite(
  conditions: Conditions,
  subject: ConditionSubject | undefined,
  exists:
    | 'BlobAlreadyExists'
    | 'PathAlreadyExists'
    | 'ContainerAlreadyExists' = 'BlobAlreadyExists',
): void {
  if (subject === undefined) {
    if (conditions.ifMatch !== undefined) throw refusal('ConditionNotMet')
    return
  }
  if (conditions.ifNoneMatch?.includes('*') === true) throw refusal(exists)
  if (failsMatch(conditions, subject) || failsNoneMatch(conditions, subject)) {
    throw refusal('ConditionNotMet')
  }
}

/** Checks the source of a copy or rename: 412 `SourceConditionNotMet`. */
export function checkSource(conditions: Conditions, subject: ConditionSubject): void {
  if (failsMatch(conditions, subject) || failsNoneMatch(conditions, subject)) {
    throw refusal('SourceConditionNotMet')
  }
}

function failsMatch(conditions: Conditions, subject: ConditionSubject): boolean {
  const { ifMatch, ifUnmodifiedSinceMs, ifTags } = conditions
  if (ifMatch !== undefined && !ifMatch.includes('*') && !ifMatch.includes(bare(subject.etag))) {
    return true
  }
  if (ifTags !== undefined && subject.matchesTags?.(ifTags) !== true) return true
  return ifUnmodifiedSinceMs !== undefined && wholeSeconds(subject) > ifUnmodifiedSinceMs
}

/** With both given, as HTTP has it, the etag alone decides. */
function failsNoneMatch(conditions: Conditions, subject: ConditionSubject): boolean {
  const { ifNoneMatch, ifModifiedSinceMs } = conditions
  if (ifNoneMatch !== undefined) {
    return ifNoneMatch.includes('*') || ifNoneMatch.includes(bare(subject.etag))
  }
  return ifModifiedSinceMs !== undefined && wholeSeconds(subject) <= ifModifiedSinceMs
}

/** Dates in headers have no fractions. */
function wholeSeconds({ lastModifiedMs }: ConditionSubject): number {
  return Math.floor(lastModifiedMs / 1000) * 1000
}

function notModified(subject: ConditionSubject): StorageError {
  return new StorageError(304, 'ConditionNotMet', 'The condition is not met.', {
    headers: {
      etag: subject.etag,
      'last-modified': new Date(subject.lastModifiedMs).toUTCString(),
    },
  })
}

function etags(value: string | undefined): readonly string[] | undefined {
  return value?.split(',').map(bare)
}

function bare(etag: string): string {
  return etag.trim().replace(/^W\//, '').replace(/^"|"$/g, '')
}

function date(headers: StorageRequest['headers'], name: string): number | undefined {
  const value = headers[name]
  if (value === undefined) return undefined
  const ms = Date.parse(value)
  if (Number.isNaN(ms)) throw invalidHeader(name, value)
  return ms
}
