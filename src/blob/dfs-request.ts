import type { BlobPath } from '../path.ts'
import { addConditions, baseHeaders, encodeName, type Headers } from './azure-request.ts'
import type {
  AccessChanges,
  ChangeAclOptions,
  CreatePathOptions,
  DeletePathOptions,
  Expiry,
  ListPathsOptions,
  RenamePathOptions,
} from './hierarchy.ts'
import type { Conditions, Metadata } from './store.ts'
import { maxListResults } from './validate.ts'

/** Paths of one page of a recursive change of access; Azure's limit. */
const maxAclRecords = 2000

/** Headers of Path - Create. The umask is sent too: the service's own would take bits away. */
export function createHeaders(options: CreatePathOptions): Headers {
  const headers = addConditions(baseHeaders(), options)
  if (options.mode !== undefined) {
    headers['x-ms-permissions'] = octal(options.mode)
    headers['x-ms-umask'] = '0000'
  }
  const properties = propertiesHeader(options.metadata ?? {})
  if (properties !== '') headers['x-ms-properties'] = properties
  return headers
}

/** Headers of Path - Create that renames. The source stands there as a path, never as a URL. */
export function renameHeaders(from: BlobPath, options: RenamePathOptions): Headers {
  const headers = addConditions(baseHeaders(), options)
  headers['x-ms-rename-source'] = `/${encodeURIComponent(from.container)}/${encodeName(from.name)}`
  if (options.sourceIfMatch !== undefined) headers['x-ms-source-if-match'] = options.sourceIfMatch
  return headers
}

/** Headers of Path - Update with `setAccessControl`. */
export function accessHeaders(changes: AccessChanges, conditions: Conditions): Headers {
  const headers = addConditions(baseHeaders(), conditions)
  if (changes.owner !== undefined) headers['x-ms-owner'] = changes.owner
  if (changes.group !== undefined) headers['x-ms-group'] = changes.group
  if (changes.mode !== undefined) headers['x-ms-permissions'] = octal(changes.mode)
  if (changes.acl !== undefined) headers['x-ms-acl'] = changes.acl
  return headers
}

/** Headers of Set Blob Expiry. */
export function expiryHeaders(expiry: Expiry): Headers {
  const headers = baseHeaders()
  headers['x-ms-expiry-option'] = expiryOptions[expiry.kind]
  if (expiry.kind === 'at') headers['x-ms-expiry-time'] = new Date(expiry.epochMs).toUTCString()
  if ('durationMs' in expiry) headers['x-ms-expiry-time'] = String(Math.trunc(expiry.durationMs))
  return headers
}

const expiryOptions = {
  never: 'NeverExpire',
  at: 'Absolute',
  'after-now': 'RelativeToNow',
  'after-creation': 'RelativeToCreation',
} as const satisfies Record<Expiry['kind'], string>

/** The query of Path - List. */
export function listPathsQuery(directory: string, options: ListPathsOptions): string {
  const limit = Math.min(options.maxResults ?? maxListResults, maxListResults)
  const query = `?resource=filesystem&recursive=${options.recursive === true}&maxResults=${limit}`
  const below = directory === '' ? '' : `&directory=${encodeURIComponent(directory)}`
  return `${query}${below}${continued(options.continuation)}`
}

/** The query of Path - Delete. `paginated` lets a large tree take several requests. */
export function deleteQuery(options: DeletePathOptions): string {
  const recursive = options.recursive === true
  return `?recursive=${recursive}${recursive ? '&paginated=true' : ''}${continued(options.continuation)}`
}

/** The query of Path - Update with `setAccessControlRecursive`. */
export function changeAclQuery(options: ChangeAclOptions): string {
  const limit = Math.min(options.maxRecords ?? maxAclRecords, maxAclRecords)
  const force = options.continueOnFailure === true
  const query = `?action=setAccessControlRecursive&mode=${options.mode}&maxRecords=${limit}`
  return `${query}&forceFlag=${force}${continued(options.continuation)}`
}

/** `&continuation=…`, or nothing. */
export function continued(continuation: string | undefined): string {
  return continuation === undefined ? '' : `&continuation=${encodeURIComponent(continuation)}`
}

function propertiesHeader(metadata: Metadata): string {
  return Object.entries(metadata)
    .map(([key, value]) => `${key}=${Buffer.from(value).toString('base64')}`)
    .join(',')
}

/** Nine bits and the sticky one; the service keeps no others. */
function octal(mode: number): string {
  return (mode & 0o1777).toString(8).padStart(4, '0')
}
