import type { Clock } from '../clock.ts'
import {
  type Credential,
  type CredentialOptions,
  type CredentialProvider,
  type Permission,
  type Scope,
  sasCredential,
} from '../credential/credential.ts'
import { FileSystemError } from '../errors.ts'
import type { HttpRequest, HttpResponse, Interceptor } from '../http/handler.ts'
import {
  type Asking,
  askConnector,
  checkEndpoint,
  connectorUrl,
  type SessionWish,
} from './asking.ts'
import {
  LIST_PATH,
  type ListRequest,
  listPermissions,
  SIGN_PATH,
  type SignAnswer,
  signAnswer,
} from './mediation.ts'
import { sortPermissions } from './protocol.ts'
import { parseProblem, readJson } from './read-answer.ts'
import { publishCredential, scopePath } from './received.ts'

/** What a {@link PrefixClient} needs. */
export interface PrefixClientOptions extends Asking {
  readonly clock: Clock
  /** The prefix that sessions are opened for; the whole container when absent. */
  readonly prefix?: string | undefined
}

interface Waiting {
  readonly scope: Scope & { readonly blob: string }
  readonly options: CredentialOptions
  readonly resolve: (credential: Credential) => void
  readonly reject: (error: unknown) => void
}

/** A `ListRequest` whose words the connector checks. */
type ListBody = Record<keyof ListRequest, unknown> & {
  readonly container: string
  readonly include: readonly string[] | undefined
}

interface Wanting {
  readonly wanted: SessionWish
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
      const wanted = this.#wish(account, body.container, listPermissions(body))
      const answer = await this.#post(LIST_PATH, body, { ...request, wanted })
      if (answer.status === 200) return answer
      const path = request.path ?? request.url.pathname
      if (answer.status === 400 && body.startFrom !== undefined) throw noStart(path)
      throw refusalOf(answer, 'connector.list', path)
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
    const permissions = batch.flatMap(({ scope }) => scope.permissions)
    const wanted = this.#wish(account, container, sortPermissions(permissions))
    const answer = await this.#post(SIGN_PATH, body, { wanted })
    const parsed = signAnswer.safeParse(readJson(answer.body))
    const isWhole = parsed.success && parsed.data.signatures.length === batch.length
    if (answer.status === 200 && isWhole) return parsed.data
    throw refusalOf(answer, 'connector.sign', first === undefined ? '' : scopePath(first.scope))
  }

  #wish(account = '', container: string | undefined, permissions: Permission[]): SessionWish {
    const { prefix } = this.#options
    return { grants: [{ account, service: 'blob', container, prefix, permissions }] }
  }

  #post(
    path: string,
    body: object,
    { wanted, signal, maxBodyBytes }: Pick<HttpRequest, 'signal' | 'maxBodyBytes'> & Wanting,
  ): Promise<HttpResponse> {
    const url = connectorUrl(this.#options.endpoint, path)
    return askConnector(this.#options, wanted, ({ authorization }) => ({
      method: 'POST',
      url,
      headers: { authorization, 'content-type': 'application/json' },
      body: Buffer.from(JSON.stringify(body)),
      operation: 'connector.prefix',
      path: url.href,
      maxBodyBytes: maxBodyBytes ?? maxAnswerBytes,
      idempotent: true,
      signal,
    }))
  }
}

/** What the connector is asked in the place of a list; `undefined` for any other request. */
function listOf(request: HttpRequest, account: string, endpoint: URL): ListBody | undefined {
  const { url, method } = request
  const query = url.searchParams
  const isList = query.get('restype') === 'container' && query.get('comp') === 'list'
  const base = endpoint.href.replace(/\/$/, '')
  if (method !== 'GET' || !isList || !url.href.startsWith(`${base}/`)) return undefined
  const [container = ''] = url.href.slice(base.length + 1).split(/[/?]/)
  const maxresults = query.get('maxresults')
  return {
    account,
    container: decodeURIComponent(container),
    prefix: query.get('prefix') ?? '',
    delimiter: query.get('delimiter') ?? undefined,
    marker: query.get('marker') ?? undefined,
    startFrom: query.get('startFrom') ?? undefined,
    maxresults: maxresults === null ? undefined : Number(maxresults),
    include: query.get('include')?.split(','),
  }
}

/** A connector, or a service behind it, that is older than this: whoever asked lists from the beginning. */
function noStart(path: string): FileSystemError {
  const detail = 'the connector does not list from a name on'
  return new FileSystemError('EINVAL', 'connector.list', { detail, path, statusCode: 400 })
}

function refusalOf(answer: HttpResponse, operation: string, path: string): FileSystemError {
  const problem = parseProblem(readJson(answer.body))
  if (problem !== undefined) return problem.toFileSystemError(path)
  return new FileSystemError('EIO', operation, {
    detail: `what answers is no abfs connector of this version (HTTP ${answer.status}): check its URL`,
    path,
    statusCode: answer.status,
    retryable: answer.status >= 500,
  })
}

function notSigned(scope: Scope): FileSystemError {
  return new FileSystemError('EACCES', 'connector.sign', {
    detail:
      'on an account with a flat namespace a prefix gives single blobs and lists alone: not containers, not the account',
    path: scopePath(scope),
  })
}
