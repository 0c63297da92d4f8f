import type { BlobStore, CallOptions, ListEntry } from '../blob/store.ts'
import type { BlobPath } from '../path.ts'
import { typeFromBlob } from './blob-entry.ts'
import { childPrefix, parentName } from './blob-name.ts'
import { callOptions } from './lookup.ts'

/**
 * Names of all directories below `directory`, from one flat listing; `undefined` where it is longer than `maxNames`. Listings in
 * memory are neither asked nor told.
 */
export async function directoriesBelow(
  store: BlobStore,
  directory: BlobPath,
  options: CallOptions & { readonly maxNames: number },
): Promise<ReadonlySet<string> | undefined> {
  const prefix = { ...directory, name: childPrefix(directory.name) }
  const found = new Set<string>()
  let continuation: string | undefined
  for (let left = options.maxNames; left > 0; left -= namesAPage) {
    const maxResults = Math.min(left, namesAPage)
    const listing = { ...callOptions(options), directoriesOnly: true, maxResults, continuation }
    const page = await store.listPage(prefix, listing)
    for (const row of page.entries) addDirectories(found, row, directory.name)
    continuation = page.continuation
    if (continuation === undefined) return found
  }
  return undefined
}

const namesAPage = 5000

function addDirectories(found: Set<string>, row: ListEntry, root: string): void {
  const isIn = row.kind === 'blob' && typeFromBlob(row.name, row.properties) !== 'directory'
  let name = isIn ? parentName(row.name) : withoutSlash(row.name)
  while (name.length > root.length && !found.has(name)) {
    found.add(name)
    name = parentName(name)
  }
}

function withoutSlash(name: string): string {
  return name.endsWith('/') ? name.slice(0, -1) : name
}
