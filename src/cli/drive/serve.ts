/**
 * The process behind a drive. In the order things happen: connect and try the credentials; mount;
 * tell the launcher; serve until the drive is unmounted or a signal asks for it; send what is still
 * held; leave no note behind.
 */
import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { Logger } from 'pino'
import type { AzureUrl } from '../../azure-url.ts'
import { systemClock } from '../../clock.ts'
import { type Config, runtimeDirectory } from '../../config.ts'
import { FileSystemError, isFileSystemError } from '../../errors.ts'
import { mountByFuseNative } from '../../fuse/fuse-native/mount.ts'
import { type Mount, mount } from '../../fuse/mount.ts'
import { type BlobPath, formatPath } from '../../path.ts'
import { DiskCache } from '../../transfer/disk-cache.ts'
import type { Vfs } from '../../vfs/vfs.ts'
import { type Account, composeVfs, openAccount } from '../compose.ts'
import { type CliContext, configOf } from '../context.ts'
import { targetOf } from '../location.ts'
import { describeError } from '../report-error.ts'
import { Traffic, writeReport } from '../traffic.ts'
import type { DriveSettings } from './drive-options.ts'
import { sweepDeadDrives } from './drive-states.ts'
import { answerLauncher } from './launch.ts'
import { errorFields, openLog } from './log.ts'
import { notifyServiceManager } from './notify.ts'
import { DriveObserver } from './observer.ts'
import { controlSocketOf, forgetDrive, rememberDrive } from './registry.ts'
import { describeUnsaved, unsavedFile } from './unsaved-view.ts'

/** What is served where. */
export interface ServeOptions {
  readonly url: AzureUrl
  readonly settings: DriveSettings
  /** Whether a launcher waits to hear that the drive is up. */
  readonly forLauncher: boolean
}

/** Mounts and serves until the drive is gone. Failures before it is up go to the launcher too. */
export async function serveDrive(
  options: ServeOptions,
  command: Command,
  context: CliContext,
): Promise<void> {
  try {
    await new Drive(options, await configOf(command, context), context).run()
  } catch (error) {
    if (options.forLauncher) await answerLauncher({ kind: 'failed', ...describeError(error) })
    throw error
  }
}

class Drive {
  readonly #options: ServeOptions
  readonly #config: Config
  readonly #context: CliContext
  readonly #log: Logger
  readonly #traffic = new Traffic(systemClock)
  readonly #registry: string

  constructor(options: ServeOptions, config: Config, context: CliContext) {
    this.#options = options
    this.#config = config
    this.#context = context
    this.#log = openLog({ level: config.logLevel, file: options.settings.logFile })
    this.#registry = runtimeDirectory(context.environment, process.getuid?.() ?? 0)
  }

  async run(): Promise<void> {
    const { url, settings } = this.#options
    const target = targetOf(this.#config, [url])
    // The daemon keeps no directory busy; every file name is absolute by now.
    process.chdir('/')
    const access = settings.readOnly ? 'read' : 'write'
    const diskCache = this.#openDiskCache()
    const reusesMemory = true
    const account = await openAccount(this.#config, { target, access, diskCache, reusesMemory })
    try {
      await this.#tryCredentials(account)
      await this.#serve(account)
    } catch (error) {
      this.#log.error(errorFields(error), 'failed')
      throw error
    } finally {
      await account.close()
      await diskCache?.close()
      this.#writeStatistics()
      this.#traffic.close()
    }
  }

  /** One listing: what is wrong with account, container or credentials shows here, not at first use. */
  async #tryCredentials(account: Account): Promise<void> {
    const { signal } = this.#context
    const root = this.#root
    try {
      await account.namespace.list(root, { signal })
    } catch (error) {
      // A prefix that holds nothing yet is an empty drive; its container must exist.
      if (root.name === '' || !isFileSystemError(error, 'ENOENT')) throw error
      await account.namespace.stat({ container: root.container, name: '' }, { signal })
    }
  }

  async #serve(account: Account): Promise<void> {
    const { directory: mountpoint, ...settings } = this.#options.settings
    const root = this.#root
    const spoolDirectory = this.#config.cacheDir ?? tmpdir()
    const journalDirectory = this.#journalDirectory(account)
    const vfs = composeVfs(account, { ...settings, root, spoolDirectory, journalDirectory })
    const observer = this.#observe(account, vfs)
    await observer.openMetrics()
    if (!settings.readOnly) await this.#replay(vfs)
    const recovery = new AbortController()
    const recovered = settings.readOnly ? undefined : this.#recover(account, recovery.signal)
    try {
      const mountIt = settings.driver === 'fuse-native' ? mountByFuseNative : mount
      const source = formatPath(root)
      const mounted = await mountIt(observer.operations, { ...settings, mountpoint, source })
      await this.#serveUntilUnmounted(mounted, observer)
    } finally {
      // The kernel may end the connection before the last release: what is still open is stored here.
      await vfs.close()
      recovery.abort()
      await recovered
      await observer.close()
    }
    this.#reportUnsaved(vfs)
  }

