import { type AzureUrl, parseAzureUrl } from '../azure-url.ts'
import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { rememberingRecent } from '../recent.ts'
import { fullName } from './file-info.ts'

/** A place in the account, in any spelling that `parseAzureUrl` reads. */
export type PathInput = string | URL

/** The path that `input` names in `account`, without trailing slashes. `EINVAL` for another account. */
export function locate(account: string, input: PathInput, syscall: string): BlobPath {
  const url = parse(account, input, syscall)
  return { container: url.container, name: url.name.replace(/\/+$/, '') }
}

/** As {@link locate}, but of a blob or directory inside a container: `EISDIR` for others. */
export function locateFile(account: string, input: PathInput, syscall: string): BlobPath {
  const url = parse(account, input, syscall)
  if (url.name !== '' && !url.name.endsWith('/')) return url
  throw new FileSystemError('EISDIR', syscall, {
    path: formatPath(url),
    detail: 'the path names a directory, not a file',
  })
}

/** `container/path`, with one trailing slash when the input had any: patterns and destinations. */
export function locateName(account: string, input: PathInput, syscall: string): string {
  const url = parse(account, input, syscall)
  const name = fullName({ container: url.container, name: url.name.replace(/\/+$/, '') })
  return /[^/]\/+$/.test(String(input)) ? `${name}/` : name
}

/** Who reads a file piece by piece names it each time; and by the same object the store knows it again. */
const parseText = rememberingRecent(parseAzureUrl)

function readText(input: string, syscall: string): AzureUrl {
  try {
    return parseText(input)
  } catch (cause) {
    throw noPlace(syscall, cause)
  }
}

/** A text that names no place is an error like that of a place that cannot be. */
function noPlace(syscall: string, cause: unknown): FileSystemError {
  const detail = cause instanceof Error ? cause.message : String(cause)
  return new FileSystemError('EINVAL', syscall, { detail, cause })
}

function parse(account: string, input: PathInput, syscall: string): AzureUrl {
  const url = typeof input === 'string' ? readText(input, syscall) : parseAzureUrl(input)
  if (url.account !== undefined && url.account !== account) {
    throw new FileSystemError('EINVAL', syscall, {
      path: formatPath(url),
      detail: `the URL is of account '${url.account}', this file system serves '${account}'`,
    })
  }
  if (url.versionId === undefined) return url
  throw new FileSystemError('ENOTSUP', syscall, {
    path: formatPath(url),
    detail:
      'a URL with a versionid names no file to work on: read it with openVersion(path, { versionId }) or readVersion, and give the URL without it',
  })
}
