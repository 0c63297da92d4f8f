/**
 * One drive of a daemon. In the order things happen: try the credentials; replay what drives that died had
 * promised; mount; serve until it is unmounted; send what is still held; leave no note behind.
 */
import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Logger } from 'pino'
import type { AzureUrl } from '../../azure-url.ts'
import { systemClock } from '../../clock.ts'
import { FileSystemError, isFileSystemError } from '../../errors.ts'
import { mountByFuseNative } from '../../fuse/fuse-native/mount.ts'
import { type Mount, mount } from '../../fuse/mount.ts'
import { type BlobPath, formatPath } from '../../path.ts'
import { startTimeOf } from '../../process-identity.ts'
import type { MemoryBudget } from '../../transfer/memory-budget.ts'
import type { Unsaved } from '../../vfs/fault.ts'
import type { Vfs } from '../../vfs/vfs.ts'
import type { Account } from '../compose.ts'
import { composeVfs } from '../compose-drive.ts'
import type { Traffic } from '../traffic.ts'
import type { DriveSettings } from './drive-options.ts'
import type { DriveReport } from './drive-report.ts'
import { sweepDeadDrives } from './drive-states.ts'
import type { FeedWatch } from './feed-watch.ts'
import { type KeptDrive, type KeptRole, keptDrive, tellKeeper } from './kept.ts'
import { errorFields } from './log.ts'
import { removeMade } from './made-mountpoints.ts'
import { DriveObserver } from './observer.ts'
import {
  type CacheSettings,
  controlSocketOf,
  forgetDrive,
  handoverFileOf,
  rememberDrive,
} from './registry.ts'
import { hiddenByReports } from './report-files.ts'
import { shownBy } from './shown.ts'
import type { StartWatch } from './start-watch.ts'

/** What a drive shows, where, and with what. */
export interface ServedDriveOptions {
  readonly url: AzureUrl
  /** The directory was made for it, and goes with it while it is empty. */
  readonly isMade: boolean | undefined
  readonly settings: DriveSettings
  /** The directory that several lie in. */
  readonly below: string | undefined
  readonly account: Account
  /** Where blocks and unsaved files go, if anywhere but the state directory. */
  readonly cacheDir: string | undefined
  /** Counts what of written files is in memory. */
  readonly spoolMemory: MemoryBudget
  readonly traffic: Traffic
  readonly registry: string
  readonly log: Logger
  /** Ends what happens before there is a drive. */
  readonly signal: AbortSignal
  /** Nobody waits long for a connector or a service that is silent. */
  readonly start: StartWatch
  /** Takes a line for who mounts. */
  readonly tell: (line: string) => void
  /** Reads the account's change feed for all drives, where that is asked for. */
  readonly feed: FeedWatch | undefined
  /** Of a daemon that has a keeper. */
  readonly keptRole?: KeptRole | undefined
  /** Ends the process for another to take over. */
  readonly leave: () => void
}

/** A drive, from its mount to its end. */
export class ServedDrive {
  readonly #options: ServedDriveOptions
  readonly #vfs: Vfs
  readonly #observer: DriveObserver
  readonly #recovery = new AbortController()
  #recovered: Promise<void> | undefined
  #mounted: Mount | undefined
  readonly #kept: KeptDrive | undefined

  constructor(options: ServedDriveOptions) {
    this.#options = options
    const { account, settings, cacheDir, spoolMemory, log, traffic } = options
    const spoolDirectory = cacheDir ?? tmpdir()
    const journalDirectory = this.#journalDirectory()
    const where = { root: this.#root, spoolDirectory, spoolMemory, journalDirectory }
    const isShown = settings.hiding && shownBy(settings.hiding)
    const foreignChanges = options.feed?.join()
    const { keptRole, registry } = options
    this.#kept = keptRole && keptDrive(keptRole, handoverFileOf(registry, settings.directory))
    const shown = { isShown, foreignChanges, handover: this.#kept }
    this.#vfs = composeVfs(account, { ...settings, ...where, ...shown })
    const { source } = this
    this.#observer = new DriveObserver({
      settings,
      source,
      account,
      vfs: this.#vfs,
      traffic,
      log,
      changeFeed: options.feed?.report,
    })
  }

