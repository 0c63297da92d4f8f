import { type ErrnoCode, FileSystemError } from '../errors.ts'
import type { HttpResponse } from '../http/handler.ts'
import type { BlobProperties, ChangedProperties, ContentHeaders, PathFacts } from './store.ts'
import { markHeader, parseMark } from './written-mark.ts'

/** What was asked of the service: its name, the path or paths, and the precondition if any. */
export interface Subject {
  /** `blob.get` */
  readonly operation: string
  readonly path: string
  readonly dest?: string | undefined
  /** Whether the request said `If-None-Match: *`. */
  readonly mustNotExist?: boolean | undefined
}

/** The error that an answer of 300 and above stands for: the one place where this is decided. */
export function errorFrom(response: HttpResponse, subject: Subject): FileSystemError {
  const { status, headers } = response
  const serviceCode = headers['x-ms-error-code'] ?? codeInBody(response.body)
  const detail = detailOf(status, serviceCode)
  const requestId = headers['x-ms-request-id']
  return new FileSystemError(errnoNameOf(status, serviceCode, subject), subject.operation, {
    path: subject.path,
    ...(subject.dest === undefined ? {} : { dest: subject.dest }),
    ...(serviceCode === undefined ? {} : { serviceCode }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(detail === undefined ? {} : { detail }),
    statusCode: status,
    retryable: status === 408 || status === 429 || status >= 500,
  })
}

/** Properties of a blob from the headers of a Get Blob or Get Blob Properties. */
export function propertiesFrom(headers: HttpResponse['headers']): BlobProperties {
  const properties: Mutable<BlobProperties> = {
    sizeBytes: sizeFrom(headers),
    etag: headers['etag'] ?? '',
    lastModifiedMs: modifiedFrom(headers['last-modified']) ?? 0,
    createdMs: createdFrom(headers['x-ms-creation-time']),
    contentType: headers['content-type'],
    // A range's answer carries the MD5 of the range, if any, in Content-MD5.
    contentMd5: headers['x-ms-blob-content-md5'] ?? wholeMd5(headers),
    blobType: blobTypeFrom(headers['x-ms-blob-type']),
    accessTier: headers['x-ms-access-tier'],
    isTierChosen: tierChosen(headers),
    headers: contentHeadersFrom(headers),
    versionId: headers['x-ms-version-id'],
    leaseState: headers['x-ms-lease-state'],
    tagCount: Number(headers['x-ms-tag-count'] ?? 0) || undefined,
    metadata: metadataFrom(headers),
  }
  // Set where there is something to set: spread into the literal, they cost as much as all the others.
  const written = parseMark(headers[markHeader])
  if (written !== undefined) properties.written = written
  const customerKey = headers['x-ms-encryption-key-sha256']
  if (customerKey !== undefined) properties.customerKeySha256 = customerKey
  const facts = factsFrom(headers)
  if (facts !== undefined) properties.facts = facts
  return properties
}

/** What the answer to a write that left the content as it is tells. */
export function changedProperties({ headers }: HttpResponse): ChangedProperties {
  return {
    etag: headers['etag'] ?? '',
    lastModifiedMs: modifiedFrom(headers['last-modified']) ?? 0,
    versionId: headers['x-ms-version-id'],
  }
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] }

function tierChosen(headers: HttpResponse['headers']): boolean {
  return (
    headers['x-ms-access-tier'] !== undefined && headers['x-ms-access-tier-inferred'] !== 'true'
  )
}

function contentHeadersFrom(headers: HttpResponse['headers']): ContentHeaders {
  return {
    contentEncoding: headers['content-encoding'],
    contentLanguage: headers['content-language'],
    contentDisposition: headers['content-disposition'],
    cacheControl: headers['cache-control'],
  }
}

/** Owner and permissions, which only paths of hierarchical accounts come with. */
export function factsFrom(headers: HttpResponse['headers']): PathFacts | undefined {
  const type = headers['x-ms-resource-type']
  const permissions = headers['x-ms-permissions']
  if (type === undefined && permissions === undefined) return undefined
  const marked = Object.keys(headers).some((name) => directoryFlags.has(name.toLowerCase()))
  return {
    isDirectory: type === undefined ? marked : type === 'directory',
    owner: headers['x-ms-owner'],
    group: headers['x-ms-group'],
    permissions,
    expiresMs: dateFrom(headers['x-ms-expiry-time']),
  }
}

const directoryFlags: ReadonlySet<string> = new Set(['x-ms-meta-hdi_isfolder'])

function dateFrom(value: string | undefined): number | undefined {
  const dateMs = value === undefined ? Number.NaN : Date.parse(value)
  return Number.isNaN(dateMs) ? undefined : dateMs
}

/** Answers about one blob all say the same, and a date is slow to read: a microsecond. */
function lastOf(read: typeof dateFrom): typeof dateFrom {
  let last: { readonly value: string | undefined; readonly dateMs: number | undefined } | undefined
  return (value) => {
    if (last === undefined || last.value !== value) last = { value, dateMs: read(value) }
    return last.dateMs
  }
}

