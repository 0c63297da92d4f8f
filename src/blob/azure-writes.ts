import { createHash } from 'node:crypto'
import { type Crc64, crc64Aside, formatCrc64 } from '../crc64.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import type { HttpHandler, HttpResponse } from '../http/handler.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { faultChannel } from '../telemetry.ts'
import { type AzureCall, callAzure } from './azure-client.ts'
import {
  addConditions,
  baseHeaders,
  blobHeaders,
  blockListXml,
  defaultContentType,
  type Headers,
  rangeHeader,
} from './azure-request.ts'
import { modifiedFrom, propertiesFrom } from './azure-response.ts'
import type {
  AppendOptions,
  BlobProperties,
  CommitOptions,
  Integrity,
  PutOptions,
  StageOptions,
} from './store.ts'
import {
  checkAppend,
  checkBlock,
  checkBlockCount,
  checkBodySize,
  maxBlobPutBytes,
} from './validate.ts'
import { formatMark, markHeader, markOf, type WrittenMark } from './written-mark.ts'

interface AzureWritesOptions {
  readonly http: HttpHandler
  /** The endpoint without a slash at its end. */
  readonly base: string
  readonly integrity: Integrity
}

/** Uploads, with sums that the service checks, and marks by which a write knows its own work. */
export class AzureWrites {
  readonly #options: AzureWritesOptions
  /** What the service refused once is not sent again. */
  #takesSums = true

  constructor(options: AzureWritesOptions) {
    this.#options = options
  }

  async put(path: BlobPath, data: Uint8Array, options: PutOptions): Promise<BlobProperties> {
    const operation = 'blob.put'
    checkBodySize(data.length, maxBlobPutBytes, { path, syscall: operation })
    const { appendable = false } = options
    // Of what is appended to nothing is known ahead.
    const crc64 = appendable ? undefined : (options.crc64 ?? (await this.#crc64Of(data)))
    const mark = markOf(data.length, crc64, options)
    const headers = markedHeaders(options, mark)
    headers['x-ms-blob-type'] = appendable ? 'AppendBlob' : 'BlockBlob'
    const { signal } = options
    const own = await this.#orOwn(mark, { path, options }, (noteUncertain) => {
      const call = { operation, method: 'PUT', path, headers, body: data, signal } as const
      return this.#sendSummed({ ...call, noteUncertain }, data, crc64)
    })
    return 'etag' in own ? own : writtenProperties(own.headers, options, mark)
  }

  async stageBlock(
    path: BlobPath,
    blockId: string,
    data: Uint8Array,
    options: StageOptions,
  ): Promise<void> {
    const operation = 'blob.stageBlock'
    checkBlock(blockId, data, { path, syscall: operation })
    const call = {
      operation,
      method: 'PUT',
      path,
      query: `?comp=block&blockid=${encodeURIComponent(blockId)}`,
      headers: addConditions(baseHeaders(), { leaseId: options.leaseId }),
      body: data,
      signal: options.signal,
    } as const
    await this.#sendSummed(call, data, options.crc64 ?? (await this.#crc64Of(data)))
  }

  /** An append whose answer was lost is known by its bytes, at its place. */
  async appendBlock(
    path: BlobPath,
    data: Uint8Array,
    { position, leaseId, signal }: AppendOptions,
  ): Promise<BlobProperties> {
    const operation = 'blob.appendBlock'
    checkAppend(data, position)
    const headers = addConditions(baseHeaders(), { leaseId })
    headers['x-ms-blob-condition-appendpos'] = String(position)
    let isUncertain = false
    const noteUncertain = () => {
      isUncertain = true
    }
    const query = '?comp=appendblock'
    const call = { operation, method: 'PUT', path, query, headers, body: data, signal } as const
    try {
      const crc64 = await this.#crc64Of(data)
      const answer = await this.#sendSummed({ ...call, noteUncertain }, data, crc64)
      return appendedProperties(answer.headers, position + data.length)
    } catch (error) {
      if (!isUncertain || !isFileSystemError(error, 'ESTALE')) throw error
      const found = await this.#appended(path, data, { position, signal })
      if (found === undefined) throw error
      return found
    }
  }

