import { mkdir, rmdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { FileSystemError } from '../../errors.ts'
import { codeOf } from '../exit-codes.ts'

interface Mountpoint {
  readonly directory: string
  readonly isMade?: boolean | undefined
}

/** Makes the directories of `places` where they are missing: those are the drives' to remove. */
export async function makeMountpoints<T extends Mountpoint>(places: readonly T[]): Promise<T[]> {
  const made: T[] = []
  try {
    for (const place of places) made.push({ ...place, isMade: await make(place.directory) })
  } catch (error) {
    await removeMade(made)
    throw error
  }
  return made
}

/** Removes the directories that were made for drives, unless something lies there. */
export async function removeMade(places: readonly Mountpoint[]): Promise<void> {
  for (const { directory, isMade } of places) {
    if (isMade === true) await rmdir(directory).catch(() => undefined)
  }
}

/** Whether it was missing; one that a dead drive lies on is there too. */
async function make(directory: string): Promise<boolean> {
  try {
    await mkdir(directory)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw notMade(dirname(directory), error)
  }
}

function notMade(path: string, cause: unknown): FileSystemError {
  if (codeOf(cause) === 'ENOENT') {
    const detail = `there is no such directory: create it with \`mkdir -p ${path}\``
    return new FileSystemError('ENOENT', 'mount', { path, detail, cause })
  }
  const detail = `no directory can be made there: ${cause instanceof Error ? cause.message : cause}`
  return new FileSystemError('EACCES', 'mount', { path, detail, cause })
}