  #observe(account: Account, vfs: Vfs): DriveObserver {
    const { settings } = this.#options
    const source = formatPath(this.#root)
    return new DriveObserver({
      settings,
      source,
      account,
      vfs,
      traffic: this.#traffic,
      log: this.#log,
    })
  }

  /** Blocks of what was read outlive the drive only where somebody has said where. */
  #openDiskCache(): DiskCache | undefined {
    const { cacheDir: directory } = this.#config
    const { cacheBytes: maxBytes } = this.#options.settings
    if (directory === undefined || maxBytes === 0) return undefined
    return new DiskCache({ directory, maxBytes })
  }

  /** One for each container: whoever mounts it next finds what is left there. */
  #journalDirectory({ target }: Account): string {
    const { container } = this.#root
    const { stateDirectory } = this.#options.settings
    const place = `${target.blobEndpoint.origin}${target.blobEndpoint.pathname}`
    const hash = createHash('sha256').update(`${place}\0${container}`).digest('hex').slice(0, 12)
    const directory = this.#config.cacheDir ?? stateDirectory
    return join(directory, 'journal', `${target.account}-${container}-${hash}`)
  }

  /** Stores what a drive that died had promised to, before this one serves. */
  async #replay(vfs: Vfs): Promise<void> {
    const { signal } = this.#context
    for (const { path, outcome, error } of await vfs.replay({ signal })) {
      const fields = { path: formatPath(path), outcome }
      if (error === undefined) this.#log.info(fields, 'replayed')
      else this.#log.error({ ...fields, ...errorFields(error) }, 'not replayed')
    }
  }

  /** What is not in Azure is said where it is seen, and by the exit code. */
  #reportUnsaved({ unsaved }: Vfs): void {
    for (const each of unsaved) {
      const { path, place, sizeBytes } = unsavedFile(each)
      this.#log.error({ path, place, sizeBytes, ...errorFields(each.error) }, 'not stored')
      if (this.#options.forLauncher) continue
      this.#context.stderr.write(`abfs: not stored: ${describeUnsaved(unsavedFile(each))}\n`)
    }
    if (unsaved.length === 0) return
    const detail = `${unsaved.length} of the files that were written could not be stored; the log says where they are kept`
    throw new FileSystemError('EIO', 'unmount', { path: formatPath(this.#root), detail })
  }

  /** Finishes renames that a client was in the middle of when it died; the drive does not wait. */
  async #recover(account: Account, signal: AbortSignal): Promise<void> {
    try {
      const { container } = this.#root
      const options = { acrossContainers: false, signal }
      for (const { error, ...rename } of await account.namespace.recoverRenames(
        container,
        options,
      )) {
        if (error === undefined) this.#log.info(rename, 'interrupted rename')
        else this.#log.warn({ ...rename, ...errorFields(error) }, 'interrupted rename')
      }
    } catch (error) {
      if (!signal.aborted) this.#log.warn(errorFields(error), 'interrupted renames not looked for')
    }
  }

  async #serveUntilUnmounted(mounted: Mount, observer: DriveObserver): Promise<void> {
    const { mountpoint: directory, detachedDead } = mounted
    const { logFile, statsFile } = this.#options.settings
    const source = formatPath(this.#root)
    this.#log.info({ source, directory, detachedDead }, 'mounted')
    const socket = controlSocketOf(this.#registry, directory)
    const controlSocket = await observer.open(socket)
    const sinceMs = systemClock.nowMs()
    const record = { directory, source, logFile, statsFile, sinceMs, controlSocket }
    await sweepDeadDrives(this.#registry, directory)
    rememberDrive(this.#registry, record)
    // Until it has sent everything.
    observer.onClosed(() => forgetDrive(this.#registry, directory))
    this.#obeySignals(mounted)
    await this.#announce(directory)
    await mounted.closed
    this.#log.info({ source, directory }, 'unmounted')
  }

  async #announce(directory: string): Promise<void> {
    if (this.#options.forLauncher) return answerLauncher({ kind: 'mounted' })
    const { environment } = this.#context
    const status = `STATUS=serving ${directory}`
    await notifyServiceManager(['READY=1', status], environment, this.#log)
    this.#context.stderr.write(`abfs: mounted on ${directory}; Ctrl-C unmounts\n`)
  }

  #obeySignals(mounted: Mount): void {
    const { signal, interruption } = this.#context
    const stop = (): void => this.#unmount(mounted, false)
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
    interruption.onSecond(() => this.#unmount(mounted, true))
    process.on('SIGUSR2', () => this.#writeStatistics())
  }

  #unmount(mounted: Mount, lazy: boolean): void {
    mounted.unmount({ lazy }).catch((error: unknown) => {
      this.#log.warn(errorFields(error), 'still mounted; a further signal detaches the drive')
      if (this.#options.forLauncher) return
      this.#context.stderr.write(`abfs: ${describeError(error).line}; Ctrl-C again detaches it\n`)
    })
  }

  #writeStatistics(): void {
    const { statsFile } = this.#options.settings
    if (statsFile !== undefined) writeReport(statsFile, this.#traffic.report())
  }

  get #root(): BlobPath {
    const { container, name } = this.#options.url
    return { container, name: name.replace(/\/+$/, '') }
  }
}
