import t from 'tap'
import { deleteTree } from '../../src/blob/hierarchy.ts'
import { MemoryHierarchicalStore } from '../../src/blob/memory-hierarchical-blobs.ts'
import { hierarchyConformance } from '../conformance/hierarchy.ts'
import { FakeClock } from '../support/fake-clock.ts'

hierarchyConformance(t, async () => {
  const blobs = new MemoryHierarchicalStore({ clock: new FakeClock() })
  return { blobs, hierarchy: blobs.hierarchy }
})

t.test('a large tree is deleted in several requests', async (t) => {
  const blobs = new MemoryHierarchicalStore({ pageSize: 3 })
  await blobs.createContainer('box')
  const at = (name: string) => ({ container: 'box', name })
  for (let index = 0; index < 10; index++) {
    await blobs.put(at(`dir/${index}`), new Uint8Array(1))
  }

  const continuation = await blobs.hierarchy.deletePath(at('dir'), { recursive: true })
  await deleteTree(blobs.hierarchy, at('dir'))

  t.type(continuation, 'string')
  t.same((await blobs.listPage(at(''))).entries, [])
})

t.test('a file is gone when its time has come', async (t) => {
  const clock = new FakeClock()
  const blobs = new MemoryHierarchicalStore({ clock })
  await blobs.createContainer('box')
  const path = { container: 'box', name: 'file' }
  await blobs.put(path, new Uint8Array(1))
  await blobs.hierarchy.setExpiry(path, { kind: 'after-now', durationMs: 60_000 })

  const before = await blobs.head(path)
  await clock.advance(61_000)

  t.equal(before.sizeBytes, 1)
  await t.rejects(blobs.head(path), { code: 'ENOENT' })
})
