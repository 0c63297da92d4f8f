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
  const { permissions, prefix } = access
  const { service, rest } = placeOf(url, endpoints)
  const slash = rest.indexOf('/')
  const container = decoded(slash === -1 ? rest : rest.slice(0, slash))
  if (container === '') return { account, service, permissions }
  if (access.perBlob === true) {
    const blob = slash === -1 ? '' : decoded(rest.slice(slash + 1))
    return { account, service, container, ...(blob === '' ? {} : { blob }), permissions }
  }
  return { account, service, container, prefix, permissions }
}

/** Which endpoint `url` is of, and its path below that. */
function placeOf(
  url: URL,
  { account, blob, dfs }: Endpoints,
): { readonly service: Service; readonly rest: string } {
  const belowBlob = pathBelow(url, blob)
  if (belowBlob !== undefined) return { service: 'blob', rest: belowBlob }
  const belowDfs = dfs === undefined ? undefined : pathBelow(url, dfs)
  if (belowDfs !== undefined) return { service: 'dfs', rest: belowDfs }
  throw new FileSystemError('EACCES', 'credential.scope', {
    path: `${url.origin}${url.pathname}`,
    detail: `no credential is sent to ${url.host}: it is not an endpoint of ${account}`,
  })
}

/** By `href` alone, which is there already: every request is looked at. */
function pathBelow({ href }: URL, endpoint: URL): string | undefined {
  const base = endpoint.href.endsWith('/') ? endpoint.href : `${endpoint.href}/`
  if (href.slice(0, base.length) !== base) return undefined
  const end = href.search(/[?#]/)
  return href.slice(base.length, end === -1 ? undefined : end)
}

function decoded(text: string): string {
  return text.includes('%') ? decodeURIComponent(text) : text
}
