import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access, readdir, stat } from 'node:fs/promises'
import type { Clock } from '../clock.ts'
import { type ErrnoCode, FileSystemError } from '../errors.ts'
import { canonicalMountpoint, findMount, type MountRecord, ourMountType } from './mount-table.ts'
import { detach, isRoot } from './unmount.ts'

/** What a check before mounting allows. */
export interface PreflightOptions {
  /** Mounts over a directory that has files in it, which hides them. */
  readonly nonEmpty: boolean
  readonly clock: Clock
}

/** A place that a drive can be mounted on. */
export interface PreparedMountpoint {
  /** Absolute, without symbolic links. */
  readonly mountpoint: string
  /** A drive whose server had died was found there and detached. */
  readonly detachedDead: boolean
}

/**
 * Checks all that can be known before mounting on `path`, each failure with what to do: ENOTSUP
 * without /dev/fuse, EACCES when it may not be opened, ENOENT or ENOTDIR for what is no directory,
 * EBUSY when something is mounted there, ENOTEMPTY when it has files. A dead drive of ours is
 * detached. Does not touch a mount of others, which may hang.
 */
export async function prepareMountpoint(
  path: string,
  options: PreflightOptions,
): Promise<PreparedMountpoint> {
  await checkDevice()
  const mountpoint = await resolveMountpoint(path)
  const detachedDead = await clearMountpoint(mountpoint, options.clock)
  await checkDirectory(mountpoint, options.nonEmpty)
  return { mountpoint, detachedDead }
}

async function checkDevice(): Promise<void> {
  // The setuid helper opens it as the user who calls it.
  try {
    await access('/dev/fuse', constants.R_OK | constants.W_OK)
  } catch (error) {
    throw deviceFailure(error)
  }
}

function deviceFailure(cause: unknown): FileSystemError {
  const closed = isRoot() ? closedToRoot : closedToUser
  const [code, detail] = codeOf(cause) === 'ENOENT' ? noDevice : closed
  return new FileSystemError(code, 'mount', { path: '/dev/fuse', detail, cause })
}

const noDevice: readonly [ErrnoCode, string] = [
  'ENOTSUP',
  'the kernel offers no FUSE here: load the module (`modprobe fuse`); ' +
    'a container needs `--device /dev/fuse --cap-add SYS_ADMIN`',
]

const closedToRoot: readonly [ErrnoCode, string] = [
  'EACCES',
  'the device may not be opened: a container needs `--device /dev/fuse --cap-add SYS_ADMIN`',
]

const closedToUser: readonly [ErrnoCode, string] = [
  'EACCES',
  'this user may not open the device: have root `chmod 666 /dev/fuse`, as distributions do, ' +
    'or mount as root',
]

async function resolveMountpoint(path: string): Promise<string> {
  try {
    return await canonicalMountpoint(path)
  } catch (cause) {
    throw unusable(path, cause)
  }
}

/** Sees to what is mounted at `mountpoint`; whether a dead drive was detached. */
async function clearMountpoint(mountpoint: string, clock: Clock): Promise<boolean> {
  let detached = false
  for (;;) {
    const record = await findMount(mountpoint)
    if (record === undefined) return detached
    if (record.type !== ourMountType || !(await isDead(mountpoint, clock))) throw taken(record)
    await detach(mountpoint, true)
    detached = true
  }
}

function taken(record: MountRecord): FileSystemError {
  const what = record.type === ourMountType ? record.source : `${record.type} '${record.source}'`
  const advice =
    record.type === ourMountType ? 'unmount it with `abfs unmount`' : 'unmount it with `umount`'
  const detail = `${what} is already mounted there: ${advice}, or choose another directory`
  return new FileSystemError('EBUSY', 'mount', { path: record.mountpoint, detail })
}

/**
 * Whether the server of the drive at `mountpoint` is gone. Another process asks, as the answer may
 * never come: then the drive counts as alive.
 */
async function isDead(mountpoint: string, clock: Clock): Promise<boolean> {
  const probe = spawn('stat', ['--', mountpoint], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
  })
  let stderr = ''
  probe.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const finished = new Promise<void>((resolve, reject) => {
    probe.once('close', () => resolve())
    probe.once('error', reject)
  })
  const stopWaiting = new AbortController()
  const timeout = clock.sleep(probeTimeoutMs, stopWaiting.signal).catch(() => {})
  await Promise.race([finished, timeout])
  stopWaiting.abort()
  probe.kill('SIGKILL')
  probe.unref()
  return stderr.includes('not connected')
}

const probeTimeoutMs = 2000

async function checkDirectory(mountpoint: string, nonEmpty: boolean): Promise<void> {
  let names: readonly string[]
  try {
    if (!(await stat(mountpoint)).isDirectory()) throw notDirectory(mountpoint)
    names = nonEmpty ? [] : await readdir(mountpoint)
  } catch (error) {
    throw error instanceof FileSystemError ? error : unusable(mountpoint, error)
  }
  if (names.length > 0) {
    const detail =
      `the directory has files in it (${names[0]}), which a mount would hide: ` +
      'choose an empty one, or allow it with --non-empty'
    throw new FileSystemError('ENOTEMPTY', 'mount', { path: mountpoint, detail })
  }
}

function notDirectory(path: string): FileSystemError {
  const detail = 'the mount point is not a directory: choose one that is'
  return new FileSystemError('ENOTDIR', 'mount', { path, detail })
}

function unusable(path: string, cause: unknown): FileSystemError {
  switch (codeOf(cause)) {
    case 'ENOENT': {
      const detail = `there is no such directory: create it with \`mkdir -p ${path}\``
      return new FileSystemError('ENOENT', 'mount', { path, detail, cause })
    }
    case 'ENOTDIR':
      return notDirectory(path)
    default: {
      const words = cause instanceof Error ? cause.message : String(cause)
      const detail = `the mount point cannot be used: ${words}`
      return new FileSystemError('EACCES', 'mount', { path, detail, cause })
    }
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
