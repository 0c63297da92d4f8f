import { FileSystemError } from '../errors.ts'
import type { HttpHandler, HttpResponse } from '../http/handler.ts'
import { type AzureCall, callAzure } from './azure-client.ts'
import { propertiesFrom } from './azure-response.ts'
import { type ContainerPage, scanContainerPage } from './container-scanner.ts'
import type { CallOptions, ContainerProperties } from './store.ts'

interface AzureContainersOptions {
  readonly http: HttpHandler
  /** The endpoint without a slash at its end. */
  readonly base: string
}

/** The calls on containers as such. */
export class AzureContainers {
  readonly #options: AzureContainersOptions

  constructor(options: AzureContainersOptions) {
    this.#options = options
  }

  async head(name: string, { signal }: CallOptions): Promise<ContainerProperties> {
    const { headers } = await this.#call(name, {
      operation: 'container.head',
      method: 'HEAD',
      signal,
    })
    const { etag, lastModifiedMs, metadata } = propertiesFrom(headers)
    return { name, etag, lastModifiedMs, metadata }
  }

  async create(name: string, { signal }: CallOptions): Promise<void> {
    await this.#call(name, { operation: 'container.create', method: 'PUT', signal })
  }

  async delete(name: string, { signal }: CallOptions): Promise<void> {
    await this.#call(name, { operation: 'container.delete', method: 'DELETE', signal })
  }

  async *list({ signal }: CallOptions): AsyncGenerator<ContainerProperties, void, undefined> {
    let marker: string | undefined
    do {
      const page = await this.#page(marker, signal)
      yield* page.containers
      marker = page.continuation
    } while (marker !== undefined)
  }

  async #page(marker: string | undefined, signal: AbortSignal | undefined): Promise<ContainerPage> {
    const operation = 'container.list'
    const from = marker === undefined ? '' : `&marker=${encodeURIComponent(marker)}`
    const query = `?comp=list&include=metadata${from}`
    const { body } = await this.#call('', { operation, method: 'GET', query, signal })
    try {
      return scanContainerPage(Buffer.from(body.buffer, body.byteOffset, body.length))
    } catch (cause) {
      throw unreadableList(operation, cause)
    }
  }

  #call(container: string, call: Omit<AzureCall, 'path'>): Promise<HttpResponse> {
    const { http, base } = this.#options
    const path = { container, name: '' }
    return callAzure(http, base, { query: '?restype=container', ...call, path })
  }
}

function unreadableList(operation: string, cause: unknown): FileSystemError {
  const detail = 'the service sent a list of containers that cannot be read'
  return new FileSystemError('EIO', operation, { path: 'abfs://', detail, cause })
}
