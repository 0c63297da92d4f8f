import { StorageError, type StorageErrorOptions } from './storage-error.ts'

/** Azure's codes with their statuses and messages (REST reference, "Blob service error codes"). */
const refusals = {
  AccountNotFound: [404, 'The specified account does not exist.'],
  AllSubRequestsMustBeSameVerb: [
    400,
    'The batch operation requires that all subrequests are of the same verb.',
  ],
  AppendPositionConditionNotMet: [412, 'The append position condition specified was not met.'],
  AuthenticationFailed: [
    403,
    'Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature.',
  ],
  AuthorizationPermissionMismatch: [
    403,
    'This request is not authorized to perform this operation using this permission.',
  ],
  BlobAlreadyExists: [409, 'The specified blob already exists.'],
  BlobArchived: [409, 'This operation is not permitted on an archived blob.'],
  BlobBeingRehydrated: [
    409,
    'This operation is not permitted because the blob is being rehydrated.',
  ],
  BlobCustomerSpecifiedEncryptionMismatch: [
    409,
    'The given customer specified encryption does not match the encryption used to encrypt the blob.',
  ],
  BlobDoesNotUseCustomerSpecifiedEncryption: [
    409,
    'The blob is not encrypted with customer specified encryption, but it was provided in the request.',
  ],
  BlobImmutableDueToPolicy: [
    409,
    'This operation is not permitted as the blob is immutable due to a policy.',
  ],
  BlobIsSealed: [
    409,
    "The specified blob is sealed, and its contents can't be modified unless the blob is re-created after a delete.",
  ],
  BlobNotArchived: [409, 'This operation is only permitted on an archived blob.'],
  BlobNotFound: [404, 'The specified blob does not exist.'],
  BlobTagsNotSupportedForAccountType: [
    400,
    'Blob tags are not supported for accounts with a hierarchical namespace.',
  ],
  BlobUsesCustomerSpecifiedEncryption: [
    409,
    'The blob is encrypted with customer specified encryption, but it was not provided in the request.',
  ],
  BlockCountExceedsLimit: [
    409,
    'The committed block count cannot exceed the maximum limit of 50,000 blocks.',
  ],
  BlockListTooLong: [400, 'The block list may not contain more than 50,000 blocks.'],
  ConditionNotMet: [412, 'The condition specified using HTTP conditional header(s) is not met.'],
  ContainerAlreadyExists: [409, 'The specified container already exists.'],
  ContainerBeingDeleted: [409, 'The specified container is being deleted. Try operation later.'],
  ContainerNotFound: [404, 'The specified container does not exist.'],
  BothUserTagsAndSourceTagsCopyPresentException: [
    400,
    'x-ms-tags header must not be present with x-ms-copy-source-tag-option as COPY.',
  ],
  CannotVerifyCopySource: [404, 'The specified resource does not exist.'],
  CopyIdMismatch: [
    409,
    'The specified copy ID did not match the copy ID for the pending copy operation.',
  ],
  Crc64Mismatch: [
    400,
    'The CRC64 value specified in the request did not match with the CRC64 value calculated by the server.',
  ],
  DirectoryIsNotEmpty: [
    409,
    'The recursive query parameter value must be true to delete a non-empty directory.',
  ],
  EmptyMetadataKey: [400, 'The key for one of the metadata key-value pairs is empty.'],
  ExceedsMaxBatchRequestCount: [
    400,
    'The batch operation exceeds maximum number of allowed subrequests.',
  ],
  FeatureNotSupported: [501, 'This feature is not supported by this local service.'],
  FilesystemAlreadyExists: [409, 'The specified filesystem already exists.'],
  FilesystemNotFound: [404, 'The specified filesystem does not exist.'],
  HierarchicalNamespaceNotEnabled: [
    400,
    'The request is invalid because hierarchical namespace is not enabled for the storage account.',
  ],
  IncompleteBody: [400, 'The request body is not complete.'],
  InternalError: [500, 'The server encountered an internal error. Please retry the request.'],
  InvalidBlobOrBlock: [400, 'The specified blob or block content is invalid.'],
  InvalidBlobType: [409, 'The blob type is invalid for this operation.'],
  InvalidBlockId: [400, 'The specified block ID is invalid. The block ID must be Base64-encoded.'],
  InvalidBlockList: [400, 'The specified block list is invalid.'],
  InvalidHeaderValue: [400, 'The value for one of the HTTP headers is not in the correct format.'],
  InvalidInput: [400, 'One of the request inputs is not valid.'],
  InvalidMd5: [
    400,
    'The MD5 value specified in the request is invalid. The MD5 value must be 128 bits and Base64-encoded.',
  ],
  InvalidMetadata: [
    400,
    'The metadata specified is invalid. It has characters that are not permitted.',
  ],
  InvalidOperation: [400, 'Invalid operation against a blob snapshot.'],
  InvalidQueryParameterValue: [
    400,
    'Value for one of the query parameters specified in the request URI is invalid.',
  ],
  InvalidPageRange: [416, 'The page range specified is invalid.'],
  InvalidRange: [416, 'The range specified is invalid for the current size of the resource.'],
  InvalidResourceName: [400, 'The specified resource name contains invalid characters.'],
  InvalidUri: [400, 'The requested URI does not represent any resource on the server.'],
  InvalidXmlDocument: [400, 'XML specified is not syntactically valid.'],
  InvalidXmlNodeValue: [400, 'The value for one of the XML nodes is not in the correct format.'],
  Md5Mismatch: [
    400,
    'The MD5 value specified in the request did not match with the MD5 value calculated by the server.',
  ],
  MetadataTooLarge: [400, 'The metadata specified exceeds the maximum permissible limit (8 KB).'],
  MissingContentLengthHeader: [411, 'Content-Length HTTP header is required.'],
  MissingRequiredHeader: [
    400,
    'An HTTP header that is mandatory for this request is not specified.',
  ],
  MissingRequiredQueryParameter: [
    400,
    'A query parameter that is mandatory for this request is not specified.',
  ],
  MaxBlobSizeConditionNotMet: [412, 'The max blob size condition specified was not met.'],
  NoPendingCopyOperation: [409, 'There is currently no pending copy operation.'],
  OperationNotAllowedInCurrentState: [
    409,
    'The specified operation is not allowed in the current state.',
  ],
  OperationNotAllowedOnRootBlob: [403, 'This operation is not allowed on the root blob.'],
  OutOfRangeInput: [400, 'One of the request inputs is out of range.'],
  OutOfRangeQueryParameterValue: [
    400,
    'One of the query parameters specified in the request URI is outside the permissible range.',
  ],
  PathAlreadyExists: [409, 'The specified path already exists.'],
  PathNotFound: [404, 'The specified path does not exist.'],
  PendingCopyOperation: [409, 'There is currently a pending copy operation.'],
  PreviousSnapshotCannotBeNewer: [
    400,
    'The prevsnapshot query parameter value cannot be newer than snapshot query parameter value.',
  ],
  PreviousSnapshotNotFound: [409, 'The previous snapshot is not found.'],
  RequestBodyTooLarge: [
    413,
    'The request body is too large and exceeds the maximum permissible limit.',
  ],
  RequestForbiddenByContainerEncryptionPolicy: [
    403,
    'This request is not authorized to perform this operation because of the encryption policy of the container.',
  ],
  ResourceNotFound: [404, 'The specified resource does not exist.'],
  ResourceTypeMismatch: [409, 'The specified resource type is not the expected one.'],
  SequenceNumberConditionNotMet: [412, 'The sequence number condition specified was not met.'],
  SequenceNumberIncrementTooLarge: [
    409,
    'The sequence number increment cannot be performed because it would result in overflow of the sequence number.',
  ],
  SnapshotsPresent: [409, 'This operation is not permitted because the blob has snapshots.'],
  SourceConditionNotMet: [
    412,
    'The source condition specified using HTTP conditional header(s) is not met.',
  ],
  UnsatisfiableCondition: [
    400,
    'The request includes an unsatisfiable condition for this operation.',
  ],
  UnsupportedHeader: [400, 'One of the HTTP headers specified in the request is not supported.'],
  UnsupportedHttpVerb: [405, 'The resource does not support the specified HTTP verb.'],
  UnsupportedQueryParameter: [
    400,
    'One of the query parameters specified in the request URI is not supported.',
  ],
} as const

/** A code of the table. */
export type RefusalCode = keyof typeof refusals

/** The refusal with the status and message that Azure gives the code. */
export function refusal(code: RefusalCode, options?: StorageErrorOptions): StorageError {
  const [status, message] = refusals[code]
  return new StorageError(status, code, message, options)
}

/** 400 `InvalidHeaderValue` that names the header. */
export function invalidHeader(
  name: string,
  value: string,
  { cause }: Pick<StorageErrorOptions, 'cause'> = {},
): StorageError {
  const details = { HeaderName: name, HeaderValue: value }
  return refusal('InvalidHeaderValue', { details, cause })
}

/** 400 `MissingRequiredHeader` that names the header. */
export function missingHeader(name: string): StorageError {
  return refusal('MissingRequiredHeader', { details: { HeaderName: name } })
}

/** 400 `InvalidQueryParameterValue` that names the parameter. */
export function invalidQuery(name: string, value: string, reason = ''): StorageError {
  return refusal('InvalidQueryParameterValue', {
    details: { QueryParameterName: name, QueryParameterValue: value, Reason: reason },
  })
}
