import type { AccountSettings, StorageAccount } from '../model/account.ts'
import type { Container } from '../model/container.ts'
import type { PathRecord, PathState } from '../model/record.ts'
import { decodeContainer, type Entry } from './entries.ts'
import { decodeState, type ExtentPlaces, recordsOf, type StateJson } from './state-codec.ts'
import { Strings } from './strings.ts'

interface KnownContainer {
  readonly account: StorageAccount
  readonly container: Container
}

/** Makes accounts again of the entries of a snapshot and journals. */
export class Replay {
  readonly accounts: Map<string, StorageAccount> = new Map()
  readonly notes: Map<string, unknown> = new Map()
  readonly #places: ExtentPlaces
  readonly #createAccount: (settings: AccountSettings) => StorageAccount
  readonly #containers = new Map<number, KnownContainer>()
  readonly #strings = new Strings()
  #latestStampMs = 0
  #highestId = 0
  #isComplete = false

  constructor(places: ExtentPlaces, createAccount: (settings: AccountSettings) => StorageAccount) {
    this.#places = places
    this.#createAccount = createAccount
  }

  /** Containers by number. */
  get containers(): Iterable<readonly [id: number, container: Container]> {
    return [...this.#containers].map(([id, { container }]) => [id, container] as const)
  }

  /** The highest number that any container had. */
  get highestId(): number {
    return this.#highestId
  }

  /** No etag or version id so far is later, milliseconds since the epoch. */
  get latestStampMs(): number {
    return this.#latestStampMs
  }

  /** Whether the end of a snapshot came by. */
  get isComplete(): boolean {
    return this.#isComplete
  }

  /** Repeats the changes of one frame. */
  take(payload: string): void {
    for (const entry of JSON.parse(payload) as readonly Entry[]) this.#apply(entry)
  }

  #apply(entry: Entry): void {
    switch (entry[0]) {
      case 'put':
        this.#put(entry[1], entry[2])
        break
      case 'remove':
        this.#container(entry[1])?.container.paths.remove(entry[2])
        break
      case 'rename':
        this.#container(entry[1])?.container.paths.rename(entry[2], entry[3])
        break
      case 'account':
        this.#putAccount(entry[1])
        break
      case 'removeAccount':
        this.accounts.delete(entry[1])
        break
      case 'note':
        this.notes.set(entry[1], entry[2])
        break
      case 'end':
        this.#isComplete = true
        break
      default:
        this.#applyToContainer(entry)
    }
  }

  #put(id: number, json: StateJson): void {
    const state = decodeState(json, this.#places)
    this.#note(state)
    this.#container(id)?.container.paths.put(state)
  }

  #applyToContainer(entry: Extract<Entry, readonly [`${string}ontainer`, ...unknown[]]>): void {
    if (entry[0] === 'container') {
      const [, name, id, json] = entry
      const account = this.accounts.get(name)
      if (account === undefined) throw new RangeError(`entry: no account '${name}'`)
      const properties = decodeContainer(json)
      this.#stampOf(properties)
      this.#highestId = Math.max(this.#highestId, id)
      this.#containers.set(id, { account, container: account.putContainer(properties) })
      return
    }
    const known = this.#container(entry[1])
    if (known === undefined) return
    const { account, container } = known
    const { properties } = container
    if (entry[0] === 'removeContainer') {
      account.removeContainer(properties.name)
      this.#containers.delete(entry[1])
    } else if (entry[0] === 'retireContainer') {
      this.#stampText(entry[2])
      account.retireContainer(properties, entry[2])
    } else {
      account.restoreContainer(entry[2], { ...properties, name: entry[3] })
    }
  }

  #putAccount(settings: AccountSettings): void {
    const known = this.accounts.get(settings.name)
    if (known === undefined) this.accounts.set(settings.name, this.#createAccount(settings))
    else known.changeSettings({ ...absentSettings(known.settings), ...settings })
  }

  #container(id: number): KnownContainer | undefined {
    return this.#containers.get(id)
  }

  #note(state: PathState): void {
    for (const record of recordsOf(state)) {
      this.#stampOf(record)
      this.#strings.share(record)
    }
    for (const id of state.snapshots?.keys() ?? []) this.#stampText(id)
    for (const id of state.versions?.keys() ?? []) this.#stampText(id)
  }

  #stampOf({ etag, lastModifiedMs }: Pick<PathRecord, 'etag' | 'lastModifiedMs'>): void {
    // Hundreds of nanoseconds since the year 1; a double is exact to 13 microseconds there.
    const ms = Number(etag.slice(1, -1)) / 10_000 - epochMs
    const latest = Number.isFinite(ms) ? Math.max(ms + 1, lastModifiedMs) : lastModifiedMs
    if (latest > this.#latestStampMs) this.#latestStampMs = latest
  }

  #stampText(timestamp: string): void {
    const ms = Date.parse(timestamp)
    if (ms + 1 > this.#latestStampMs) this.#latestStampMs = ms + 1
  }
}

const epochMs = 62_135_596_800_000

/** Settings that are not in the entry are not set. */
function absentSettings(settings: AccountSettings): Partial<AccountSettings> {
  return Object.fromEntries(Object.keys(settings).map((name) => [name, undefined]))
}
