import { inspect } from 'node:util'
import type { BlobPath } from './path.ts'

/** Where an account answers. Absent when the URL names only a container. */
export interface AzureEndpoint {
  /** Base URL of the Blob service, without a trailing slash; path-style ones end in the account. */
  readonly blob: string
  /** Base URL of the Data Lake service; `undefined` for path-style hosts, which have none. */
  readonly dfs?: string | undefined
}

/** What a URL of Azure Storage says. `name` may end in `/` when the URL does. */
export interface AzureUrl extends BlobPath {
  readonly account?: string | undefined
  readonly endpoint?: AzureEndpoint | undefined
  readonly versionId?: string | undefined
}

interface Host {
  readonly account: string
  readonly endpoint: AzureEndpoint
}

const SCHEME = /^([a-z][a-z0-9+.-]*):\/\//i
const LITERAL_SCHEMES: ReadonlySet<string> = new Set(['abfs', 'abfss', 'az', 'wasb', 'wasbs'])
const ACCOUNT_HOST =
  /^([a-z0-9][a-z0-9-]*)((?:\.z\d+)?(?:\.privatelink)?)\.(blob|dfs)\.(core\.windows\.net|core\.chinacloudapi\.cn|core\.usgovcloudapi\.net|core\.cloudapi\.de|storage\.azure\.net|fabric\.microsoft\.com)$/i
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i
const SAS = /[?&]sig=/i
const SECRET = /AccountKey=|SharedAccessSignature=|[?&;]sig=/i

/**
 * Reads a place in Azure Storage from any spelling in use:
 *
 * - `abfs://container/path`, also with `abfss`, `az`, `wasb`, `wasbs` or no scheme at all;
 * - `abfs://container@account.dfs.core.windows.net/path`, blob hosts as well;
 * - `abfs://account.blob.core.windows.net/container/path`, dfs hosts as well;
 * - `https://account.blob.core.windows.net/container/path`;
 * - `https://127.0.0.1:10000/account/container/path` (emulators; `http` on loopback alone).
 *
 * Hosts may be of the public and sovereign clouds, of a DNS zone or of OneLake, whose account is
 * `onelake` and whose containers are workspaces.
 *
 * In `https` URLs and `URL` objects names are percent-encoded and decoded once. In all other
 * strings they are literal: `%20`, `#`, `?` and `+` are characters of the name. Slashes before a
 * name are dropped; one at its end stays. A SAS is refused in every form: credentials come from
 * the connector. Throws `TypeError`; its message repeats neither queries nor passwords.
 */
export function parseAzureUrl(input: string | URL): AzureUrl {
  if (input instanceof URL) return parseUrlObject(input)
  if (typeof input !== 'string') throw mistake(input, 'is neither a string nor a URL')
  if (SAS.test(input)) throw sasMistake(input)
  const scheme = SCHEME.exec(input)
  if (scheme === null) return parseLiteral(input, input)
  const name = (scheme[1] ?? '').toLowerCase()
  const rest = input.slice(scheme[0].length)
  if (name === 'https' || name === 'http') return parseEncoded(input, name, rest)
  if (LITERAL_SCHEMES.has(name)) return parseLiteral(input, rest)
  throw mistake(input, `has the scheme '${name}'`)
}

