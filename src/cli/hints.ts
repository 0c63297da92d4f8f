import { type FileSystemError, isFileSystemError } from '../errors.ts'
import { codeOf } from './exit-codes.ts'

/** What the user can do about `error`; `undefined` when the message says all there is. */
export function hintFor(error: unknown): string | undefined {
  if (isFileSystemError(error)) return hintForFileSystem(error)
  return isOfThisMachine(error) ? undefined : HINTS_BY_CODE[codeOf(error)]
}

/** An error of Node's own that names a file: Azure has nothing to do with it. */
function isOfThisMachine(error: unknown): boolean {
  return error instanceof Error && 'path' in error && 'syscall' in error
}

function hintForFileSystem(error: FileSystemError): string | undefined {
  if (error.syscall === 'usage' || error.syscall === 'config') return HELP_HINT
  const service = HINTS_BY_SERVICE_CODE[error.serviceCode ?? '']
  if (service !== undefined) return service
  const word = connectorWordOf(error)
  if (word !== undefined) return HINTS_BY_CONNECTOR_WORD[word]
  if (error.retryable) return hintForUnreachable(error)
  const found = causesOf(error)
    .map(hintForCause)
    .find((hint) => hint !== undefined)
  if (found !== undefined) return found
  return HINTS_BY_CALL[`${error.code} ${error.syscall}`] ?? hintForCode(error)
}

/** Local files and drives have messages that say what to do; Azure's need the command. */
function hintForCode(error: FileSystemError): string | undefined {
  const isLocal = LOCAL_CALLS.has(error.syscall) || error.path?.startsWith('/')
  return isLocal ? undefined : HINTS_BY_CODE[error.code]
}

/** The connector's refusal (`access_denied`, …) somewhere among the causes of `error`. */
function connectorWordOf(error: Error): string | undefined {
  return causesOf(error)
    .map(codeOf)
    .find((code) => code in HINTS_BY_CONNECTOR_WORD)
}

/** `error`, what caused it, and so on. */
function causesOf(error: Error): Error[] {
  const causes: Error[] = []
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) causes.push(cause)
  return causes
}

function hintForCause(cause: Error): string | undefined {
  if (/SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)/.test(codeOf(cause))) return AUTHORITY_HINT
  const isOwnSignIn = isFileSystemError(cause, 'EACCES') && cause.syscall === 'credential.token'
  return isOwnSignIn ? SIGN_IN_HINT : undefined
}

function hintForUnreachable(error: FileSystemError): string {
  return isAboutCredentials(error)
    ? 'check that the connector runs and that ABFS_CONNECTOR_URL is its address: abfs connector check'
    : 'the service did not answer in time; check the endpoint and the network, then try again'
}

/** Whether it was the connector or Entra that did not answer: the call that wanted a credential says so by its cause. */
function isAboutCredentials(error: unknown): boolean {
  if (!isFileSystemError(error)) return false
  return /^(connector|credential)/.test(error.syscall) || isAboutCredentials(error.cause)
}

const HELP_HINT = 'abfs --help, or abfs COMMAND --help, shows usage and settings'

const AUTHORITY_HINT = 'name a private authority with --ca-file FILE (ABFS_CA_FILE)'

const SIGN_IN_HINT =
  'set ABFS_CONNECTOR_URL to ask a connector, or the AZURE_* variables of an identity; ABFS_DEBUG=1 shows what was tried'

const KEY_HINT =
  'name the file of the key that it was written with: --encryption-key-file FILE (ABFS_ENCRYPTION_KEY_FILE); another caller or policy changes nothing'

const HINTS_BY_SERVICE_CODE: Readonly<Record<string, string>> = {
  BlobUsesCustomerSpecifiedEncryption: KEY_HINT,
  BlobCustomerSpecifiedEncryptionMismatch: KEY_HINT,
  BlobDoesNotUseCustomerSpecifiedEncryption:
    'leave out --encryption-key-file (ABFS_ENCRYPTION_KEY_FILE) to read it; with the key it can be written anew',
  ContainerNotFound: 'abfs ls lists the containers; abfs mkdir abfs://NAME creates one',
  AuthorizationPermissionMismatch:
    'the credential does not allow this: ask the operator for the permission in the connector’s policy or a role on the container',
  path_invalid:
    'write a directory as abfs ls shows it: no escapes, no . or .. between slashes, none at the ends',
  InvalidResourceName: 'container names are 3 to 63 lower-case letters, digits and single hyphens',
}

const HINTS_BY_CONNECTOR_WORD: Readonly<Record<string, string>> = {
  access_denied:
    'the connector’s policy does not grant this to you: ask its operator, naming account, container and permissions',
  invalid_client:
    'the connector does not know the caller: check ABFS_CONNECTOR_KEY_FILE (or the token file)',
  invalid_scope:
    'the connector cannot grant exactly this scope: name the directory that its policy grants with --prefix (ABFS_PREFIX), or ask its operator for a policy on the whole container',
  invalid_request: 'client and connector may be of different versions: compare abfs --version',
  temporarily_unavailable: 'the connector cannot get credentials from Entra: its log says why',
  server_error: 'the connector failed: its log says why',
}

const LOCAL_CALLS: ReadonlySet<string> = new Set(['mount', 'unmount', 'connector.listen'])

const HINTS_BY_CALL: Readonly<Record<string, string>> = {
  'EISDIR open': 'abfs ls shows what is in a directory',
  'EPERM rm': 'abfs rm -r --container deletes a whole container',
  'EBUSY unmount': 'close what uses it, or detach it at once: abfs unmount --lazy',
  'ENOSPC spool': 'free space, or name another directory with --cache-dir',
}

const HINTS_BY_CODE: Readonly<Record<string, string>> = {
  ENOENT: 'abfs ls shows what exists',
  EACCES: 'check which caller you are (abfs connector check) and what its policy grants',
  EROFS: 'the drive was mounted with --read-only',
  ENOSPC: 'free space, or choose another directory with --cache-dir',
  EADDRINUSE: 'another process listens there: stop it or choose another port (0 takes a free one)',
  EISDIR: 'add -r to act on a whole directory',
  ENOTEMPTY: 'add -r to remove a directory with all that it holds',
}
