import type { Clock } from '../clock.ts'
import {
  type Credential,
  type CredentialOptions,
  type CredentialProvider,
  type Scope,
  sasCredential,
} from '../credential/credential.ts'
import { FileSystemError } from '../errors.ts'
import type { HttpHandler, HttpRequest, HttpResponse, Interceptor } from '../http/handler.ts'
import { checkEndpoint, checkedProof } from './client.ts'
import { LIST_PATH, SIGN_PATH, type SignAnswer, signAnswer } from './mediation.ts'
import { parseProblem } from './protocol.ts'
import { publishCredential, scopePath } from './received.ts'

/** What a {@link PrefixClient} needs. */
export interface PrefixClientOptions {
  /** The connector's URL, before `/v1`. `https`, or `http` on this machine alone. */
  readonly endpoint: URL
  /** Gives the caller's key or token, read anew for each request. */
  readonly callerProof: () => Promise<string>
  readonly http: HttpHandler
  readonly clock: Clock
}

interface Waiting {
  readonly scope: Scope & { readonly blob: string }
  readonly options: CredentialOptions
  readonly resolve: (credential: Credential) => void
  readonly reject: (error: unknown) => void
}

const maxBatch = 256
const maxAnswerBytes = 1024 * 1024

/**
 * The client's side of a prefix on a flat account: signatures for single blobs, those that are asked
 * for together in one request, and lists through the connector. A cache belongs in front of it.
 */
export class PrefixClient implements CredentialProvider {
  readonly #options: PrefixClientOptions
  readonly #waiting = new Map<string, Waiting[]>()

  /** Throws `TypeError` for an endpoint to which a proof cannot be sent safely. */
  constructor(options: PrefixClientOptions) {
    checkEndpoint(options.endpoint)
    this.#options = options
  }

  /** Rejects as {@link CredentialProvider} says; `EACCES` for what is no single blob. */
  getCredential(scope: Scope, options: CredentialOptions = {}): Promise<Credential> {
    const { account, container, blob } = scope
    if (container === undefined || blob === undefined) return Promise.reject(notSigned(scope))
    return new Promise((resolve, reject) => {
      const key = `${account}/${container}/${options.refresh === true}`
      const waiting = this.#waiting.get(key) ?? []
      waiting.push({ scope: { ...scope, blob }, options, resolve, reject })
      this.#waiting.set(key, waiting)
      // Whoever asks before this turn ends goes along.
      if (waiting.length === 1) queueMicrotask(() => void this.#flush(key))
      if (waiting.length === maxBatch) void this.#flush(key)
    })
  }

  /** Answers lists of the containers below `endpoint` through the connector; passes on the rest. */
  mediateLists(account: string, endpoint: URL): Interceptor {
    return (next) => async (request) => {
      const body = listOf(request, account, endpoint)
      if (body === undefined) return next(request)
      const answer = await this.#post(LIST_PATH, body, request)
      if (answer.status === 200) return answer
      throw refusalOf(answer, 'connector.list', request.path ?? request.url.pathname)
    }
  }

  async #flush(key: string): Promise<void> {
    const batch = this.#waiting.get(key) ?? []
    this.#waiting.delete(key)
    try {
      const answer = await this.#sign(batch)
      const sentAtMs = this.#options.clock.nowMs()
      for (const [index, { scope, resolve }] of batch.entries()) {
        const expiresAtMs = sentAtMs + answer.expiresInMs
        const credential = sasCredential(answer.signatures[index]?.query ?? '', expiresAtMs)
        publishCredential(credential, scope, answer.expiresInMs)
        resolve(credential)
      }
    } catch (error) {
      await this.#settleApart(batch, error)
    }
  }

