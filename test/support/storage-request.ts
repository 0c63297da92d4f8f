import type { IHttpClient, WebResource } from '@azure/storage-blob'
import type { AccountSettings, StorageAccount } from '../../src/storage-server/model/account.ts'
import type { ContainerProperties } from '../../src/storage-server/model/container.ts'
import { accountSettings, createAccount } from '../../src/storage-server/model/memory-account.ts'
import { parseRequest } from '../../src/storage-server/wire/parse-request.ts'
import type { StorageRequest } from '../../src/storage-server/wire/request.ts'
import type { FakeClock } from './fake-clock.ts'

/** Name of the account of `testAccount`. */
export const accountName = 'abfstest'

/** Its keys. */
export const accountKeys: readonly [string, string] = [
  Buffer.from('first key of the account').toString('base64'),
  Buffer.from('second key of the account').toString('base64'),
]

/** An account of the storage server with two keys and, if wanted, containers. */
export function testAccount(
  clock: FakeClock,
  settings: Partial<AccountSettings> = {},
): StorageAccount {
  const named = { name: accountName, keys: accountKeys, ...settings }
  return createAccount(accountSettings(named), { clock })
}

/** Makes a container of an account, with some properties of its own. */
export function addContainer(
  account: StorageAccount,
  name: string,
  properties: Partial<ContainerProperties> = {},
): void {
  account.putContainer({
    name,
    etag: account.nextEtag(),
    lastModifiedMs: account.nowMs(),
    metadata: {},
    policies: new Map(),
    ...properties,
  })
}

/** A request in short. */
export interface RequestOptions {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly remoteAddress?: string
}

/** The request that a server would read from such a URL; `https` in it makes it secure. */
export function storageRequest(url: string | URL, options: RequestOptions = {}): StorageRequest {
  const { protocol, host, pathname, search } = new URL(url)
  const sent = { host, 'x-ms-version': '2024-11-04', ...options.headers }
  return parseRequest(
    {
      method: options.method ?? 'GET',
      url: `${pathname}${search}`,
      rawHeaders: Object.entries(sent).flat(),
      secure: protocol === 'https:',
      remoteAddress: options.remoteAddress ?? '127.0.0.1',
      body: async () => new Uint8Array(),
    },
    (name) => name === accountName,
  )
}

/** What an Azure client would send, as the server reads it. */
export async function captureRequest(
  send: (options: CaptureOptions) => Promise<unknown>,
): Promise<StorageRequest> {
  const captured: WebResource[] = []
  const httpClient = {
    sendRequest: async (request: WebResource): Promise<never> => {
      captured.push(request)
      throw new Error('captured')
    },
  }
  await send({ httpClient, retryOptions: { maxTries: 1 } }).catch(() => undefined)
  const [request] = captured
  if (request === undefined) throw new Error('the client sent nothing')
  return storageRequest(request.url, {
    method: request.method,
    headers: request.headers.rawHeaders(),
  })
}

/** What a client has to be made with to be captured. */
export interface CaptureOptions {
  readonly httpClient: IHttpClient
  readonly retryOptions: { readonly maxTries: number }
}

/** The request with one parameter of its query replaced or, by `undefined`, taken away. */
export function withQuery(
  request: StorageRequest,
  name: string,
  value: string | undefined,
): StorageRequest {
  const query = new Map(request.query)
  if (value === undefined) query.delete(name)
  else query.set(name, value)
  return { ...request, query }
}

/** The code and the detail with which something is refused; `undefined` when it is not. */
export async function refusalOf(
  attempt: () => unknown,
): Promise<{ status: number; code: string; detail: string } | undefined> {
  const { StorageError } = await import('../../src/storage-server/wire/storage-error.ts')
  try {
    await attempt()
    return undefined
  } catch (error) {
    if (!(error instanceof StorageError)) throw error
    const detail = error.details['AuthenticationErrorDetail'] ?? ''
    return { status: error.status, code: error.code, detail }
  }
}
