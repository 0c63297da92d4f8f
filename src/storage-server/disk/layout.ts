import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { FileSystemError } from '../../errors.ts'
import { makeDirectoriesSync } from '../../make-directories.ts'
import { damaged } from './disk-error.ts'

const markerName = 'abfs-storage.json'
const kind = 'abfs storage directory'
const layoutVersion = 1
// What a start that was killed leaves behind.
const ours = /^(lock(\..*)?|abfs-storage\.json\.new)$/

/**
 * Makes `directory`, or checks that it is one of ours. Throws `FileSystemError` `EINVAL` where
 * something else is in it and `ENOTSUP` where a later version wrote it.
 */
export function prepareDirectory(directory: string): void {
  makeDirectoriesSync(directory, 0o700)
  const marker = join(directory, markerName)
  if (existsSync(marker)) {
    checkMarker(marker)
  } else {
    const found = readdirSync(directory).filter((name) => !ours.test(name))
    if (found.length > 0) throw foreign(directory, found)
    writeFileSync(`${marker}.new`, `${JSON.stringify({ kind, layoutVersion })}\n`)
    renameSync(`${marker}.new`, marker)
  }
  makeDirectoriesSync(join(directory, 'extents'))
}

function checkMarker(marker: string): void {
  const written = readMarker(marker)
  if (written?.kind !== kind) throw damaged(marker, 'not the marker of a storage directory')
  if (written.layoutVersion === layoutVersion) return
  throw new FileSystemError('ENOTSUP', 'storage.open', {
    path: marker,
    detail: `its layout is version ${String(written.layoutVersion)}, this release reads version ${layoutVersion}: use the release that wrote it, or another directory`,
  })
}

function readMarker(marker: string): { kind?: unknown; layoutVersion?: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(marker, 'utf8'))
    return typeof value === 'object' && value !== null ? value : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

function foreign(directory: string, found: readonly string[]): FileSystemError {
  const azurite = found.some((name) => name.startsWith('__azurite') || name === '__blobstorage__')
  const what = azurite ? "Azurite's data is" : `other files are (${found[0]})`
  return new FileSystemError('EINVAL', 'storage.open', {
    path: directory,
    detail: `${what} in this directory: name an empty one, or one that this server made`,
  })
}
