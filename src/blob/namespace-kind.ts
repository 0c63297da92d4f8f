import { whenAborted } from '../concurrency.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import type { HttpHandler, HttpResponse } from '../http/handler.ts'
import { type AzureCall, callAzure } from './azure-client.ts'
import { endpointBase } from './azure-request.ts'
import type { HierarchyOf, HierarchyStore } from './hierarchy.ts'

/** What a user says of an account's names; `auto` asks the service. */
export type NamespaceChoice = 'auto' | boolean

export interface NamespaceKindOptions {
  readonly http: HttpHandler
  readonly blobEndpoint: URL
  readonly dfsEndpoint: URL
  /** What to use when the names are hierarchical. */
  readonly hierarchy: HierarchyStore
  /** Default `auto`. */
  readonly choice?: NamespaceChoice | undefined
}

/**
 * Finds out once whether an account is hierarchical; calls meanwhile wait for the one answer. Asked
 * are, until one tells: Get Account Information; the access control list of the container's root,
 * which a flat account calls a bad request; the properties of the container at the dfs endpoint. An
 * account whose credential may ask none of these counts as flat. A failure to reach the service
 * rejects, and is asked again by the next call.
 */
export function namespaceKind(options: NamespaceKindOptions): HierarchyOf {
  const { choice = 'auto', hierarchy } = options
  if (choice !== 'auto') return async () => (choice ? hierarchy : undefined)
  let answer: Promise<boolean> | undefined
  return async (container, { signal } = {}) => {
    signal?.throwIfAborted()
    // The question belongs to all who wait for it: one caller's signal does not end it.
    answer ??= ask(options, container).catch((error: unknown) => {
      answer = undefined
      throw error
    })
    return (await orAborted(answer, signal)) ? hierarchy : undefined
  }
}

async function ask(options: NamespaceKindOptions, container: string): Promise<boolean> {
  const questions = [askAccount, askRootAccess, askFilesystem]
  for (const question of questions) {
    const kind = await question(options, container)
    if (kind !== undefined) return kind
  }
  return false
}

/** Any credential for the container may ask this, unless the account's rules forbid it. */
async function askAccount(
  { http, blobEndpoint }: NamespaceKindOptions,
  container: string,
): Promise<boolean | undefined> {
  const response = await unlessRefused(http, endpointBase(blobEndpoint), {
    operation: 'account.info',
    method: 'HEAD',
    path: { container, name: '' },
    query: '?restype=account&comp=properties',
  })
  return truth(response?.headers['x-ms-is-hns-enabled'])
}

async function askRootAccess(
  { http, dfsEndpoint }: NamespaceKindOptions,
  container: string,
): Promise<boolean | undefined> {
  try {
    const call = dfsCall(container, '/?action=getAccessControl')
    const response = await unlessRefused(http, endpointBase(dfsEndpoint), call)
    return response === undefined ? undefined : true
  } catch (error) {
    const isFlat = error instanceof FileSystemError && flatStatuses.has(error.statusCode ?? 0)
    if (isFlat) return false
    throw error
  }
}

/** What an account without a hierarchy answers to a question about access: 400, formerly 409. */
const flatStatuses: ReadonlySet<number> = new Set([400, 409])

async function askFilesystem(
  { http, dfsEndpoint }: NamespaceKindOptions,
  container: string,
): Promise<boolean | undefined> {
  const call = dfsCall(container, '?resource=filesystem')
  const response = await unlessRefused(http, endpointBase(dfsEndpoint), call)
  return truth(response?.headers['x-ms-namespace-enabled'])
}

function dfsCall(container: string, query: string): AzureCall {
  return { operation: 'account.info', method: 'HEAD', path: { container, name: '' }, query }
}

/** `undefined` where the credential may not ask; a missing container rejects. */
async function unlessRefused(
  http: HttpHandler,
  base: string,
  call: AzureCall,
): Promise<HttpResponse | undefined> {
  try {
    return await callAzure(http, base, call)
  } catch (error) {
    if (isFileSystemError(error, 'EACCES') || isUnknown(error, call)) return undefined
    throw error
  }
}

/** An emulator that does not know the question; at the root's access 400 is an answer. */
function isUnknown(error: unknown, { query }: AzureCall): boolean {
  const isQuestion = query?.includes('getAccessControl') !== true
  return isQuestion && isFileSystemError(error, 'EINVAL', 'ENOTSUP')
}

function truth(value: string | undefined): boolean | undefined {
  if (value === undefined) return undefined
  return value.toLowerCase() === 'true'
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise<T>((resolve, reject) => {
    const abort = () => reject(signal.reason)
    whenAborted(signal, abort)
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
