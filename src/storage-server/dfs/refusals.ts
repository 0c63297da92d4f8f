import { type RefusalCode, refusal } from '../wire/refusals.ts'
import { StorageError, type StorageErrorOptions } from '../wire/storage-error.ts'

/** Azure's codes of the dfs face alone, with their statuses and messages (Path - Create, Update). */
const dfsRefusals = {
  ContentLengthMustBeZero: [400, 'The Content-Length request header must be zero.'],
  DirectoryNotEmpty: [
    409,
    'The recursive query parameter value must be true to delete a non-empty directory.',
  ],
  InvalidAppendOperation: [
    409,
    'The resource was created or modified by the Azure Blob Service API and cannot be appended to by the Azure Data Lake Storage Service API.',
  ],
  InvalidDestinationPath: [
    409,
    'The specified path, or an element of the path, exists and its resource type is invalid for this operation.',
  ],
  InvalidFlushOperation: [
    409,
    'The resource was created or modified by the Blob Service API and cannot be written to by the Data Lake Storage Service API.',
  ],
  InvalidFlushPosition: [
    400,
    'The uploaded data is not contiguous or the position query parameter value is not equal to the length of the file after appending the uploaded data.',
  ],
  InvalidPropertyName: [400, 'A property name cannot be empty.'],
  InvalidRenameSourcePath: [
    409,
    'The source directory cannot be the same as the destination directory, nor can the destination be a subdirectory of the source directory.',
  ],
  InvalidSourceOrDestinationResourceType: [
    409,
    'The source and destination resource type must be identical.',
  ],
  InvalidSourceUri: [400, 'The source URI is invalid.'],
  PathConflict: [
    409,
    'The specified path, or an element of the path, exists and its resource type is invalid for this operation.',
  ],
  RenameDestinationParentPathNotFound: [
    404,
    'The parent directory of the destination path does not exist.',
  ],
  SourcePathNotFound: [404, 'The source path for a rename operation does not exist.'],
} as const

/** The refusal with the status and message that Azure gives the code on the dfs face. */
export function dfsRefusal(
  code: keyof typeof dfsRefusals,
  options?: StorageErrorOptions,
): StorageError {
  const [status, message] = dfsRefusals[code]
  return new StorageError(status, code, message, options)
}

/** 409 `PathAlreadyExists` or another code, with the kind of what is there. */
export function existing(
  code: 'PathAlreadyExists' | 'PathConflict',
  kind: 'blob' | 'directory',
): StorageError {
  const headers = { 'x-ms-existing-resource-type': kind === 'directory' ? 'directory' : 'file' }
  return code === 'PathConflict' ? dfsRefusal(code, { headers }) : refusal(code, { headers })
}

/** 400 `MissingRequiredQueryParameter` that names the parameter. */
export function missingQuery(name: string): StorageError {
  return refusal('MissingRequiredQueryParameter' satisfies RefusalCode, {
    details: { QueryParameterName: name },
  })
}
