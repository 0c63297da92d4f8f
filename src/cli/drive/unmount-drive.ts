import { resolve } from 'node:path'
import type { Clock } from '../../clock.ts'
import { FileSystemError, isFileSystemError } from '../../errors.ts'
import { canonicalMountpoint, findMount } from '../../fuse/mount-table.ts'
import { unmount } from '../../fuse/unmount.ts'
import { findBusyProcesses } from './busy-processes.ts'
import { type DriveRecord, isAlive, recallDrive } from './registry.ts'

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
}

/** What became of a drive. */
export interface Unmounted {
  readonly directory: string
  readonly source: string
  /** `undefined` when it is not known which process served the drive. */
  readonly daemon: DriveRecord | undefined
}

/**
 * Unmounts `directory` and waits until its daemon has ended. Rejects with `ENOENT` or `EINVAL` when
 * it is no drive, `EBUSY` (naming processes) when it is in use, `ETIMEDOUT` when the daemon is still
 * sending.
 */
export async function unmountDrive(directory: string, options: UnmountOptions): Promise<Unmounted> {
  const place = await canonicalMountpoint(directory).catch(() => resolve(directory))
  const source = (await findMount(place))?.source
  const daemon = recallDrive(options.registry, place)
  await detach(place, options.lazy)
  if (daemon !== undefined) await waitForEnd(daemon, options)
  return { directory: place, source: source ?? '', daemon }
}

async function detach(place: string, lazy: boolean): Promise<void> {
  try {
    await unmount(place, { lazy })
  } catch (error) {
    throw isFileSystemError(error, 'EBUSY') ? busy(place, error) : error
  }
}

async function waitForEnd(daemon: DriveRecord, options: UnmountOptions): Promise<void> {
  const deadlineMs = options.clock.nowMs() + options.waitMs
  while (isAlive(daemon)) {
    if (options.clock.nowMs() > deadlineMs) throw stillSending(daemon)
    await options.clock.sleep(50, options.signal)
  }
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
