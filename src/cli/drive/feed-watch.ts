import type { Logger } from 'pino'
import type { BlobStore } from '../../blob/store.ts'
import type { BlobChange } from '../../change-feed/blob-change.ts'
import { ChangeFeed, type FeedNews } from '../../change-feed/change-feed.ts'
import type { Clock } from '../../clock.ts'
import { isFileSystemError } from '../../errors.ts'
import { ForeignChanges } from '../../vfs/foreign-changes.ts'
import { describeError } from '../report-error.ts'
import type { ChangeFeedReport } from './drive-report.ts'
import { errorFields } from './log.ts'

export interface FeedWatchOptions {
  readonly store: BlobStore
  readonly clock: Clock
  readonly intervalMs: number
  readonly log: Logger
  /** Takes a line for who mounts. */
  readonly tell: (line: string) => void
}

/** Reads the change feed of an account again and again, and tells the daemon's drives what others have changed. */
export class FeedWatch {
  readonly #options: FeedWatchOptions
  readonly #feed: ChangeFeed
  readonly #drives: ForeignChanges[] = []
  readonly #closing = new AbortController()
  #running: Promise<void> | undefined
  #hasBegun = false
  #readAtMs: number | undefined
  #changes = 0
  #foreign = 0
  #failures = 0
  #failing: string | undefined

  constructor(options: FeedWatchOptions) {
    this.#options = options
    this.#feed = new ChangeFeed(options.store)
  }

  /** What tells one more drive. */
  join(): ForeignChanges {
    const drive = new ForeignChanges()
    this.#drives.push(drive)
    return drive
  }

  readonly report = (): ChangeFeedReport => {
    return {
      readAtMs: this.#readAtMs,
      changes: this.#changes,
      foreign: this.#foreign,
      failures: this.#failures,
      failing: this.#failing,
    }
  }

  /** Begins to read. Called once, when the drives are up. */
  start(): void {
    this.#running = this.#run()
  }

  /** Resolves when nothing is read any more. Never rejects. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { clock, intervalMs } = this.#options
    const { signal } = this.#closing
    while (!signal.aborted) {
      await this.#read(signal)
      await clock.sleep(intervalMs, signal).catch(() => undefined)
    }
  }

  async #read(signal: AbortSignal): Promise<void> {
    try {
      const news = await this.#feed.poll({ signal })
      this.#readAtMs = this.#options.clock.nowMs()
      this.#recovered()
      this.#tell(news)
    } catch (error) {
      if (!signal.aborted) this.#failed(error)
    }
  }

  #tell({ changes, missed }: FeedNews): void {
    this.#changes += changes.length
    for (const change of lastOfEach(changes)) {
      const told = this.#drives.map((drive) => drive.note(change))
      if (told.includes(true)) this.#foreign += 1
    }
    if (missed === undefined) return
    this.#options.log.warn({ why: missed }, 'changes may have been missed: all is asked for anew')
    for (const drive of this.#drives) drive.missed()
  }

  /** What happened before the first reading nobody tells. */
  #recovered(): void {
    const isLate = !this.#hasBegun && this.#failures > 0
    this.#hasBegun = true
    if (this.#failing === undefined) return
    this.#failing = undefined
    this.#options.log.info('the change feed is read again')
    if (isLate) for (const drive of this.#drives) drive.missed()
  }

  #failed(error: unknown): void {
    this.#failures += 1
    const isNew = this.#failing === undefined
    this.#failing = isFileSystemError(error, 'ENOENT')
      ? 'the account has no change feed (ENOENT); it is turned on under Data protection, on flat accounts'
      : describeError(error).line
    if (!isNew) return
    const what = 'the change feed cannot be read: changes of others show after --attr-ttl'
    this.#options.log.warn(errorFields(error), what)
    this.#options.tell(`${what}: ${this.#failing}`)
  }
}

/** Of several changes of a blob, which come in order, the last one says what is there now. */
function lastOfEach(changes: readonly BlobChange[]): Iterable<BlobChange> {
  return new Map(changes.map((change) => [`${change.container}/${change.name}`, change])).values()
}
