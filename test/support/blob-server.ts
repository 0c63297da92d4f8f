import {
  AccountSASPermissions,
  AccountSASResourceTypes,
  AccountSASServices,
  BlobServiceClient,
  type ContainerClient,
  generateAccountSASQueryParameters,
  RestError,
  SASProtocol,
  StorageSharedKeyCredential,
} from '@azure/storage-blob'
import type { Test } from 'tap'
import { createAccessControl } from '../../src/storage-server/access/create-access-control.ts'
import type { AccountSettings, StorageAccount } from '../../src/storage-server/model/account.ts'
import { createStorageServer } from '../../src/storage-server/server.ts'
import { FakeClock } from './fake-clock.ts'
import { accountKeys, accountName, addContainer, testAccount } from './storage-request.ts'

/** A storage server with one account whose time a test moves. */
export interface BlobServer {
  readonly account: StorageAccount
  readonly clock: FakeClock
  /** `http://127.0.0.1:port/account`, without a slash. */
  readonly endpoint: string
  /** A client with a signature for everything, valid for years of the account's time. */
  readonly service: BlobServiceClient
  /** A client with the account's key; refused when the account's time is not the system's. */
  readonly keyService: BlobServiceClient
  /** The signature of `service`, without `?`. */
  readonly sas: string
  /** A container that exists. */
  readonly container: ContainerClient
}

/** Starts a server that ends with the test. Its account's time begins at the system's. */
export async function startBlobServer(
  t: Test,
  settings: Partial<AccountSettings> = {},
): Promise<BlobServer> {
  const clock = new FakeClock(Date.now())
  const account = testAccount(clock, settings)
  addContainer(account, 'first')
  const accounts = new Map([[accountName, account]])
  const server = createStorageServer({ accounts, access: createAccessControl(), clock })
  t.teardown(() => server.close())
  const endpoint = `${await server.listen()}/${accountName}`
  const key = new StorageSharedKeyCredential(accountName, accountKeys[0])
  const sas = signatureForAll(key)
  const options = { retryOptions: { maxTries: 1 } }
  const service = new BlobServiceClient(`${endpoint}?${sas}`, undefined, options)
  const keyService = new BlobServiceClient(endpoint, key, options)
  const container = service.getContainerClient('first')
  return { account, clock, endpoint, service, keyService, sas, container }
}

/** Status and code of the refusal of a call; fails the test when it succeeds. */
export async function refusalOf(call: Promise<unknown>): Promise<string> {
  try {
    await call
  } catch (error) {
    if (!(error instanceof RestError)) throw error
    const { statusCode, response } = error
    return `${statusCode} ${response?.headers.get('x-ms-error-code') ?? error.code}`
  }
  throw new Error('the call was expected to be refused')
}

/** An account signature for everything in the blob service, without `?`. */
export function signatureForAll(key: StorageSharedKeyCredential): string {
  return generateAccountSASQueryParameters(
    {
      startsOn: new Date(Date.now() - 24 * 60 * 60 * 1000),
      expiresOn: new Date(Date.now() + 1000 * 24 * 60 * 60 * 1000),
      permissions: AccountSASPermissions.parse('rwdxylacupitf'),
      services: AccountSASServices.parse('b').toString(),
      resourceTypes: AccountSASResourceTypes.parse('sco').toString(),
      protocol: SASProtocol.HttpsAndHttp,
    },
    key,
  ).toString()
}
