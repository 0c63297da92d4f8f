import { type Clock, systemClock } from '../../clock.ts'
import type { AccountSettings, ChangeableSettings, ChangeSink, StorageAccount } from './account.ts'
import type { Container, ContainerProperties, PathIndex } from './container.ts'
import { type ExtentStore, memoryExtents } from './extent.ts'
import { createPathIndex, type PathChange } from './path-index.ts'
import { TimeStamps } from './time-stamps.ts'

/** A change of an account: what a journal has to repeat. Containers keep their identity. */
export type AccountChange =
  | { readonly kind: 'path'; readonly container: Container; readonly change: PathChange }
  | { readonly kind: 'settings'; readonly settings: AccountSettings }
  | { readonly kind: 'putContainer'; readonly container: Container }
  | { readonly kind: 'removeContainer'; readonly container: Container }
  | { readonly kind: 'retireContainer'; readonly container: Container; readonly version: string }
  | {
      readonly kind: 'restoreContainer'
      readonly container: Container
      readonly version: string
      readonly name: string
    }

export interface AccountOptions {
  /** Default: memory. */
  readonly extents?: ExtentStore | undefined
  readonly clock?: Clock | undefined
  /** Called after each change, in order, within the call that made it. */
  readonly onChange?: ((change: AccountChange) => void) | undefined
  /** See `StorageAccount.settled`. Default: there is nothing to wait for. */
  readonly settled?: (() => Promise<void> | undefined) | undefined
  /** Etags, snapshot times and version ids are later than this, milliseconds since the epoch. */
  readonly stampsAfterMs?: (() => number) | undefined
}

/** Makes an account without containers. Its index lives in memory; bytes go to `extents`. */
export function createAccount(
  settings: AccountSettings,
  options: AccountOptions = {},
): StorageAccount {
  return new MemoryAccount(settings, options)
}

/** Settings of an account where nothing is said: flat, Shared Key allowed, nothing kept. */
export function accountSettings(
  settings: Pick<AccountSettings, 'name' | 'keys'> & Partial<AccountSettings>,
): AccountSettings {
  return {
    hierarchical: false,
    versioning: false,
    allowSharedKey: true,
    allowPublicAccess: true,
    ...settings,
  }
}

class MemoryAccount implements StorageAccount {
  readonly extents: ExtentStore
  feed: ChangeSink | undefined
  #settings: AccountSettings
  readonly #clock: Clock
  readonly #stamps: TimeStamps
  readonly #onChange: (change: AccountChange) => void
  readonly #containers = new Map<string, MemoryContainer>()
  readonly #retired = new Map<string, MemoryContainer>()
  readonly settled: () => Promise<void> | undefined
  #sorted: readonly Container[] | undefined

  constructor(settings: AccountSettings, options: AccountOptions) {
    const { extents, clock, onChange, settled, stampsAfterMs } = options
    this.#settings = settings
    this.extents = extents ?? memoryExtents
    this.#clock = clock ?? systemClock
    this.#stamps = new TimeStamps(() => this.#clock.nowMs(), stampsAfterMs)
    this.settled = settled ?? (() => undefined)
    this.#onChange = onChange ?? (() => undefined)
  }

  get settings(): AccountSettings {
    return this.#settings
  }

  changeSettings(changes: Partial<ChangeableSettings>): void {
    this.#settings = { ...this.#settings, ...changes }
    this.#onChange({ kind: 'settings', settings: this.#settings })
  }

  containers(): Iterable<Container> {
    this.#sorted ??= [...this.#containers.values()].sort((a, b) =>
      a.properties.name < b.properties.name ? -1 : 1,
    )
    return this.#sorted
  }

  container(name: string): Container | undefined {
    return this.#containers.get(name)
  }

  putContainer(properties: ContainerProperties): Container {
    const known = this.#containers.get(properties.name)
    const container = known ?? this.#add(properties)
    container.properties = properties
    this.#onChange({ kind: 'putContainer', container })
    return container
  }

  removeContainer(name: string): void {
    const container = this.#containers.get(name)
    if (container === undefined) return
    this.#containers.delete(name)
    this.#sorted = undefined
    this.#onChange({ kind: 'removeContainer', container })
  }

  retiredContainers(): Iterable<readonly [version: string, container: Container]> {
    return this.#retired
  }

  retireContainer(properties: ContainerProperties, version: string): void {
    const container = this.#containers.get(properties.name)
    if (container === undefined) return
    container.properties = properties
    this.#retired.set(version, container)
    this.#containers.delete(properties.name)
    this.#sorted = undefined
    this.#onChange({ kind: 'putContainer', container })
    this.#onChange({ kind: 'retireContainer', container, version })
  }

  restoreContainer(version: string, properties: ContainerProperties): Container | undefined {
    const container = this.#retired.get(version)
    if (container === undefined) return undefined
    this.#retired.delete(version)
    this.#containers.set(properties.name, container)
    this.#sorted = undefined
    this.#onChange({ kind: 'restoreContainer', container, version, name: properties.name })
    container.properties = properties
    this.#onChange({ kind: 'putContainer', container })
    return container
  }

  nowMs(): number {
    return this.#clock.nowMs()
  }

  nextEtag(): string {
    return this.#stamps.nextEtag()
  }

  nextTimestamp(): string {
    return this.#stamps.nextTimestamp()
  }

  #add(properties: ContainerProperties): MemoryContainer {
    const { hierarchical } = this.settings
    const container: MemoryContainer = {
      properties,
      paths: createPathIndex({
        hierarchical,
        onChange: (change, before) => {
          this.#onChange({ kind: 'path', container, change })
          this.feed?.note(container.properties.name, change, before)
        },
      }),
    }
    this.#containers.set(properties.name, container)
    this.#sorted = undefined
    return container
  }
}

interface MemoryContainer {
  properties: ContainerProperties
  readonly paths: PathIndex
}
