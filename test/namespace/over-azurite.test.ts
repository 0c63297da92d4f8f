import { randomBytes } from 'node:crypto'
import t from 'tap'
import { KiB, MiB } from '../../src/byte-range.ts'
import { systemClock } from '../../src/clock.ts'
import { entryFromBlob } from '../../src/namespace/blob-entry.ts'
import { Namespace } from '../../src/namespace/namespace.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { BlobReader } from '../../src/transfer/blob-reader.ts'
import { BlobWriter } from '../../src/transfer/blob-writer.ts'
import { azureStore } from '../support/azure-store.ts'
import { mortalStore } from '../support/mortal-store.ts'
import { unsignedToken } from '../support/unsigned-token.ts'

const sandbox = await startSandbox()
const { account, caPem: ca, blobEndpoint: endpoint } = sandbox
const provider = { getCredential: async () => unsignedToken(account, systemClock.nowMs()) }
const { store, close } = azureStore({ account, endpoint, provider, ca })
t.teardown(async () => {
  await close()
  await sandbox.close()
})
const container = 'namespace-test'
await store.createContainer(container)
const at = (name: string) => ({ container, name })

t.test('what a writer commits in blocks, a reader and a listing find', async (t) => {
  const namespace = new Namespace({ store })
  const path = at('deep/ü b/100% #+.bin')
  const content = randomBytes(3 * MiB + 17)
  const options = { store, path, blockBytes: MiB, conditions: { ifNoneMatch: '*' } } as const
  const writer = new BlobWriter({ ...options, metadata: { modtime: '1700000000123456789' } })
  await writer.write(content)
  const properties = await writer.commit()
  namespace.noteCommitted(path, entryFromBlob(path.name, properties))

  await writer.write(Buffer.from('more'))
  const later = await writer.commit()

  const reader = new BlobReader({ store, path, properties: later })
  const parts: Uint8Array[] = []
  for (let start = 0; start < later.sizeBytes; start += 300 * KiB) {
    parts.push(...(await reader.read({ start, end: start + 300 * KiB })))
  }
  reader.close()
  t.ok(Buffer.concat(parts).equals(Buffer.concat([content, Buffer.from('more')])))
  const [entry] = await namespace.list(at('deep/ü b'))
  t.match(entry, { name: path.name, sizeBytes: later.sizeBytes, etag: later.etag })
  t.equal(entry?.posix.mtimeNs, 1_700_000_000_123_456_789n)
  const stale = new BlobReader({ store, path, properties })
  await t.rejects(stale.read({ start: 0, end: 10 }), { code: 'ESTALE' })
})

t.test('of two writers that create one blob the second to commit gets EEXIST', async (t) => {
  for (const bytes of [100, 3000]) {
    const path = at(`race-${bytes}`)
    const options = { store, path, blockBytes: 1024, conditions: { ifNoneMatch: '*' } } as const
    const first = new BlobWriter(options)
    const second = new BlobWriter(options)
    for (const writer of [first, second]) await writer.write(Buffer.alloc(bytes, 1))

    await first.commit()

    await t.rejects(second.commit(), { code: 'EEXIST' })
  }
})

t.test('directories, links and attributes survive a rename of their tree', async (t) => {
  const namespace = new Namespace({ store })
  await namespace.makeDirectory(at('tree'), { posix: { mode: 0o750 } })
  await namespace.makeDirectory(at('tree/empty'))
  await namespace.createSymlink(at('tree/link'), '../ziel/ü')
  await store.put(at('tree/sub/file'), Buffer.from('content'), { metadata: { author: 'ada' } })
  namespace.invalidate(at('tree'))
  await namespace.setAttributes(at('tree/sub/file'), { mode: 0o640, uid: 5, mtimeNs: 9n })

  await namespace.rename(at('tree'), at('moved'))

  const other = new Namespace({ store })
  t.equal(await other.exists(at('tree')), false)
  t.match(await other.stat(at('moved')), { type: 'directory', posix: { mode: 0o750 } })
  t.equal(await other.readSymlink(at('moved/link')), '../ziel/ü')
  t.match(await other.stat(at('moved/sub/file')), {
    metadata: { author: 'ada' },
    posix: { mode: 0o640, uid: 5, mtimeNs: 9n },
  })
  const types = (await other.list(at('moved'))).map((each) => [each.name, each.type])
  t.same(types.sort(), [
    ['moved/empty', 'directory'],
    ['moved/link', 'symlink'],
    ['moved/sub', 'directory'],
  ])
  await t.rejects(other.removeDirectory(at('moved')), { code: 'ENOTEMPTY' })
  await other.removeTree(at('moved'))
  t.equal(await other.exists(at('moved')), false)
})

t.test(
  'a rename that is killed on its way is finished, or undone, on a real service',
  async (t) => {
    const files = ['a', 'sub/b', 'sub/c']
    for (const [index, lifetime] of [9, 13, 16, 19, 22].entries()) {
      const [from, to] = [at(`killed-${index}`), at(`gone-${index}`)]
      for (const name of files) await store.put(at(`${from.name}/${name}`), Buffer.from(name))
      const dying = new Namespace({ store: mortalStore(store, lifetime, 'done') })
      const ended = await dying.rename(from, to).then(
        () => true,
        () => false,
      )

      const results = await new Namespace({ store }).recoverRenames(container, { force: true })

      t.comment(
        `killed at request ${lifetime}: ${results.map((each) => each.outcome).join() || ended}`,
      )
      const place = (await new Namespace({ store }).exists(to)) ? to : from
      t.equal(await new Namespace({ store }).exists(place === to ? from : to), false)
      for (const name of files) {
        const { data } = await store.get(at(`${place.name}/${name}`))
        t.equal(Buffer.from(data).toString(), name)
      }
      t.same(await new Namespace({ store }).recoverRenames(container, { force: true }), [])
    }
  },
)

t.test('the last file of an implied directory leaves the directory', async (t) => {
  const namespace = new Namespace({ store })
  await store.put(at('implied/only'), Buffer.from('x'))

  await namespace.removeFile(at('implied/only'))

  t.same(await namespace.list(at('implied')), [])
  await namespace.removeDirectory(at('implied'))
  await t.rejects(namespace.stat(at('implied')), { code: 'ENOENT' })
})
