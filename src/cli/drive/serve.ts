/**
 * The process behind one drive or several on one account. In the order things happen: connect; mount each;
 * tell the launcher; serve until all are unmounted or a signal asks for it.
 */

import type { Command } from 'commander'
import type { Logger } from 'pino'
import type { AzureUrl } from '../../azure-url.ts'
import { systemClock } from '../../clock.ts'
import { type Config, runtimeDirectory } from '../../config.ts'
import { FileSystemError } from '../../errors.ts'
import { DiskCache } from '../../transfer/disk-cache.ts'
import { MemoryBudget } from '../../transfer/memory-budget.ts'
import { type Account, openAccount } from '../compose.ts'
import { type CliContext, configOf } from '../context.ts'
import { targetOf } from '../location.ts'
import { openOtlp } from '../otlp/open-otlp.ts'
import { describeError } from '../report-error.ts'
import { Traffic, writeReport } from '../traffic.ts'
import { serveMetrics } from './control-server.ts'
import { optimizeLater } from './daemon-process.ts'
import type { DriveSettings } from './drive-options.ts'
import type { FeedWatch } from './feed-watch.ts'
import { handedOverCode, type KeptRole } from './kept.ts'
import { answerLauncher, tellStarter } from './launch.ts'
import { errorFields, openLogFile } from './log.ts'
import { removeMade } from './made-mountpoints.ts'
import { type DriveMemory, driveMemory } from './memory.ts'
import { driveFigures } from './metrics.ts'
import { notifyServiceManager } from './notify.ts'
import { rehearseReading } from './rehearsal.ts'
import { accessOf, accountSeenBy } from './seen-account.ts'
import { ServedDrive } from './served-drive.ts'
import { StartWatch } from './start-watch.ts'
import { countUnsaved, describeUnsaved, unsavedFile } from './unsaved-view.ts'

/** What one drive shows, and where. */
export interface DrivePlace {
  readonly url: AzureUrl
  readonly directory: string
  /** The directory was made for it, and goes with it while it is empty. */
  readonly isMade?: boolean | undefined
}

/** What is served where. */
export interface ServeOptions {
  /** Finds out what; not empty, of one account. */
  readonly places: () => Promise<readonly DrivePlace[]>
  /** Of all of them, but for the directory. */
  readonly settings: DriveSettings
  /** The directory that they all lie in, where they are taken down together. */
  readonly below?: string | undefined
  /** Whether a launcher waits to hear that the drives are up. */
  readonly forLauncher: boolean
  /** Of a daemon that has a keeper. */
  readonly keptRole?: KeptRole | undefined
}

/** Mounts and serves until all drives are gone. Failures before they are up go to the launcher too. */
export async function serveDrives(
  options: ServeOptions,
  command: Command,
  context: CliContext,
): Promise<void> {
  optimizeLater()
  try {
    const places = await options.places()
    await new Daemon({ ...options, places }, await configOf(command, context), context).run()
  } catch (error) {
    if (options.forLauncher) await answerLauncher({ kind: 'failed', ...describeError(error) })
    throw error
  }
}

/** fuse-native keeps the event loop of a drive that others have unmounted. */
function endSoon(): void {
  void systemClock.sleep(200).then(() => process.exit())
}

/** How long listings are believed. Who is told of changes need not list often: names are then believed as long as attributes. */
function ttlMs({ changeFeedMs, attrTtlMs, immutable }: DriveSettings): number | undefined {
  if (immutable) return Number.MAX_SAFE_INTEGER
  if (attrTtlMs === 0) return 0
  return changeFeedMs === undefined || attrTtlMs < usualTtlMs ? undefined : attrTtlMs
}

/** Of listings, where nothing is said. */
const usualTtlMs = 5000

/** How long who waits for the drive may wait for the cache; milliseconds. */
const leavingMs = 1000

type DaemonOptions = Omit<ServeOptions, 'places'> & { readonly places: readonly DrivePlace[] }

class Daemon {
  readonly #options: DaemonOptions
  readonly #config: Config
  readonly #context: CliContext
  readonly #log: Logger
  readonly #reopenLog: () => void
  readonly #traffic = new Traffic(systemClock)
  readonly #drives: ServedDrive[] = []
  readonly #memory: DriveMemory
  /** Of all drives. */
  readonly #spoolMemory: MemoryBudget
  readonly #tell: (line: string) => void
  readonly #start: StartWatch
  #feed: FeedWatch | undefined
  /** All drives are up. */
  #serves = false

