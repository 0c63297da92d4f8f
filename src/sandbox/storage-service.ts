import { createLocalJWKSet } from 'jose'
import type { Clock } from '../clock.ts'
import { createAccessControl } from '../storage-server/access/create-access-control.ts'
import { Roles } from '../storage-server/access/roles.ts'
import { type ControlPort, startControlPort } from '../storage-server/control/control-port.ts'
import { Ledger } from '../storage-server/control/ledger.ts'
import { openLedgerFile } from '../storage-server/control/ledger-file.ts'
import { ServerControl } from '../storage-server/control/server-control.ts'
import {
  openStorageDirectory,
  type StorageDirectory,
} from '../storage-server/disk/storage-directory.ts'
import { openChangeFeed } from '../storage-server/feed/change-feed.ts'
import type { StorageAccount } from '../storage-server/model/account.ts'
import { accountSettings, createAccount } from '../storage-server/model/memory-account.ts'
import { createStorageServer } from '../storage-server/server.ts'
import { faultChannel } from '../telemetry.ts'
import type { CertificateAndKey } from './certificate-authority.ts'
import { Closers } from './closers.ts'
import { guardRunDirectory } from './run-directory-guard.ts'
import type { ParsedAccount } from './sandbox-account.ts'
import type { Tenant } from './tenant.ts'

/*
 * The storage server of this package in this process, with the tenant of the Entra stand-in as the
 * issuer of its tokens.
 */

/** A running storage service, whichever engine it is. */
export interface StorageService {
  readonly port: number
  readonly pid: number
  /** Rejects when it ends without `close` having been called; never resolves. */
  readonly failed: Promise<never>
  /** Of the engine `abfs`: what tests turn and read while it runs. */
  readonly control?: ServerControl | undefined
  /** The same for other processes, if asked for. */
  readonly controlPort?: ControlPort | undefined
  /** Never throws. */
  close(): Promise<void>
}

/** How to run the storage server of this package. */
export interface StorageServiceOptions {
  readonly accounts: readonly ParsedAccount[]
  readonly certificate: CertificateAndKey
  readonly tenant: Tenant
  /** Where the challenge of a 401 sends clients. */
  readonly authority: URL
  readonly clock: Clock
  /** 0: any that is free; none when absent. */
  readonly controlPort?: number | undefined
  /** Where accounts are kept; in memory when absent. */
  readonly directory?: string | undefined
  /** Tokens for all accounts are refused. */
  readonly perAccountAudiences: boolean
  /** How long changes wait until the feeds of flat accounts have them, milliseconds; absent: there are none. */
  readonly changeFeedDelayMs?: number | undefined
  /** Gets one line of JSON per request. */
  readonly accessLogFile?: string | undefined
  readonly runDirectory: string
}

/** Starts it; resolves once it listens. */
export async function startStorageService(options: StorageServiceOptions): Promise<StorageService> {
  const closers = new Closers()
  try {
    const guard = await guardRunDirectory(options.runDirectory)
    closers.add(() => guard.close())
    const control = makeControl(options, closers)
    const port = await listen(options, control, closers)
    const controlPort = await openControlPort(options, control, closers)
    const failed = new Promise<never>(() => {})
    return { port, pid: process.pid, failed, control, controlPort, close: () => closers.close() }
  } catch (error) {
    await closers.close()
    throw error
  }
}

function makeControl(options: StorageServiceOptions, closers: Closers): ServerControl {
  const { clock, accessLogFile, tenant } = options
  const file = accessLogFile === undefined ? undefined : openLedgerFile(accessLogFile, publish)
  if (file !== undefined) closers.add(() => file.close())
  const ledger = new Ledger({ onEntry: file?.write })
  const challenge = { authorizationUri: authorizationUri(options) }
  const control = new ServerControl({ clock, ledger, roles: rolesOf(tenant), challenge })
  closers.add(async () => control.close())
  return control
}

async function listen(
  options: StorageServiceOptions,
  control: ServerControl,
  closers: Closers,
): Promise<number> {
  const { tenant, certificate, perAccountAudiences } = options
  const { clock, roles, revocations, delegationKeys } = control
  const accounts = await openAccounts(options, control, closers)
  const tokens = {
    keys: createLocalJWKSet(tenant.signer.keySet),
    issuers: [`https://sts.windows.net/${tenant.tenantId}/`],
    authorizationUri: authorizationUri(options),
    perAccountOnly: perAccountAudiences,
  }
  const access = createAccessControl({ tokens, roles, revocations, delegationKeys })
  const server = createStorageServer({ accounts, access, hooks: control, clock })
  closers.add(() => server.close())
  const tls = { cert: certificate.certificatePem, key: certificate.privateKeyPem }
  return Number(new URL(await server.listen({ tls })).port)
}

async function openAccounts(
  { accounts, directory, changeFeedDelayMs: delayMs }: StorageServiceOptions,
  control: ServerControl,
  closers: Closers,
): Promise<ReadonlyMap<string, StorageAccount>> {
  const { clock } = control
  const storage =
    directory === undefined ? undefined : await openStorageDirectory(directory, { clock })
  if (storage !== undefined) closers.add(() => storage.close())
  const opened = accounts.map(({ name, key, hierarchical, versioning = false }) => {
    const settings = accountSettings({ name, keys: [key], hierarchical, versioning })
    const account = storage?.openAccount(settings) ?? createAccount(settings, { clock })
    // The sandbox tells its clients the keys of this run.
    if (storage !== undefined) account.changeSettings({ keys: [key] })
    if (delayMs !== undefined && !hierarchical) {
      const feed = openChangeFeed({ account, clock, delayMs })
      closers.add(() => feed.close())
    }
    return [name, account] as const
  })
  if (storage !== undefined) keepEpochs(storage, control)
  return new Map(opened)
}

const epochsNote = 'delegation-key-epochs'

/** Delegation keys that were ended stay so in the next run. */
function keepEpochs(storage: StorageDirectory, { delegationKeys }: ServerControl): void {
  delegationKeys.restoreEpochs(epochsOf(storage.note(epochsNote)))
  delegationKeys.onRevoke = () => storage.putNote(epochsNote, delegationKeys.epochs)
}

function epochsOf(note: unknown): readonly (readonly [string, string])[] {
  return Array.isArray(note) ? note.filter(isPair) : []
}

function isPair(value: unknown): value is readonly [string, string] {
  return Array.isArray(value) && value.length === 2 && value.every((one) => typeof one === 'string')
}

async function openControlPort(
  { controlPort: port }: StorageServiceOptions,
  control: ServerControl,
  closers: Closers,
): Promise<ControlPort | undefined> {
  if (port === undefined) return undefined
  const opened = await startControlPort(control, port)
  closers.add(() => opened.close())
  return opened
}

/** The application owns everything; managed identities contribute. */
function rolesOf(tenant: Tenant): Roles {
  const { objectId } = tenant.application('1')
  return new Roles([
    { objectId, role: 'Storage Blob Data Owner' },
    { objectId, role: 'Storage Blob Delegator' },
    ...[tenant.systemIdentity, tenant.userIdentity].map((identity) => ({
      objectId: identity.objectId,
      role: 'Storage Blob Data Contributor' as const,
    })),
  ])
}

function authorizationUri({ authority, tenant }: StorageServiceOptions): string {
  return new URL(`${tenant.tenantId}/oauth2/authorize`, authority).href
}

function publish(error: Error): void {
  faultChannel.publish({ operation: 'sandbox.accessLog', path: '', error })
}
