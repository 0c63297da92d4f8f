import { AzureBlobStore } from '../../src/blob/azure-store.ts'
import type { Clock } from '../../src/clock.ts'
import { authorize } from '../../src/credential/authorize.ts'
import type { CredentialProvider } from '../../src/credential/credential.ts'
import { scopeFor } from '../../src/credential/endpoints.ts'
import { intercept } from '../../src/http/handler.ts'
import { retry } from '../../src/http/retry.ts'
import { socketHandler } from '../../src/http/socket-handler.ts'
import { trace } from '../../src/http/trace.ts'

export interface TestStoreOptions {
  readonly account: string
  readonly endpoint: URL
  readonly provider: CredentialProvider
  readonly ca?: string
  readonly clock?: Clock
  readonly maxAttempts?: number
}

/** An `AzureBlobStore` composed as the command line composes it. */
export function azureStore(options: TestStoreOptions): {
  readonly store: AzureBlobStore
  close(): Promise<void>
} {
  const { account, endpoint, provider, clock, maxAttempts } = options
  const sockets = socketHandler({ ca: options.ca })
  const endpoints = { account, blob: endpoint }
  const permissions = ['read', 'list', 'create', 'write', 'delete'] as const
  const http = intercept(
    sockets.handle,
    retry({ clock, maxAttempts }),
    authorize({ provider, scopeOf: ({ url }) => scopeFor(url, endpoints, { permissions }) }),
    trace(clock),
  )
  return { store: new AzureBlobStore({ account, endpoint, http, clock }), close: sockets.close }
}
