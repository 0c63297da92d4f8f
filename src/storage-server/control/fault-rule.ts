import type { StorageRequest } from '../wire/request.ts'
import { ledgerPath } from './ledger.ts'

/** What goes wrong. */
export type FaultEffect =
  | {
      /** An answer with this status. */
      readonly kind: 'status'
      readonly status: number
      /** `x-ms-error-code`; Azure's usual one for the status when absent. */
      readonly code?: string | undefined
      readonly retryAfterSeconds?: number | undefined
      /** With 401: JSON of the claims that the next token must have. */
      readonly claims?: string | undefined
    }
  /** The connection is closed before a byte of the answer. */
  | { readonly kind: 'reset' }
  /** The connection is closed in the body, after so many bytes of it; half of it when absent. */
  | { readonly kind: 'resetInBody'; readonly afterBytes?: number | undefined }
  /** The body ends early, after so many bytes; half of it when absent. */
  | { readonly kind: 'truncate'; readonly afterBytes?: number | undefined }
  /** One byte of the body, at this offset (0 when absent), has all its bits turned. */
  | { readonly kind: 'corrupt'; readonly at?: number | undefined }
  /** No answer for so long; until the faults are replaced or the server ends when absent. */
  | { readonly kind: 'stall'; readonly ms?: number | undefined }
  /** As `stall`, in the middle of the body. */
  | {
      readonly kind: 'stallInBody'
      readonly afterBytes?: number | undefined
      readonly ms?: number | undefined
    }
  | { readonly kind: 'slowBody'; readonly bytesPerSecond: number }

/** When something goes wrong. Absent fields match all requests. */
export interface FaultRule {
  /** A name for the ledger; a number when absent. */
  readonly id?: string | undefined
  /** `Verb.name`. */
  readonly verb?: string | undefined
  readonly face?: 'blob' | 'dfs' | undefined
  readonly account?: string | undefined
  /** Regular expression for `/container/path`, decoded. */
  readonly path?: string | undefined
  /** The first of the matching requests to disturb, from 1. Default 1. */
  readonly nth?: number | undefined
  /** How many to disturb from then on; all when absent. */
  readonly count?: number | undefined
  /** The verb runs before the answer is replaced or lost. For `status`, `reset` and `stall`. */
  readonly runsVerb?: boolean | undefined
  readonly effect: FaultEffect
}

/** A rule with its name and what it has seen. */
export interface ActiveFault {
  readonly id: string
  readonly rule: FaultRule
  /** Requests that matched. */
  readonly matched: number
}

interface Entry {
  readonly id: string
  readonly rule: FaultRule
  readonly path: RegExp | undefined
  matched: number
}

/** The rules in force: the first that matches a request disturbs it. */
export class Faults {
  #entries: readonly Entry[] = []
  #next = 1

  get active(): readonly ActiveFault[] {
    return this.#entries.map(({ id, rule, matched }) => ({ id, rule, matched }))
  }

  /** Puts these rules in the place of all. Throws `SyntaxError` for a path that is no expression. */
  replace(rules: readonly FaultRule[]): readonly ActiveFault[] {
    this.#entries = rules.map((rule) => this.#entry(rule))
    return this.active
  }

  /** Adds a rule behind the others. Throws `SyntaxError` for a path that is no expression. */
  add(rule: FaultRule): ActiveFault {
    const entry = this.#entry(rule)
    this.#entries = [...this.#entries, entry]
    return entry
  }

  /** The fault for a request; each call counts as one more that matched. */
  next(request: StorageRequest, verb: string): ActiveFault | undefined {
    if (this.#entries.length === 0) return undefined
    const due = this.#entries.filter((entry) => matches(entry, request, verb) && isDue(entry))
    return due[0]
  }

  #entry(rule: FaultRule): Entry {
    const id = rule.id ?? String(this.#next++)
    const path = rule.path === undefined ? undefined : new RegExp(rule.path)
    return { id, rule, path, matched: 0 }
  }
}

function matches({ rule, path }: Entry, request: StorageRequest, verb: string): boolean {
  return (
    (rule.verb === undefined || rule.verb === verb) &&
    (rule.face === undefined || rule.face === request.face) &&
    (rule.account === undefined || rule.account === request.account) &&
    (path === undefined || path.test(ledgerPath(request)))
  )
}

function isDue(entry: Entry): boolean {
  entry.matched += 1
  const { nth = 1, count = Number.POSITIVE_INFINITY } = entry.rule
  return entry.matched >= nth && entry.matched < nth + count
}
