import { statSync } from 'node:fs'
import type { Unsaved } from '../../vfs/fault.ts'
import { formatBytes, formatCount, printable } from '../output.ts'
import type { UnsavedFile } from './drive-report.ts'

/** A file that could not be stored, with what lies of it on the local disk now. */
export function unsavedFile({ path, place, error, isPending, isRemoval }: Unsaved): UnsavedFile {
  return { path, place, sizeBytes: sizeOf(place), error: error.message, isPending, isRemoval }
}

/** One line: what, how much, why, and where it is. */
export function describeUnsaved(file: UnsavedFile): string {
  const { path, sizeBytes, error } = file
  const size = sizeBytes === undefined ? '' : ` (${formatBytes(sizeBytes)})`
  // Most errors begin with their path.
  const why = error.replaceAll(`: ${path}`, '')
  const where = file.isRemoval === true ? whatOfRemoval(file) : whereabouts(file)
  return printable(`${path}${size}: ${why}; ${where}`)
}

/** `2 files could not be stored, 1 file could not be removed`, of which there are any. */
export function countUnsaved(unsaved: readonly Pick<Unsaved, 'isRemoval'>[]): string {
  const removals = unsaved.filter(({ isRemoval }) => isRemoval === true).length
  const files = unsaved.length - removals
  const stored = files === 0 ? [] : [`${formatCount(files, 'file')} could not be stored`]
  const removed = removals === 0 ? [] : [`${formatCount(removals, 'file')} could not be removed`]
  return [...stored, ...removed].join(', ')
}

function whatOfRemoval({ place, isPending }: UnsavedFile): string {
  if (isPending === true) return 'its removal is not given up: it is tried again'
  return place === undefined ? 'it is not removed' : `the next mount removes it, as ${place} tells`
}

function whereabouts({ place, sizeBytes, isPending }: UnsavedFile): string {
  if (isPending === true) return 'not given up: it is being stored, or is still open'
  if (place === undefined) return 'it is lost'
  return `${sizeBytes === undefined ? 'the next mount stores it from' : 'kept in'} ${place}`
}

/** What is only promised has a journal's directory for its place. */
function sizeOf(place: string | undefined): number | undefined {
  const found = place === undefined ? undefined : statSync(place, { throwIfNoEntry: false })
  return found?.isFile() === true ? found.size : undefined
}
