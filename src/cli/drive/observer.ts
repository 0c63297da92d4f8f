import { rmSync, writeFileSync } from 'node:fs'
import type { Logger } from 'pino'
import { repeat } from '../../clock.ts'
import { type FileOperations, toIno } from '../../vfs/operations.ts'
import { withReportDirectory } from '../../vfs/report-directory.ts'
import type { Vfs } from '../../vfs/vfs.ts'
import type { Account } from '../compose.ts'
import { printable } from '../output.ts'
import type { Traffic } from '../traffic.ts'
import { CallLog } from './access-log.ts'
import { CallMeter } from './call-meter.ts'
import { type ControlOptions, serveControl } from './control-server.ts'
import type { DriveSettings } from './drive-options.ts'
import type { ChangeFeedReport, DriveReport } from './drive-report.ts'
import { FailureLog } from './failure-log.ts'
import { errorFields } from './log.ts'
import { reportFiles } from './report-files.ts'
import { estimateDollars } from './request-cost.ts'
import { unsavedFile } from './unsaved-view.ts'

/** What a drive is watched through. */
export interface ObserverOptions {
  readonly settings: DriveSettings
  readonly source: string
  readonly account: Account
  readonly vfs: Vfs
  readonly traffic: Traffic
  readonly log: Logger
  /** Tells how the change feed is read, where it is. */
  readonly changeFeed: (() => ChangeFeedReport) | undefined
}

/** Makes a drive tell what it does: counts, metrics, logs, the socket of its daemon. */
export class DriveObserver {
  readonly #options: ObserverOptions
  readonly #meter: CallMeter
  readonly #calls: CallLog
  #whyNoPassthrough: () => string | undefined = () => undefined
  readonly #closers: (() => void | Promise<void>)[] = []

  constructor(options: ObserverOptions) {
    const { settings, log, vfs, account } = options
    const { accessLog, slowMs } = settings
    const nameOf = (ino: number): string | undefined => relative(vfs, ino)
    this.#options = options
    this.#calls = new CallLog({ nameOf, accessLog, slowMs, log, clock: account.clock })
    const { isWanted } = this.#calls
    const failures = new FailureLog({ log, clock: account.clock })
    this.#meter = new CallMeter({
      nowMs: () => performance.now(),
      onCall: isWanted ? (call) => this.#calls.note(call) : undefined,
      onFailure: (error) => failures.note(error),
      traceRequests: isWanted,
    })
  }

  /** The drive, counted, and beside it what is told of it, which is not. */
  get operations(): FileOperations {
    const { vfs, settings, source, account, log } = this.#options
    const counted = this.#meter.meter(vfs)
    const { statsDir: name, uid, gid } = settings
    if (name === undefined) return counted
    const files = reportFiles(() => this.report())
    const onHidden = () => log.warn({ source, name }, 'is hidden by --stats-dir')
    return withReportDirectory(counted, { name, files, uid, gid, clock: account.clock, onHidden })
  }

  /** Opens the access log anew, under the name that it has. */
  reopenLogs(): void {
    this.#calls.reopen()
  }

  /** Has reports say why the kernel reads no file by itself. */
  explainPassthrough(why: () => string | undefined): void {
    this.#whyNoPassthrough = why
  }

  /** Opens the daemon's socket and begins the health file. A drive without a socket serves all the same. */
  async open(socket: string, handOver?: ControlOptions['handOver']): Promise<string | undefined> {
    this.#keepHealthFile()
    try {
      const close = await serveControl(socket, { report: () => this.report(), handOver })
      this.#closers.push(close)
      return socket
    } catch (error) {
      this.#options.log.warn(errorFields(error), 'status and stats cannot ask this drive')
      return undefined
    }
  }

  /** Has `task` done when nothing more will be told, after what was there to do before. */
  onClosed(task: () => void): void {
    this.#closers.push(task)
  }

  report(): DriveReport {
    const { settings, source, account, vfs, traffic, changeFeed } = this.#options
    const report = traffic.report()
    return {
      directory: settings.directory,
      source,
      pid: process.pid,
      readOnly: settings.readOnly,
      calls: this.#meter.report(),
      memoryCacheBytes: account.chunks.sizeBytes,
      diskCache: account.chunks.disk?.stats,
      filesAhead: { ...account.chunks.ahead },
      residentBytes: process.memoryUsage.rss(),
      traffic: report,
      estimatedDollars: estimateDollars(report.requestsByOperation, settings.prices),
      whyNoPassthrough: this.#whyNoPassthrough(),
      changeFeed: changeFeed?.(),
      unsaved: vfs.unsaved.map(unsavedFile),
    }
  }

  async close(): Promise<void> {
    for (const close of this.#closers) await close()
    this.#meter.close()
    await this.#calls.close()
  }

  /** Rewritten every ten seconds, removed at the end: one that is old tells of a daemon that died. */
  #keepHealthFile(): void {
    const { healthFile } = this.#options.settings
    if (healthFile === undefined) return
    const write = (): void => this.#writeHealth(healthFile)
    write()
    this.#closers.push(repeat(10_000, write), () => rmSync(healthFile, { force: true }))
  }

  #writeHealth(file: string): void {
    const { directory, source, pid, traffic, unsaved, changeFeed } = this.report()
    const { atMs, faults } = traffic
    const health = { directory, source, pid, atMs, faults, unsaved, changeFeed }
    try {
      writeFileSync(file, `${JSON.stringify(health)}\n`)
    } catch (error) {
      this.#options.log.warn(errorFields(error), 'the health file cannot be written')
    }
  }
}

function relative(vfs: Vfs, ino: number): string | undefined {
  const name = Number.isSafeInteger(ino) && ino > 0 ? vfs.nameOf(toIno(ino)) : undefined
  return name === undefined ? undefined : printable(name)
}
