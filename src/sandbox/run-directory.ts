import { chmod, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FileSystemError } from '../errors.ts'

/** A directory of private files that lives as long as the sandbox. */
export interface RunDirectory {
  readonly path: string
  /** Writes a file of mode 0600, replacing it at once; returns its path. */
  write(name: string, content: string): Promise<string>
  remove(): Promise<void>
}

/** Makes an empty directory of mode 0700 under the system's temporary directory. */
export async function createRunDirectory(): Promise<RunDirectory> {
  const path = await mkdtemp(join(tmpdir(), 'abfs-sandbox-'))
  await chmod(path, 0o700)
  return {
    path,
    write: (name, content) => writePrivateFile(join(path, name), content),
    remove: () => rm(path, { recursive: true, force: true, maxRetries: 3 }),
  }
}

/** Writes `content` with mode 0600 so that readers see the old file or the whole new one. */
export async function writePrivateFile(path: string, content: string): Promise<string> {
  const partial = `${path}.${process.pid}.partial`
  await rm(partial, { force: true })
  // `wx` refuses a link that somebody else put in the way.
  try {
    await writeFile(partial, content, { mode: 0o600, flag: 'wx' })
  } catch (cause) {
    throw hasNoDirectory(cause) ? missingDirectory(path, cause) : cause
  }
  await rename(partial, path)
  return path
}

function hasNoDirectory(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'
}

/** Whoever named a file hears of that name, and not of the one beside it. */
function missingDirectory(path: string, cause: unknown): FileSystemError {
  const detail = 'the directory of this file does not exist'
  return new FileSystemError('ENOENT', 'open', { path, detail, cause })
}