  /** What is mounted: `abfs://CONTAINER[/PATH]`, with `@TIME` where it is the past. */
  get source(): string {
    const { moment } = this.#options.settings
    return `${formatPath(this.#root)}${moment === undefined ? '' : `@${moment.at}`}`
  }

  /** Canonical once it is mounted. */
  get directory(): string {
    return this.#mounted?.mountpoint ?? this.#options.settings.directory
  }

  /** What could not be stored since it began. */
  get unsaved(): readonly Unsaved[] {
    return this.#vfs.unsaved
  }

  report(): DriveReport {
    return this.#observer.report()
  }

  /** Opens logs of calls anew, under the names that they have. */
  reopenLogs(): void {
    this.#observer.reopenLogs()
  }

  /** Resolves when it answers and is noted. What fails leaves nothing mounted. */
  async mount(): Promise<void> {
    const { settings } = this.#options
    await this.#options.start.run(() => this.#tryCredentials())
    if (this.#kept?.left === undefined) await this.#checkStatsDir()
    if (!settings.readOnly) await this.#replay()
    this.#recovered = settings.readOnly ? undefined : this.#recover(this.#recovery.signal)
    const mountIt = settings.driver === 'fuse-native' ? mountByFuseNative : mount
    const where = { mountpoint: settings.directory, source: this.source }
    const failover = this.#kept?.failover((init) => this.#vfs.begun(init))
    this.#mounted = await mountIt(this.#observer.operations, { ...settings, ...where, failover })
    await this.#note(this.#mounted)
  }

  /** Resolves when it is unmounted, by whoever, and all that was written is stored or kept. */
  async ended(): Promise<void> {
    const { source, directory } = this
    try {
      await this.#mounted?.closed
      if (this.#mounted !== undefined) this.#options.log.info({ source, directory }, 'unmounted')
    } finally {
      // The kernel may end the connection before the last release: what is still open is stored here.
      await this.#vfs.close()
      this.#recovery.abort()
      await this.#recovered
      // Before the note of the drive goes, which whoever unmounts waits for.
      await removeMade([{ directory: this.directory, isMade: this.#options.isMade }])
      await this.#observer.close()
    }
  }

  /** Rejects with EBUSY when it is in use and `lazy` is not set. */
  async unmount(lazy: boolean): Promise<void> {
    await this.#mounted?.unmount({ lazy })
  }

  /** Why the kernel will read no cached file by itself; `undefined` when it will. */
  async #tryPassthrough(mounted: Mount): Promise<string | undefined> {
    const cache = this.#cacheSettings()
    const nothing = 'nothing is kept on the local disk: there is no --cache-dir'
    const first = cache === undefined ? nothing : await mounted.tryPassthrough(cache.directory)
    this.#observer.explainPassthrough(() => (cache ? mounted.whyNoPassthrough() : nothing))
    return first
  }

  async #note(mounted: Mount): Promise<void> {
    const { mountpoint: directory, detachedDead } = mounted
    const { log, registry, settings } = this.#options
    const { logFile, statsFile, moment, hiding } = settings
    const { source } = this
    const passthrough = (await this.#tryPassthrough(mounted)) ?? 'on'
    log.info({ source, directory, detachedDead, passthrough }, 'mounted')
    const controlSocket = await this.#observer.open(
      controlSocketOf(registry, directory),
      this.#kept && (() => this.#handOver(mounted)),
    )
    const sinceMs = systemClock.nowMs()
    const file = this.#kept?.file
    await sweepDeadDrives(registry, directory, file)
    const { below } = this.#options
    const isPast = moment !== undefined
    const cache = this.#cacheSettings()
    const files = { cache, logFile, statsFile, controlSocket }
    const keeperPid = this.#kept && process.ppid
    const keeperStartTime = keeperPid && startTimeOf(keeperPid)
    const keeper = keeperStartTime ? { keeperPid, keeperStartTime, handoverFile: file } : {}
    const what = { directory, source, below, isPast, hiding, sinceMs, ...keeper }
    rememberDrive(registry, { ...what, ...files })
    this.#tellKeeper(directory)
    // Until it has sent everything.
    this.#observer.onClosed(() => forgetDrive(registry, directory))
    if (file !== undefined) this.#observer.onClosed(() => rmSync(file, { force: true }))
  }

  /** Once all that was asked is answered. Where the next daemon would not know enough, this one goes on. */
  async #handOver({ pause }: Mount): Promise<() => void> {
    const resume = await pause?.()
    try {
      this.#vfs.handOver()
    } catch (error) {
      resume?.()
      throw error
    }
    this.#options.log.info({ directory: this.directory }, 'hands the drive over')
    return this.#options.leave
  }

  #tellKeeper(directory: string): void {
    if (this.#kept === undefined) return
    const { file } = this.#kept
    tellKeeper({ kind: 'connection', directory, file }, () => {
      this.#options.log.warn({ directory }, 'its keeper has ended: the drive ends with this daemon')
    })
  }

  #cacheSettings(): CacheSettings | undefined {
    const { cacheDir: directory, settings } = this.#options
    const { cacheBytes: maxBytes } = settings
    if (directory === undefined || maxBytes === 0) return undefined
    return { directory: resolve(directory), maxBytes }
  }

  /** One listing: what is wrong with account, container or credentials shows here, not at first use. */
  async #tryCredentials(): Promise<void> {
    const { account, settings, signal, log, tell } = this.#options
    const root = this.#root
    try {
      await account.namespace.list(root, { signal })
    } catch (error) {
      // A prefix that holds nothing yet is an empty drive; its container must exist.
      if (root.name === '' || !isFileSystemError(error, 'ENOENT')) throw error
      await account.namespace.stat({ container: root.container, name: '' }, { signal })
      log.warn({ source: this.source }, 'nothing is there yet: the drive is empty')
      const then = settings.readOnly ? '' : ', and what is written there makes it'
      tell(`${this.source} does not exist: the drive is empty${then}`)
    }
  }

