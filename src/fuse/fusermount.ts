import { spawn } from 'node:child_process'
import { FileSystemError } from '../errors.ts'
import type { NativeMounting } from './native-channel.ts'

/** What to mount, and how. */
export interface MountRequest {
  /** Canonical. */
  readonly mountpoint: string
  readonly source: string
  readonly readOnly: boolean
  readonly allowOther: boolean
  readonly maxReadBytes: number
}

/**
 * Mounts by the setuid helper fusermount3, for users without the right to mount. Gives the
 * descriptor of the connection, the caller's to close. Rejects with ENOTSUP when the helper is
 * missing and with EPERM, and its own words, when it refuses.
 */
export async function mountByHelper(
  native: NativeMounting,
  request: MountRequest,
): Promise<number> {
  const sockets = native.socketPair()
  if (typeof sockets === 'number') throw noDescriptor('mount', request.mountpoint)
  const [ours, theirs] = sockets
  try {
    const args = ['-o', helperOptions(request), '--', request.mountpoint]
    const outcome = await run(args, theirs)
    if (outcome.code !== 0) throw refused('mount', request.mountpoint, outcome)
    const device = native.receiveDescriptor(ours)
    if (device < 0) throw noDescriptor('mount', request.mountpoint)
    return device
  } finally {
    native.closeDescriptor(ours)
    native.closeDescriptor(theirs)
  }
}

/** Unmounts by fusermount3. Rejects with EBUSY while the mount is in use, EPERM when refused. */
export async function unmountByHelper(mountpoint: string, lazy: boolean): Promise<void> {
  const outcome = await run([lazy ? '-uz' : '-u', '--', mountpoint])
  if (outcome.code !== 0) throw refused('unmount', mountpoint, outcome)
}

interface Outcome {
  readonly code: number | null
  readonly stderr: string
}

function helperOptions(request: MountRequest): string {
  const source = request.source.replace(/[\\,]/g, '\\$&')
  const options = [`fsname=${source}`, 'subtype=abfs', 'nosuid', 'nodev', 'default_permissions']
  options.push(`max_read=${request.maxReadBytes}`, request.readOnly ? 'ro' : 'rw')
  if (request.allowOther) options.push('allow_other')
  return options.join(',')
}

function run(args: readonly string[], socket?: number): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn('fusermount3', args, {
      // The helper sends the descriptor over the one it finds in _FUSE_COMMFD.
      stdio: ['ignore', 'ignore', 'pipe', socket ?? 'ignore'],
      env: { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', _FUSE_COMMFD: '3' },
    })
    let stderr = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.once('error', (error) => reject(missing(error)))
    child.once('close', (code) => resolve({ code, stderr: stderr.trim() }))
  })
}

function missing(cause: Error): FileSystemError {
  const detail =
    'fusermount3 is needed to mount without root: install it (Debian, Ubuntu: apt install fuse3)'
  return new FileSystemError('ENOTSUP', 'mount', { detail, cause })
}

function refused(syscall: string, path: string, outcome: Outcome): FileSystemError {
  const code = outcome.stderr.includes('resource busy') ? 'EBUSY' : 'EPERM'
  // One line for the user; the helper prefixes its own name.
  const words = outcome.stderr.replaceAll('\n', '; ') || `fusermount3 exited with ${outcome.code}`
  // Which it says of what it finds in its table under another user.
  const isOfOthers = syscall === 'unmount' && /\bentry for .* not found\b/.test(words)
  const detail = isOfOthers ? 'another user mounted it: unmount it as that user, or as root' : words
  return new FileSystemError(code, syscall, { path, detail })
}

function noDescriptor(syscall: string, path: string): FileSystemError {
  const detail = 'fusermount3 handed over no descriptor'
  return new FileSystemError('EIO', syscall, { path, detail })
}
