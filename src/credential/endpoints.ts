import { FileSystemError } from '../errors.ts'
import type { Permission, Scope, Service } from './credential.ts'

/**
 * Where one account is reached. Host-style (`https://account.blob.core.windows.net`) or path-style
 * (`https://127.0.0.1:10000/devstoreaccount1`); no query.
 */
export interface Endpoints {
  readonly account: string
  readonly blob: URL
  readonly dfs?: URL | undefined
}

/** What a client of an account means to do there. */
export interface Access {
  readonly permissions: readonly Permission[]
  /** Below which it stays, in every container it names; absent: whole containers. */
  readonly prefix?: string | undefined
  /** Asks for each blob by itself, where nothing narrower than a container can be had but that. */
  readonly perBlob?: boolean | undefined
}

/**
 * The scope that lets `access` through to `url`: the service is told by the host, the container by
 * the path. Rejects a URL of neither endpoint with `EACCES`: no credential leaves for it.
 */
export function scopeFor(url: URL, endpoints: Endpoints, access: Access): Scope {
  const { account } = endpoints
  const { permissions } = access
  const service = serviceOf(url, endpoints)
  const container = containerOf(url, service === 'dfs' ? endpoints.dfs : endpoints.blob)
  if (container === undefined) return { account, service, permissions }
  if (access.perBlob === true) {
    const blob = blobOf(url, endpoints.blob)
    return { account, service, container, ...(blob === '' ? {} : { blob }), permissions }
  }
  return { account, service, container, prefix: access.prefix, permissions }
}

function serviceOf(url: URL, endpoints: Endpoints): Service {
  if (isBelow(url, endpoints.blob)) return 'blob'
  if (endpoints.dfs !== undefined && isBelow(url, endpoints.dfs)) return 'dfs'
  throw new FileSystemError('EACCES', 'credential.scope', {
    path: `${url.origin}${url.pathname}`,
    detail: `no credential is sent to ${url.host}: it is not an endpoint of ${endpoints.account}`,
  })
}

function isBelow(url: URL, endpoint: URL): boolean {
  return url.origin === endpoint.origin && url.pathname.startsWith(basePath(endpoint))
}

function containerOf(url: URL, endpoint: URL | undefined): string | undefined {
  const start = endpoint === undefined ? 1 : basePath(endpoint).length
  const end = url.pathname.indexOf('/', start)
  const segment = url.pathname.slice(start, end === -1 ? undefined : end)
  return segment === '' ? undefined : decodeURIComponent(segment)
}

/** The decoded name below the container; empty for the container itself. */
function blobOf(url: URL, endpoint: URL): string {
  const below = url.pathname.slice(basePath(endpoint).length)
  const slash = below.indexOf('/')
  return slash === -1 ? '' : decodeURIComponent(below.slice(slash + 1))
}

/** The endpoint's path with one slash at its end. */
function basePath(endpoint: URL): string {
  return endpoint.pathname.endsWith('/') ? endpoint.pathname : `${endpoint.pathname}/`
}