/** Names are as `URL` encoded them, whatever the scheme. */
function parseUrlObject(url: URL): AzureUrl {
  if (SAS.test(url.search)) throw sasMistake(url.href)
  const scheme = url.protocol.slice(0, -1)
  const rest = url.href.slice(url.protocol.length).replace(/^\/\//, '')
  if (scheme === 'https' || scheme === 'http') return parseEncoded(url.href, scheme, rest)
  if (!LITERAL_SCHEMES.has(scheme)) throw mistake(url.href, `has the scheme '${scheme}'`)
  if (url.search !== '' || url.hash !== '') {
    throw mistake(url.href, "has a query or a fragment: write '?' as %3F and '#' as %23")
  }
  return parseLiteral(url.href, decode(url.href, rest))
}

/**
 * The dfs endpoint that belongs to a blob endpoint: the host with `dfs` for `blob` in whatever
 * cloud, zone or private link; the same URL where one address serves both, as emulators do.
 */
export function dfsEndpointOf(blobEndpoint: URL): URL {
  const url = new URL(blobEndpoint)
  if (!/^[\d.]+$|^\[/.test(url.hostname)) url.hostname = url.hostname.replace(/\.blob\./, '.dfs.')
  return url
}

function parseLiteral(input: string, rest: string): AzureUrl {
  const [authority, path] = cut(rest.replace(/^\/+/, ''))
  const at = authority.indexOf('@')
  if (at >= 0) return inContainer(input, authority.slice(0, at), authority.slice(at + 1), path)
  const host = accountHost(authority)
  if (host !== undefined) return { ...host, ...split(path) }
  if (/[.:]/.test(authority)) {
    throw mistake(input, `begins with '${redact(authority)}', neither a container nor a known host`)
  }
  return { container: authority, name: path }
}

/** `container@host/path` */
function inContainer(input: string, container: string, hostName: string, path: string): AzureUrl {
  const host = accountHost(hostName)
  if (host === undefined) throw mistake(input, "has after '@' no host of Azure Storage")
  if (container === '') throw mistake(input, "has no container before '@'")
  return { ...host, container, name: path }
}

function parseEncoded(input: string, scheme: 'http' | 'https', rest: string): AzureUrl {
  if (rest.includes('#')) throw mistake(input, "has a fragment: write '#' in a name as %23")
  const [location = '', query = ''] = splitOnce(rest, '?')
  const [authority, path] = cut(location)
  if (authority.includes('@')) throw mistake(input, 'has a user or password')
  const versionId = parseQuery(input, query)
  const [host, below] = encodedHost(input, scheme, [authority, path])
  const [container, name] = cut(below)
  return {
    ...host,
    container: decode(input, container),
    name: decode(input, name).replace(/^\/+/, ''),
    ...(versionId === undefined ? {} : { versionId }),
  }
}

/** The host and what follows it: its first segment is the container. */
function encodedHost(
  input: string,
  scheme: 'http' | 'https',
  [authority, path]: readonly [string, string],
): readonly [Host, string] {
  if (LOOPBACK.test(authority)) {
    const [account, below] = cut(path)
    if (account === '') throw mistake(input, 'has no account after the host')
    return [{ account, endpoint: { blob: `${scheme}://${authority}/${account}` } }, below]
  }
  if (scheme === 'http') throw mistake(input, "is 'http' to a host that is not this machine")
  const host = accountHost(authority)
  if (host === undefined) {
    throw mistake(input, `has the host '${redact(authority)}', which is not one of Azure Storage`)
  }
  return [host, path]
}

function parseQuery(input: string, query: string): string | undefined {
  if (query === '') return undefined
  const parameters = new URLSearchParams(query)
  const names = [...parameters.keys()].map((name) => name.toLowerCase())
  const [only] = [...parameters.values()]
  if (names.length === 1 && names[0] === 'versionid' && only !== '') return only
  if (names.includes('snapshot')) {
    throw mistake(
      input,
      'names a snapshot: read it with openVersion(path, { snapshot }), the path without it',
    )
  }
  throw mistake(input, "has a query that is not a versionid: write '?' in a name as %3F")
}

function accountHost(authority: string): Host | undefined {
  const match = ACCOUNT_HOST.exec(authority.replace(/:443$/, '').toLowerCase())
  if (match === null) return undefined
  const [, label = '', zone = '', , suffix = ''] = match
  if (suffix === 'fabric.microsoft.com' && !label.endsWith('onelake')) return undefined
  const url = (service: string) => `https://${label}${zone}.${service}.${suffix}`
  const account = suffix === 'fabric.microsoft.com' ? 'onelake' : label.replace(/-secondary$/, '')
  return { account, endpoint: { blob: url('blob'), dfs: url('dfs') } }
}

function split(path: string): BlobPath {
  const [container, name] = cut(path)
  return { container, name }
}

/** Before the first slash, and after it without further leading slashes. */
function cut(text: string): readonly [string, string] {
  const [head = '', tail = ''] = splitOnce(text, '/')
  return [head, tail.replace(/^\/+/, '')]
}

function splitOnce(text: string, separator: string): readonly string[] {
  const at = text.indexOf(separator)
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + separator.length)]
}

function decode(input: string, text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    throw mistake(input, "has a '%' that begins no UTF-8 escape: write it as %25", cause)
  }
}

function sasMistake(input: string): TypeError {
  return mistake(input, 'carries a SAS: remove it, the connector issues credentials')
}

function mistake(input: unknown, problem: string, cause?: unknown): TypeError {
  return new TypeError(
    `url: ${given(input)} ${problem}; expected abfs://container/path, ` +
      'abfs://container@account.dfs.core.windows.net/path or ' +
      'https://account.blob.core.windows.net/container/path',
    cause === undefined ? {} : { cause },
  )
}

function given(input: unknown): string {
  return typeof input === 'string' ? `'${redact(input)}'` : inspect(input, { depth: 0 })
}

/** Without queries, passwords and connection strings. */
function redact(text: string): string {
  const secret = SECRET.exec(text)
  const cutOff = secret === null ? text : `${text.slice(0, secret.index)}<redacted>`
  return cutOff
    .replace(/\?.*$/s, '?<redacted>')
    .replace(/^([^/]*:\/\/)?([^/@]*):[^/@]*@/, '$1<redacted>@')
    .slice(0, 200)
}

/** Azure's clouds, and where each has its storage and its Entra. */
export const clouds = {
  public: { suffix: 'core.windows.net', authority: 'https://login.microsoftonline.com' },
  usgovernment: { suffix: 'core.usgovcloudapi.net', authority: 'https://login.microsoftonline.us' },
  china: { suffix: 'core.chinacloudapi.cn', authority: 'https://login.chinacloudapi.cn' },
} as const

/** `public`, `usgovernment` or `china`. */
export type Cloud = keyof typeof clouds

/** The cloud that the host of an endpoint is in; `public` where it does not say. */
export function cloudOf(endpoint: URL | undefined): (typeof clouds)[Cloud] {
  const host = endpoint?.hostname ?? ''
  return Object.values(clouds).find(({ suffix }) => host.endsWith(`.${suffix}`)) ?? clouds.public
}