/** When a blob was last written, milliseconds; `undefined` for what is no date. */
export const modifiedFrom: typeof dateFrom = lastOf(dateFrom)
const createdFrom = lastOf(dateFrom)

function sizeFrom(headers: HttpResponse['headers']): number {
  const range = headers['content-range']
  return Number(
    range === undefined ? headers['content-length'] : range.slice(range.indexOf('/') + 1),
  )
}

function wholeMd5(headers: HttpResponse['headers']): string | undefined {
  return headers['content-range'] === undefined ? headers['content-md5'] : undefined
}

function blobTypeFrom(value: string | undefined): BlobProperties['blobType'] {
  return value === 'BlockBlob' || value === 'AppendBlob' || value === 'PageBlob' ? value : undefined
}

function metadataFrom(headers: HttpResponse['headers']): Record<string, string> {
  const metadata: Record<string, string> = {}
  for (const name in headers) {
    if (name.startsWith('x-ms-meta-') && name !== markHeader)
      metadata[name.slice(10)] = headers[name] ?? ''
  }
  return metadata
}

/** Answers to HEAD have no body, some proxies drop headers: either may be all there is. */
function codeInBody(body: Uint8Array): string | undefined {
  if (body.length === 0) return undefined
  const text = Buffer.from(body.buffer, body.byteOffset, Math.min(body.length, 4096)).toString()
  const code = /<Code>([A-Za-z0-9]{1,80})<\/Code>/.exec(text)
  // The dfs endpoint answers in JSON.
  return (code ?? /"code"\s*:\s*"([A-Za-z0-9]{1,80})"/i.exec(text))?.[1]
}

function errnoNameOf(status: number, serviceCode: string | undefined, subject: Subject): ErrnoCode {
  const byCode = serviceCode === undefined ? undefined : errnoByServiceCode[serviceCode]
  if (byCode !== undefined) return byCode
  if (serviceCode?.startsWith('Lease') === true) return 'EBUSY'
  if (status === 412) return subject.mustNotExist === true ? 'EEXIST' : 'ESTALE'
  if (status === 409) return subject.mustNotExist === true ? 'EEXIST' : 'EBUSY'
  if (status >= 500) return status === 501 ? 'ENOTSUP' : 'EIO'
  return errnoByStatus[status] ?? 'EIO'
}

/** Where the service's own word decides, whatever the status. */
const errnoByServiceCode: Readonly<Record<string, ErrnoCode>> = {
  BlobAlreadyExists: 'EEXIST',
  PathAlreadyExists: 'EEXIST',
  ContainerAlreadyExists: 'EEXIST',
  SourceConditionNotMet: 'ESTALE',
  TargetConditionNotMet: 'ESTALE',
  DirectoryNotEmpty: 'ENOTEMPTY',
  DirectoryIsNotEmpty: 'ENOTEMPTY',
  // Below a file nothing can be made; on a directory no file can be written.
  PathConflict: 'ENOTDIR',
  InvalidDestinationPath: 'ENOTDIR',
  ResourceTypeMismatch: 'EISDIR',
  InvalidSourceOrDestinationResourceType: 'EISDIR',
  InvalidRenameSourcePath: 'EINVAL',
  // A file written by one of the two endpoints cannot be continued by the other.
  InvalidFlushOperation: 'ENOTSUP',
  HierarchicalNamespaceNotEnabled: 'ENOTSUP',
  ContainerBeingDeleted: 'EBUSY',
  ContainerDisabled: 'EACCES',
  BlobArchived: 'EREMOTEIO',
  BlobBeingRehydrated: 'EREMOTEIO',
  PublicAccessNotPermitted: 'EACCES',
  BlobImmutableDueToPolicy: 'EPERM',
  // The staged blocks were there: somebody else's commit has discarded them.
  InvalidBlockList: 'ESTALE',
  BlockCountExceedsLimit: 'EFBIG',
  BlockListTooLong: 'EFBIG',
  RequestBodyTooLarge: 'EFBIG',
  BlobUsesCustomerSpecifiedEncryption: 'EACCES',
  BlobCustomerSpecifiedEncryptionMismatch: 'EACCES',
  BlobDoesNotUseCustomerSpecifiedEncryption: 'EACCES',
  Crc64Mismatch: 'EBADMSG',
  Md5Mismatch: 'EBADMSG',
  OperationTimedOut: 'ETIMEDOUT',
  FeatureNotSupported: 'ENOTSUP',
  FeatureNotYetSupportedForHierarchicalNamespaceAccounts: 'ENOTSUP',
  UnsupportedHttpVerb: 'ENOTSUP',
  AccountBeingCreated: 'EBUSY',
  InvalidBlobType: 'EINVAL',
  SnapshotsPresent: 'EBUSY',
}

