import { MiB } from '../byte-range.ts'
import { type Clock, systemClock } from '../clock.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import type { HttpHandler, HttpResponse } from '../http/handler.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { type AzureCall, callAzure } from './azure-client.ts'
import { addConditions, baseHeaders, endpointBase } from './azure-request.ts'
import { aclPageFrom, changedFrom, pathPageFrom, pathPropertiesFrom } from './dfs-answer.ts'
import {
  accessHeaders,
  changeAclQuery,
  continued,
  createHeaders,
  deleteQuery,
  expiryHeaders,
  listPathsQuery,
  renameHeaders,
} from './dfs-request.ts'
import type {
  AccessChanges,
  AccessControl,
  AclPage,
  AppendOptions,
  ChangeAclOptions,
  ChangedPath,
  CreatePathOptions,
  DeletePathOptions,
  Expiry,
  HierarchyStore,
  ListPathsOptions,
  PathPage,
  PathProperties,
  RenamePathOptions,
} from './hierarchy.ts'
import type { CallOptions, Conditions } from './store.ts'
import { checkBlobPath, checkContainer, checkMetadata } from './validate.ts'

export interface DfsStoreOptions {
  readonly account: string
  readonly dfsEndpoint: URL
  /** Where expiry is set: it is a verb of blobs. */
  readonly blobEndpoint: URL
  /** With credentials, retries and time-outs in it. */
  readonly http: HttpHandler
  readonly clock?: Clock | undefined
  /** As of `RetryOptions`, for renames: only who looks whether one was done may repeat it. */
  readonly isEndless?: (() => boolean) | undefined
}

/** The hierarchy of a storage account of Azure, over its dfs endpoint. */
export class DfsStore implements HierarchyStore {
  readonly account: string
  readonly #http: HttpHandler
  readonly #dfs: string
  readonly #blob: string
  readonly #clock: Clock
  readonly #isEndless: (() => boolean) | undefined

  constructor(options: DfsStoreOptions) {
    this.account = options.account
    this.#http = options.http
    this.#dfs = endpointBase(options.dfsEndpoint)
    this.#blob = endpointBase(options.blobEndpoint)
    this.#clock = options.clock ?? systemClock
    this.#isEndless = options.isEndless
  }

  createDirectory(path: BlobPath, options: CreatePathOptions = {}): Promise<ChangedPath> {
    return this.#create(path, 'directory', options)
  }

  createFile(path: BlobPath, options: CreatePathOptions = {}): Promise<ChangedPath> {
    return this.#create(path, 'file', options)
  }

  async append(path: BlobPath, data: Uint8Array, options: AppendOptions): Promise<void> {
    const { position, signal } = options
    const query = `?action=append&position=${position}`
    await this.#update(path, { operation: 'path.append', query, body: data, signal })
  }

  async flush(path: BlobPath, options: AppendOptions): Promise<ChangedPath> {
    const { position, signal } = options
    const query = `?action=flush&position=${position}&close=true`
    return changedFrom(
      (await this.#update(path, { operation: 'path.flush', query, signal })).headers,
    )
  }

  async rename(from: BlobPath, to: BlobPath, options: RenamePathOptions = {}): Promise<void> {
    checkBlobPath(from, 'path.rename')
    checkBlobPath(to, 'path.rename')
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#rename(from, to, options)
      } catch (error) {
        const isLast = attempt >= maxAttempts && this.#isEndless?.() !== true
        if (!isFileSystemError(error) || !error.retryable || isLast) throw error
        if (await this.#isMoved(from, to, options)) return
        await this.#clock.sleep(Math.min(200 * 2 ** attempt, maxPauseMs), options.signal)
      }
    }
  }

