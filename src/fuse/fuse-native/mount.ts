import { repeat } from '../../clock.ts'
import { FileSystemError } from '../../errors.ts'
import type { CallContext, FileOperations } from '../../vfs/operations.ts'
import type { Mount, MountOptions } from '../mount.ts'
import { canonicalMountpoint, findMount } from '../mount-table.ts'
import { type Fuse, loadFuseNative } from './binding.ts'
import { makeHandlers } from './handlers.ts'

/**
 * Mounts `operations` by the package fuse-native, within the limits of `limits.ts`, and serves them
 * from this process. Rejects with `ENOTSUP` when the package or its library does not load, `EINVAL`
 * for a mount point that it would hand to a shell, and with what mounting fails with.
 */
export async function mountByFuseNative(
  operations: FileOperations,
  options: MountOptions,
): Promise<Mount> {
  const FuseNative = await loadFuseNative()
  const mountpoint = await canonicalMountpoint(options.mountpoint)
  if (/["$`\\]/.test(mountpoint)) throw unsafe(mountpoint)
  const fuse = new FuseNative(mountpoint, makeHandlers(operations, callerHere()), {
    fsname: options.source.replaceAll(',', '_'),
    // What the mount table then shows is how every command knows its drives.
    ...(process.platform === 'linux' && { subtype: 'abfs' }),
    allowOther: options.allowOther ?? false,
    defaultPermissions: true,
    timeout: options.timeoutMs === 0 ? false : (options.timeoutMs ?? 60_000),
  })
  await settle('mount', mountpoint, (done) => fuse.mount(done))
  return new FuseNativeMount(fuse, operations, mountpoint)
}

class FuseNativeMount implements Mount {
  readonly mountpoint: string
  readonly detachedDead = false
  readonly closed: Promise<void>
  readonly #fuse: Fuse
  readonly #operations: FileOperations
  #resolveClosed: () => void = () => {}
  #unmounting: Promise<void> | undefined
  readonly #stopLooking: () => void

  constructor(fuse: Fuse, operations: FileOperations, mountpoint: string) {
    this.#fuse = fuse
    this.#operations = operations
    this.mountpoint = mountpoint
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
    this.#stopLooking = repeat(lookEveryMs, () => void this.#look().catch(() => undefined))
  }

  whyNoPassthrough(): string {
    return 'fuse-native knows none'
  }

  async tryPassthrough(): Promise<string> {
    return this.whyNoPassthrough()
  }

  /** Lazily: fuse-native knows no other way. */
  unmount(): Promise<void> {
    this.#unmounting ??= this.#unmount()
    return this.#unmounting
  }

  /** Nobody tells when others unmount: `abfs unmount`, umount(8). */
  async #look(): Promise<void> {
    if (this.#unmounting === undefined && (await findMount(this.mountpoint)) === undefined) {
      await this.unmount()
    }
  }

  async #unmount(): Promise<void> {
    this.#stopLooking()
    if ((await findMount(this.mountpoint)) !== undefined) {
      await settle('unmount', this.mountpoint, (done) => this.#fuse.unmount(done))
    }
    await this.#operations.unmounted?.()
    this.#resolveClosed()
  }
}

const lookEveryMs = 500

function settle(
  syscall: 'mount' | 'unmount',
  path: string,
  start: (done: (error: Error | null | undefined) => void) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    start((cause) => {
      if (cause == null) resolve()
      else reject(new FileSystemError('EIO', syscall, { path, detail: cause.message, cause }))
    })
  })
}

/** Nobody tells who calls. */
function callerHere(): CallContext {
  const { signal } = new AbortController()
  return { signal, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, pid: 0 }
}

function unsafe(path: string): FileSystemError {
  const detail = 'fuse-native would hand this path to a shell: mount elsewhere'
  return new FileSystemError('EINVAL', 'mount', { path, detail })
}
