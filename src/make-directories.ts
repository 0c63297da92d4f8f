import { mkdirSync, type Stats, statSync } from 'node:fs'
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
      const found = await stat(directory).catch(() => undefined)
      if (found?.isDirectory() === true) return
      if (attempt === maxAttempts || found !== undefined) throw error
      if (codeOf(error) === 'ENOENT') await makeAbove(directory, mode, error)
      else if (codeOf(error) !== 'EEXIST') throw error
    }
  }
}

async function makeAbove(directory: string, mode: number, error: unknown): Promise<void> {
  const above = dirname(directory)
  if (above === directory) throw error
  await makeDirectories(above, mode)
}

/** As `makeDirectories`, at once: for what a command needs before it begins. */
export function makeDirectoriesSync(directory: string, mode = 0o777): void {
  for (let attempt = 1; ; attempt++) {
    try {
      mkdirSync(directory, mode)
      return
    } catch (error) {
      const found = statIfAny(directory)
      if (found?.isDirectory() === true) return
      if (attempt === maxAttempts || found !== undefined) throw error
      if (codeOf(error) === 'ENOENT' && dirname(directory) !== directory) {
        makeDirectoriesSync(dirname(directory), mode)
      } else if (codeOf(error) !== 'EEXIST') throw error
    }
  }
}

function statIfAny(path: string): Stats | undefined {
  try {
    return statSync(path)
  } catch {
    return undefined
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
