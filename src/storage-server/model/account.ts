import type { StorageRequest } from '../wire/request.ts'
import type { Container, ContainerProperties } from './container.ts'
import type { ExtentStore } from './extent.ts'
import type { PathChange } from './path-index.ts'
import type { PathState } from './record.ts'

/** How an account is made. */
export interface AccountSettings {
  readonly name: string
  /** Base64, two of them, either signs. */
  readonly keys: readonly string[]
  /** Hierarchical namespace. */
  readonly hierarchical: boolean
  readonly versioning: boolean
  /** Days that deleted blobs are kept; absent: none. */
  readonly softDeleteDays?: number | undefined
  /** Days that deleted containers are kept; absent: none. */
  readonly containerSoftDeleteDays?: number | undefined
  /** How long Copy Blob stays `pending`, milliseconds; done at once when absent. */
  readonly copyDelayMs?: number | undefined
  /** How long a blob takes to leave the archive, milliseconds; 15 hours when absent. */
  readonly rehydrateDelayMs?: number | undefined
  /** How many blocks of one blob may be staged and not committed; 100,000 when absent. */
  readonly maxStagedBlocks?: number | undefined
  /** Shared Key and account/service SAS are refused when false. */
  readonly allowSharedKey: boolean
  /** Anonymous reading of public containers is refused when false. */
  readonly allowPublicAccess: boolean
  /** Elements of Blob service properties that are kept and shown but mean nothing here, as XML. */
  readonly serviceProperties?: string | undefined
}

/** Settings that hold from the next request on. */
export type ChangeableSettings = Omit<AccountSettings, 'name' | 'hierarchical'>

/** Hears of all changes of an account's blobs: its change feed. */
export interface ChangeSink {
  /** Runs what answers `request`, so that changes within are told as the verb's. */
  during<T>(verb: string, request: StorageRequest, run: () => T | Promise<T>): Promise<T>
  note(container: string, change: PathChange, before: PathState | undefined): void
}

/** One storage account: what both faces see. */
export interface StorageAccount {
  readonly settings: AccountSettings
  /** Replaces some of the settings: Set Blob Service Properties. */
  changeSettings(changes: Partial<ChangeableSettings>): void
  readonly extents: ExtentStore
  /** Absent: the account keeps no change feed. */
  feed?: ChangeSink | undefined
  /** In order of names. */
  containers(): Iterable<Container>
  container(name: string): Container | undefined
  /** Adds or replaces the properties; what the container holds stays. */
  putContainer(properties: ContainerProperties): Container
  /** With all that it holds. */
  removeContainer(name: string): void
  /** Soft-deleted containers with the versions that restore them, oldest first. */
  retiredContainers(): Iterable<readonly [version: string, container: Container]>
  /** Soft-deletes the container of that name. */
  retireContainer(properties: ContainerProperties, version: string): void
  /** Brings a soft-deleted container back under `properties.name`, which must be free. */
  restoreContainer(version: string, properties: ContainerProperties): Container | undefined
  /** Time as this account sees it (skew included), milliseconds since the epoch. */
  nowMs(): number
  /**
   * Waits until all changes made so far outlive the process; `undefined` where they do already or
   * never will. Rejects with `StorageError` when they cannot be written: 507 while the disk is full.
   */
  settled(): Promise<void> | undefined
  /** Another etag at each call, quoted. */
  nextEtag(): string
  /** Another time at each call, with seven decimals: version ids, snapshots. */
  nextTimestamp(): string
}
