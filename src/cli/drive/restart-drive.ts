import { resolve } from 'node:path'
import type { Clock } from '../../clock.ts'
import { FileSystemError } from '../../errors.ts'
import { canonicalMountpoint } from '../../fuse/mount-table.ts'
import { askHandOver, askReport } from './control-client.ts'
import { type DriveRecord, recallDrive } from './registry.ts'

/** How a drive is restarted. */
export interface RestartOptions {
  /** How long it may take; milliseconds. */
  readonly waitMs: number
  /** Where drives are noted. */
  readonly registry: string
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** A drive that another process serves than before. */
export interface Restarted {
  readonly directory: string
  readonly source: string
  readonly formerPid: number
  readonly pid: number
}

/**
 * Has the daemon of the drive at `directory` hand it over to another, and waits for that. Rejects with ENOENT when no
 * daemon of this user's serves a drive there, ENOTSUP when it was mounted without `--failover`, ETIMEDOUT when no other
 * serves it by then.
 */
export async function restartDrive(directory: string, options: RestartOptions): Promise<Restarted> {
  const place = await canonicalMountpoint(directory).catch(() => resolve(directory))
  const former = recallDrive(options.registry, place)
  if (former === undefined)
    throw refusal('ENOENT', place, 'no daemon of yours serves a drive there')
  if (former.keeperPid === undefined) throw refusal('ENOTSUP', place, noFailover)
  const slow = AbortSignal.timeout(Math.max(1, options.waitMs))
  await askHandOver(former, AbortSignal.any([slow, options.signal]))
  const { pid } = await follower(former, options)
  return { directory: place, source: former.source, formerPid: former.pid, pid }
}

const noFailover =
  'the drive was mounted without --failover and ends with its daemon: unmount it and mount it anew'

/** The daemon that serves after `former`, once it answers. */
async function follower(former: DriveRecord, options: RestartOptions): Promise<DriveRecord> {
  const { clock, registry, signal, waitMs } = options
  const beganMs = clock.nowMs()
  for (;;) {
    const next = recallDrive(registry, former.directory)
    if (next !== undefined && next.pid !== former.pid && (await answers(next, signal))) return next
    if (clock.nowMs() - beganMs > waitMs) throw late(former)
    await clock.sleep(20, signal)
  }
}

async function answers(record: DriveRecord, signal: AbortSignal): Promise<boolean> {
  try {
    await askReport(record, signal)
    return true
  } catch {
    signal.throwIfAborted()
    return false
  }
}

function late({ directory, logFile }: DriveRecord): FileSystemError {
  const log = logFile === undefined ? '' : `: its log is ${logFile}`
  return refusal('ETIMEDOUT', directory, `no other daemon has taken the drive over so far${log}`)
}

function refusal(
  code: 'ENOENT' | 'ENOTSUP' | 'ETIMEDOUT',
  path: string,
  detail: string,
): FileSystemError {
  return new FileSystemError(code, 'restart', { path, detail })
}
