import t from 'tap'
import { deleteTree } from '../../src/blob/hierarchy.ts'
import { MemoryAccount } from '../../src/blob/memory-account.ts'
import { MemoryHierarchicalStore } from '../../src/blob/memory-hierarchical-blobs.ts'
import { MemoryHistory } from '../../src/blob/memory-history.ts'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import {
  blobHistoryConformance,
  hierarchicalHistoryConformance,
} from '../conformance/blob-history.ts'
import { FakeClock } from '../support/fake-clock.ts'

blobHistoryConformance(async (_t, kept) => {
  const clock = new FakeClock(Date.now())
  const state = new MemoryAccount(clock, kept)
  const store = new MemoryBlobStore({ state })
  await store.createContainer('first')
  return { store, history: new MemoryHistory(store, state), clock }
})

hierarchicalHistoryConformance(async (_t, kept) => {
  const clock = new FakeClock(Date.now())
  const store = new MemoryHierarchicalStore({ clock, kept })
  await store.createContainer('first')
  return { store, history: store.history, clock }
})

t.test('a hierarchical account keeps what is deleted as a tree, and no versions', async (t) => {
  const clock = new FakeClock(Date.now())
  const store = new MemoryHierarchicalStore({ clock, kept: { softDeleteDays: 3 } })
  await store.createContainer('first')
  const file = { container: 'first', name: 'dir/file' }
  await store.put(file, Buffer.from('one'))
  await deleteTree(store.hierarchy, { container: 'first', name: 'dir' })
  await t.rejects(store.head(file), { code: 'ENOENT' })
  await store.history.undelete(file)
  t.equal(String(Buffer.from((await store.get(file)).data)), 'one')
  t.throws(() => new MemoryHierarchicalStore({ kept: { versioning: true } }), {
    name: 'RangeError',
    message: /kept\.versioning: expected false/,
  })
})
