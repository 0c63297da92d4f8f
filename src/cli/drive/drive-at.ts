import { resolve } from 'node:path'
import { runtimeDirectory } from '../../config.ts'
import { FileSystemError } from '../../errors.ts'
import { canonicalMountpoint } from '../../fuse/mount-table.ts'
import type { CliContext } from '../context.ts'
import { type DriveRecord, recallDrive } from './registry.ts'

/** The drive of this user at `directory`. Rejects with ENOENT when there is none. */
export async function driveAt(directory: string, context: CliContext): Promise<DriveRecord> {
  const registry = runtimeDirectory(context.environment, process.getuid?.() ?? 0)
  const place = await canonicalMountpoint(directory).catch(() => resolve(directory))
  const record = recallDrive(registry, place)
  if (record !== undefined) return record
  const detail = 'no drive of this user is served there: `abfs status` lists them'
  throw new FileSystemError('ENOENT', 'stats', { path: place, detail })
}
