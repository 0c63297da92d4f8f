import { randomUUID } from 'node:crypto'
import { isIP } from 'node:net'
import { assertPathName, parseUrlPath, parseUrlQuery } from './parse-url.ts'
import { invalidHeader, refusal } from './refusals.ts'
import type { StorageRequest } from './request.ts'

/** A request before it is understood. */
export interface RawRequest {
  readonly method: string
  /** Path and query as on the request line. */
  readonly url: string
  /** Names and values in turn. */
  readonly rawHeaders: readonly string[]
  readonly secure: boolean
  readonly remoteAddress: string
  readonly requestId?: string | undefined
  readonly body: StorageRequest['body']
}

/** Whether the server has an account of that name. */
export type HasAccount = (name: string) => boolean

interface Place {
  readonly face: 'blob' | 'dfs'
  readonly account: string
  readonly pathStyle: boolean
  /** Decoded segments below the account. */
  readonly segments: readonly string[]
}

const oldestVersion = '2009-09-19'
const accountHost = /^([a-z0-9]{3,24})(?:-secondary)?(?:\.z\d+)?\.(blob|dfs)\./

/**
 * Reads account, face, container and path from a request. Hosts `account.blob.*` and
 * `account.dfs.*` name account and face; on all others the account is the first segment of the
 * path, and the face follows from what only dfs clients send. Throws `StorageError` 400.
 */
export function parseRequest(raw: RawRequest, hasAccount: HasAccount): StorageRequest {
  const headers = foldHeaders(raw.rawHeaders)
  const mark = raw.url.indexOf('?')
  const rawPath = mark < 0 ? raw.url : raw.url.slice(0, mark)
  const query = parseUrlQuery(mark < 0 ? '' : raw.url.slice(mark + 1))
  const segments = parseUrlPath(rawPath)
  const place = locate({ method: raw.method, headers, query, segments }, hasAccount)
  const [container, path] = nameParts(place, raw.method, query)
  if (path !== undefined) assertPathName(path)
  return {
    method: raw.method,
    face: place.face,
    account: place.account,
    pathStyle: place.pathStyle,
    container,
    path,
    rawPath,
    query,
    headers,
    rawHeaders: raw.rawHeaders,
    version: versionOf(headers, query),
    requestId: raw.requestId ?? randomUUID(),
    secure: raw.secure,
    remoteAddress: raw.remoteAddress,
    body: raw.body,
  }
}

interface Clues {
  readonly method: string
  readonly headers: StorageRequest['headers']
  readonly query: ReadonlyMap<string, string>
  readonly segments: readonly string[]
}

function locate(clues: Clues, hasAccount: HasAccount): Place {
  const host = (clues.headers['host'] ?? '').toLowerCase()
  const named = accountHost.exec(host)
  if (named !== null && isIP(host) === 0) {
    const [, account = '', face] = named
    return {
      face: face === 'dfs' ? 'dfs' : 'blob',
      account,
      pathStyle: false,
      segments: clues.segments,
    }
  }
  const face = isDfs(clues) ? 'dfs' : 'blob'
  const [first = '', ...rest] = clues.segments
  if (
    !hasAccount(first) ||
    (rest.length === 0 && clues.headers['x-ms-rename-source'] !== undefined)
  ) {
    const account = accountOfRename(clues, hasAccount)
    if (account !== undefined) return { face, account, pathStyle: true, segments: clues.segments }
  }
  return { face, account: first.replace(/-secondary$/, ''), pathStyle: true, segments: rest }
}

/** The Data Lake client forgets the account of a path-style URL when it renames. */
function accountOfRename({ headers }: Clues, hasAccount: HasAccount): string | undefined {
  const source = headers['x-ms-rename-source']
  const [account = ''] = source?.replace(/^\//, '').split('/') ?? []
  return hasAccount(account) ? account : undefined
}

/** What clients send to the dfs host alone. Reads of a path are the same on both. */
function isDfs({ method, headers, query }: Clues): boolean {
  if (method === 'PATCH' || query.has('action') || query.has('resource')) return true
  if (headers['x-ms-rename-source'] !== undefined) return true
  return method === 'DELETE' && (query.has('recursive') || query.has('paginated'))
}

/** Container and path; a blob directly below the account is in `$root`. */
function nameParts(
  { segments, face }: Place,
  method: string,
  query: ReadonlyMap<string, string>,
): readonly [container: string | undefined, path: string | undefined] {
  const [container, ...rest] = segments
  if (container === undefined || (container === '' && rest.length === 0))
    return [undefined, undefined]
  if (rest.length > 0 && !(rest.length === 1 && rest[0] === '')) return [container, rest.join('/')]
  const isContainer = face === 'dfs' || query.get('restype') !== undefined || method === 'OPTIONS'
  if (isContainer || container.startsWith('$')) return [container, undefined]
  return ['$root', container]
}

/** Lower-case names; values of a repeated name joined by commas, as HTTP has it. */
function foldHeaders(raw: readonly string[]): Record<string, string | undefined> {
  const headers: Record<string, string | undefined> = Object.create(null)
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = (raw[at] ?? '').toLowerCase()
    const value = raw[at + 1]
    const known = headers[name]
    headers[name] = known === undefined ? value : `${known},${value}`
  }
  return headers
}

function versionOf(headers: StorageRequest['headers'], query: ReadonlyMap<string, string>): string {
  const version = headers['x-ms-version'] ?? query.get('api-version')
  if (version === undefined) return query.get('sv') ?? oldestVersion
  if (!isVersion(version)) throw invalidHeader('x-ms-version', version)
  return version
}

let lastVersion = oldestVersion

/** A date in the years that the service has had versions. */
function isVersion(text: string): boolean {
  // Clients keep to one, and a date costs more than the rest of the headers.
  if (text === lastVersion) return true
  const known = isVersionDate(text)
  if (known) lastVersion = text
  return known
}

function isVersionDate(text: string): boolean {
  const [, year = 0, month = 0, day = 0] = (/^(\d{4})-(\d\d)-(\d\d)$/.exec(text) ?? []).map(Number)
  if (year < 2009 || year > 2026) return false
  return new Date(Date.UTC(year, month - 1, day)).toISOString().startsWith(text)
}

/** Refuses container names that Azure refuses. */
export function assertContainerName(name: string): void {
  if (name.startsWith('$') && /^\$(?:root|web|logs|blobchangefeed)$/.test(name)) return
  if (name.length < 3 || name.length > 63) {
    throw refusal('OutOfRangeInput', {
      details: {
        Reason: 'The specified resource name length is not within the permissible limits.',
      },
    })
  }
  if (!/^[a-z0-9](?:-?[a-z0-9])*$/.test(name)) throw refusal('InvalidResourceName')
}