  /** One name that is refused refuses its batch: the others are asked for by themselves. */
  async #settleApart(batch: readonly Waiting[], error: unknown): Promise<void> {
    const isTold = error instanceof FileSystemError && error.code !== 'EIO'
    if (batch.length === 1 || !isTold) {
      for (const { reject } of batch) reject(error)
      return
    }
    const middle = Math.ceil(batch.length / 2)
    for (const half of [batch.slice(0, middle), batch.slice(middle)]) {
      const [first] = half
      if (first === undefined) continue
      const key = `apart ${first.scope.blob} ${this.#waiting.size}`
      this.#waiting.set(key, half)
      await this.#flush(key)
    }
  }

  async #sign(batch: readonly Waiting[]): Promise<SignAnswer> {
    const [first] = batch
    const { account, container } = first?.scope ?? {}
    const body = {
      account,
      container,
      operations: batch.map(({ scope }) => ({ name: scope.blob, permissions: scope.permissions })),
      ...(first?.options.refresh === true ? { refresh: true } : {}),
    }
    const answer = await this.#post(SIGN_PATH, body, { signal: undefined })
    const parsed = signAnswer.safeParse(jsonOf(answer))
    const isWhole = parsed.success && parsed.data.signatures.length === batch.length
    if (answer.status === 200 && isWhole) return parsed.data
    throw refusalOf(answer, 'connector.sign', first === undefined ? '' : scopePath(first.scope))
  }

  async #post(
    path: string,
    body: object,
    { signal, maxBodyBytes }: Pick<HttpRequest, 'signal' | 'maxBodyBytes'>,
  ): Promise<HttpResponse> {
    const { endpoint, callerProof, http } = this.#options
    const url = new URL(endpoint)
    url.pathname = `${url.pathname.replace(/\/$/, '')}${path}`
    const proof = await checkedProof(callerProof)
    return http({
      method: 'POST',
      url,
      headers: { authorization: `Bearer ${proof}`, 'content-type': 'application/json' },
      body: Buffer.from(JSON.stringify(body)),
      operation: 'connector.prefix',
      path: url.href,
      maxBodyBytes: maxBodyBytes ?? maxAnswerBytes,
      idempotent: true,
      signal,
    })
  }
}

/** What the connector is asked in the place of a list; `undefined` for any other request. */
function listOf(request: HttpRequest, account: string, endpoint: URL): object | undefined {
  const { url, method } = request
  const query = url.searchParams
  const isList = query.get('restype') === 'container' && query.get('comp') === 'list'
  const base = endpoint.href.replace(/\/$/, '')
  if (method !== 'GET' || !isList || !url.href.startsWith(`${base}/`)) return undefined
  const [container = ''] = url.href.slice(base.length + 1).split(/[/?]/)
  const include = query.get('include')?.split(',')
  const maxresults = query.get('maxresults')
  return {
    account,
    container: decodeURIComponent(container),
    prefix: query.get('prefix') ?? '',
    ...(query.get('delimiter') === null ? {} : { delimiter: query.get('delimiter') }),
    ...(query.get('marker') === null ? {} : { marker: query.get('marker') }),
    ...(maxresults === null ? {} : { maxresults: Number(maxresults) }),
    ...(include === undefined ? {} : { include }),
  }
}

function refusalOf(answer: HttpResponse, operation: string, path: string): FileSystemError {
  const problem = parseProblem(jsonOf(answer))
  if (problem !== undefined) return problem.toFileSystemError(path)
  return new FileSystemError('EIO', operation, {
    detail: `what answers is no abfs connector of this version (HTTP ${answer.status}): check its URL`,
    path,
    statusCode: answer.status,
    retryable: answer.status >= 500,
  })
}

function jsonOf({ body }: HttpResponse): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'))
  } catch {
    // Whatever it is, it is no message of the protocol; the caller says so with the status.
    return undefined
  }
}

function notSigned(scope: Scope): FileSystemError {
  return new FileSystemError('EACCES', 'connector.sign', {
    detail:
      'on an account with a flat namespace a prefix gives single blobs and lists alone: not containers, not the account',
    path: scopePath(scope),
  })
}