  /** What the blob is, when it has these bytes there. */
  async #appended(
    path: BlobPath,
    data: Uint8Array,
    { position, signal }: AppendOptions,
  ): Promise<BlobProperties | undefined> {
    const headers = baseHeaders()
    headers['x-ms-range'] = rangeHeader({ start: position, end: position + data.length })
    const call = { operation: 'blob.get', method: 'GET', path, headers, signal } as const
    const answer = await this.#send({ ...call, maxBodyBytes: data.length, accept: 416 })
    const isOurs = answer.status === 206 && Buffer.compare(answer.body, data) === 0
    return isOurs ? propertiesFrom(answer.headers) : undefined
  }

  /** Resolves without a size where nobody knows it. */
  async commitBlocks(
    path: BlobPath,
    blockIds: readonly string[],
    options: CommitOptions,
  ): Promise<BlobProperties | undefined> {
    const operation = 'blob.commitBlocks'
    checkBlockCount(blockIds.length, path)
    const sizeBytes = blockIds.length === 0 ? 0 : options.sizeBytes
    const mark = markOf(
      sizeBytes ?? 0,
      sizeBytes === undefined ? undefined : options.crc64,
      options,
    )
    const headers = markedHeaders(options, mark)
    const body = blockListXml(blockIds)
    const { signal } = options
    const call = { operation, method: 'PUT', path, query: '?comp=blocklist', signal } as const
    const own = await this.#orOwn(mark, { path, options }, (noteUncertain) =>
      this.#send({ ...call, headers, body, noteUncertain }),
    )
    if ('etag' in own) return own
    return sizeBytes === undefined ? undefined : writtenProperties(own.headers, options, mark)
  }

  #send(call: AzureCall): Promise<HttpResponse> {
    return callAzure(this.#options.http, this.#options.base, call)
  }

  /**
   * When an attempt may have taken effect without its answer arriving, and the next one met a blob that
   * its condition forbids, that blob may be the work of the first: its mark tells.
   */
  async #orOwn(
    mark: WrittenMark,
    { path, options }: { readonly path: BlobPath; readonly options: PutOptions },
    send: (noteUncertain: () => void) => Promise<HttpResponse>,
  ): Promise<HttpResponse | BlobProperties> {
    let isUncertain = false
    try {
      return await send(() => {
        isUncertain = true
      })
    } catch (error) {
      if (!isUncertain || mark.by === undefined) throw error
      if (!isFileSystemError(error, 'EEXIST', 'ESTALE')) throw error
      const found = await this.#head(path, options)
      if (found?.written?.by !== mark.by) throw error
      return found
    }
  }

  async #head(path: BlobPath, { signal }: PutOptions): Promise<BlobProperties | undefined> {
    try {
      const answer = await this.#send({ operation: 'blob.head', method: 'HEAD', path, signal })
      return propertiesFrom(answer.headers)
    } catch (error) {
      if (isFileSystemError(error, 'ENOENT')) return undefined
      throw error
    }
  }

  async #crc64Of(data: Uint8Array): Promise<Crc64 | undefined> {
    return this.#options.integrity === 'crc64' ? crc64Aside(data) : undefined
  }

  /** Sends `data` with its sum. What arrived damaged is sent once more. */
  async #sendSummed(
    call: AzureCall & { readonly headers: Headers },
    data: Uint8Array,
    crc64: Crc64 | undefined,
  ): Promise<HttpResponse> {
    const sum = this.#takesSums ? sumHeader(this.#options.integrity, data, crc64) : undefined
    if (sum === undefined) return this.#send(call)
    call.headers[sum.name] = sum.value
    try {
      return await this.#send(call)
    } catch (error) {
      if (!isFileSystemError(error)) throw error
      if (error.code === 'EBADMSG') return this.#send(call)
      if (!refusesHeader(error, sum.name)) throw error
      this.#giveUpSums(call, error)
      const { [sum.name]: _, ...headers } = call.headers
      return this.#send({ ...call, headers })
    }
  }

  /** Said aloud: from here on damage on the way is not noticed by the service. */
  #giveUpSums({ operation, path }: AzureCall, cause: FileSystemError): void {
    this.#takesSums = false
    const detail =
      'the service does not take checksums of uploads: they are sent without from now on'
    const error = new FileSystemError('ENOTSUP', operation, { detail, cause })
    faultChannel.publish({ operation, path: formatPath(path), error })
  }
}

function appendedProperties(headers: HttpResponse['headers'], sizeBytes: number): BlobProperties {
  return {
    sizeBytes,
    etag: headers['etag'] ?? '',
    lastModifiedMs: modifiedFrom(headers['last-modified']) ?? 0,
    blobType: 'AppendBlob',
  }
}

function sumHeader(
  integrity: Integrity,
  data: Uint8Array,
  crc64: Crc64 | undefined,
): { readonly name: string; readonly value: string } | undefined {
  if (integrity === 'md5') {
    return { name: 'content-md5', value: createHash('md5').update(data).digest('base64') }
  }
  return crc64 === undefined ? undefined : { name: 'x-ms-content-crc64', value: formatCrc64(crc64) }
}

function refusesHeader(error: FileSystemError, name: string): boolean {
  return (
    name === 'x-ms-content-crc64' &&
    ['UnsupportedHeader', 'FeatureNotSupported', 'NotImplemented'].includes(error.serviceCode ?? '')
  )
}

function markedHeaders(options: PutOptions, mark: WrittenMark): Headers {
  const headers = blobHeaders(options)
  const text = formatMark(mark, options.metadata)
  if (text !== undefined) headers[markHeader] = text
  return headers
}

/** What a put or commit made: the answer tells only the etag, the time and the version. */
function writtenProperties(
  headers: HttpResponse['headers'],
  options: PutOptions,
  mark: WrittenMark,
): BlobProperties {
  return {
    sizeBytes: mark.sizeBytes,
    etag: headers['etag'] ?? '',
    lastModifiedMs: modifiedFrom(headers['last-modified']) ?? 0,
    contentType: options.contentType ?? defaultContentType,
    blobType: options.appendable === true ? 'AppendBlob' : 'BlockBlob',
    accessTier: options.tier,
    isTierChosen: options.tier !== undefined,
    headers: { ...options.headers },
    versionId: headers['x-ms-version-id'],
    tagCount: Object.keys(options.tags ?? {}).length || undefined,
    metadata: { ...options.metadata },
    written: mark,
  }
}
