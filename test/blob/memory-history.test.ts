import { MemoryAccount } from '../../src/blob/memory-account.ts'
import { MemoryHistory } from '../../src/blob/memory-history.ts'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { blobHistoryConformance } from '../conformance/blob-history.ts'
import { FakeClock } from '../support/fake-clock.ts'

blobHistoryConformance(async (_t, kept) => {
  const clock = new FakeClock(Date.now())
  const state = new MemoryAccount(clock, kept)
  const store = new MemoryBlobStore({ state })
  await store.createContainer('first')
  return { store, history: new MemoryHistory(store, state), clock }
})
