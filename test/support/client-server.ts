import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  FileSystemSASPermissions,
  generateDataLakeSASQueryParameters,
  SASProtocol,
  StorageSharedKeyCredential,
} from '@azure/storage-file-datalake'
import { createLocalJWKSet } from 'jose'
import type { Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { bundleWithRoots } from '../../src/sandbox/ca-bundle.ts'
import { createCertificateAuthority } from '../../src/sandbox/certificate-authority.ts'
import { startEntra } from '../../src/sandbox/entra.ts'
import { WorkloadIssuer } from '../../src/sandbox/federation.ts'
import { onPremisesTenant, Tenant } from '../../src/sandbox/tenant.ts'
import { createAccessControl } from '../../src/storage-server/access/create-access-control.ts'
import { Roles } from '../../src/storage-server/access/roles.ts'
import { accountSettings, createAccount } from '../../src/storage-server/model/memory-account.ts'
import { createStorageServer } from '../../src/storage-server/server.ts'

/*
 * What a program that knows nothing of this project needs: https with a certificate that it can
 * verify, two accounts, keys, signatures, and an Entra tenant that gives it tokens.
 */

/** Kind of namespace; also the name of the account that has it. */
export type AccountKind = 'flat' | 'hierarchical'

/** How a client proves itself. */
export type CredentialKind = 'key' | 'sas' | 'token'

/** A storage server for programs, with an account of each kind. */
export interface ClientServer {
  /** Base URL, without slash at the end; accounts are the first segment of the path. */
  readonly url: string
  /** Base64. */
  readonly key: string
  readonly containerName: string
  /** Query of a signature for everything in the container, without `?`. */
  signature(kind: AccountKind): string
  /** Entra's variables as @azure/identity and its kin read them, and where the roots are. */
  readonly environment: Readonly<Record<string, string>>
}

const dayMs = 24 * 60 * 60 * 1000
const containerName = 'data'
const hosts = ['flat', 'hierarchical'].flatMap((account) =>
  ['blob', 'dfs'].map((face) => `${account}.${face}.localhost`),
)
const permissions = 'racwdlmeop'

/** Starts a server with the accounts `flat` and `hierarchical`; all ends with the test. */
export async function startClientServer(t: Pick<Test, 'teardown'>): Promise<ClientServer> {
  const key = randomBytes(64).toString('base64')
  const { certificate, bundleFile } = await certificates(t)
  const { tenant } = await Tenant.create({ clock: systemClock, lifetimeMs: dayMs })
  const workloadIssuer = await WorkloadIssuer.create(systemClock)
  const entra = await startEntra({ tenant, workloadIssuer, certificate })
  t.teardown(() => entra.close())
  const server = createStorageServer({
    accounts: new Map(
      (['flat', 'hierarchical'] as const).map((kind) => [kind, account(kind, key)]),
    ),
    access: accessControl(tenant, entra.url),
  })
  t.teardown(() => server.close())
  const tls = { cert: certificate.certificatePem, key: certificate.privateKeyPem }
  return {
    url: await server.listen({ tls }),
    key,
    containerName,
    signature: (kind) => signature(kind, key),
    environment: {
      AZURE_TENANT_ID: onPremisesTenant,
      AZURE_CLIENT_ID: tenant.clientId,
      AZURE_CLIENT_SECRET: tenant.clientSecret,
      AZURE_AUTHORITY_HOST: entra.url.href,
      NODE_EXTRA_CA_CERTS: bundleFile,
      SSL_CERT_FILE: bundleFile,
      REQUESTS_CA_BUNDLE: bundleFile,
    },
  }
}

async function certificates(t: Pick<Test, 'teardown'>) {
  const authority = await createCertificateAuthority()
  const directory = await mkdtemp(join(tmpdir(), 'abfs-clients-'))
  t.teardown(() => rm(directory, { recursive: true }))
  const bundleFile = join(directory, 'roots.pem')
  await writeFile(bundleFile, await bundleWithRoots(authority.certificatePem))
  return { certificate: await authority.issueServerCertificate(hosts), bundleFile }
}

function account(kind: AccountKind, key: string) {
  const hierarchical = kind === 'hierarchical'
  const made = createAccount(accountSettings({ name: kind, keys: [key], hierarchical }))
  made.putContainer({
    name: containerName,
    etag: made.nextEtag(),
    lastModifiedMs: made.nowMs(),
    metadata: {},
    policies: new Map(),
  })
  return made
}

function accessControl(tenant: Tenant, authority: URL) {
  const { objectId } = tenant.application('1')
  return createAccessControl({
    tokens: {
      keys: createLocalJWKSet(tenant.signer.keySet),
      issuers: [`https://sts.windows.net/${tenant.tenantId}/`],
      authorizationUri: new URL(`${tenant.tenantId}/oauth2/authorize`, authority).href,
    },
    roles: new Roles([{ objectId, role: 'Storage Blob Data Owner' }]),
  })
}

function signature(kind: AccountKind, key: string): string {
  const options = {
    fileSystemName: containerName,
    permissions: FileSystemSASPermissions.parse(permissions),
    startsOn: new Date(systemClock.nowMs() - dayMs),
    expiresOn: new Date(systemClock.nowMs() + dayMs),
    protocol: SASProtocol.Https,
  }
  const credential = new StorageSharedKeyCredential(kind, key)
  return generateDataLakeSASQueryParameters(options, credential).toString()
}
