import { resolve } from 'node:path'
import type { Clock } from '../../clock.ts'
import { FileSystemError, isFileSystemError } from '../../errors.ts'
import { canonicalMountpoint, findMount } from '../../fuse/mount-table.ts'
import { unmount } from '../../fuse/unmount.ts'
import { findBusyProcesses } from './busy-processes.ts'
import { askEnd } from './control-client.ts'
import type { UnsavedFile } from './drive-report.ts'
import { type DriveRecord, isAlive, recallDead, recallDrive, recallDrives } from './registry.ts'

/** How a drive is taken down. */
export interface UnmountOptions {
  /** Detaches at once, even while files are open; what was written is still sent. */
  readonly lazy: boolean
  /** How long the daemon may take to send what it holds; milliseconds. */
  readonly waitMs: number
  /** Where drives are noted. */
  readonly registry: string
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Called when the daemon is still busy after two seconds. */
  readonly onWaiting?: ((daemon: DriveRecord) => void) | undefined
}

/** What became of a drive. */
export interface Unmounted {
  readonly directory: string
  readonly source: string
  /** `undefined` when it is not known which process served the drive. */
  readonly daemon: DriveRecord | undefined
  /** The process that served it and had ended before. */
  readonly dead?: DriveRecord | undefined
  /** What could not be stored; `undefined` when no daemon was left to tell. */
  readonly unsaved: readonly UnsavedFile[] | undefined
}

/**
 * Unmounts `directory` and waits until its daemon is done with it. Rejects with `ENOENT` or `EINVAL` when
 * it is no drive, `EBUSY` (naming processes) when it is in use, `ETIMEDOUT` when the daemon is still
 * sending.
 */
export async function unmountDrive(directory: string, options: UnmountOptions): Promise<Unmounted> {
  const place = await canonicalMountpoint(directory).catch(() => resolve(directory))
  const daemon = recallDrive(options.registry, place)
  const dead = recallDead(options.registry).find((drive) => drive.directory === place)
  const source = (await findMount(place))?.source ?? daemon?.source ?? ''
  const hangUp = new AbortController()
  const signal = AbortSignal.any([options.signal, hangUp.signal])
  try {
    const lastWords = daemon === undefined ? undefined : await listen(daemon, signal)
    await detach(place, options.lazy)
    if (daemon === undefined) return { directory: place, source, daemon, dead, unsaved: undefined }
    await waitForEnd(daemon, options)
    return { directory: place, source, daemon, unsaved: await lastWords?.() }
  } finally {
    hangUp.abort()
  }
}

/** A call that gives what the daemon said last, by when it is gone; `undefined` when it does not answer. */
async function listen(
  daemon: DriveRecord,
  signal: AbortSignal,
): Promise<(() => Promise<readonly UnsavedFile[] | undefined>) | undefined> {
  try {
    const end = await askEnd(daemon, signal)
    const words = end().catch(() => undefined)
    return () => words
  } catch {
    signal.throwIfAborted()
    return undefined
  }
}

async function detach(place: string, lazy: boolean): Promise<void> {
  try {
    await unmount(place, { lazy })
  } catch (error) {
    throw isFileSystemError(error, 'EBUSY') ? busy(place, error) : error
  }
}

async function waitForEnd(daemon: DriveRecord, options: UnmountOptions): Promise<void> {
  const { clock, registry, signal, waitMs } = options
  const beganMs = clock.nowMs()
  let isTold = false
  while (isServed(daemon, registry)) {
    const waitedMs = clock.nowMs() - beganMs
    if (waitedMs > waitMs) throw stillSending(daemon)
    if (waitedMs > 2000 && !isTold) options.onWaiting?.(daemon)
    isTold ||= waitedMs > 2000
    await clock.sleep(50, signal)
  }
}

/** A daemon of several drives forgets one that it is done with; of the last one it ends. */
function isServed(daemon: DriveRecord, registry: string): boolean {
  if (!isAlive(daemon)) return false
  const others = recallDrives(registry).filter(({ pid }) => pid === daemon.pid)
  return others.length === 0 || others.some(({ directory }) => directory === daemon.directory)
}

function busy(path: string, cause: FileSystemError): FileSystemError {
  const users = findBusyProcesses(path)
  const names = users.map(({ pid, command }) => `${command} (pid ${pid})`).join(', ')
  const by = names === '' ? '' : ` by ${names}`
  return new FileSystemError('EBUSY', 'unmount', {
    path,
    detail: `the drive is in use${by}`,
    cause,
  })
}

function stillSending(daemon: DriveRecord): FileSystemError {
  const log = daemon.logFile === undefined ? '' : `; its log is ${daemon.logFile}`
  return new FileSystemError('ETIMEDOUT', 'unmount', {
    path: daemon.directory,
    detail: `the drive is detached, but its daemon (pid ${daemon.pid}) still sends what was written${log}`,
  })
}
