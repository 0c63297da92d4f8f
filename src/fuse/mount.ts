import { constants as fsConstants } from 'node:fs'
import { type FileHandle, open, writeFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { KiB } from '../byte-range.ts'
import { type Clock, systemClock } from '../clock.ts'
import { FileSystemError } from '../errors.ts'
import { makeDirectories } from '../make-directories.ts'
import { type FaultEvent, faultChannel } from '../telemetry.ts'
import type { FileOperations } from '../vfs/operations.ts'
import { type MountRequest, mountByHelper } from './fusermount.ts'
import { serveGiven } from './given-connection.ts'
import { givenDescriptor } from './given-place.ts'
import { maxRequestBytes } from './limits.ts'
import { canonicalMountpoint, findMount } from './mount-table.ts'
import { loadNativeMounting, NativeFuseChannel, type NativeMounting } from './native-channel.ts'
import { prepareMountpoint } from './preflight.ts'
import { Session, type SessionFailover } from './session.ts'
import { detach, isRoot, type UnmountOptions } from './unmount.ts'

/** Where and how a file system is mounted. */
export interface MountOptions {
  /** An existing directory; or `/dev/fd/N`, a connection that another process has mounted already. */
  readonly mountpoint: string
  /** What /proc/mounts shows as the source. */
  readonly source: string
  /** Lets other users in, as their permissions allow; without root it needs `user_allow_other` in /etc/fuse.conf. */
  readonly allowOther?: boolean | undefined
  readonly readOnly?: boolean | undefined
  /** Mounts over a directory that has files in it, which hides them. */
  readonly nonEmpty?: boolean | undefined
  /** How far the kernel reads ahead; without root at most 128 KiB. */
  readonly maxReadAheadBytes?: number | undefined
  /**
   * How long a call may go without progress before it fails with `ETIMEDOUT`; milliseconds. Default
   * 60,000; 0 for ever.
   */
  readonly timeoutMs?: number | undefined
  /**
   * Has the kernel read files by itself that lie whole on the local disk, where this process may
   * arrange that. Default: on mounts that are read-only. A file that is read so cannot be opened for
   * writing meanwhile.
   */
  readonly passthrough?: boolean | undefined
  readonly clock?: Clock | undefined
  /** Has the mount outlive this process. Absent: the mount ends with it. */
  readonly failover?: MountFailover | undefined
}

/** How a mount outlives the process that serves it: another holds its connection, for a third to take over. */
export interface MountFailover {
  /** The connection of a mount that is there already, and what it began with. */
  readonly takesOver?: { readonly device: number; readonly init: Uint8Array } | undefined
  /** Gives a duplicate of a new connection's descriptor to who is to hold it. */
  readonly keep: (device: number) => void
  /** Takes what a new connection began with. */
  readonly begun: (init: Uint8Array) => void
}

/** A file system that is mounted and served by this process. */
export interface Mount {
  /** Absolute, without symbolic links; `/proc/PID/fd/N` where another process has mounted it. */
  readonly mountpoint: string
  /** A drive left dead at the mount point by a crash was detached first. */
  readonly detachedDead: boolean
  /**
   * Resolves when the mount is gone, by whoever's doing, and every call has settled; rejects when
   * the kernel could not be heard any more.
   */
  readonly closed: Promise<void>
  /** Why the kernel reads no file by itself; `undefined` when it does, or will when there is one. */
  whyNoPassthrough(): string | undefined
  /**
   * Begins no further call, and resolves when those under way are answered; the result goes on again. What is asked
   * meanwhile is answered then, or by who takes over. Absent where nobody can.
   */
  readonly pause?: (() => Promise<() => void>) | undefined
  /** Tries that with a file of no name in `directory`, and gives the same. */
  tryPassthrough(directory: string): Promise<string | undefined>
  /**
   * Unmounts. Resolves when `closed` does; with `lazy` as soon as the mount is out of sight. Rejects
   * with EBUSY when it is in use and `lazy` is not set. Does nothing when it is gone already.
   */
  unmount(options?: UnmountOptions): Promise<void>
}

/**
 * Mounts `operations` and serves them from this process, which must not use the mount itself: its
 * event loop would wait for its own answer. Resolves when the mount serves. Rejects, with nothing
 * left mounted, for each reason named at `prepareMountpoint`, with ENOTSUP when the addon or
 * fusermount3 is missing, and with EPERM when mounting is refused.
 */
export async function mount(operations: FileOperations, options: MountOptions): Promise<Mount> {
  const given = givenDescriptor(options.mountpoint)
  if (given !== undefined) return mountGiven(operations, given, options)
  const { mountpoint, detachedDead, device } = await connect(options)
  const { failover } = options
  const maxReadAheadBytes = options.maxReadAheadBytes ?? maxRequestBytes
  const timeoutMs = options.timeoutMs ?? 60_000
  const channel = new NativeFuseChannel(device, { timeoutMs, isKept: failover !== undefined })
  const passthrough = options.passthrough ?? options.readOnly ?? false
  const how = { maxReadAheadBytes, passthrough }
  const session = new Session(channel, operations, { ...how, failover: ofSession(failover) })
  try {
    session.start()
    await session.ready
  } catch (error) {
    // Who takes over without success leaves the mount to the next.
    if (failover?.takesOver === undefined) await detach(mountpoint, true)
    channel.close()
    throw error
  }
  const number = await tuneReadAhead(mountpoint, maxReadAheadBytes)
  return {
    mountpoint,
    detachedDead,
    closed: session.closed,
    whyNoPassthrough: () => session.whyNoPassthrough,
    tryPassthrough: (directory) => tryPassthrough(session, directory),
    pause: () => pause(session),
    unmount: (how) => unmountOwn({ mountpoint, device: number, closed: session.closed }, how ?? {}),
  }
}

interface Connected {
  readonly mountpoint: string
  readonly detachedDead: boolean
  readonly device: number
}

/** A new mount, or the one that is taken over. */
async function connect(options: MountOptions): Promise<Connected> {
  const { takesOver, keep } = options.failover ?? {}
  if (takesOver !== undefined) {
    const mountpoint = await canonicalMountpoint(options.mountpoint)
    return { mountpoint, detachedDead: false, device: takesOver.device }
  }
  const native = loadNativeMounting()
  const prepared = await prepareMountpoint(options.mountpoint, {
    nonEmpty: options.nonEmpty ?? false,
    clock: options.clock ?? systemClock,
  })
  const device = await openMount(native, prepared.mountpoint, options)
  keep?.(device)
  return { ...prepared, device }
}

function ofSession(failover: MountFailover | undefined): SessionFailover | undefined {
  return failover && { init: failover.takesOver?.init, begun: failover.begun }
}

async function pause(session: Session): Promise<() => void> {
  await session.pause()
  return () => session.resume()
}

/** Unmounting is left to who mounted: the connection ends, once everything that was written is stored. */
async function mountGiven(
  operations: FileOperations,
  descriptor: number,
  { timeoutMs = 60_000, readOnly = false, passthrough = readOnly }: MountOptions,
): Promise<Mount> {
  const how = { timeoutMs, readOnly, passthrough }
  const { session, place } = await serveGiven(operations, descriptor, how)
  return {
    mountpoint: place,
    detachedDead: false,
    closed: session.closed,
    whyNoPassthrough: () => session.whyNoPassthrough,
    tryPassthrough: (directory) => tryPassthrough(session, directory),
    unmount: () => session.hangUp(),
  }
}

async function tryPassthrough(session: Session, directory: string): Promise<string | undefined> {
  if (session.whyNoPassthrough !== undefined) return session.whyNoPassthrough
  const file = await openNameless(directory)
  if (file === undefined) return `no file can be made in ${directory}`
  try {
    session.tryPassthrough(file.fd)
  } finally {
    await file.close()
  }
  return session.whyNoPassthrough
}

async function openNameless(directory: string): Promise<FileHandle | undefined> {
  try {
    await makeDirectories(directory, 0o700)
    return await open(directory, fsConstants.O_RDWR | O_TMPFILE, 0o600)
  } catch {
    // Whoever keeps something there will say what is wrong with it.
    return undefined
  }
}

/** Node has no name for it; the same on x86 and ARM. */
const O_TMPFILE = 0o20000000 | fsConstants.O_DIRECTORY

function openMount(
  native: NativeMounting,
  mountpoint: string,
  options: MountOptions,
): Promise<number> {
  const request: MountRequest = {
    mountpoint,
    source: options.source,
    readOnly: options.readOnly ?? false,
    allowOther: options.allowOther ?? false,
    maxReadBytes: maxRequestBytes,
  }
  return isRoot() ? mountAsRoot(native, request) : mountByHelper(native, request)
}

async function mountAsRoot(native: NativeMounting, request: MountRequest): Promise<number> {
  const { mountpoint, source, readOnly, allowOther, maxReadBytes } = request
  const result = await native.mount(mountpoint, source, readOnly, allowOther, maxReadBytes)
  if (result >= 0) return result
  const name = Object.entries(constants.errno).find(([, errno]) => errno === -result)?.[0]
  const detail =
    `the kernel refused to mount: ${name ?? result}; ` +
    'a container needs `--device /dev/fuse --cap-add SYS_ADMIN`'
  throw new FileSystemError('EPERM', 'mount', { path: mountpoint, detail })
}

/**
 * Raises the kernel's read-ahead, which it caps at a disk's 128 KiB whatever the session asks for;
 * only root may. Gives the device of the mount, found without touching the mount.
 */
async function tuneReadAhead(mountpoint: string, bytes: number): Promise<string | undefined> {
  const device = (await findMount(mountpoint))?.device
  if (device === undefined || !isRoot()) return device
  try {
    await writeFile(`/sys/class/bdi/${device}/read_ahead_kb`, `${Math.floor(bytes / KiB)}`)
  } catch (error) {
    // The mount serves all the same, with smaller requests: /sys is read-only in many containers.
    const fault = error instanceof Error ? error : new Error(String(error), { cause: error })
    const event: FaultEvent = { operation: 'mount.readAhead', path: mountpoint, error: fault }
    faultChannel.publish(event)
  }
  return device
}

interface OwnMount {
  readonly mountpoint: string
  readonly device: string | undefined
  readonly closed: Promise<void>
}

async function unmountOwn(own: OwnMount, options: UnmountOptions): Promise<void> {
  const lazy = options.lazy ?? false
  // Somebody may have unmounted it and mounted something else.
  const record = await findMount(own.mountpoint)
  const isOwn = record !== undefined && record.device === own.device
  if (isOwn) await detach(own.mountpoint, lazy)
  if (!(isOwn && lazy)) await own.closed
}