  async deletePath(path: BlobPath, options: DeletePathOptions = {}): Promise<string | undefined> {
    const operation = 'path.delete'
    checkBlobPath(path, operation)
    const { headers } = await this.#call({
      operation,
      method: 'DELETE',
      path,
      query: deleteQuery(options),
      headers: addConditions(baseHeaders(), { ifMatch: options.ifMatch }),
      signal: options.signal,
    })
    return headers['x-ms-continuation'] || undefined
  }

  async listPaths(directory: BlobPath, options: ListPathsOptions = {}): Promise<PathPage> {
    const operation = 'path.list'
    checkDirectory(directory, operation)
    const response = await this.#call({
      operation,
      method: 'GET',
      path: { ...directory, name: '' },
      query: listPathsQuery(directory.name, options),
      maxBodyBytes: maxPageBytes,
      signal: options.signal,
    })
    return parsed(response, pathPageFrom, { operation, path: directory })
  }

  async headPath(path: BlobPath, options: CallOptions = {}): Promise<PathProperties> {
    const { headers } = await this.#head(path, 'getStatus', options)
    return pathPropertiesFrom(path.name, headers)
  }

  async getAccessControl(path: BlobPath, options: CallOptions = {}): Promise<AccessControl> {
    const { headers } = await this.#head(path, 'getAccessControl', options)
    return {
      owner: headers['x-ms-owner'] ?? '',
      group: headers['x-ms-group'] ?? '',
      permissions: headers['x-ms-permissions'] ?? '',
      acl: headers['x-ms-acl'] ?? '',
      etag: changedFrom(headers).etag,
    }
  }

  async setAccessControl(
    path: BlobPath,
    changes: AccessChanges,
    options: CallOptions & Pick<Conditions, 'ifMatch' | 'leaseId'> = {},
  ): Promise<ChangedPath> {
    const response = await this.#update(path, {
      operation: 'path.setAccessControl',
      query: '?action=setAccessControl',
      headers: accessHeaders(changes, options),
      signal: options.signal,
    })
    return changedFrom(response.headers)
  }

  async changeAcl(path: BlobPath, options: ChangeAclOptions): Promise<AclPage> {
    const operation = 'path.changeAcl'
    const headers = { ...baseHeaders(), 'x-ms-acl': options.acl }
    const query = changeAclQuery(options)
    const { signal } = options
    const response = await this.#update(path, { operation, query, headers, signal })
    return parsed(response, aclPageFrom, { operation, path })
  }

  async setExpiry(path: BlobPath, expiry: Expiry, options: CallOptions = {}): Promise<ChangedPath> {
    const operation = 'path.setExpiry'
    checkBlobPath(path, operation)
    const { headers } = await callAzure(this.#http, this.#blob, {
      operation,
      method: 'PUT',
      path,
      query: '?comp=expiry',
      headers: expiryHeaders(expiry),
      signal: options.signal,
    })
    return changedFrom(headers)
  }

  async #create(
    path: BlobPath,
    resource: 'file' | 'directory',
    options: CreatePathOptions,
  ): Promise<ChangedPath> {
    const operation = `path.create-${resource}`
    checkBlobPath(path, operation)
    if (options.metadata !== undefined) checkMetadata(options.metadata, path, operation)
    const { headers } = await this.#call({
      operation,
      method: 'PUT',
      path,
      query: `?resource=${resource}`,
      headers: createHeaders(options),
      signal: options.signal,
    })
    return changedFrom(headers)
  }

  /** Sent once: a second request could not tell that the first was carried out. */
  async #rename(from: BlobPath, to: BlobPath, options: RenamePathOptions): Promise<void> {
    let continuation: string | undefined
    do {
      const { headers } = await this.#call({
        operation: 'path.rename',
        method: 'PUT',
        path: to,
        query: `?mode=legacy${continued(continuation)}`,
        headers: renameHeaders(from, options),
        idempotent: false,
        signal: options.signal,
      })
      continuation = headers['x-ms-continuation'] || undefined
    } while (continuation !== undefined)
  }

  /** Whether a rename whose answer was lost has happened: the one name is gone, the other there. */
  async #isMoved(from: BlobPath, to: BlobPath, options: CallOptions): Promise<boolean> {
    const [source, target] = await Promise.all(
      [from, to].map(async (path) => {
        try {
          return await this.headPath(path, { signal: options.signal })
        } catch (error) {
          if (isFileSystemError(error, 'ENOENT')) return undefined
          throw error
        }
      }),
    )
    return source === undefined && target !== undefined
  }

  #head(path: BlobPath, action: string, { signal }: CallOptions): Promise<HttpResponse> {
    const operation = `path.${action}`
    checkDirectory(path, operation)
    return this.#call({ operation, method: 'HEAD', path, query: `?action=${action}`, signal })
  }

  /** Every update here says where or what, so that a second one changes nothing more. */
  #update(path: BlobPath, call: Omit<AzureCall, 'method' | 'path'>): Promise<HttpResponse> {
    checkDirectory(path, call.operation)
    return this.#call({ ...call, method: 'PATCH', path, idempotent: true })
  }

  #call(call: AzureCall): Promise<HttpResponse> {
    // The root directory is a path of its own, beside the container.
    const root = call.path.name === '' && call.method !== 'GET'
    return callAzure(
      this.#http,
      this.#dfs,
      root ? { ...call, query: `/${call.query ?? ''}` } : call,
    )
  }
}

const maxAttempts = 5
const maxPauseMs = 10_000
/** 5,000 paths with names of 1,024 characters, in JSON. */
const maxPageBytes = 64 * MiB

function checkDirectory(path: BlobPath, operation: string): void {
  if (path.name === '') checkContainer(path.container, operation)
  else checkBlobPath(path, operation)
}

function parsed<T>(
  response: HttpResponse,
  parse: (response: HttpResponse) => T,
  subject: { readonly operation: string; readonly path: BlobPath },
): T {
  try {
    return parse(response)
  } catch (cause) {
    throw unreadable(subject, cause)
  }
}

function unreadable(
  { operation, path }: { readonly operation: string; readonly path: BlobPath },
  cause: unknown,
): FileSystemError {
  const detail = 'the dfs endpoint sent an answer that cannot be read'
  return new FileSystemError('EIO', operation, { path: formatPath(path), detail, cause })
}
