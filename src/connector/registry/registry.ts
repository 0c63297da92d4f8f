import type { Clock } from '../../clock.ts'
import type { ConnectorBody, KeyBody, PolicyBody } from '../model/connector.ts'
import type { StoredRecord } from '../model/record.ts'
import type { Policy } from '../policy.ts'
import type { State } from '../state/state.ts'
import { effectivePolicy } from './effective-policy.ts'

/** What a configuration file declares. */
export interface Declared {
  readonly connectors: readonly StoredRecord<ConnectorBody>[]
  readonly policies: readonly StoredRecord<PolicyBody>[]
  /** Rules and accounts that stand in the file themselves. */
  readonly policy: Policy
}

/** All that decides, as of one moment. */
export interface Snapshot {
  readonly generation: number
  readonly connectors: readonly StoredRecord<ConnectorBody>[]
  readonly policies: readonly StoredRecord<PolicyBody>[]
  /** By the public part of the key. */
  readonly keys: ReadonlyMap<string, StoredRecord<KeyBody>>
  readonly policy: Policy
}

/** How long another replica's change may go unnoticed, milliseconds. */
const maxAgeMs = 1000

/**
 * The connectors and policies there are: those of the file and those of the state. Reads the state
 * again when its generation grew, and asks for the generation once a second at most; a change of
 * this process is seen at once. While the database does not answer, what was last read stands.
 */
export class Registry {
  readonly #declared: Declared
  readonly #state: State | undefined
  readonly #clock: Clock
  #snapshot: Snapshot | undefined
  #checkedAtMs = Number.NEGATIVE_INFINITY
  #reading: Promise<Snapshot> | undefined

  constructor(declared: Declared, state: State | undefined, clock: Clock) {
    this.#declared = declared
    this.#state = state
    this.#clock = clock
  }

  /** Rejects only when the database does not answer and nothing was ever read. */
  async current(): Promise<Snapshot> {
    const known = this.#snapshot
    if (known !== undefined && this.#isFresh()) return known
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  /** Says that this process has changed the state. */
  invalidate(): void {
    this.#checkedAtMs = Number.NEGATIVE_INFINITY
  }

  /** A connector by id or name, of the file or the state. */
  async connector(idOrName: string): Promise<StoredRecord<ConnectorBody> | undefined> {
    const { connectors } = await this.current()
    return connectors.find(({ id, body }) => id === idOrName || body.name === idOrName)
  }

  #isFresh(): boolean {
    return this.#state === undefined || this.#clock.nowMs() - this.#checkedAtMs < maxAgeMs
  }

  async #read(): Promise<Snapshot> {
    const startedAtMs = this.#clock.nowMs()
    try {
      this.#snapshot = await this.#latest()
    } catch (error) {
      if (this.#snapshot === undefined) throw error
    }
    this.#checkedAtMs = startedAtMs
    return this.#snapshot
  }

  async #latest(): Promise<Snapshot> {
    const state = this.#state
    if (state === undefined) return this.#compose(0, [], [], [])
    const generation = await state.generation()
    if (this.#snapshot?.generation === generation) return this.#snapshot
    const [connectors, policies, keys] = await Promise.all([
      state.connectors.list(),
      state.policies.list(),
      state.keys.list(),
    ])
    return this.#compose(generation, connectors, policies, keys)
  }

  #compose(
    generation: number,
    storedConnectors: readonly StoredRecord<ConnectorBody>[],
    storedPolicies: readonly StoredRecord<PolicyBody>[],
    keys: readonly StoredRecord<KeyBody>[],
  ): Snapshot {
    const { policy, ...declared } = this.#declared
    // A name of the file cannot be taken over by the state.
    const connectors = withoutNames(declared.connectors, storedConnectors)
    const policies = withoutNames(declared.policies, storedPolicies)
    const effective = effectivePolicy(
      connectors,
      policies.map(({ body }) => body),
    )
    return {
      generation,
      connectors,
      policies,
      keys: new Map(keys.map((key) => [key.body.name, key])),
      policy: {
        accounts: [...policy.accounts, ...effective.accounts],
        rules: [...policy.rules, ...effective.rules],
        tokens: [...(policy.tokens ?? []), ...(effective.tokens ?? [])],
      },
    }
  }
}

function withoutNames<T extends { readonly name: string }>(
  declared: readonly StoredRecord<T>[],
  stored: readonly StoredRecord<T>[],
): readonly StoredRecord<T>[] {
  const names = new Set(declared.map(({ body }) => body.name))
  return [...declared, ...stored.filter(({ body }) => !names.has(body.name))]
}
