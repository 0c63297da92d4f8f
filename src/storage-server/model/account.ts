import type { AccessPolicy, Container, ContainerProperties } from './container.ts'
import type { ExtentStore } from './extent.ts'

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
  /** Shared Key and account/service SAS are refused when false. */
  readonly allowSharedKey: boolean
  /** Anonymous reading of public containers is refused when false. */
  readonly allowPublicAccess: boolean
}

/** One storage account: what both faces see. */
export interface StorageAccount {
  readonly settings: AccountSettings
  readonly extents: ExtentStore
  /** In order of names. */
  containers(): Iterable<Container>
  container(name: string): Container | undefined
  /** Adds or replaces the properties; what the container holds stays. */
  putContainer(properties: ContainerProperties): Container
  removeContainer(name: string): void
  /** Time as this account sees it (skew included), milliseconds since the epoch. */
  nowMs(): number
  /** Another etag at each call, quoted. */
  nextEtag(): string
}

export type { AccessPolicy }
