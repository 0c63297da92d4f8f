import { AnonymousCredential, BlobServiceClient, type ContainerClient } from '@azure/storage-blob'
import type { Test } from 'tap'
import { AzureAdministration } from '../../src/blob/azure-administration.ts'
import { AzureBlobStore } from '../../src/blob/azure-store.ts'
import type { Integrity } from '../../src/blob/store.ts'
import { KiB } from '../../src/byte-range.ts'
import type { Clock } from '../../src/clock.ts'
import type { CustomerKey } from '../../src/customer-key.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { intercept } from '../../src/http/handler.ts'
import { RequestBudget } from '../../src/http/request-budget.ts'
import { retry } from '../../src/http/retry.ts'
import { socketHandler } from '../../src/http/socket-handler.ts'
import type { AccessControl } from '../../src/storage-server/access/access.ts'
import { ServerControl } from '../../src/storage-server/control/server-control.ts'
import type { AccountSettings } from '../../src/storage-server/model/account.ts'
import { createStorageServer } from '../../src/storage-server/server.ts'
import { MemoryBudget } from '../../src/transfer/memory-budget.ts'
import { FakeClock } from './fake-clock.ts'
import { ScriptedProvider } from './scripted-provider.ts'
import { generateServerCertificate } from './server-certificate.ts'
import { accountName, addContainer, testAccount } from './storage-request.ts'

const everybody: AccessControl = {
  authenticate: async () => ({ kind: 'sharedKey' }),
  authorize: () => undefined,
}

/** Waits a hundredth of what it is asked for: back-off without its time. `sleptMs` takes what is asked. */
const hastyClock = (sleptMs: (ms: number) => void): Clock => ({
  nowMs: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason)
      sleptMs(ms)
      const timer = setTimeout(resolve, ms / 100)
      signal?.addEventListener('abort', () => {
        clearTimeout(timer)
        reject(signal.reason)
      })
    }),
})

/** A server of the sandbox's engine that can be disturbed, and the library on it as it is composed. */
export interface FaultyAccount {
  readonly control: ServerControl
  readonly store: AzureBlobStore
  /** Microsoft's client of the container `box`. */
  readonly box: ContainerClient
  readonly administration: AzureAdministration
  /** The server's, which ends leases. */
  readonly clock: FakeClock
  readonly fs: AzureBlobFileSystem
  readonly requests: RequestBudget
  readonly memory: MemoryBudget
  /** What requests were to wait before they were sent again, since it began; milliseconds. */
  readonly backOffMs: () => number
}

export interface FaultyAccountOptions {
  readonly integrity?: Integrity
  readonly maxAttempts?: number
  readonly phaseMs?: number | undefined
  readonly settings?: Partial<AccountSettings>
  readonly encryptionScope?: string
  /** Then the store speaks TLS. */
  readonly customerKey?: CustomerKey | undefined
  /** Where what stands before the server is reached. */
  readonly via?: (endpoint: URL) => Promise<URL>
}

/**
 * Has the container `box`; ends with the test. Requests wait `phaseMs` of real time in each phase: 30 seconds, as a slow machine
 * is no fault, unless a test stalls them.
 */
export async function faultyAccount(
  t: Test,
  options: FaultyAccountOptions = {},
): Promise<FaultyAccount> {
  const { integrity = 'crc64', maxAttempts = 3, phaseMs = 30_000 } = options
  const clock = new FakeClock(Date.now())
  let backOffMs = 0
  const hasty = hastyClock((ms) => {
    backOffMs += ms
  })
  const { sleep } = hastyClock(() => undefined)
  const control = new ServerControl({ clock: { nowMs: () => Date.now(), sleep } })
  const account = testAccount(clock, options.settings)
  addContainer(account, 'box')
  const accounts = new Map([[accountName, account]])
  const server = createStorageServer({ accounts, access: everybody, hooks: control, clock })
  const { customerKey } = options
  const tls = customerKey && (await generateServerCertificate())
  const sockets = socketHandler({
    ca: tls?.cert,
    headersTimeoutMs: phaseMs,
    bodyIdleTimeoutMs: phaseMs,
    sendIdleTimeoutMs: phaseMs,
  })
  const requests = new RequestBudget({ clock: hasty })
  const memory = new MemoryBudget({ maxBytes: 4096 * KiB })
  const http = intercept(sockets.handle, retry({ clock: hasty, budget: requests, maxAttempts }))
  const own = new URL(`${await server.listen()}/${accountName}`)
  const secure = tls && new URL(`${await server.listen({ tls })}/${accountName}`)
  const endpoint = secure ?? (await options.via?.(own)) ?? own
  const { encryptionScope } = options
  const named = { account: accountName, endpoint }
  const store = new AzureBlobStore({ ...named, http, integrity, encryptionScope, customerKey })
  const fs = new AzureBlobFileSystem({ store, memory, listingTtlMs: 0, blockBytes: 64 * KiB })
  t.teardown(async () => {
    control.close()
    await sockets.close()
    await server.close()
  })
  const credentials = new ScriptedProvider()
  const administration = new AzureAdministration({
    account: accountName,
    endpoint,
    http: store.http,
    clock,
    credentials,
  })
  const once = { retryOptions: { maxTries: 1 } }
  const service = new BlobServiceClient(own.href, new AnonymousCredential(), once)
  const box = service.getContainerClient('box')
  const counted = { backOffMs: () => backOffMs }
  return { control, store, box, administration, clock, fs, requests, memory, ...counted }
}
