import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import type { ListEntry, ListOptions, ListPage } from '../../src/blob/store.ts'
import type { BlobPath } from '../../src/path.ts'

const perPage = 5000

/** An account whose one container `box` has the blobs `names`, by code unit; only listing knows of them. */
export async function listedStore(names: readonly string[]): Promise<MemoryBlobStore> {
  const sorted = [...names].sort()
  const store = new MemoryBlobStore({ account: 'acct' })
  await store.createContainer('box')
  store.listPage = async (prefix: BlobPath, options: ListOptions = {}) =>
    pageOf(sorted, prefix.name, options)
  store.delete = async () => undefined
  return store
}

function pageOf(sorted: readonly string[], prefix: string, options: ListOptions): ListPage {
  const { delimiter, maxResults = perPage } = options
  const entries: ListEntry[] = []
  const { startFrom = '' } = options
  const first = firstFrom(sorted, startFrom > prefix ? startFrom : prefix)
  let at = Number(options.continuation ?? first)
  for (; entries.length < maxResults; at++) {
    const name = sorted[at]
    if (name?.startsWith(prefix) !== true) return { entries, continuation: undefined }
    const slash = delimiter === undefined ? -1 : name.indexOf('/', prefix.length)
    if (slash < 0) {
      const properties = { sizeBytes: 1, etag: '"1"', lastModifiedMs: 0, metadata: {} }
      entries.push({ kind: 'blob', name, properties })
    } else {
      const common = name.slice(0, slash + 1)
      entries.push({ kind: 'prefix', name: common })
      at = firstFrom(sorted, `${common}\uffff`) - 1
    }
  }
  const isLast = sorted[at]?.startsWith(prefix) !== true
  return { entries, continuation: isLast ? undefined : String(at) }
}

/** Where `name` would be. */
function firstFrom(sorted: readonly string[], name: string): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sorted[middle] ?? '') < name) low = middle + 1
    else high = middle
  }
  return low
}
