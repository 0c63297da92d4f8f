import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Clock } from '../clock.ts'
import { makeDirectoriesSync } from '../make-directories.ts'
import {
  type CredentialEvent,
  credentialChannel,
  faultChannel,
  type HttpEvent,
  httpChannel,
} from '../telemetry.ts'

/** What went over the wire of this process, as `--stats-file` holds it. */
export interface TrafficReport {
  /** When the report was made and counting began; milliseconds since the epoch. */
  readonly atMs: number
  readonly sinceMs: number
  /** HTTP attempts, those to the connector included. */
  readonly requests: number
  readonly requestsByOperation: Readonly<Record<string, number>>
  /** Attempts that were not the first of their call. */
  readonly retries: number
  /** Second requests for reads that were late, which `requests` has too. */
  readonly hedges: number
  /** Operations within batches, which the service counts one by one beside the requests. */
  readonly batched: number
  readonly bytesSent: number
  readonly bytesReceived: number
  /** Those of `bytesReceived` that are content of files. */
  readonly contentBytesReceived?: number | undefined
  readonly credentials: CredentialReport
  /** Failures that no caller could be told of. */
  readonly faults: number
}

/** The credentials that reached this process. */
export interface CredentialReport {
  readonly received: number
  readonly byKind: Readonly<Record<string, number>>
  /** The longest life that one had on arrival; milliseconds. */
  readonly longestLifeMs: number
  /** How long the one that lives longest still has; milliseconds. */
  readonly lifeLeftMs: number
}

/** Counts what the telemetry channels publish between `new` and `close`. */
export class Traffic {
  readonly #clock: Clock
  readonly #sinceMs: number
  readonly #requestsByOperation: Record<string, number> = {}
  readonly #credentialsByKind: Record<string, number> = {}
  #retries = 0
  #hedges = 0
  #batched = 0
  #bytesSent = 0
  #bytesReceived = 0
  #contentBytesReceived = 0
  #longestLifeMs = 0
  #latestExpiryMs = 0
  #faults = 0

  constructor(clock: Clock) {
    this.#clock = clock
    this.#sinceMs = clock.nowMs()
    subscribe(httpChannel.name, this.#onHttp)
    subscribe(credentialChannel.name, this.#onCredential)
    subscribe(faultChannel.name, this.#onFault)
  }

  report(): TrafficReport {
    const atMs = this.#clock.nowMs()
    return {
      atMs,
      sinceMs: this.#sinceMs,
      requests: total(this.#requestsByOperation),
      requestsByOperation: { ...this.#requestsByOperation },
      retries: this.#retries,
      hedges: this.#hedges,
      batched: this.#batched,
      bytesSent: this.#bytesSent,
      bytesReceived: this.#bytesReceived,
      contentBytesReceived: this.#contentBytesReceived,
      credentials: this.#credentials(atMs),
      faults: this.#faults,
    }
  }

  close(): void {
    unsubscribe(httpChannel.name, this.#onHttp)
    unsubscribe(credentialChannel.name, this.#onCredential)
    unsubscribe(faultChannel.name, this.#onFault)
  }

  #credentials(nowMs: number): CredentialReport {
    return {
      received: total(this.#credentialsByKind),
      byKind: { ...this.#credentialsByKind },
      longestLifeMs: this.#longestLifeMs,
      lifeLeftMs: Math.max(0, this.#latestExpiryMs - nowMs),
    }
  }

  readonly #onHttp = (message: unknown): void => {
    const event = message as HttpEvent
    count(this.#requestsByOperation, event.operation)
    if (event.attempt > 1) this.#retries += 1
    if (event.hedge) this.#hedges += 1
    this.#batched += event.parts ?? 0
    this.#bytesSent += event.bytesSent
    this.#bytesReceived += event.bytesReceived
    if (event.operation === 'blob.get') this.#contentBytesReceived += event.bytesReceived
  }

  readonly #onCredential = (message: unknown): void => {
    const event = message as CredentialEvent
    count(this.#credentialsByKind, event.kind)
    this.#longestLifeMs = Math.max(this.#longestLifeMs, event.lifeMs)
    this.#latestExpiryMs = Math.max(this.#latestExpiryMs, event.expiresAtMs)
  }

  readonly #onFault = (): void => {
    this.#faults += 1
  }
}

/** Replaces `file` by the report at once, so that a reader never sees half of one. */
export function writeReport(file: string, report: TrafficReport): void {
  makeDirectoriesSync(dirname(file))
  const unfinished = `${file}.${process.pid}`
  writeFileSync(unfinished, `${JSON.stringify(report, undefined, 2)}\n`)
  renameSync(unfinished, file)
}

function count(counts: Record<string, number>, key: string): void {
  counts[key] = (counts[key] ?? 0) + 1
}

function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, number) => sum + number, 0)
}