const errnoByStatus: Readonly<Record<number, ErrnoCode>> = {
  400: 'EINVAL',
  401: 'EACCES',
  403: 'EACCES',
  404: 'ENOENT',
  405: 'ENOTSUP',
  408: 'ETIMEDOUT',
  413: 'EFBIG',
  414: 'ENAMETOOLONG',
  416: 'EINVAL',
  429: 'EIO',
}

const staleCredential =
  'the credential was refused even after a new one was fetched: check the clocks, the tenant, and ' +
  'that the issuer signs for this account'
const noPermission =
  'the identity may not do this here: it needs a data role such as Storage Blob Data Reader or ' +
  'Contributor (a change may take minutes), or a wider SAS'

/** What an errno name alone does not tell its reader: which kind it is and what to do. */
const details: Readonly<Record<string, string>> = {
  AuthenticationFailed: staleCredential,
  InvalidAuthenticationInfo: staleCredential,
  ExpiredAuthenticationToken: staleCredential,
  NoAuthenticationInformation: 'the request carried no credential, and the container is not public',
  AuthorizationPermissionMismatch: noPermission,
  InsufficientAccountPermissions: noPermission,
  AuthorizationServiceMismatch: noPermission,
  AuthorizationResourceTypeMismatch: noPermission,
  AuthorizationFailure:
    "the account refuses this client: its firewall, its network rules, or the SAS's time, address " +
    'or protocol exclude it',
  AuthorizationSourceIPMismatch: "the SAS does not allow this client's IP address",
  AuthorizationProtocolMismatch: 'the SAS allows https only',
  KeyBasedAuthenticationNotPermitted: 'the account accepts Entra credentials only',
  PublicAccessNotPermitted: 'the account allows no anonymous access',
  AccountIsDisabled: 'the storage account is disabled',
  ContainerNotFound: 'the container does not exist',
  FilesystemNotFound: 'the container does not exist',
  SourcePathNotFound: 'what should be renamed does not exist',
  RenameDestinationParentPathNotFound: 'the directory above the new name does not exist',
  PathConflict: 'a file stands where a directory should',
  InvalidRenameSourcePath: 'a directory cannot move into itself',
  HierarchicalNamespaceNotEnabled: 'the account has a flat namespace: only a hierarchical one can',
  InvalidFlushOperation:
    'the file was written at the blob endpoint: it cannot be appended to at dfs',
  ContainerAlreadyExists: 'the container already exists',
  ContainerBeingDeleted: 'the container is being deleted; its name is free again in about 30 s',
  BlobArchived: 'the blob is archived: rehydrate it to an online tier first',
  BlobBeingRehydrated: 'the blob is still being rehydrated from the archive',
  BlobImmutableDueToPolicy: 'an immutability policy or legal hold protects the blob',
  InvalidBlockList:
    'a block to commit is gone: another writer committed the blob, or it was never staged',
  BlockCountExceedsLimit:
    'a blob has at most 50,000 blocks, and 100,000 that are staged and not committed; those of writers ' +
    'that died go when the file is written whole, from its beginning',
  BlobUsesCustomerSpecifiedEncryption:
    "the blob is encrypted with a key of the customer's, or in an encryption scope, that was not said: give that key " +
    '(customerProvidedKey, --encryption-key-file or ABFS_ENCRYPTION_KEY_FILE)',
  BlobCustomerSpecifiedEncryptionMismatch:
    "the blob is encrypted with another key of the customer's, or in another encryption scope: use the key that it was " +
    'written with (customerProvidedKey, --encryption-key-file or ABFS_ENCRYPTION_KEY_FILE)',
  BlobDoesNotUseCustomerSpecifiedEncryption:
    "the blob is encrypted with no key of the customer's: leave the key out, or write the blob anew with it",
  Crc64Mismatch: 'the bytes were damaged on their way to the service, twice; nothing was written',
  Md5Mismatch: 'the bytes were damaged on their way to the service, twice; nothing was written',
  InvalidBlobOrBlock:
    'all block ids of one blob must have the same length; those that writers left behind that died go when ' +
    'the file is written whole, from its beginning',
  InvalidBlobType:
    "a blob of another type is there, and Azure changes no blob's type: a block blob does not take the place of an " +
    'append or page blob, and only an append blob is appended to; remove it first, or write to another name',
  InvalidResourceName: 'Azure does not accept this name',
  InvalidUri: 'Azure does not accept this name',
  InvalidMetadata: 'Azure does not accept this metadata',
  ServerBusy: 'the account is over its request rate; try again later or with less concurrency',
}

function detailOf(status: number, serviceCode: string | undefined): string | undefined {
  const known = serviceCode === undefined ? undefined : details[serviceCode]
  if (known !== undefined) return known
  if (status === 401) return staleCredential
  if (status === 403) return noPermission
  if (status >= 300 && status < 400) {
    return `the endpoint answered with a redirect (${status}): check its address`
  }
  if (status === 429 || status >= 500) return `the service failed with HTTP ${status}`
  return undefined
}
