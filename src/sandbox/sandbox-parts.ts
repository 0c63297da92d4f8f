import { randomBytes } from 'node:crypto'
import { type Clock, systemClock } from '../clock.ts'
import { faultChannel } from '../telemetry.ts'
import { type AzureServices, startAzureServices } from './azure/azure-services.ts'
import type { AzureResources, ManagedAccount } from './azure/inventory.ts'
import { startAzurite } from './azurite.ts'
import { bundleWithRoots } from './ca-bundle.ts'
import { type CertificateAndKey, createCertificateAuthority } from './certificate-authority.ts'
import type { Closers } from './closers.ts'
import { createContainers, listContainers } from './containers.ts'
import { type Entra, startEntra } from './entra.ts'
import { WorkloadIssuer } from './federation.ts'
import type { LoopbackServer } from './loopback-server.ts'
import { startManagedIdentity } from './managed-identity.ts'
import { createRunDirectory, type RunDirectory } from './run-directory.ts'
import type { ParsedAccount, StorageEngine } from './sandbox-account.ts'
import { type StorageService, startStorageService } from './storage-service.ts'
import { Tenant } from './tenant.ts'
import { issueToken } from './token-issuer.ts'

/*
 * Starting: a private directory; keys and certificates; their files; the three services at once;
 * containers. Each thing that must end is handed to the closers as soon as it exists.
 */

/** `SandboxOptions` with every default filled in. */
export interface ParsedOptions {
  /** One at least. */
  readonly accounts: readonly [ParsedAccount, ...ParsedAccount[]]
  readonly engine: StorageEngine
  readonly controlPort: number | undefined
  readonly perAccountAudiences: boolean
  readonly changeFeedDelayMs: number | undefined
  readonly directory: string | undefined
  readonly accessLogFile: string | undefined
  readonly containers: readonly string[]
  /** Management, registries and clusters; none when absent. */
  readonly azure: AzureResources | undefined
  readonly clock: Clock
  readonly tokenLifetimeMs: number
}

/** Paths in the run directory. */
export interface SandboxFiles {
  readonly ca: string
  readonly caBundle: string
  readonly clientCertificate: string
  readonly federatedToken: string
}

/** A started sandbox before it is given its public shape. */
export interface SandboxParts {
  readonly accounts: ParsedOptions['accounts']
  readonly engine: StorageEngine
  readonly storage: StorageService
  readonly tenant: Tenant
  readonly workloadIssuer: WorkloadIssuer
  readonly entra: Entra
  readonly identity: LoopbackServer
  readonly identityHeader: string
  readonly azure: AzureServices | undefined
  readonly caPem: string
  readonly files: SandboxFiles
  readonly runDirectory: string
}

const identityHeaderBytes = 32
const setupTokenLifetimeMs = 5 * 60 * 1000
// Half of an assertion's life.
const federatedTokenRotationMs = 12 * 60 * 60 * 1000

/** Starts everything; what was started before a failure is left to `closers`. */
export async function startParts(options: ParsedOptions, closers: Closers): Promise<SandboxParts> {
  const runDirectory = await createRunDirectory()
  closers.add(() => runDirectory.remove())
  const keys = await makeKeys(options)
  const services = await startServices(options, { ...keys, runDirectory }, closers)
  const { storage, entra } = services
  const files = await writeFiles(keys, runDirectory)
  const federatedToken = await keepFederatedToken(
    () => keys.workloadIssuer.sign(entra.workloadIssuerUrl),
    runDirectory,
    closers,
  )
  const { tenant, workloadIssuer, caPem } = keys
  for (const account of options.accounts) {
    const accessToken = await setupToken(tenant, account, options)
    const blobEndpoint = endpointOf(account, storage)
    await createContainers(options.containers, { blobEndpoint, caPem, accessToken })
  }
  const azure = await startAzure(options, keys, services, closers)
  return {
    ...services,
    azure,
    accounts: options.accounts,
    engine: options.engine,
    tenant,
    workloadIssuer,
    caPem,
    files: { ...files, federatedToken },
    runDirectory: runDirectory.path,
  }
}

async function startAzure(
  options: ParsedOptions,
  keys: Keys,
  { storage, entra }: Services,
  closers: Closers,
): Promise<AzureServices | undefined> {
  if (options.azure === undefined) return undefined
  const { tenant, serverCertificate: certificate, caPem } = keys
  const accounts = options.accounts.map((account): ManagedAccount => {
    const { name, hierarchical } = account
    const blobEndpoint = endpointOf(account, storage)
    const containers = async (): Promise<readonly string[]> => {
      const accessToken = await setupToken(tenant, account, options)
      return listContainers({ blobEndpoint, caPem, accessToken })
    }
    return { name, hierarchical, blobEndpoint, containers }
  })
  const resources = options.azure
  const authority = entra.url
  return startAzureServices({ resources, accounts, tenant, authority, certificate, caPem }, closers)
}

/** Where an account is: path-style, the same URL for blob and dfs. */
export function endpointOf({ name }: ParsedAccount, { port }: StorageService): URL {
  return new URL(`https://127.0.0.1:${port}/${name}`)
}

interface Keys {
  readonly caPem: string
  readonly serverCertificate: CertificateAndKey
  readonly tenant: Tenant
  readonly clientCertificatePem: string
  readonly workloadIssuer: WorkloadIssuer
}

