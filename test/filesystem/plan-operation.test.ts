import { join } from 'node:path'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { KiB } from '../../src/byte-range.ts'
import { CountingStore } from '../support/counting-store.ts'
import {
  memoryFileSystem,
  plantLocal,
  plantRemote,
  temporaryDirectory,
} from '../support/file-system.ts'

const files = { a: 'A', 'sub/b': 'BB', 'sub/large': 'x'.repeat(200 * KiB) }

async function counted() {
  const store = new CountingStore(new MemoryBlobStore({ account: 'acct' }))
  const { fs } = await memoryFileSystem({ store })
  return { fs, store }
}

t.test('the plan of an upload is what the upload does', async (t) => {
  const { fs, store } = await counted()
  const local = await temporaryDirectory(t)
  await plantLocal(local, files)

  const plan = await fs.plan('put', local, 'box/up', { recursive: true })

  t.notOk(await fs.exists('box/up'), 'it does nothing')
  t.match(plan, { paths: ['box/up/a', 'box/up/sub/b', 'box/up/sub/large'], bytes: 3 + 200 * KiB })
  store.take()
  await fs.put(local, 'box/up', { recursive: true })
  const writes = store.take().filter((line) => /^(put|stageBlock|commitBlocks) /.test(line))
  t.equal(plan.requests.write, writes.length)
})

t.test('the plan of a download is what the download does', async (t) => {
  const { fs, store } = await counted()
  const local = join(await temporaryDirectory(t), 'to')
  await plantRemote(fs, 'box', files)

  const plan = await fs.plan('get', 'box/', local, { recursive: true })

  t.strictSame(plan.paths, [`${local}/a`, `${local}/sub/b`, `${local}/sub/large`])
  store.take()
  await fs.get('box/', local, { recursive: true })
  t.equal(store.take().filter((line) => line.startsWith('get ')).length, plan.requests.read)
})

t.test('the plan of a removal names what would go', async (t) => {
  const { fs, store } = await counted()
  await plantRemote(fs, 'box/d', files)

  const plan = await fs.plan('rm', 'box/d', { recursive: true })

  t.strictSame(plan.paths, ['box/d/a', 'box/d/sub/b', 'box/d/sub/large'])
  store.take()
  await fs.rm('box/d', { recursive: true })
  t.equal(store.take().filter((line) => line.startsWith('delete ')).length, plan.requests.delete)
  await t.rejects(fs.plan('rm', 'box/none'), { code: 'ENOENT' })
})
