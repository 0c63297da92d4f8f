import { mkdirSync, statSync } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

// `recursive` of Node's own calls never ends below a directory that is there and takes no names, as /proc: it makes
// what is above again and again.

/** Others may remove what was just made; after so many times it is not they. */
const maxAttempts = 10

/** Makes `directory` and what is missing above it; nothing where it is there. Errors as mkdir(2). */
export async function makeDirectories(directory: string, mode = 0o777): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await mkdir(directory, mode)
      return
    } catch (error) {
      if (isMissing(error) && attempt < maxAttempts && hasParent(directory)) {
        await makeDirectories(dirname(directory), mode)
      } else if (await isDirectory(directory)) return
      else throw error
    }
  }
}

/** As `makeDirectories`, at once: for what a command needs before it begins. */
export function makeDirectoriesSync(directory: string, mode = 0o777): void {
  for (let attempt = 1; ; attempt++) {
    try {
      mkdirSync(directory, mode)
      return
    } catch (error) {
      if (isMissing(error) && attempt < maxAttempts && hasParent(directory)) {
        makeDirectoriesSync(dirname(directory), mode)
      } else if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() === true) return
      else throw error
    }
  }
}

const hasParent = (directory: string): boolean => dirname(directory) !== directory

const isDirectory = (directory: string): Promise<boolean> =>
  stat(directory).then(
    (found) => found.isDirectory(),
    () => false,
  )

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
