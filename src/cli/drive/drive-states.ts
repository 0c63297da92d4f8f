import { isGivenPlace } from '../../fuse/given-place.ts'
import { type MountRecord, ourMountType, readMountTable } from '../../fuse/mount-table.ts'
import { askReport } from './control-client.ts'
import type { UnsavedFile } from './drive-report.ts'
import { type DriveRecord, hasKeeper, recallDead, recallDrives, sweepDead } from './registry.ts'

/**
 * `serving`: its daemon answers. `silent`: it lives, but does not answer. `detached`: it is out of
 * sight and still sends what was written. `restarting`: its daemon has ended, and its keeper starts another.
 * `dead`: its daemon has ended without unmounting it.
 * `unknown`: nobody of this user's has served it; another user may.
 */
export type DriveStateName = 'serving' | 'silent' | 'detached' | 'restarting' | 'dead' | 'unknown'

/** One drive of this machine. */
export interface DriveState {
  readonly directory: string
  readonly source: string
  readonly state: DriveStateName
  readonly pid?: number | undefined
  readonly sinceMs?: number | undefined
  readonly logFile?: string | undefined
  /** The process that has another serve it when its daemon ends; absent where none does. */
  readonly keeperPid?: number | undefined
  readonly unsaved: readonly UnsavedFile[]
}

/** All drives that are mounted here or still served. Touches no mount, so that a dead one cannot block. */
export async function findDrives(registry: string, signal: AbortSignal): Promise<DriveState[]> {
  const mounts = (await readMountTable()).filter(({ type }) => type === ourMountType)
  const records = recallDrives(registry)
  const served = records.map((record) => stateOf(record, mounts, signal))
  const dead = new Map(recallDead(registry).map((record) => [record.directory, record]))
  const strangers = mounts
    .filter(({ mountpoint }) => !records.some(({ directory }) => directory === mountpoint))
    .map(({ mountpoint: directory, source }): DriveState => {
      const record = dead.get(directory)
      const { pid, sinceMs, logFile, keeperPid } = record ?? {}
      const state = record === undefined ? 'unknown' : hasKeeper(record) ? 'restarting' : 'dead'
      return { directory, source, state, pid, sinceMs, logFile, keeperPid, unsaved: [] }
    })
  return [...(await Promise.all(served)), ...strangers]
}

/**
 * Removes what daemons that died have left, unless their drives are still to be seen: not at `replaced`. `ownFile` is
 * what the daemon there has taken over.
 */
export async function sweepDeadDrives(
  registry: string,
  replaced: string,
  ownFile?: string,
): Promise<void> {
  const mounts = await readMountTable()
  for (const record of recallDead(registry)) {
    const { directory } = record
    const isSeen = mounts.some(({ mountpoint }) => mountpoint === directory)
    if (directory === replaced || !isSeen) sweepDead(registry, record, ownFile)
  }
}

async function stateOf(
  record: DriveRecord,
  mounts: readonly MountRecord[],
  signal: AbortSignal,
): Promise<DriveState> {
  const { directory, source, pid, sinceMs, logFile, keeperPid } = record
  const known = { directory, source, pid, sinceMs, logFile, keeperPid }
  // Where another process has mounted it is not known here, and may not be seen from here.
  const isMounted =
    isGivenPlace(directory) || mounts.some(({ mountpoint }) => mountpoint === directory)
  try {
    const { unsaved } = await askReport(record, signal)
    return { ...known, state: isMounted ? 'serving' : 'detached', unsaved }
  } catch {
    // Why it is silent is in its log, which is named.
    return { ...known, state: isMounted ? 'silent' : 'detached', unsaved: [] }
  }
}
