import type { ContainerClient, Pipeline } from '@azure/storage-blob'
import type { HttpHandler } from '../http/handler.ts'
import { formatPath } from '../path.ts'
import { quoted, resourceUrl } from './azure-request.ts'
import type { Subject } from './azure-response.ts'
import { sdkTransport } from './azure-sdk-transport.ts'
import type { CallOptions, ContainerProperties } from './store.ts'

interface LongTailOptions {
  readonly http: HttpHandler
  /** The endpoint without a slash at its end. */
  readonly base: string
}

type Sdk = typeof import('@azure/storage-blob')

/**
 * What is rare, on the Azure SDK. Loading it takes a fifth of a second and 20 MB, so that happens
 * with the first call: who only reads and writes never pays.
 */
export class AzureLongTail {
  readonly #options: LongTailOptions
  #sdk: Promise<Sdk> | undefined

  constructor(options: LongTailOptions) {
    this.#options = options
  }

  async headContainer(name: string, options: CallOptions): Promise<ContainerProperties> {
    const container = await this.#container(name, 'container.head', options)
    const { etag, lastModified, metadata } = await container.getProperties(abortable(options))
    return {
      name,
      etag: quoted(etag ?? ''),
      lastModifiedMs: lastModified?.getTime() ?? 0,
      metadata: { ...metadata },
    }
  }

  async createContainer(name: string, options: CallOptions): Promise<void> {
    const container = await this.#container(name, 'container.create', options)
    await container.create(abortable(options))
  }

  async deleteContainer(name: string, options: CallOptions): Promise<void> {
    const container = await this.#container(name, 'container.delete', options)
    await container.delete(abortable(options))
  }

  async *listContainers(
    options: CallOptions,
  ): AsyncGenerator<ContainerProperties, void, undefined> {
    const subject = { operation: 'container.list', path: 'abfs://' }
    const { sdk, pipeline } = await this.#pipeline(subject, options)
    const service = new sdk.BlobServiceClient(`${this.#options.base}/`, pipeline)
    const containers = service.listContainers({ ...abortable(options), includeMetadata: true })
    for await (const { name, properties, metadata } of containers) {
      yield {
        name,
        etag: quoted(properties.etag),
        lastModifiedMs: properties.lastModified.getTime(),
        metadata: { ...metadata },
      }
    }
  }

  async #container(
    name: string,
    operation: string,
    options: CallOptions,
  ): Promise<ContainerClient> {
    const path = { container: name, name: '' }
    const { sdk, pipeline } = await this.#pipeline({ operation, path: formatPath(path) }, options)
    return new sdk.ContainerClient(resourceUrl(this.#options.base, path).href, pipeline)
  }

  async #pipeline(
    subject: Subject,
    options: CallOptions,
  ): Promise<{ readonly sdk: Sdk; readonly pipeline: Pipeline }> {
    options.signal?.throwIfAborted()
    this.#sdk ??= import('@azure/storage-blob')
    const sdk = await this.#sdk
    const pipeline = sdk.newPipeline(new sdk.AnonymousCredential(), {
      httpClient: sdkTransport(this.#options.http, subject, options.signal),
      // The transport retries already, and better: it knows 429 and Retry-After.
      retryOptions: { maxTries: 1 },
    })
    return { sdk, pipeline }
  }
}

function abortable(options: CallOptions): { abortSignal?: AbortSignal } {
  return options.signal === undefined ? {} : { abortSignal: options.signal }
}
