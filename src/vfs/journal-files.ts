import { unlinkSync } from 'node:fs'
import { open } from 'node:fs/promises'

/** Has what was written to a file on the disk. */
export async function syncFile(place: string): Promise<void> {
  const file = await open(place, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Writes a file that is on the disk then, but for its name. */
export async function writeSynced(place: string, text: string): Promise<void> {
  const file = await open(place, 'w', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** A name is on the disk only when its directory is. */
export function syncDirectory(directory: string): Promise<void> {
  return syncFile(directory)
}

/** Takes a file away on the spot, if it is there. */
export function removeNear(place: string): void {
  try {
    unlinkSync(place)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}
