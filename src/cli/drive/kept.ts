/**
 * A daemon whose keeper (`keeper.ts`) holds its connection. The first of them mounts and sends a duplicate of the
 * descriptor; each next one is started with that, and finds in a file what the one before it has told the kernel.
 */
import { rmSync } from 'node:fs'
import { FileSystemError } from '../../errors.ts'
import type { MountFailover } from '../../fuse/mount.ts'
import { loadNativeMounting } from '../../fuse/native-channel.ts'
import { type HandedOver, readHandedOver } from '../../vfs/handed-over.ts'

/** The hidden flag that a keeper starts a daemon with. */
export const keptFlag = '--serve-kept'

/** Whether a daemon mounts, or takes over from one that ended. */
export type KeptRole = 'first' | 'next'

/** Where a kept daemon finds its keeper's socket, or the connection that it takes over. */
export const keptDescriptor = 3

/** The code of a daemon that has ended for another to take over, as it was asked to. */
export const handedOverCode = 75

/** What a kept daemon tells its keeper once it is mounted. */
export interface ConnectionMessage {
  readonly kind: 'connection'
  /** Canonical. */
  readonly directory: string
  readonly file: string
}

/** How one drive outlives its daemon. */
export interface KeptDrive {
  /** Where this daemon leaves what the next has to know. */
  readonly file: string
  readonly left: HandedOver | undefined
  /** `begun` takes the first message of the connection. */
  failover(begun: (init: Uint8Array) => void): MountFailover
}

/** What the daemon is to do in `role`; throws what keeps it from taking over. */
export function keptDrive(role: KeptRole, file: string): KeptDrive {
  if (role === 'first') rmSync(file, { force: true })
  const left = role === 'first' ? undefined : readHandedOver(file)
  const takesOver = left && { device: keptDescriptor, init: left.init }
  return { file, left, failover: (begun) => ({ takesOver, keep, begun }) }
}

function keep(device: number): void {
  const result = loadNativeMounting().sendDescriptor(keptDescriptor, device)
  if (result === 0) return
  const detail = `the keeper of the drive did not take its connection: errno ${-result}`
  throw new FileSystemError('EIO', 'mount', { detail })
}

/** Tells the keeper where the drive is. `onAlone` is called when the keeper has ended. */
export function tellKeeper(message: ConnectionMessage, onAlone: () => void): void {
  process.send?.(message, () => undefined)
  process.once('disconnect', onAlone)
  // A daemon that has nothing to do any more ends.
  process.channel?.unref()
}
