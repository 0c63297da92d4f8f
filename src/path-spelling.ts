import { parseAzureUrl } from './azure-url.ts'
import { type BlobPath, formatPath } from './path.ts'

/** What a path says, taken apart. */
export interface SplitPath extends BlobPath {
  /** The version that an `https` URL names by its `versionid`; `undefined` for the current one. */
  readonly versionId: string | undefined
}

/**
 * Container, name and version of a path in any spelling of `parseAzureUrl`; adlfs's `split_path`. The name
 * has no slash at its end. Throws `TypeError` for what is no path.
 */
export function splitPath(path: string | URL): SplitPath {
  const { container, name, versionId } = parseAzureUrl(path)
  return { container, name: name.replace(/\/+$/, ''), versionId }
}

/**
 * `container/path`, without scheme, account and slashes at its end: fsspec's `_strip_protocol`. The
 * empty string for the account's root. Throws `TypeError` for what is no path.
 */
export function stripProtocol(path: string | URL): string {
  const { container, name } = splitPath(path)
  return name === '' ? container : `${container}/${name}`
}

/**
 * `abfs://container/path` for a name as listings give it: fsspec's `unstrip_protocol`. What has a scheme
 * already is returned as it is. Throws `TypeError` for what is no path.
 */
export function unstripProtocol(name: string): string {
  const place = splitPath(name)
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(name) ? name : formatPath(place)
}

/**
 * The directory that a path is in, as `container/path`: fsspec's `_parent`. The empty string for
 * containers and for the root itself. Throws `TypeError` for what is no path.
 */
export function parentPath(path: string | URL): string {
  const name = stripProtocol(path)
  return name.slice(0, Math.max(name.lastIndexOf('/'), 0)).replace(/\/+$/, '')
}
