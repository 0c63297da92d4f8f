import { strict as assert } from 'node:assert'
import type { HttpHandler, HttpRequest, HttpResponse } from '../http/handler.ts'
import { answerError, unavailable } from './azure-answer.ts'
import { ConnectorError } from './connector-error.ts'
import { STORAGE_VERSION } from './delegation-keys.ts'
import type { TokenFor } from './entra-issuer.ts'
import type { ListRequest } from './mediation.ts'

/** What a {@link BlobLister} works with. */
export interface BlobListerOptions {
  readonly tokenFor: TokenFor
  readonly http: HttpHandler
  /** The blob endpoint of an account. */
  readonly endpointOf: (account: string) => URL
  /** The audience of an account's blob service. */
  readonly audienceOf: (account: string) => string
}

/** The first version that lists from a name on. */
const startFromVersion = '2026-02-06'
const maxPageBytes = 64 * 1024 * 1024

/** Lists prefixes with the connector's own identity, for callers that have no credential for it. */
export class BlobLister {
  readonly #options: BlobListerOptions

  constructor(options: BlobListerOptions) {
    this.#options = options
  }

  /** One page as the service sends it. Rejects with `ConnectorError`. */
  async list(request: ListRequest, signal?: AbortSignal): Promise<string> {
    const { account, container, prefix, startFrom } = request
    const token = await this.#options.tokenFor(this.#options.audienceOf(account))
    const version = startFrom === undefined ? STORAGE_VERSION : startFromVersion
    const headers = { authorization: `Bearer ${token}`, 'x-ms-version': version }
    const url = urlOf(request, this.#options.endpointOf(account))
    const answer = await this.#send({ url, headers, signal })
    if (answer.status === 400 && startFrom !== undefined) throw noStart()
    if (answer.status !== 200) {
      const role = 'Storage Blob Data Reader'
      const scope = `$(az storage account show --name ${account} --query id --output tsv)`
      throw answerError(answer, { who: `the container ${container} of ${account}`, role, scope })
    }
    const xml = Buffer.from(answer.body).toString('utf8')
    assertBelow(xml, prefix)
    return xml
  }

  async #send(request: Pick<HttpRequest, 'url' | 'headers' | 'signal'>): Promise<HttpResponse> {
    try {
      return await this.#options.http({
        ...request,
        method: 'GET',
        operation: 'connector.list',
        maxBodyBytes: maxPageBytes,
      })
    } catch (cause) {
      request.signal?.throwIfAborted()
      throw Object.assign(unavailable('the storage account', 'no answer', true), { cause })
    }
  }
}

function urlOf(request: ListRequest, endpoint: URL): URL {
  const { container, prefix, delimiter, marker, startFrom, maxresults, include } = request
  const url = new URL(`${endpoint.href.replace(/\/$/, '')}/${container}`)
  const query = {
    restype: 'container',
    comp: 'list',
    prefix,
    delimiter,
    marker,
    startFrom,
    maxresults,
    include: include?.join(','),
  }
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== '') url.searchParams.set(name, String(value))
  }
  return url
}

/** Services that are older, and emulators: whoever asked can list from the beginning. */
function noStart(): ConnectorError {
  return new ConnectorError('invalid_request', 'malformed', {
    detail: 'the storage account does not list from a name on',
    hint: 'list without startFrom',
  })
}

/** What the service found is looked at once more before it leaves. */
function assertBelow(xml: string, prefix: string): void {
  const names = xml.matchAll(/<(?:Blob|BlobPrefix)><Name(?: Encoded="true")?>([^<]*)<\/Name>/g)
  for (const [, name = ''] of names) {
    assert(decoded(name).startsWith(prefix), 'the list stays below its prefix')
  }
}

function decoded(text: string): string {
  const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
  return text
    .replace(/&#(?:x([0-9a-f]+)|(\d+));/gi, (_all, hex?: string, decimal?: string) =>
      String.fromCodePoint(hex === undefined ? Number(decimal) : Number.parseInt(hex, 16)),
    )
    .replace(/&(amp|lt|gt|quot|apos);/g, (all, name: string) => entities[name] ?? all)
}
