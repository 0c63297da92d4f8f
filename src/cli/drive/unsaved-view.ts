import { statSync } from 'node:fs'
import type { Unsaved } from '../../vfs/fault.ts'
import { formatBytes, printable } from '../output.ts'
import type { UnsavedFile } from './drive-report.ts'

/** A file that could not be stored, with what lies of it on the local disk now. */
export function unsavedFile({ path, place, error }: Unsaved): UnsavedFile {
  return { path, place, sizeBytes: sizeOf(place), error: error.message }
}

/** One line: what, how much, why, and where it is. */
export function describeUnsaved({ path, place, sizeBytes, error }: UnsavedFile): string {
  const size = sizeBytes === undefined ? '' : ` (${formatBytes(sizeBytes)})`
  // Most errors begin with their path.
  const why = error.replaceAll(`: ${path}`, '')
  const where = sizeBytes === undefined ? 'the next mount stores it from' : 'kept in'
  return printable(
    `${path}${size}: ${why}; ${place === undefined ? 'it is lost' : `${where} ${place}`}`,
  )
}

/** What is only promised has a journal's directory for its place. */
function sizeOf(place: string | undefined): number | undefined {
  const found = place === undefined ? undefined : statSync(place, { throwIfNoEntry: false })
  return found?.isFile() === true ? found.size : undefined
}
