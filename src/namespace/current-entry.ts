import type { CallOptions } from '../blob/store.ts'
import { isFileSystemError } from '../errors.ts'
import type { BlobPath } from '../path.ts'
import type { NamespaceParts } from './directories.ts'
import type { Entry } from './entry.ts'
import { callOptions } from './lookup.ts'

/** Attempts at an operation on a version that others keep replacing. */
const maxAttempts = 3

/**
 * Runs `act` on the entry as the cache knows it, and anew on what the service says when the blob
 * has changed since. A version that the caller asked for is not replaced by another.
 */
export async function onCurrentEntry<T>(
  { lookup, cache }: NamespaceParts,
  path: BlobPath,
  options: CallOptions & { readonly ifMatch?: string | undefined },
  act: (entry: Entry) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    const fresh = attempt > 1
    const entry = await lookup.stat(path, { ...callOptions(options), fresh })
    try {
      return await act(entry)
    } catch (error) {
      if (isFileSystemError(error, 'ENOENT')) cache.remove(path)
      const changed = isFileSystemError(error, 'ESTALE', 'EEXIST')
      if (!changed || options.ifMatch !== undefined || attempt === maxAttempts) throw error
    }
  }
}
