import { stat } from 'node:fs/promises'
import { FileSystemError } from '../errors.ts'
import { isMissing, localError, onLocalDisk } from '../filesystem/local-error.ts'
import { localName } from '../filesystem/local-view.ts'
import type { ArtifactSource } from './artifact-store.ts'
import { localBytes } from './hashed-transfer.ts'

/** Whether the source is a path on this machine. */
export function isLocal(source: ArtifactSource): source is string | URL {
  return typeof source === 'string' || source instanceof URL
}

/** The bytes of a source that is no directory. */
export function bytesOf(source: ArtifactSource): AsyncIterable<Uint8Array> {
  if (isLocal(source)) return localBytes(localName(source))
  if (source instanceof Uint8Array) return once(source)
  return source
}

async function* once(data: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield data
}

/** Whether a local path is a directory; `ENOENT` when it is missing. */
export async function isLocalDirectory(path: string): Promise<boolean> {
  return onLocalDisk(path, async () => (await stat(path)).isDirectory())
}

/** `EEXIST` when something stands at the local path. */
export async function refuseExisting(local: string): Promise<void> {
  try {
    await stat(local)
  } catch (error) {
    if (isMissing(error)) return
    throw localError(error, local)
  }
  throw new FileSystemError('EEXIST', 'artifact.load', {
    path: local,
    detail: 'the local path exists; choose another, or ask for overwrite',
  })
}
