import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { listAll } from '../../src/blob/store.ts'
import { blobStoreConformance } from '../conformance/blob-store.ts'

blobStoreConformance(t, async () => new MemoryBlobStore())

t.test('a listing follows the order of the UTF-8 bytes beyond the BMP too', async (t) => {
  const store = new MemoryBlobStore()
  await store.createContainer('names')
  const names = ['\u{1f600}', '\uff5e', 'z', '\ud7ff', '\ue000']
  for (const name of names) await store.put({ container: 'names', name }, Buffer.from('x'))

  const listed: string[] = []
  for await (const { name } of listAll(store, { container: 'names', name: '' })) listed.push(name)

  const byBytes = [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  t.same(listed, byBytes)
})

t.test('a listing goes on after the blob at which its page ended is deleted', async (t) => {
  const store = new MemoryBlobStore()
  await store.createContainer('names')
  for (const name of ['a', 'b', 'c'])
    await store.put({ container: 'names', name }, Buffer.from(name))
  const prefix = { container: 'names', name: '' }

  const first = await store.listPage(prefix, { maxResults: 1 })
  await store.delete({ container: 'names', name: 'b' })
  const second = await store.listPage(prefix, { continuation: first.continuation })

  t.same(
    second.entries.map(({ name }) => name),
    ['c'],
  )
})

t.test('without settings nothing is kept of what is written over or deleted', async (t) => {
  const store = new MemoryBlobStore()
  const path = { container: 'names', name: 'a' }
  await store.createContainer('names')
  await store.put(path, Buffer.from('then'))
  await store.put(path, Buffer.from('now'), { tags: { state: 'new' } })

  for (const former of [{ versionId: '2026-01-01T00:00:00.0000000Z' }, { snapshot: 'then' }]) {
    await t.rejects(store.head(path, { former }), { code: 'ENOENT' })
    await t.rejects(store.get(path, { former }), { code: 'ENOENT', syscall: 'blob.get' })
  }
  const states = { versions: true, snapshots: true, deleted: true }
  const { entries } = await store.listPage(path, { ...states, tags: true })
  t.match(entries, [{ name: 'a', tags: { state: 'new' }, state: { isCurrent: true } }])
  t.equal(entries.length, 1)
})