  constructor(options: DaemonOptions, config: Config, context: CliContext) {
    this.#options = options
    this.#config = config
    this.#memory = driveMemory(config.memoryBudgetBytes)
    this.#spoolMemory = new MemoryBudget({ maxBytes: this.#memory.spoolBytes })
    this.#context = context
    this.#tell = tellStarter(context.stderr, options.forLauncher)
    this.#start = new StartWatch({
      connector: config.connector,
      blobEndpoint: targetOf(
        config,
        options.places.map(({ url }) => url),
      ).blobEndpoint,
      timeoutMs: options.settings.startTimeoutMs,
      tell: this.#tell,
      clock: systemClock,
    })
    const { log, reopen } = openLogFile({ level: config.logLevel, file: options.settings.logFile })
    this.#log = log
    this.#reopenLog = reopen
  }

  async run(): Promise<void> {
    const { places, settings } = this.#options
    const urls = places.map(({ url }) => url)
    const target = targetOf(this.#config, urls)
    // The daemon keeps no directory busy; every file name is absolute by now.
    process.chdir('/')
    const diskCache = this.#openDiskCache()
    await diskCache?.prepare().catch((error: unknown) => this.#tellNotKept(error))
    const { sharedBytes: memoryBudgetBytes, cacheBytes } = this.#memory
    const memory = { memoryBudgetBytes, cacheBytes, reusesMemory: true }
    // A mount that cannot begin says so, and one that is told to end does.
    const isHard = settings.timeoutMs === 0
    const isEndless = isHard ? () => this.#serves && !this.#context.signal.aborted : undefined
    const abandoned = () => this.#start.signal
    const listingTtlMs = ttlMs(settings)
    const hedge = settings.hedge ? {} : undefined
    const rateLimits = {
      readBytesPerSecond: settings.maxReadRate,
      writeBytesPerSecond: settings.maxWriteRate,
      requestsPerSecond: settings.maxRequestsPerSecond,
    }
    const how = {
      target,
      access: accessOf(settings),
      diskCache,
      ...memory,
      scanTrees: true,
      isEndless,
      abandoned,
      hedge,
      rateLimits,
      removesLater: settings.writeBack,
      encryptionScope: settings.encryptionScope,
      listingTtlMs,
    }
    const account = await openAccount(this.#config, how)
    this.#feed = await this.#openFeed(account)
    try {
      await this.#serve(account, diskCache !== undefined)
    } catch (error) {
      this.#log.error(errorFields(error), 'failed')
      throw error
    } finally {
      await this.#feed?.close()
      await account.close()
      await diskCache?.close()
      this.#writeStatistics()
      this.#traffic.close()
      if (settings.driver === 'fuse-native') endSoon()
    }
  }

  async #serve(account: Account, hasDisk: boolean): Promise<void> {
    const metrics = await this.#openMetrics()
    const reports = () => this.#drives.map((drive) => drive.report())
    const otlp = await openOtlp(this.#options.settings, () => driveFigures(reports()), this.#log)
    // While the service is waited for.
    const rehearsed = rehearseReading({ withDisk: hasDisk })
    const ends: Promise<void>[] = []
    try {
      for (const place of this.#options.places) {
        const drive = this.#driveOf(place, account)
        this.#drives.push(drive)
        const mounted = drive.mount()
        // A drive that fails has an end too: what it opened is closed there.
        ends.push(mounted.catch(() => undefined).then(() => drive.ended()))
        await mounted
      }
      this.#serves = true
      this.#feed?.start()
      this.#obeySignals()
      await rehearsed
      await this.#announce()
    } catch (error) {
      await this.#unmount(true)
      throw error
    } finally {
      await Promise.all([...ends, rehearsed])
      // Of drives that did not begin, too.
      await removeMade(this.#options.places)
      await otlp?.close()
      await metrics?.close()
    }
    this.#reportUnsaved()
  }

  #driveOf({ url, directory, isMade }: DrivePlace, account: Account): ServedDrive {
    const { settings } = this.#options
    const root = { container: url.container, name: url.name.replace(/\/+$/, '') }
    const { cacheDir } = this.#config
    const { environment, signal } = this.#context
    return new ServedDrive({
      url,
      isMade,
      settings: { ...settings, directory },
      below: this.#options.below,
      account: accountSeenBy(account, { ...settings, root, listingTtlMs: ttlMs(settings) }),
      cacheDir,
      spoolMemory: this.#spoolMemory,
      traffic: this.#traffic,
      registry: runtimeDirectory(environment, process.getuid?.() ?? 0),
      log: this.#log,
      signal,
      start: this.#start,
      tell: this.#tell,
      feed: this.#feed,
      keptRole: this.#options.keptRole,
      leave: () => void this.#leave(account),
    })
  }

  /** Requests that are under way are for nobody; what is kept on the disk is for who takes over. */
  async #leave({ chunks }: Account): Promise<void> {
    try {
      await Promise.race([chunks.disk?.close(), systemClock.sleep(leavingMs)])
    } finally {
      this.#writeStatistics()
      process.exit(handedOverCode)
    }
  }

  async #openFeed(account: Account): Promise<FeedWatch | undefined> {
    const { changeFeedMs: intervalMs } = this.#options.settings
    if (intervalMs === undefined) return undefined
    const { FeedWatch } = await import('./feed-watch.ts')
    const { store, clock } = account
    return new FeedWatch({ store, clock, intervalMs, log: this.#log, tell: this.#tell })
  }

  /** Before there is a drive: an address that is taken is told at once. */
  async #openMetrics(): Promise<{ close(): Promise<void> } | undefined> {
    const { metricsListen } = this.#options.settings
    if (metricsListen === undefined) return undefined
    const server = await serveMetrics(metricsListen, () =>
      this.#drives.map((drive) => drive.report()),
    )
    this.#log.info({ host: metricsListen.host, port: server.port }, 'metrics')
    return server
  }

  /** Blocks of what was read outlive the drive only where somebody has said where. */
  #openDiskCache(): DiskCache | undefined {
    const { cacheDir: directory } = this.#config
    const { cacheBytes: maxBytes } = this.#options.settings
    if (directory !== undefined && maxBytes === 0 && this.#config.customerKey !== undefined) {
      const why =
        "what is read is not kept in --cache-dir, where the customer's key does not protect it, unless --cache-size says how much"
      this.#log.info({ directory }, why)
    }
    if (directory === undefined || maxBytes === 0) return undefined
    const { pendingBytes: maxPendingBytes } = this.#memory
    return new DiskCache({ directory, maxBytes, maxPendingBytes })
  }

  /** A drive works without its cache, so it is not refused: who wanted one is told. */
  #tellNotKept(error: unknown): void {
    const { line } = describeError(error)
    this.#tell(`what is read is not kept: --cache-dir cannot be used: ${line}`)
    this.#log.warn({ ...errorFields(error), directory: this.#config.cacheDir }, 'cache unusable')
  }

  /** What is not in Azure is said where it is seen, and by the exit code. */
  #reportUnsaved(): void {
    const unsaved = this.#drives.flatMap((drive) => drive.unsaved)
    for (const each of unsaved) {
      const { path, place, sizeBytes } = unsavedFile(each)
      this.#log.error({ path, place, sizeBytes, ...errorFields(each.error) }, 'not stored')
      if (this.#options.forLauncher) continue
      this.#context.stderr.write(`abfs: not stored: ${describeUnsaved(unsavedFile(each))}\n`)
    }
    if (unsaved.length === 0) return
    const detail = `${countUnsaved(unsaved)}; the log says which, and where they are kept`
    const path = this.#drives.map(({ source }) => source).join(', ')
    throw new FileSystemError('EIO', 'unmount', { path, detail })
  }

  async #announce(): Promise<void> {
    const { forLauncher, keptRole } = this.#options
    if (forLauncher) return answerLauncher({ kind: 'mounted' }, keptRole !== undefined)
    const { environment, stderr } = this.#context
    const directories = this.#drives.map(({ directory }) => directory).join(', ')
    const status = `STATUS=serving ${directories}`
    await notifyServiceManager(['READY=1', status], environment, this.#log)
    stderr.write(`abfs: mounted on ${directories}; Ctrl-C unmounts\n`)
  }

  #obeySignals(): void {
    const { signal, interruption, stderr } = this.#context
    const stop = (): void => void this.#stop()
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
    interruption.onSecond(() => void this.#unmount(true))
    process.on('SIGUSR2', () => this.#writeStatistics())
    // A terminal that goes takes a drive in its foreground with it.
    if (this.#options.forLauncher || !stderr.isTTY) {
      interruption.onHangup(() => this.#reopenLogs())
    }
  }

  /** A service manager signals once, and later kills: what is in use is detached, so that no dead drive stays. */
  async #stop(): Promise<void> {
    const { environment } = this.#context
    const storing = ['STOPPING=1', 'STATUS=storing what was written']
    const told = this.#options.keptRole ?? notifyServiceManager(storing, environment, this.#log)
    await this.#unmount(false)
    if (environment['NOTIFY_SOCKET']) await this.#unmount(true)
    await told
  }

  async #unmount(lazy: boolean): Promise<void> {
    for (const drive of this.#drives) {
      await drive.unmount(lazy).catch((error: unknown) => {
        this.#log.warn(errorFields(error), 'still mounted; a further signal detaches the drive')
        if (this.#options.forLauncher) return
        const { line } = describeError(error)
        this.#context.stderr.write(`abfs: ${line}; Ctrl-C again detaches it\n`)
      })
    }
  }

  #reopenLogs(): void {
    this.#reopenLog()
    for (const drive of this.#drives) drive.reopenLogs()
    this.#log.info('logs are opened again')
  }

  #writeStatistics(): void {
    const { statsFile } = this.#options.settings
    if (statsFile !== undefined) writeReport(statsFile, this.#traffic.report())
  }
}