  /** A file of the name that reports are to have would be hidden. */
  async #checkStatsDir(): Promise<void> {
    const { account, settings, signal } = this.#options
    if (settings.statsDir === undefined) return
    const taken = await hiddenByReports(account, {
      root: this.#root,
      name: settings.statsDir,
      signal,
    })
    if (taken === undefined) return
    const { path, detail } = taken
    throw new FileSystemError('EEXIST', 'mount', { path, detail })
  }

  /** One for each container: whoever mounts it next finds what is left there. */
  #journalDirectory(): string {
    const { account, cacheDir, settings } = this.#options
    const { container } = this.#root
    const { account: name, blobEndpoint } = account.target
    const place = `${blobEndpoint.origin}${blobEndpoint.pathname}`
    const hash = createHash('sha256').update(`${place}\0${container}`).digest('hex').slice(0, 12)
    const directory = cacheDir ?? settings.stateDirectory
    return join(directory, 'journal', `${name}-${container}-${hash}`)
  }

  /** Stores what a drive that died had promised to, before this one serves. */
  async #replay(): Promise<void> {
    const { signal, log } = this.#options
    for (const { path, outcome, error } of await this.#vfs.replay({ signal })) {
      const fields = { path: formatPath(path), outcome }
      if (error === undefined) log.info(fields, 'replayed')
      else log.error({ ...fields, ...errorFields(error) }, 'not replayed')
    }
  }

  /** Finishes renames and transactions that a client was in the middle of when it died; the drive does not wait. */
  async #recover(signal: AbortSignal): Promise<void> {
    const { account, log } = this.#options
    const options = { acrossContainers: false, clock: systemClock, signal }
    try {
      const { recoverAll } = await import('../../namespace/recovery.ts')
      const found = await recoverAll(account.namespace, this.#root.container, options)
      for (const { error, kind = 'rename', ...what } of found) {
        if (error === undefined) log.info(what, `interrupted ${kind}`)
        else log.warn({ ...what, ...errorFields(error) }, `interrupted ${kind}`)
      }
    } catch (error) {
      if (!signal.aborted) log.warn(errorFields(error), 'interrupted renames not looked for')
    }
  }

  get #root(): BlobPath {
    const { container, name } = this.#options.url
    return { container, name: name.replace(/\/+$/, '') }
  }
}
