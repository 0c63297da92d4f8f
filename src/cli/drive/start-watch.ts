import type { Clock } from '../../clock.ts'
import type { ConnectorSettings } from '../../config.ts'
import { FileSystemError } from '../../errors.ts'
import { watchProgress } from '../../fuse/progress.ts'
import { credentialChannel } from '../../telemetry.ts'
import { abortable } from '../../transfer/abortable.ts'

/** Whom a start waits for, and how long. */
export interface StartWatchOptions {
  readonly connector: Pick<ConnectorSettings, 'url'> | undefined
  readonly blobEndpoint: URL
  /** How long nobody may answer; milliseconds. */
  readonly timeoutMs: number
  /** Takes a line that says what is waited for. */
  readonly tell: (line: string) => void
  readonly clock: Clock
}

const lookEveryMs = 500
const tellAfterMs = 5000

/**
 * Gives up a start that nobody answers. Every answer counts, so that a long listing is no silence; time in which this
 * process was stopped does not.
 */
export class StartWatch {
  readonly #options: StartWatchOptions
  #late: AbortController | undefined
  /** Looks since somebody has answered. */
  #looks = 0
  #hasCredential = false

  constructor(options: StartWatchOptions) {
    this.#options = options
  }

  /** Aborts what is sent; `undefined` when no start is under way. */
  get signal(): AbortSignal | undefined {
    return this.#late?.signal
  }

  /**
   * Does `work`, which asks a connector and Azure. When neither has answered for five seconds it tells for whom it
   * waits, once; when the time is over it aborts `signal`, and rejects with `ETIMEDOUT`.
   */
  async run<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const late = new AbortController()
    const done = new AbortController()
    this.#late = late
    this.#looks = 0
    const onProgress = (): void => {
      this.#looks = 0
    }
    const stops = [
      watchProgress({ answered: onProgress, held: onProgress }),
      this.#watchCredentials(),
    ]
    const ended = this.#giveUpInTime(late, done.signal)
    try {
      return await abortable(work(late.signal), late.signal)
    } catch (error) {
      throw late.signal.aborted ? late.signal.reason : error
    } finally {
      done.abort()
      await ended
      for (const stop of stops) stop()
      if (!late.signal.aborted) this.#late = undefined
    }
  }

  async #giveUpInTime(late: AbortController, done: AbortSignal): Promise<void> {
    const { clock, timeoutMs, tell } = this.#options
    let isTold = false
    while (this.#looks * lookEveryMs < timeoutMs) {
      await clock.sleep(lookEveryMs, done).catch(() => undefined)
      if (done.aborted) return
      this.#looks += 1
      const restMs = timeoutMs - this.#looks * lookEveryMs
      if (isTold || restMs <= 0 || this.#looks * lookEveryMs < tellAfterMs) continue
      isTold = true
      tell(`waiting for ${this.#awaited()}; giving up in ${Math.ceil(restMs / 1000)} s`)
    }
    late.abort(this.#tooLate())
  }

  #watchCredentials(): () => void {
    const onCredential = (): void => {
      this.#hasCredential = true
    }
    credentialChannel.subscribe(onCredential)
    return () => void credentialChannel.unsubscribe(onCredential)
  }

  #awaited(): string {
    const { connector, blobEndpoint } = this.#options
    if (this.#hasCredential) return `the blob service at ${blobEndpoint.href}`
    return connector === undefined
      ? 'Entra, or the managed identity of this machine, to sign in'
      : `the connector at ${connector.url.href}`
  }

  #tooLate(): FileSystemError {
    const detail =
      `waited ${this.#options.timeoutMs / 1000} s for ${this.#awaited()}, without an answer: ` +
      'is the address right, and is it reached from here? --start-timeout waits longer'
    return new FileSystemError('ETIMEDOUT', 'mount', { detail, retryable: true })
  }
}
