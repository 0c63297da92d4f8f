import type { BlobStore } from '../../src/blob/store.ts'
import { FileSystemError } from '../../src/errors.ts'
import { CountingStore } from './counting-store.ts'

/** Whether a request that a process dies over reaches the service before. */
export type LastRequest = 'lost' | 'done'

/**
 * An account as a client sees it that is killed: the request number `lifetime` is its last, and
 * whether that reaches the service is `last`'s to say. All that the client tries afterwards fails.
 */
export function mortalStore(store: BlobStore, lifetime: number, last: LastRequest): CountingStore {
  let requests = 0
  const mortal: BlobStore = new Proxy(store, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key)
      if (typeof value !== 'function') return value
      return async (...args: unknown[]) => {
        requests += 1
        if (requests < lifetime) return Reflect.apply(value, target, args)
        if (requests === lifetime && last === 'done') await Reflect.apply(value, target, args)
        throw new FileSystemError('EIO', 'blob.request', { detail: 'this client is dead' })
      }
    },
  })
  return new CountingStore(mortal)
}
