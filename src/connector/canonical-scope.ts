import type { Scope } from '../credential/credential.ts'
import { ConnectorError } from './connector-error.ts'
import { sortPermissions } from './protocol.ts'

/**
 * The one spelling of a scope that policy compares and signatures use. Rejects with
 * `invalid_request`, reason `path_invalid`, every name that Azure does not allow and every prefix
 * that two parsers could read in two ways. The prefix is compared decoded: a `%` followed by two
 * hexadecimal digits is refused rather than guessed at.
 */
export function canonicalScope(scope: Scope): Scope {
  checkAccount(scope.account)
  if (scope.container !== undefined) checkContainer(scope.container)
  const prefix = scope.prefix === '' ? undefined : scope.prefix
  if (prefix !== undefined) checkPrefix(prefix, scope.container)
  return {
    account: scope.account,
    service: scope.service,
    ...(scope.container === undefined ? {} : { container: scope.container }),
    ...(prefix === undefined ? {} : { prefix }),
    permissions: sortPermissions(scope.permissions),
  }
}

/** The names between the slashes of a canonical prefix; none for a whole container. */
export function segmentsOf(prefix: string | undefined): readonly string[] {
  return prefix === undefined || prefix === '' ? [] : prefix.split('/')
}

/** Whether `name` is what Azure accepts as the name of a storage account. */
export function isAccountName(name: string): boolean {
  return /^[a-z0-9]{3,24}$/.test(name)
}

/** Whether `name` is what Azure accepts as the name of a container. */
export function isContainerName(name: string): boolean {
  return (
    /^(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*$/.test(name) ||
    /^\$(root|web|logs|blobchangefeed)$/.test(name)
  )
}

/** What makes a prefix unacceptable; `undefined` when nothing does. */
export function prefixFault(prefix: string): string | undefined {
  if (prefix.normalize('NFC') !== prefix) return 'is not in Unicode normal form NFC'
  if (/\p{Surrogate}/u.test(prefix)) return 'is not well-formed Unicode'
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  if (/[\u0000-\u001f\u007f-\u009f]/.test(prefix)) return 'has a control character'
  if (prefix.includes('\\')) return 'has a backslash'
  if (/%[0-9a-f]{2}/i.test(prefix)) return 'is percent-encoded; send it decoded'
  for (const segment of prefix.split('/')) {
    if (segment === '') return "has an empty segment: no slash at either end and no '//'"
    if (segment === '.' || segment === '..') return `has the segment '${segment}'`
    if (/[. ]$/.test(segment)) return 'has a segment that ends in a dot or a space'
  }
  return undefined
}

function checkAccount(account: string): void {
  if (isAccountName(account)) return
  throw invalid('the account name is not 3 to 24 lower-case letters and digits', 'check the name')
}

function checkContainer(container: string): void {
  if (isContainerName(container)) return
  throw invalid(
    'the container name is not 3 to 63 lower-case letters, digits and single hyphens',
    'check the name',
  )
}

function checkPrefix(prefix: string, container: string | undefined): void {
  if (container === undefined) throw invalid('a prefix needs a container', 'name the container')
  const fault = prefixFault(prefix)
  if (fault !== undefined) throw invalid(`the prefix ${fault}`, 'ask with a plain, decoded path')
}

function invalid(detail: string, hint: string): ConnectorError {
  return new ConnectorError('invalid_request', 'path_invalid', { detail, hint })
}
