import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Puts a directory and all below it on the disk. */
export async function syncTree(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) await syncTree(path)
    else await syncPath(path)
  }
  await syncPath(directory)
}

/** Puts one file, or the names in one directory, on the disk. */
export async function syncPath(path: string): Promise<void> {
  const file = await open(path)
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}
