import { FileSystemError } from '../errors.ts'
import type { HttpRequest, HttpResponse, Interceptor } from '../http/handler.ts'
import { targetOf } from '../http/network-error.ts'
import { isLoopback } from '../loopback.ts'
import { rememberingRecent } from '../recent.ts'
import { parseChallenge, type TokenChallenge } from './challenge.ts'
import type { Credential, CredentialProvider, Scope } from './credential.ts'

export interface AuthorizeOptions {
  readonly provider: CredentialProvider
  /** Which scope lets a request through; asked again, with its URL, for the source of a copy. */
  readonly scopeOf: (request: HttpRequest) => Scope
}

/**
 * Puts the scope's credential on each request: a bearer header, or a SAS in the query. A 401, or a
 * 403 that says the credential itself is bad, is answered by one forced refresh and one replay; a
 * 403 that says what the credential may not do is returned. Rejects with the code of a provider
 * that fails (`EACCES` unless it says otherwise) and its error as the cause; with `EACCES` where a
 * credential would travel unencrypted beyond this machine.
 */
export function authorize(options: AuthorizeOptions): Interceptor {
  const withHeld = holding(options)
  return (next) => {
    const replay = async (request: HttpRequest, { headers }: HttpResponse) => {
      const challenge = parseChallenge(headers['www-authenticate'])
      return next(await withCredential(request, options, { challenge }))
    }
    const begin = async (request: HttpRequest) =>
      next(await withCredential(request, options, undefined))
    return (request) => {
      const refused = refusedTransport(request)
      if (refused !== undefined) return Promise.reject(refused)
      const ready = withHeld(request)
      const answer = ready === undefined ? begin(request) : next(ready)
      return answer.then((response) =>
        isStaleCredential(response) ? replay(request, response) : response,
      )
    }
  }
}

/** The parts of a request prove themselves by what the request was given. */
function withBody(request: HttpRequest, credential: Credential): HttpRequest {
  if (request.bodyOf === undefined) return request
  const proof =
    credential.kind === 'sas'
      ? { query: credential.query }
      : { authorization: `Bearer ${credential.token}` }
  return { ...request, body: request.bodyOf(proof) }
}

/** Another credential is asked for, as the service wants it. */
interface Refresh {
  readonly challenge: TokenChallenge | undefined
}

/** Whether `response` says that the credential is expired, revoked or not for this service. */
function isStaleCredential({ status, headers, body }: HttpResponse): boolean {
  if (status === 401) return true
  if (status !== 403 || !staleCodes.has(headers['x-ms-error-code'] ?? '')) return false
  return mayBeStale(detailOf(body))
}

/** Another credential of the same kind fails alike for another audience, issuer or protocol. */
function mayBeStale(detail: string | undefined): boolean {
  return detail === undefined || /expir|lifetime|time frame|signature|signed|key/i.test(detail)
}

/** What the service says in particular; `undefined` where it says nothing, as to a HEAD. */
function detailOf(body: Uint8Array): string | undefined {
  const text = Buffer.from(body.subarray(0, 4096)).toString('utf8')
  return /<AuthenticationErrorDetail>([^<]+)</.exec(text)?.[1]
}

const staleCodes: ReadonlySet<string> = new Set([
  'AuthenticationFailed',
  'InvalidAuthenticationInfo',
  'ExpiredAuthenticationToken',
])

/** Why no credential may go this way; `undefined` where one may. */
function refusedTransport(request: HttpRequest): FileSystemError | undefined {
  const { url } = request
  if (url.href.startsWith('https:') || isLoopback(url.hostname)) return undefined
  return new FileSystemError('EACCES', request.operation, {
    path: targetOf(request),
    detail: `no credential is sent to ${url.host} over plain http: use https`,
  })
}

/** Puts on a request what is in memory, without waiting; `undefined` for what takes more. */
function holding(options: AuthorizeOptions): (request: HttpRequest) => HttpRequest | undefined {
  const urlOf = signing()
  return (request) => {
    const credential = isPlain(request) ? held(request, options) : undefined
    if (credential === undefined) return undefined
    if (credential.kind === 'sas') return { ...request, url: urlOf(request.url, credential) }
    return { ...request, headers: withBearer(request.headers, `Bearer ${credential.token}`) }
  }
}

/** In this order: a name added to a spread object gives it a hidden class of its own, and takes 0.6 µs. */
function withBearer(
  headers: HttpRequest['headers'],
  authorization: string,
): Record<string, string> {
  const all = { authorization, ...headers }
  all.authorization = authorization
  return all
}

function held(
  request: HttpRequest,
  { provider, scopeOf }: AuthorizeOptions,
): Credential | undefined {
  if (provider.peek === undefined || request.signal?.aborted === true) return undefined
  try {
    return provider.peek(scopeOf(request))
  } catch {
    // Said by `obtain`, which meets it again, with the request that it is about.
    return undefined
  }
}

type Sas = Extract<Credential, { kind: 'sas' }>

/** Many requests are for a few blobs, and a signed URL takes as long to make as an answer to read. */
function signing(): (url: URL, credential: Sas) => URL {
  const byCredential = new WeakMap<Sas, (href: string) => URL>()
  return (url, credential) => {
    let sign = byCredential.get(credential)
    if (sign === undefined) {
      sign = rememberingRecent((href) => withQuery(href, credential))
      byCredential.set(credential, sign)
    }
    return sign(url.href)
  }
}

