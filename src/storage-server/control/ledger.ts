import type { StorageRequest } from '../wire/request.ts'
import type { Outcome } from './hooks.ts'

/** One request that was answered, without anything secret. */
export interface LedgerEntry extends Outcome {
  /** When it came, ISO 8601. */
  readonly time: string
  /** `Verb.name`. */
  readonly verb: string
  readonly face: 'blob' | 'dfs'
  readonly method: string
  readonly account: string
  /** `/container/path`, decoded, without the query. */
  readonly path: string
  /** Until the answer was written, milliseconds. */
  readonly ms: number
  /** `x-ms-request-id`. */
  readonly requestId: string
  /** `x-ms-client-request-id`. */
  readonly clientRequestId?: string | undefined
  /** The rule that disturbed it. */
  readonly fault?: string | undefined
}

/** Sums over all requests of a verb. */
export interface VerbCounter {
  readonly requests: number
  /** Answers from 400 on, and connections that were cut. */
  readonly failures: number
  readonly bytesIn: number
  readonly bytesOut: number
}

/** Which entries to read; all when empty. */
export interface LedgerFilter {
  readonly verb?: string | undefined
  readonly account?: string | undefined
  readonly clientRequestId?: string | undefined
}

const defaultMaxEntries = 10_000
const noRequests: VerbCounter = { requests: 0, failures: 0, bytesIn: 0, bytesOut: 0 }

/** Remembers the last requests, and counts all of them by verb. */
export class Ledger {
  readonly #maxEntries: number
  readonly #onEntry: ((entry: LedgerEntry) => void) | undefined
  #entries: LedgerEntry[] = []
  readonly #counters = new Map<string, VerbCounter>()

  /** `onEntry` gets each entry as it is written, to keep it longer than the ring does. */
  constructor(
    options: {
      readonly maxEntries?: number | undefined
      readonly onEntry?: ((entry: LedgerEntry) => void) | undefined
    } = {},
  ) {
    this.#maxEntries = options.maxEntries ?? defaultMaxEntries
    this.#onEntry = options.onEntry
  }

  /** Adds an entry. */
  write(entry: LedgerEntry): void {
    this.#entries.push(entry)
    // Cut in one go now and then: shifting an array at each request costs its length.
    if (this.#entries.length >= 2 * this.#maxEntries) this.#entries = this.#last()
    this.#count(entry)
    this.#onEntry?.(entry)
  }

  /** The entries that match, oldest first; at most as many as the ring holds. */
  entries(filter: LedgerFilter = {}): readonly LedgerEntry[] {
    const { verb, account, clientRequestId } = filter
    return this.#last().filter(
      (entry) =>
        (verb === undefined || entry.verb === verb) &&
        (account === undefined || entry.account === account) &&
        (clientRequestId === undefined || entry.clientRequestId === clientRequestId),
    )
  }

  /** Sums by verb since the start or the last `clear`. */
  counters(): Readonly<Record<string, VerbCounter>> {
    return Object.fromEntries(this.#counters)
  }

  /** Forgets entries and sums. */
  clear(): void {
    this.#entries = []
    this.#counters.clear()
  }

  #last(): LedgerEntry[] {
    return this.#entries.slice(-this.#maxEntries)
  }

  #count({ verb, status, bytesIn, bytesOut }: LedgerEntry): void {
    const sum = this.#counters.get(verb) ?? noRequests
    this.#counters.set(verb, {
      requests: sum.requests + 1,
      failures: sum.failures + (status === 0 || status >= 400 ? 1 : 0),
      bytesIn: sum.bytesIn + bytesIn,
      bytesOut: sum.bytesOut + bytesOut,
    })
  }
}

/** `/container/path` of a request, decoded; `/` is the account. */
export function ledgerPath({ container, path }: StorageRequest): string {
  if (container === undefined) return '/'
  return path === undefined ? `/${container}` : `/${container}/${path}`
}