async function makeKeys(options: ParsedOptions): Promise<Keys> {
  const { clock, tokenLifetimeMs, accounts } = options
  const [certificates, { tenant, clientCertificatePem }, workloadIssuer] = await Promise.all([
    makeCertificates(accounts),
    Tenant.create({ clock, lifetimeMs: tokenLifetimeMs }),
    WorkloadIssuer.create(clock),
  ])
  return { ...certificates, tenant, clientCertificatePem, workloadIssuer }
}

async function makeCertificates(
  accounts: readonly ParsedAccount[],
): Promise<Pick<Keys, 'caPem' | 'serverCertificate'>> {
  const authority = await createCertificateAuthority()
  const names = accounts.flatMap(({ name }) =>
    ['blob', 'dfs'].map((service) => `${name}.${service}.localhost`),
  )
  return {
    caPem: authority.certificatePem,
    serverCertificate: await authority.issueServerCertificate(names),
  }
}

type Services = Pick<SandboxParts, 'storage' | 'entra' | 'identity' | 'identityHeader'>

async function startServices(
  options: ParsedOptions,
  keys: Keys & { readonly runDirectory: RunDirectory },
  closers: Closers,
): Promise<Services> {
  const identityHeader = randomBytes(identityHeaderBytes).toString('hex')
  const { tenant, workloadIssuer, serverCertificate: certificate } = keys
  const starting = closing(startEntra({ tenant, workloadIssuer, certificate }), closers)
  const [storage, entra, identity] = await allStarted([
    closing(startStorage(options, keys, starting), closers),
    starting,
    closing(startManagedIdentity({ tenant, identityHeader }), closers),
  ])
  return { storage, entra, identity, identityHeader }
}

async function startStorage(
  options: ParsedOptions,
  keys: Keys & { readonly runDirectory: RunDirectory },
  entra: Promise<Entra>,
): Promise<StorageService> {
  if (options.engine === 'azurite') return startBlobService(options, keys, keys.runDirectory)
  const { tenant, serverCertificate: certificate, runDirectory } = keys
  const authority = (await entra).url
  return startStorageService({
    ...options,
    ...{ tenant, certificate, authority, runDirectory: runDirectory.path },
  })
}

async function startBlobService(
  { accounts, directory, accessLogFile }: ParsedOptions,
  { serverCertificate: certificate, caPem }: Keys,
  runDirectory: RunDirectory,
): Promise<StorageService> {
  return startAzurite({
    accounts,
    certificateFile: await runDirectory.write('server.pem', certificate.certificatePem),
    privateKeyFile: await runDirectory.write('server.key', certificate.privateKeyPem),
    caFile: await runDirectory.write('blob-service-ca.pem', caPem),
    directory,
    accessLogFile,
    runDirectory: runDirectory.path,
  })
}

async function closing<T extends { close(): Promise<void> }>(
  starting: Promise<T>,
  closers: Closers,
): Promise<T> {
  const started = await starting
  closers.add(() => started.close())
  return started
}

/** As `Promise.all`, but a failure waits for the others, so that their closers are known. */
async function allStarted<T extends readonly Promise<unknown>[] | []>(
  starting: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(starting)
  return Promise.all(starting)
}

async function writeFiles(
  keys: Keys,
  runDirectory: RunDirectory,
): Promise<Omit<SandboxFiles, 'federatedToken'>> {
  return {
    ca: await runDirectory.write('ca.pem', keys.caPem),
    caBundle: await runDirectory.write('ca-bundle.pem', await bundleWithRoots(keys.caPem)),
    clientCertificate: await runDirectory.write('client.pem', keys.clientCertificatePem),
  }
}

/** Writes the assertion file and replaces it by a fresh one until closed, as a cluster does. */
async function keepFederatedToken(
  sign: () => Promise<string>,
  runDirectory: RunDirectory,
  closers: Closers,
): Promise<string> {
  const write = async (): Promise<string> => runDirectory.write('federated-token', await sign())
  const stop = new AbortController()
  const path = await write()
  const rotation = rotate(write, stop.signal)
  closers.add(async () => {
    stop.abort()
    await rotation
  })
  return path
}

async function rotate(write: () => Promise<string>, signal: AbortSignal): Promise<void> {
  while (await isDue(signal)) {
    await write().catch((error) =>
      faultChannel.publish({ operation: 'sandbox.rotate', path: 'federated-token', error }),
    )
  }
}

async function isDue(signal: AbortSignal): Promise<boolean> {
  return systemClock.sleep(federatedTokenRotationMs, signal).then(
    () => true,
    () => false,
  )
}

// By the clock of whoever verifies it: Azurite's is the system's, whatever the tenant's shows.
async function setupToken(
  tenant: Tenant,
  { name }: ParsedAccount,
  options: ParsedOptions,
): Promise<string> {
  const clock = options.engine === 'azurite' ? systemClock : options.clock
  const { accessToken } = await issueToken(tenant.signer, {
    principal: tenant.systemIdentity,
    audience: `https://${name}.blob.core.windows.net`,
    tenantId: tenant.tenantId,
    nowMs: clock.nowMs(),
    lifetimeMs: setupTokenLifetimeMs,
  })
  return accessToken
}
