/**
 * A blob keeps its encryption scope. What an answer tells of a blob's is remembered, and said again by each
 * request that writes it: the service takes the container's default where nothing is said, and refuses to
 * change a blob, or to use its blocks, by a request of another scope. Nothing is asked and nothing is kept until
 * a blob with a scope was met, or one was chosen for new blobs.
 */
import { LRUCache } from 'lru-cache'
import type { HttpHandler, HttpRequest, HttpResponse } from '../http/handler.ts'
import { roomFor } from '../recent.ts'
import { baseHeaders } from './azure-request.ts'

const header = 'x-ms-encryption-scope'
/** What makes a blob, which may be new. */
const making: ReadonlySet<string> = new Set([
  'blob.put',
  'blob.stageBlock',
  'blob.stageBlockFrom',
  'blob.commitBlocks',
])
/** What changes one that is there. */
const changing: ReadonlySet<string> = new Set([
  'blob.setMetadata',
  'blob.appendBlock',
  'blob.createSnapshot',
])
/** Known of a blob: it is encrypted with the account's key. */
const none = ''
const maxKnown = 100_000

export class EncryptionScopes {
  readonly #next: HttpHandler
  readonly #chosen: string | undefined
  /** By the path of the URL. */
  readonly #known = new LRUCache<string, string>(roomFor(maxKnown))
  #isMet: boolean

  /** `chosen` is of blobs that are new; absent: the container's. */
  constructor(next: HttpHandler, chosen?: string) {
    this.#next = next
    this.#chosen = chosen
    this.#isMet = chosen !== undefined
  }

  /** Sends a request of the account's blobs. */
  readonly handle: HttpHandler = (request) =>
    this.#isMet ? this.#withScope(request) : this.#next(request).then(this.#noting(request))

  /** Where no scope was met, most answers have none: without what each asynchronous function takes. */
  #noting(request: HttpRequest): (response: HttpResponse) => HttpResponse {
    return (response) => {
      if (response.headers[header] !== undefined && response.status < 300) {
        this.#note(request, response, undefined)
      }
      return response
    }
  }

  async #withScope(request: HttpRequest): Promise<HttpResponse> {
    const scope = await this.#scopeFor(request)
    const headers = scope === undefined ? request.headers : { ...request.headers, [header]: scope }
    const response = await this.#next(scope === undefined ? request : { ...request, headers })
    if (response.status < 300) this.#note(request, response, scope)
    return response
  }

  /** Told of each page of a listing: from the first scope in one on, blobs are asked for theirs. */
  noteListing(page: Buffer): void {
    this.#isMet ||= page.includes('<EncryptionScope>')
  }

  /** The scope of the blob at `url`; `undefined` where it has none. Asks where that may be and is not known. */
  async of(url: URL, signal?: AbortSignal): Promise<string | undefined> {
    if (!this.#isMet) return undefined
    const known = this.#known.get(url.pathname)
    if (known !== undefined) return known === none ? undefined : known
    const what = { method: 'HEAD', operation: 'blob.head', headers: baseHeaders() } as const
    const blob = new URL(url.pathname, url.origin)
    const answer = await this.handle({ ...what, url: blob, signal })
    return answer.status < 300 ? answer.headers[header] : undefined
  }

  async #scopeFor({ operation, url, headers, signal }: HttpRequest): Promise<string | undefined> {
    if (!this.#isMet || headers[header] !== undefined) return undefined
    if (changing.has(operation)) return this.of(url, signal)
    if (!making.has(operation)) return undefined
    const known = this.#known.get(url.pathname)
    return known === none ? undefined : (known ?? this.#chosen)
  }

  #note(request: HttpRequest, { headers }: HttpResponse, sent: string | undefined): void {
    const { method, operation, url } = request
    const path = url.pathname
    if (method === 'DELETE') this.#known.delete(path)
    else if (operation === 'blob.deleteMany') this.#forgetUnscoped()
    else if (method === 'GET' || method === 'HEAD') {
      // Former states have scopes of their own.
      if (url.search === '') this.#keep(path, headers[header])
    } else if (operation === 'blob.put' || operation === 'blob.commitBlocks') {
      this.#keep(path, headers[header] ?? sent)
    }
  }

  #keep(path: string, scope: string | undefined): void {
    this.#isMet ||= scope !== undefined
    if (this.#isMet) this.#known.set(path, scope ?? none)
  }

  /** Names that are free again take the scope that is chosen. */
  #forgetUnscoped(): void {
    for (const [path, scope] of this.#known.entries()) {
      if (scope === none) this.#known.delete(path)
    }
  }
}
