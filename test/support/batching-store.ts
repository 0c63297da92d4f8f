import type { DeleteMany } from '../../src/blob/deletion.ts'
import type { BlobStore } from '../../src/blob/store.ts'
import { isFileSystemError } from '../../src/errors.ts'

/** `store` with deletions of many blobs at once, each of which is a request to it. */
export function batchingStore(
  store: BlobStore,
  onBatch: (size: number) => void = () => undefined,
): BlobStore {
  const deleteMany: DeleteMany = (deletions, { signal } = {}) => {
    onBatch(deletions.length)
    return Promise.all(
      deletions.map(async ({ path, ...conditions }) => {
        try {
          return await store.delete(path, { ...conditions, signal }).then(() => undefined)
        } catch (error) {
          if (isFileSystemError(error)) return error
          throw error
        }
      }),
    )
  }
  return new Proxy(store, {
    get(target, key) {
      if (key === 'deleteMany') return deleteMany
      const value: unknown = Reflect.get(target, key)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
