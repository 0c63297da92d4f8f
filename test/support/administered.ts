import type { Test } from 'tap'
import { AzureAdministration } from '../../src/blob/azure-administration.ts'
import { AzureBlobStore } from '../../src/blob/azure-store.ts'
import type { Clock } from '../../src/clock.ts'
import { authorize } from '../../src/credential/authorize.ts'
import type { CredentialProvider } from '../../src/credential/credential.ts'
import { scopeFor } from '../../src/credential/endpoints.ts'
import { textSignerOf } from '../../src/credential/text-signer.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { intercept } from '../../src/http/handler.ts'
import { socketHandler } from '../../src/http/socket-handler.ts'

export interface AdministeredOptions {
  readonly account: string
  readonly endpoint: URL
  readonly provider: CredentialProvider
  readonly clock: Clock
  readonly ca?: string
}

/** A file system with administration on an account of a server; it ends with the test. */
export function administered(
  t: Pick<Test, 'teardown'>,
  options: AdministeredOptions,
): AzureBlobFileSystem {
  return new AzureBlobFileSystem({ ...administeredStore(t, options), clock: options.clock })
}

/** The store of an account of a server, and its administration. */
export function administeredStore(t: Pick<Test, 'teardown'>, options: AdministeredOptions) {
  const { account, endpoint, provider, clock, ca } = options
  const sockets = socketHandler({ ca })
  t.teardown(() => sockets.close())
  const permissions = ['read', 'list', 'create', 'write', 'delete'] as const
  const endpoints = { account, blob: endpoint }
  const scopeOf = ({ url }: { url: URL }) => scopeFor(url, endpoints, { permissions })
  const http = intercept(sockets.handle, authorize({ provider, scopeOf }))
  const parts = { account, endpoint, http, clock }
  return {
    store: new AzureBlobStore(parts),
    administration: new AzureAdministration({
      ...parts,
      credentials: provider,
      signer: textSignerOf(provider),
    }),
  }
}
