import type { BlobClient, ContainerClient, Pipeline } from '@azure/storage-blob'
import type { Clock } from '../clock.ts'
import { FileSystemError } from '../errors.ts'
import type { HttpHandler } from '../http/handler.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { quoted, resourceUrl } from './azure-request.ts'
import type { Subject } from './azure-response.ts'
import { sdkTransport } from './azure-sdk-transport.ts'
import type { CallOptions, ContainerProperties, CopyOptions } from './store.ts'

interface LongTailOptions {
  readonly http: HttpHandler
  /** The endpoint without a slash at its end. */
  readonly base: string
  readonly clock: Clock
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

  async copy(from: BlobPath, to: BlobPath, options: CopyOptions): Promise<void> {
    const subject: Subject = {
      operation: 'blob.copy',
      path: formatPath(from),
      dest: formatPath(to),
      // A destination in the way is told as 409; a 412 is then about the source.
      mustNotExist: options.ifNoneMatch !== undefined && options.sourceIfMatch === undefined,
    }
    const blob = await this.#blob(to, subject, options)
    const { metadata, ifMatch, ifNoneMatch, leaseId, sourceIfMatch, signal } = options
    const poller = await blob.beginCopyFromURL(resourceUrl(this.#options.base, from).href, {
      ...(metadata === undefined ? {} : { metadata: { ...metadata } }),
      ...(signal === undefined ? {} : { abortSignal: signal }),
      conditions: defined({ ifMatch, ifNoneMatch, leaseId }),
      sourceConditions: defined({ ifMatch: sourceIfMatch }),
    })
    if (poller.isDone()) return
    await this.#waitForCopy(blob, subject, options)
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

  /** Within one account a copy is nearly always complete at once; otherwise the blob tells. */
  async #waitForCopy(blob: BlobClient, subject: Subject, options: CallOptions): Promise<void> {
    for (;;) {
      await this.#options.clock.sleep(pollIntervalMs, options.signal)
      const { copyStatus, copyStatusDescription } = await blob.getProperties(abortable(options))
      if (copyStatus === 'success' || copyStatus === undefined) return
      if (copyStatus !== 'pending') throw failedCopy(subject, copyStatusDescription ?? copyStatus)
    }
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

  async #blob(path: BlobPath, subject: Subject, options: CallOptions): Promise<BlobClient> {
    const { sdk, pipeline } = await this.#pipeline(subject, options)
    return new sdk.BlobClient(resourceUrl(this.#options.base, path).href, pipeline)
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

const pollIntervalMs = 500

function abortable(options: CallOptions): { abortSignal?: AbortSignal } {
  return options.signal === undefined ? {} : { abortSignal: options.signal }
}

function defined(conditions: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept: Record<string, string> = {}
  for (const [name, value] of Object.entries(conditions))
    if (value !== undefined) kept[name] = value
  return kept
}

function failedCopy({ operation, path, dest }: Subject, reason: string): FileSystemError {
  return new FileSystemError('EIO', operation, {
    path,
    ...(dest === undefined ? {} : { dest }),
    detail: `the service gave the copy up: ${reason}`,
  })
}