/** Whether nothing but the request itself needs a credential. */
function isPlain({ headers, bodyOf }: HttpRequest): boolean {
  if (bodyOf !== undefined) return false
  return headers['x-ms-copy-source'] === undefined && headers['x-ms-rename-source'] === undefined
}

async function withCredential(
  given: HttpRequest,
  options: AuthorizeOptions,
  refresh: Refresh | undefined,
): Promise<HttpRequest> {
  const credential = await obtain(given, options, refresh)
  const request = withBody(given, credential)
  if (credential.kind === 'bearer') {
    const authorization = `Bearer ${credential.token}`
    const reads = isReadByUrl(request) && !isLent(request)
    const source = reads ? { 'x-ms-copy-source-authorization': authorization } : {}
    return { ...request, headers: { ...request.headers, authorization, ...source } }
  }
  const url = withQuery(request.url.href, credential)
  const renamed = request.headers['x-ms-rename-source']
  if (renamed !== undefined)
    return {
      ...request,
      url,
      headers: await signedRename(request, renamed, { ...options, refresh }),
    }
  const source = request.headers['x-ms-copy-source']
  if (source === undefined || isLent(request)) return { ...request, url }
  const signed = await signedSource(request, new URL(source), { ...options, refresh })
  return { ...request, url, headers: { ...request.headers, 'x-ms-copy-source': signed } }
}

/** Such a source proves itself by a header of its own: what is read as a range, and what is copied with the answer. */
function isReadByUrl({ headers }: HttpRequest): boolean {
  return headers['x-ms-source-range'] !== undefined || headers['x-ms-requires-sync'] === 'true'
}

/** The source is of another account, which lent its own proof. */
function isLent({ headers }: HttpRequest): boolean {
  if (headers['x-ms-copy-source-authorization'] !== undefined) return true
  const source = headers['x-ms-copy-source']
  return source !== undefined && new URL(source).searchParams.has('sig')
}

/** What lets the service read the blob at `url`, while it copies it to another account. */
export async function lendRead(
  url: URL,
  options: {
    readonly provider: CredentialProvider
    readonly scope: Scope
    readonly signal?: AbortSignal | undefined
  },
): Promise<{ readonly url: URL; readonly authorization?: string | undefined }> {
  const { provider, scope, signal } = options
  const credential = await provider.getCredential(scope, { signal })
  if (credential.kind === 'sas') return { url: withQuery(url.href, credential) }
  return { url, authorization: `Bearer ${credential.token}` }
}

/** The service reads a copy's source with the source's own SAS, not with the destination's. */
async function signedSource(
  request: HttpRequest,
  source: URL,
  options: AuthorizeOptions & { readonly refresh: Refresh | undefined },
): Promise<string> {
  const credential = await obtain({ ...request, url: source }, options, options.refresh)
  return credential.kind === 'sas' ? withQuery(source.href, credential).href : source.href
}

/** The source of a rename stands as `/container/name`, with its own SAS as its query. */
async function signedRename(
  request: HttpRequest,
  source: string,
  options: AuthorizeOptions & { readonly refresh: Refresh | undefined },
): Promise<HttpRequest['headers']> {
  const below = request.url.pathname.split('/').slice(0, accountSegments(request.url)).join('/')
  const url = new URL(`${request.url.origin}${below}${source}`)
  const credential = await obtain({ ...request, url }, options, options.refresh)
  const query = credential.kind === 'sas' ? `?${credential.query}` : ''
  return { ...request.headers, 'x-ms-rename-source': `${source}${query}` }
}

/** Segments before the container: the account stands in the path where the host is an address. */
function accountSegments({ hostname }: URL): number {
  return /^[\d.]+$|^\[|^localhost$/.test(hostname) ? 2 : 1
}

function withQuery(href: string, credential: Sas): URL {
  return new URL(`${href}${href.includes('?') ? '&' : '?'}${credential.query}`)
}

async function obtain(
  request: HttpRequest,
  { provider, scopeOf }: AuthorizeOptions,
  refresh: Refresh | undefined,
): Promise<Credential> {
  const { signal } = request
  try {
    signal?.throwIfAborted()
    const scope = scopeOf(request)
    const held = refresh === undefined ? provider.peek?.(scope) : undefined
    if (held !== undefined) return held
    return await provider.getCredential(scope, {
      signal,
      refresh: refresh !== undefined,
      challenge: refresh?.challenge,
    })
  } catch (cause) {
    if (signal?.aborted === true) throw signal.reason
    throw refusal(request, cause)
  }
}

function refusal(request: HttpRequest, cause: unknown): FileSystemError {
  const known = cause instanceof FileSystemError ? cause : undefined
  const said = cause instanceof Error ? cause.message : String(cause)
  // The code is said once, in front.
  const reason = known === undefined ? said : said.slice(`${known.code}: `.length)
  return new FileSystemError(known?.code ?? 'EACCES', request.operation, {
    path: targetOf(request),
    detail: `no credential was given: ${reason}`,
    retryable: known?.retryable ?? false,
    cause,
  })
}
