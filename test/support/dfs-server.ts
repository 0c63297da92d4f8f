import { globalAgent } from 'node:http'
import type { LookupFunction } from 'node:net'
import { DataLakeServiceClient, StorageSharedKeyCredential } from '@azure/storage-file-datalake'
import type { Test } from 'tap'
import { request } from 'undici'
import type { AccessControl } from '../../src/storage-server/access/access.ts'
import { createAccessControl } from '../../src/storage-server/access/create-access-control.ts'
import type { AccountSettings, StorageAccount } from '../../src/storage-server/model/account.ts'
import { createStorageServer } from '../../src/storage-server/server.ts'
import { FakeClock } from './fake-clock.ts'
import { accountKeys, accountName, addContainer, testAccount } from './storage-request.ts'

/** Name of the file system that the server begins with. */
export const fileSystemName = 'files'

/** A server with one account and one file system, and ways to reach it. */
export interface DfsServer {
  readonly account: StorageAccount
  readonly clock: FakeClock
  /** Without a slash at the end. */
  readonly url: string
  readonly hostStyle: DataLakeServiceClient
  readonly pathStyle: DataLakeServiceClient
  raw(method: string, target: string, options?: RawOptions): Promise<RawAnswer>
}

export interface RawOptions {
  readonly headers?: Record<string, string>
  readonly body?: string
  readonly face?: 'blob' | 'dfs'
}

export interface RawAnswer {
  readonly status: number
  readonly headers: Record<string, string | string[] | undefined>
  readonly text: string
  /** Code of the error document, which is also the header's. */
  readonly code: string | undefined
}

/** Lets everybody do everything: for requests that are about something else. */
export const openAccess: AccessControl = {
  authenticate: async () => ({ kind: 'sharedKey' }),
  authorize: () => undefined,
}

/** Starts a server that ends with the test; hierarchical unless the settings say otherwise. */
export async function startDfsServer(
  t: Test,
  settings: Partial<AccountSettings> = {},
  access: AccessControl = createAccessControl(),
): Promise<DfsServer> {
  // Clients sign the system's time.
  const clock = new FakeClock(Date.now())
  const account = testAccount(clock, { hierarchical: true, ...settings })
  addContainer(account, fileSystemName)
  const accounts = new Map([[accountName, account]])
  const server = createStorageServer({ accounts, access, clock })
  t.teardown(() => server.close())
  const url = await server.listen()
  const { port } = new URL(url)
  return {
    account,
    clock,
    url,
    // The client finds the blob host only of names that are Azure's own.
    hostStyle: client(`http://${accountName}.dfs.core.windows.net:${port}`),
    pathStyle: client(`${url}/${accountName}`),
    raw: (method, target, options) => send(url, { method, target, ...options }),
  }
}

function client(endpoint: string): DataLakeServiceClient {
  // The client's own agents take no lookup; without keep-alive it takes Node's global one.
  Object.assign((globalAgent as unknown as { options: object }).options, { lookup: loopback })
  return new DataLakeServiceClient(
    endpoint,
    new StorageSharedKeyCredential(accountName, accountKeys[0]),
    { keepAliveOptions: { enable: false }, retryOptions: { maxTries: 1 } },
  )
}

/** Every host is this machine. */
const loopback: LookupFunction = (_, options, callback) => {
  const address = { address: '127.0.0.1', family: 4 }
  if (options.all) {
    callback(null, [address])
  } else {
    callback(null, address.address, address.family)
  }
}

async function send(
  url: string,
  { method, target, headers, body, face = 'dfs' }: RawOptions & { method: string; target: string },
): Promise<RawAnswer> {
  const answer = await request(`${url}${target}`, {
    method: method as 'GET',
    headers: { host: `${accountName}.${face}.localhost`, 'x-ms-version': '2023-11-03', ...headers },
    body: body ?? null,
  })
  const text = await answer.body.text()
  const code = answer.headers['x-ms-error-code']?.toString()
  return { status: answer.statusCode, headers: answer.headers, text, code }
}
