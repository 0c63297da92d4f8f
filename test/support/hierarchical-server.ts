import type { Test } from 'tap'
import { AzureBlobStore } from '../../src/blob/azure-store.ts'
import { DfsStore } from '../../src/blob/dfs-store.ts'
import type { HierarchyOf, HierarchyStore } from '../../src/blob/hierarchy.ts'
import { type NamespaceChoice, namespaceKind } from '../../src/blob/namespace-kind.ts'
import { ReplacingBlobStore } from '../../src/blob/replacing-store.ts'
import { authorize } from '../../src/credential/authorize.ts'
import type { CredentialProvider } from '../../src/credential/credential.ts'
import { scopeFor } from '../../src/credential/endpoints.ts'
import {
  type HttpHandler,
  type HttpRequest,
  type Interceptor,
  intercept,
} from '../../src/http/handler.ts'
import { undiciHandler } from '../../src/http/undici-handler.ts'
import type { AccessControl } from '../../src/storage-server/access/access.ts'
import type { AccountSettings } from '../../src/storage-server/model/account.ts'
import { createStorageServer } from '../../src/storage-server/server.ts'
import { openAccess } from './dfs-server.ts'
import { FakeClock } from './fake-clock.ts'
import { accountName, testAccount } from './storage-request.ts'

export interface HierarchicalServerOptions {
  readonly account?: string
  readonly clock?: FakeClock
  readonly settings?: Partial<AccountSettings>
  /** Absent: everybody may do everything, and no credential is sent. */
  readonly access?: AccessControl
  readonly provider?: CredentialProvider
  /** One URL for both faces (`http://127.0.0.1:PORT/account`) instead of a host for each. */
  readonly pathStyle?: boolean
  readonly hns?: NamespaceChoice
  /** Of new blobs. */
  readonly encryptionScope?: string | undefined
}

/** Our own client of an account on the local storage server, and what it sent. */
export interface HierarchicalServer {
  /** As `openAccount` composes it: block lists replace whatever is there. */
  readonly store: ReplacingBlobStore
  /** The blob face as it is. */
  readonly blobs: AzureBlobStore
  readonly hierarchy: HierarchyStore
  readonly hierarchyOf: HierarchyOf
  readonly http: HttpHandler
  /** Where the server is, and the account's name: what `pathStyle` speaks to. */
  readonly endpoint: URL
  /** `METHOD operation`, in order; emptied by whoever wants to count from there. */
  readonly requests: string[]
}

/** Starts a storage server with one account, hierarchical unless the settings say otherwise. */
export async function hierarchicalServer(
  t: Pick<Test, 'teardown'>,
  options: HierarchicalServerOptions = {},
): Promise<HierarchicalServer> {
  const { clock = new FakeClock(), account = accountName } = options
  const settings = { name: account, hierarchical: true, ...options.settings }
  const accounts = new Map([[account, testAccount(clock, settings)]])
  const server = createStorageServer({ accounts, access: options.access ?? openAccess, clock })
  const origin = await server.listen()
  const sockets = undiciHandler()
  t.teardown(() => sockets.close())
  t.teardown(() => server.close())
  const { port } = new URL(origin)
  // Credentials leave on https alone; what is sent goes to the plain server all the same.
  const host = (face: string) => new URL(`https://${account}.${face}.localhost:${port}`)
  const one = new URL(`${origin}/${account}`)
  const blobEndpoint = options.pathStyle === true ? one : host('blob')
  const dfsEndpoint = options.pathStyle === true ? one : host('dfs')
  const requests: string[] = []
  const endpoints = { account, blob: blobEndpoint, dfs: dfsEndpoint }
  const http = intercept(
    toLoopback(sockets.handle, origin),
    ...credentials(options.provider, endpoints),
    record(requests),
  )
  const { encryptionScope } = options
  const blobs = new AzureBlobStore({ account, endpoint: blobEndpoint, http, encryptionScope })
  const hierarchy = new DfsStore({ account, dfsEndpoint, blobEndpoint, http })
  const hierarchyOf = namespaceKind({
    http,
    blobEndpoint,
    dfsEndpoint,
    hierarchy,
    choice: options.hns,
  })
  const store = new ReplacingBlobStore(blobs, hierarchyOf)
  return { store, blobs, hierarchy, hierarchyOf, http, endpoint: one, requests }
}

function credentials(
  provider: CredentialProvider | undefined,
  endpoints: Parameters<typeof scopeFor>[1],
): Interceptor[] {
  if (provider === undefined) return []
  const permissions = ['read', 'list', 'create', 'write', 'delete'] as const
  const scopeOf = ({ url }: HttpRequest) => scopeFor(url, endpoints, { permissions })
  return [authorize({ provider, scopeOf })]
}

/** Names below `.localhost` are this machine, which not every resolver knows. */
function toLoopback(next: HttpHandler, origin: string): HttpHandler {
  return (request) => {
    const { host, pathname, search } = request.url
    const url = new URL(`${origin}${pathname}${search}`)
    return next({ ...request, url, headers: { ...request.headers, host } })
  }
}

function record(requests: string[]): Interceptor {
  return (next) => (request) => {
    requests.push(`${request.method} ${request.operation}`)
    return next(request)
  }
}
