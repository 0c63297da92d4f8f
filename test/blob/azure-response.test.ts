import t from 'tap'
import { errorFrom } from '../../src/blob/azure-response.ts'
import type { ErrnoCode } from '../../src/errors.ts'

const subject = { operation: 'blob.put', path: 'abfs://c/a' }

function errorOf(status: number, code?: string, mustNotExist = false) {
  const headers = { ...(code === undefined ? {} : { 'x-ms-error-code': code }) }
  return errorFrom({ status, headers, body: new Uint8Array(0) }, { ...subject, mustNotExist })
}

t.test('each answer becomes the errno name that programs test', async (t) => {
  const table: readonly (readonly [number, string | undefined, ErrnoCode])[] = [
    [404, 'BlobNotFound', 'ENOENT'],
    [404, undefined, 'ENOENT'],
    [409, 'BlobAlreadyExists', 'EEXIST'],
    [409, 'ContainerAlreadyExists', 'EEXIST'],
    [409, 'DirectoryNotEmpty', 'ENOTEMPTY'],
    [409, 'ContainerBeingDeleted', 'EBUSY'],
    [412, 'ConditionNotMet', 'ESTALE'],
    [412, 'LeaseIdMissing', 'EBUSY'],
    [409, 'LeaseIdMismatchWithBlobOperation', 'EBUSY'],
    [401, undefined, 'EACCES'],
    [403, 'AuthorizationPermissionMismatch', 'EACCES'],
    [409, 'BlobArchived', 'EREMOTEIO'],
    [409, 'BlobImmutableDueToPolicy', 'EPERM'],
    [400, 'InvalidResourceName', 'EINVAL'],
    [400, 'InvalidBlockList', 'ESTALE'],
    [400, 'BlockCountExceedsLimit', 'EFBIG'],
    [413, 'RequestBodyTooLarge', 'EFBIG'],
    [414, undefined, 'ENAMETOOLONG'],
    [429, undefined, 'EIO'],
    [500, 'OperationTimedOut', 'ETIMEDOUT'],
    [501, 'NotImplemented', 'ENOTSUP'],
    [503, 'ServerBusy', 'EIO'],
    [302, undefined, 'EIO'],
  ]

  for (const [status, code, expected] of table) {
    t.equal(errorOf(status, code).code, expected, `${status} ${code}`)
  }
})

t.test('a failed If-None-Match: * means that the blob exists', async (t) => {
  t.equal(errorOf(412, 'ConditionNotMet', true).code, 'EEXIST')
  t.equal(errorOf(409, undefined, true).code, 'EEXIST')
  t.equal(errorOf(412, 'LeaseIdMissing', true).code, 'EBUSY')
})

t.test('what may pass is marked as retryable', async (t) => {
  for (const status of [408, 429, 500, 503]) t.equal(errorOf(status).retryable, true)
  for (const status of [400, 403, 404, 409, 412]) t.equal(errorOf(status).retryable, false)
})

t.test('a refusal says which kind it is and what to do', async (t) => {
  t.match(errorOf(403, 'AuthenticationFailed').message, /even after a new one was fetched/)
  t.match(errorOf(403, 'AuthorizationPermissionMismatch').message, /needs a data role/)
  t.match(errorOf(403, 'AuthorizationFailure').message, /firewall/)
})

t.test('the code is found in the body when no header has it', async (t) => {
  const body = Buffer.from('\ufeff<?xml version="1.0"?><Error><Code>BlobArchived</Code></Error>')

  const error = errorFrom({ status: 409, headers: { 'x-ms-request-id': 'id-1' }, body }, subject)

  t.match(error, {
    code: 'EREMOTEIO',
    serviceCode: 'BlobArchived',
    requestId: 'id-1',
    statusCode: 409,
  })
})
