import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { listAll } from '../../src/blob/store.ts'
import { FileSystemError } from '../../src/errors.ts'
import { entryFromBlob } from '../../src/namespace/blob-entry.ts'
import type { Entry } from '../../src/namespace/entry.ts'
import { Namespace, type NamespaceOptions } from '../../src/namespace/namespace.ts'
import { hiddenFileChannel } from '../../src/telemetry.ts'
import { CountingStore } from '../support/counting-store.ts'
import { FakeClock } from '../support/fake-clock.ts'

const container = 'data'
const at = (name: string) => ({ container, name })
const folder = { hdi_isfolder: 'true' }

/** A namespace over the blobs `names`; a name with a leading `+` is a directory's marker. */
async function over(names: readonly string[], options: Partial<NamespaceOptions> = {}) {
  const clock = new FakeClock()
  const memory = new MemoryBlobStore({ clock })
  await memory.createContainer(container)
  for (const name of names) {
    if (name.startsWith('+')) await memory.put(at(name.slice(1)), none, { metadata: folder })
    else await memory.put(at(name), name.endsWith('/') ? none : Buffer.from(name))
  }
  const store = new CountingStore(memory)
  const namespace = new Namespace({ store, clock, ...options })
  const blobs = async () => {
    const found: string[] = []
    for await (const row of listAll(memory, at(''))) found.push(row.name)
    return found
  }
  return { clock, memory, store, namespace, blobs }
}

const none = new Uint8Array(0)
const names = (entries: Iterable<Entry>) => Array.from(entries, (each) => each.name).sort()
const shown = (entries: Iterable<Entry>) =>
  Array.from(entries, (each) => each.name + (each.type === 'directory' ? '/' : '')).sort()

t.test('stat', async (t) => {
  t.test('of a file costs one HEAD', async (t) => {
    const { namespace, store } = await over(['a/b.txt'])

    const entry = await namespace.stat(at('a/b.txt'))

    t.match(entry, { name: 'a/b.txt', type: 'file', sizeBytes: 7 })
    t.same(store.take(), ['head a/b.txt'])
  })

  t.test('of a marked directory costs one HEAD and tells its attributes', async (t) => {
    const { namespace, memory, store } = await over([])
    await memory.put(at('d'), none, { metadata: { ...folder, permissions: '16832' } })

    t.match(await namespace.stat(at('d')), { type: 'directory', posix: { mode: 0o700 } })
    t.same(store.take(), ['head d'])
  })

  t.test('of an implied directory or of nothing costs a HEAD and a listing', async (t) => {
    const { namespace, store } = await over(['a/b', 'c/'])

    t.match(await namespace.stat(at('a')), { type: 'directory', markerName: undefined })
    t.same(store.take(), ['head a', 'listPage a/'])
    t.match(await namespace.stat(at('c')), { type: 'directory', markerName: 'c/' })
    store.take()
    await t.rejects(namespace.stat(at('x')), { code: 'ENOENT', path: 'abfs://data/x' })
    t.same(store.take(), ['head x', 'listPage x/'])
  })

  t.test('asks nothing while a listing knows, both ways and for what is below', async (t) => {
    const { namespace, store } = await over(['a/b', 'f'])
    await namespace.list(at(''))
    store.take()

    t.equal((await namespace.stat(at('f'))).type, 'file')
    t.equal((await namespace.stat(at('a'))).type, 'directory')
    t.equal((await namespace.stat(at(''))).type, 'directory')
    await t.rejects(namespace.stat(at('no')), { code: 'ENOENT' })
    await t.rejects(namespace.stat(at('no/deeper')), { code: 'ENOENT' })
    await t.rejects(namespace.stat(at('f/below')), { code: 'ENOTDIR' })
    t.same(store.take(), [])
  })

  t.test('lists a small known directory again once its time is over', async (t) => {
    const { namespace, memory, store, clock } = await over(['a/b'])
    await namespace.list(at('a'))
    await memory.put(at('a/new'), none)
    await clock.advance(5001)
    store.take()

    t.equal(await namespace.exists(at('a/new')), true)
    t.equal(await namespace.exists(at('a/other')), false)
    t.same(store.take(), ['listPage a/'])
  })

  t.test('asks the service when told to, and when listings are not kept', async (t) => {
    const { namespace, store } = await over(['a'], { listingTtlMs: 0 })
    await namespace.list(at(''))
    await namespace.stat(at('a'))
    t.same(store.take(), ['listPage ', 'head a'])

    const { namespace: keeping, memory } = await over(['a'])
    await keeping.list(at(''))
    await memory.delete(at('a'))
    t.equal(await keeping.exists(at('a')), true)
    t.equal(await keeping.exists(at('a'), { fresh: true }), false)
  })

  t.test('of a missing container is ENOENT, and other failures are not taken for it', async (t) => {
    const { namespace, store } = await over([])
    await t.rejects(namespace.stat({ container: 'none', name: '' }), { code: 'ENOENT' })
    await t.rejects(namespace.stat({ container: 'none', name: 'a' }), { code: 'ENOENT' })
    store.before = () => {
      throw new FileSystemError('EACCES', 'blob.head')
    }

    await t.rejects(namespace.exists(at('a')), { code: 'EACCES' })
  })

  t.test('of a root is answered by a listing where its properties are denied', async (t) => {
    const { namespace, store } = await over([])
    store.before = ({ verb }) => {
      if (verb === 'headContainer') throw new FileSystemError('EACCES', 'container.head')
    }

    t.equal((await namespace.stat(at(''))).type, 'directory')
    await t.rejects(namespace.stat({ container: 'none', name: '' }), { code: 'ENOENT' })
  })

  t.test('of a name that cannot be is EINVAL or ENAMETOOLONG without a request', async (t) => {
    const { namespace, store } = await over([])

    await t.rejects(namespace.stat(at('a/../b')), { code: 'EINVAL' })
    await t.rejects(namespace.exists(at('x'.repeat(256))), { code: 'ENAMETOOLONG' })
    t.same(store.take(), [])
  })
})

t.test('list', async (t) => {
  t.test('merges prefixes and markers into one entry each, by one request', async (t) => {
    const { namespace, store } = await over(['+d', 'd/x', 'd-e', 'e/', 'e/y', 'f', 'i/z', '+m'])

    const entries = await namespace.list(at(''))

    t.same(shown(entries), ['d-e', 'd/', 'e/', 'f', 'i/', 'm/'])
    t.equal(entries.find((each) => each.name === 'd')?.markerName, 'd')
    t.same(store.take(), ['listPage '])
  })

  t.test('shows the directory where a file has the same name', async (t) => {
    const { namespace } = await over(['a', 'a-b', 'a/c'])

    t.same(shown(await namespace.list(at(''))), ['a-b', 'a/'])
  })

  t.test(
    'of an empty marked directory is empty; of nothing ENOENT; of a file ENOTDIR',
    async (t) => {
      const { namespace } = await over(['+m', 's/', 'f'])

      t.same(await namespace.list(at('m')), [])
      t.same(await namespace.list(at('s')), [])
      await t.rejects(namespace.list(at('no')), { code: 'ENOENT' })
      await t.rejects(namespace.list(at('f')), { code: 'ENOTDIR' })
      await namespace.list(at(''))
      await t.rejects(namespace.list(at('no')), { code: 'ENOENT' })
      await t.rejects(namespace.list(at('f')), { code: 'ENOTDIR' })
      t.same(await namespace.list({ container, name: 'm' }), [])
    },
  )

  t.test('reads all pages', async (t) => {
    const { namespace, memory, store } = await over([])
    for (let blob = 0; blob < 5003; blob++) await memory.put(at(`d/${blob}`), none)

    t.equal((await namespace.list(at('d'))).length, 5003)
    t.equal(store.take().length, 2)
  })

  for (const scanTrees of [false, true]) {
    t.test(`tells once of files that a directory hides (scanTrees ${scanTrees})`, async (t) => {
      const told: unknown[] = []
      const note = (event: unknown) => void told.push(event)
      hiddenFileChannel.subscribe(note)
      t.teardown(() => hiddenFileChannel.unsubscribe(note))
      const blobs = ['d/a', 'd/a/b', 'd/c', '+d/c/d', '+d/e', 'd/e/f', 'd/g', '+d']
      const { namespace } = await over(blobs, { listingTtlMs: scanTrees ? 5000 : 0, scanTrees })

      for (const round of [1, 2]) {
        for (const name of ['', 'd', 'd/a', 'd/c', 'd/e']) await namespace.list(at(name))
        t.same(told, [{ path: 'abfs://data/d/a' }, { path: 'abfs://data/d/c' }], `round ${round}`)
      }
    })
  }

  t.test('leaves out names that cannot be paths, and tells of them', async (t) => {
    const unreachable: string[] = []
    const blobs = ['d//x', 'd/ok', '/lead']
    const { namespace } = await over(blobs, {
      onUnreachable: (path) => void unreachable.push(path.name),
    })

    t.same(names(await namespace.list(at('d'))), ['d/ok'])
    t.same(names(await namespace.list(at(''))), ['d'])
    t.same(unreachable.sort(), ['/', 'd//'])
    t.equal(namespace.unreachableCount, 2)
  })

  t.test('of the account shows its containers', async (t) => {
    const { namespace } = await over([])

    t.same(shown(await namespace.list({ container: '', name: '' })), ['data/'])
  })

  t.test('that was overtaken by a change of ours is not kept', async (t) => {
    const { namespace, memory, store } = await over(['d/a'])
    store.before = async ({ verb }) => {
      if (verb !== 'listPage') return
      store.before = () => undefined
      const properties = await memory.put(at('d/b'), none)
      namespace.noteCommitted(at('d/b'), entryFromBlob('d/b', properties))
    }
    await namespace.list(at('d'))

    t.equal(await namespace.exists(at('d/b')), true)
  })

  t.test('forgets the oldest listings beyond its bound of entries', async (t) => {
    const { namespace, store } = await over(['a/1', 'a/2', 'b/1', 'b/2'], {
      listingCacheEntries: 4,
    })
    await namespace.list(at('a'))
    await namespace.list(at('b'))
    store.take()

    await namespace.list(at('b'))
    await namespace.list(at('a'))

    t.same(store.take(), ['listPage a/'])
  })

  t.test('that has become too long to be kept takes the former along', async (t) => {
    const { namespace, memory, store } = await over(['a/1'], { listingCacheEntries: 4 })
    await namespace.list(at('a'))
    for (const name of ['a/2', 'a/3', 'a/4']) await memory.put(at(name), none)
    await namespace.list(at('a'), { fresh: true })
    store.take()

    t.equal(await namespace.exists(at('a/4')), true)
    t.same(store.take(), ['head a/4'])
    t.equal(namespace.listingStats.entries, 0)
  })
})

t.test('listTree', async (t) => {
  const blobs = ['+a', 'a/b/c', 'a/b/d', 'f', 'f-g', 'f/h', 's/', 's/t', 'x//y']

  t.test('streams the files below from one flat listing', async (t) => {
    const { namespace, store } = await over(blobs)
    const found: Entry[] = []
    for await (const entry of namespace.listTree(at(''))) found.push(entry)

    t.same(shown(found), ['a/b/c', 'a/b/d', 'f-g', 'f/h', 's/t'])
    t.same(store.take(), ['listPage '])
    t.equal(namespace.unreachableCount, 1)
  })

  t.test('gives each directory once, before what lies in it', async (t) => {
    const { namespace } = await over(blobs)
    const found: string[] = []
    for await (const entry of namespace.listTree(at(''), { directories: true })) {
      found.push(entry.name)
    }

    t.same([...found].sort(), ['a', 'a/b', 'a/b/c', 'a/b/d', 'f', 'f-g', 'f/h', 's', 's/t'])
    for (const name of found) {
      const parent = name.slice(0, Math.max(name.lastIndexOf('/'), 0))
      t.ok(parent === '' || found.indexOf(parent) < found.indexOf(name), name)
    }
  })

  t.test('of a part leaves the part itself out', async (t) => {
    const { namespace } = await over(blobs)
    const found: Entry[] = []
    for await (const entry of namespace.listTree(at('a'), { directories: true })) found.push(entry)

    t.same(shown(found), ['a/b/', 'a/b/c', 'a/b/d'])
  })

  t.test('of an empty directory is empty; of nothing ENOENT; of a file ENOTDIR', async (t) => {
    const { namespace } = await over(['+m', 'f'])
    const all = async (name: string) => {
      const found: Entry[] = []
      for await (const entry of namespace.listTree(at(name))) found.push(entry)
      return found
    }

    t.same(await all('m'), [])
    await t.rejects(all('no'), { code: 'ENOENT' })
    await t.rejects(all('f'), { code: 'ENOTDIR' })
  })
})

t.test('makeDirectory', async (t) => {
  t.test('writes one marker, after which its names need no requests', async (t) => {
    const { namespace, memory, store } = await over([])
    await namespace.list(at(''))
    store.take()

    await namespace.makeDirectory(at('d'), { posix: { mode: 0o750 } })
    t.equal(await namespace.exists(at('d/x')), false)
    t.same(await namespace.list(at('d')), [])
    await namespace.makeDirectory(at('d/e'))

    t.same(store.take(), ['put d', 'put d/e'])
    t.match((await memory.head(at('d'))).metadata, { ...folder, permissions: '16872' })
    t.same(names(await namespace.list(at('d'))), ['d/e'])
  })

  t.test('is EEXIST over a file, a marked and an implied directory', async (t) => {
    const { namespace } = await over(['f', '+m', 'i/x', 's/'])

    for (const name of ['f', 'm', 'i', 's']) {
      await t.rejects(namespace.makeDirectory(at(name)), { code: 'EEXIST' }, name)
    }
  })

  t.test('is ENOENT without the directory above, unless it may be implied', async (t) => {
    const { namespace } = await over(['f'])

    await t.rejects(namespace.makeDirectory(at('a/b/c')), { code: 'ENOENT' })
    await t.rejects(namespace.makeDirectory(at('f/c'), { parents: true }), { code: 'ENOTDIR' })
    await namespace.makeDirectory(at('a/b/c'), { parents: true })
    t.same(shown(await namespace.list(at('a'))), ['a/b/'])
  })

  t.test('of a root makes a container', async (t) => {
    const { namespace, store } = await over([])

    await namespace.makeDirectory({ container: 'fresh', name: '' })
    t.same(await namespace.list({ container: 'fresh', name: '' }), [])
    t.same(store.take(), ['createContainer fresh'])
    await t.rejects(namespace.makeDirectory(at('')), { code: 'EEXIST' })
  })
})

t.test('removeDirectory', async (t) => {
  t.test('deletes the markers of an empty directory', async (t) => {
    const { namespace, blobs } = await over(['+d', 'd/', 'keep'])

    await namespace.removeDirectory(at('d'))

    t.same(await blobs(), ['keep'])
    t.equal(await namespace.exists(at('d')), false)
  })

  t.test('costs one request for a directory of our own', async (t) => {
    const { namespace, store } = await over([])
    await namespace.list(at(''))
    await namespace.makeDirectory(at('d'))
    store.take()

    await namespace.removeDirectory(at('d'))

    t.same(store.take(), ['delete d'])
  })

  t.test('is ENOTEMPTY, ENOTDIR, ENOENT or EBUSY where rmdir is', async (t) => {
    for (const listed of [false, true]) {
      const { namespace, blobs } = await over(['d/x', 'f'])
      if (listed) for (const name of ['', 'd']) await namespace.list(at(name))

      await t.rejects(namespace.removeDirectory(at('d')), { code: 'ENOTEMPTY' })
      await t.rejects(namespace.removeDirectory(at('f')), { code: 'ENOTDIR' })
      await t.rejects(namespace.removeDirectory(at('no')), { code: 'ENOENT' })
      await t.rejects(namespace.removeDirectory(at('')), { code: 'EBUSY' })
      t.same(await blobs(), ['d/x', 'f'])
    }
  })
})

t.test('removeFile', async (t) => {
  t.test('costs one conditional request when the listing is known', async (t) => {
    const { namespace, store } = await over(['d/a', 'd/b'])
    await namespace.list(at('d'))
    store.take()

    await namespace.removeFile(at('d/a'))

    t.match(store.requests[0]?.ifMatch, /^"/)
    t.same(store.take(), ['delete d/a'])
    t.same(names(await namespace.list(at('d'))), ['d/b'])
  })

  t.test('leaves an implied directory standing when its last file goes', async (t) => {
    for (const listed of [false, true]) {
      const { namespace, memory, blobs } = await over(['d/a'])
      if (listed) for (const name of ['', 'd']) await namespace.list(at(name))

      await namespace.removeFile(at('d/a'))

      t.same(await blobs(), ['d'])
      t.match((await memory.head(at('d'))).metadata, folder)
      t.same(shown(await namespace.list(at(''))), ['d/'])
      t.same(await namespace.list(at('d')), [])
    }
  })

  t.test('writes no marker where one stands or other files remain', async (t) => {
    const { namespace, store } = await over(['+d', 'd/a', 'e/a', 'e/b'])
    for (const name of ['', 'd', 'e']) await namespace.list(at(name))
    store.take()

    await namespace.removeFile(at('d/a'))
    await namespace.removeFile(at('e/a'))

    t.same(store.take(), ['delete d/a', 'delete e/a'])
  })

  t.test('is EISDIR on directories and ENOENT on nothing', async (t) => {
    const { namespace, blobs } = await over(['+m', 'i/x'])

    await t.rejects(namespace.removeFile(at('m')), { code: 'EISDIR' })
    await t.rejects(namespace.removeFile(at('i')), { code: 'EISDIR' })
    await t.rejects(namespace.removeFile(at('no')), { code: 'ENOENT' })
    t.same(await blobs(), ['i/x', 'm'])
  })

  t.test(
    'removes a version that is newer than the listing, but not another than asked',
    async (t) => {
      const { namespace, memory } = await over(['a', 'b'])
      const entries = await namespace.list(at(''))
      await memory.put(at('a'), Buffer.from('newer'))
      await memory.put(at('b'), Buffer.from('newer'))

      await namespace.removeFile(at('a'))
      const ifMatch = entries.find((each) => each.name === 'b')?.etag
      await t.rejects(namespace.removeFile(at('b'), { ifMatch }), { code: 'ESTALE' })

      t.same(names(await namespace.list(at(''), { fresh: true })), ['b'])
    },
  )
})

t.test('removeTree', async (t) => {
  t.test('deletes everything below and the markers, several at a time', async (t) => {
    const blobs = ['+d', 'd/', 'd//odd', 'd/e/f', 'd/g', 'd-not']
    const many = Array.from({ length: 40 }, (_, index) => `d/many/${index}`)
    const { namespace, store, blobs: left } = await over([...blobs, ...many])
    store.before = () => new Promise((resolve) => setImmediate(resolve))

    await namespace.removeTree(at('d'), { concurrency: 4 })

    t.same(await left(), ['d-not'])
    t.ok(store.maxInFlight > 1 && store.maxInFlight <= 5)
    t.equal(await namespace.exists(at('d')), false)
  })

  t.test('of a root empties the container and keeps it', async (t) => {
    const { namespace, memory, blobs } = await over(['a', 'b/c'])

    await namespace.removeTree(at(''))

    t.same(await blobs(), [])
    t.equal((await memory.headContainer(container)).name, container)
    await t.rejects(namespace.removeTree({ container: '', name: '' }), { code: 'EBUSY' })
  })

  t.test('reports a failure, and what is left can be removed again', async (t) => {
    const { namespace, store, blobs } = await over(['+d', 'd/a', 'd/b', 'd/c'])
    store.before = ({ verb, name }) => {
      if (verb === 'delete' && name === 'd/b') throw new FileSystemError('EACCES', 'blob.delete')
    }
    await t.rejects(namespace.removeTree(at('d')), { code: 'EACCES' })
    t.ok((await blobs()).includes('d'))
    store.before = () => undefined

    await namespace.removeTree(at('d'))

    t.same(await blobs(), [])
  })
})

t.test('rename', async (t) => {
  t.test('of a file is a conditional copy and a conditional delete', async (t) => {
    const { namespace, store, memory } = await over(['a', 'x'])
    await namespace.list(at(''))
    store.take()

    await namespace.rename(at('a'), at('b'))

    t.same(store.take(), ['copy a -> b', 'delete a'])
    t.same(names(await namespace.list(at(''))), ['b', 'x'])
    t.equal(Buffer.from((await memory.get(at('b'))).data).toString(), 'a')
  })

  t.test('follows the errors of rename(2)', async (t) => {
    const { namespace, blobs } = await over(['f', 'g', '+e', 'd/x', 'full/y'])
    const rejects = (from: string, to: string, code: string, noReplace = false) =>
      t.rejects(namespace.rename(at(from), at(to), { noReplace }), { code }, `${from} ${to}`)

    await rejects('no', 'x', 'ENOENT')
    await rejects('f', 'd', 'EISDIR')
    await rejects('f', 'e', 'EISDIR')
    await rejects('d', 'f', 'ENOTDIR')
    await rejects('d', 'full', 'ENOTEMPTY')
    await rejects('d', 'd/in', 'EINVAL')
    await rejects('f', 'g', 'EEXIST', true)
    await rejects('d', 'e', 'EEXIST', true)
    await rejects('', 'x', 'EBUSY')
    await namespace.rename(at('f'), at('f'))
    t.same(await blobs(), ['d/x', 'e', 'f', 'full/y', 'g'])
  })

  t.test('replaces a file, and an empty directory by a directory', async (t) => {
    const { namespace, blobs } = await over(['f', 'g', '+e', 'd/x', '+n', 'n/y'])

    await namespace.rename(at('f'), at('g'))
    await namespace.rename(at('d'), at('e'))
    await namespace.rename(at('n'), at('e2'))

    t.same(await blobs(), ['e', 'e/x', 'e2', 'e2/y', 'g'])
    t.same(shown(await namespace.list(at(''))), ['e/', 'e2/', 'g'])
    t.same(names(await namespace.list(at('e'))), ['e/x'])
  })

  t.test('of a directory moves everything, with its attributes', async (t) => {
    const { namespace, memory, blobs } = await over(['d/', 'd//odd', 'd/e/f', 'd/g', 'd-not'])
    await memory.setMetadata(at('d/g'), { modtime: '7' })

    await namespace.rename(at('d'), at('to/d'), { concurrency: 2 })

    t.same(await blobs(), ['d-not', 'to/d/', 'to/d//odd', 'to/d/e/f', 'to/d/g'])
    t.match(await namespace.stat(at('to/d/g')), { posix: { mtimeNs: 7n } })
    t.equal(await namespace.exists(at('d')), false)
    t.equal((await namespace.stat(at('to/d'))).type, 'directory')
  })

  t.test('whose copies fail takes them back and leaves the source whole', async (t) => {
    const { namespace, store, blobs } = await over(['+d', 'd/a', 'd/b', 'd/c'])
    store.before = ({ verb, name }) => {
      if (verb === 'copy' && name.startsWith('d/b'))
        throw new FileSystemError('EACCES', 'blob.copy')
    }

    await t.rejects(namespace.rename(at('d'), at('e')), { code: 'EACCES' })

    t.same(await blobs(), ['d', 'd/a', 'd/b', 'd/c'])
    t.notOk(store.take().some((line) => line.startsWith('delete d')))
  })

  t.test('whose deletions fail has every blob at its destination', async (t) => {
    const { namespace, store, blobs } = await over(['d/a', 'd/b'])
    store.before = ({ verb, name }) => {
      if (verb === 'delete' && name === 'd/b') throw new FileSystemError('EACCES', 'blob.delete')
    }

    await t.rejects(namespace.rename(at('d'), at('e')), { code: 'EACCES' })

    t.ok((await blobs()).includes('e/a'))
    t.ok((await blobs()).includes('e/b'))
  })

  t.test('deletes no source whose copy did not arrive', async (t) => {
    const { namespace, memory, blobs } = await over(['d/a', 'd/b'])
    const copy = memory.copy.bind(memory)
    memory.copy = async (from, to, options) => {
      const copied = await copy(from, to, options)
      if (from.name === 'd/b') await memory.delete(to)
      return copied
    }

    await t.rejects(namespace.rename(at('d'), at('e')), { code: 'EIO' })

    t.ok((await blobs()).includes('d/a'))
    t.ok((await blobs()).includes('d/b'))
  })

  t.test('does not delete a source that changed after it was copied', async (t) => {
    const { namespace, memory, store, blobs } = await over(['a'])
    store.before = async ({ verb }) => {
      if (verb === 'delete') await memory.put(at('a'), Buffer.from('newer'))
    }

    await t.rejects(namespace.rename(at('a'), at('b')), { code: 'ESTALE' })

    t.same(await blobs(), ['a', 'b'])
  })

  t.test('copies the version that is there when the listing is behind', async (t) => {
    const { namespace, memory } = await over(['a'])
    await namespace.list(at(''))
    await memory.put(at('a'), Buffer.from('newer'))

    await namespace.rename(at('a'), at('b'))

    t.equal(Buffer.from((await memory.get(at('b'))).data).toString(), 'newer')
  })

  t.test('of the last file leaves its implied directory standing', async (t) => {
    const { namespace } = await over(['d/a', 'x'])

    await namespace.rename(at('d/a'), at('b'))

    t.same(shown(await namespace.list(at(''))), ['b', 'd/', 'x'])
  })
})

t.test('copyFile copies on the server with its metadata, and refuses directories', async (t) => {
  const { namespace, memory, store } = await over(['a', 'd/x'])
  await memory.setMetadata(at('a'), { author: 'ada', modtime: '7' })
  await namespace.list(at(''))
  store.take()

  const entry = await namespace.copyFile(at('a'), at('b'))

  t.match(entry, { name: 'b', sizeBytes: 1, metadata: { author: 'ada' }, posix: { mtimeNs: 7n } })
  t.same(store.take(), ['copy a -> b'])
  t.equal(entry.etag, (await memory.head(at('b'))).etag)
  await t.rejects(namespace.copyFile(at('d'), at('e')), { code: 'EISDIR' })
  await t.rejects(namespace.copyFile(at('a'), at('d')), { code: 'EISDIR' })
  await t.rejects(namespace.copyFile(at('no'), at('e')), { code: 'ENOENT' })
})

t.test('setAttributes', async (t) => {
  t.test('writes metadata under the known etag and keeps what others wrote', async (t) => {
    const { namespace, memory, store } = await over(['a'])
    await memory.setMetadata(at('a'), { author: 'ada' })
    await namespace.list(at(''))
    store.take()

    const changed = await namespace.setAttributes(at('a'), { mode: 0o600, mtimeNs: 5n })

    t.same(store.take(), ['setMetadata a'])
    t.same(changed.posix.mode, 0o600)
    t.same((await memory.head(at('a'))).metadata, {
      author: 'ada',
      permissions: '33152',
      modtime: '5',
    })
    t.equal((await namespace.stat(at('a'))).etag, (await memory.head(at('a'))).etag)
    await namespace.setAttributes(at('a'), { uid: 3 })
    t.same(store.take(), ['setMetadata a'], 'the next change starts from the last')
  })

  t.test('looks again when the listing is behind, and loses nothing', async (t) => {
    const { namespace, memory } = await over(['a'])
    await namespace.list(at(''))
    await memory.setMetadata(at('a'), { author: 'ada' })

    await namespace.setAttributes(at('a'), { uid: 3 })

    t.match((await memory.head(at('a'))).metadata, { author: 'ada', posix_owner: '3' })
  })

  t.test('marks an implied directory, and changes a slash marker in place', async (t) => {
    const { namespace, blobs } = await over(['i/x', 's/', 's/y'])

    await namespace.setAttributes(at('i'), { mode: 0o700 })
    await namespace.setAttributes(at('s'), { mode: 0o700 })

    t.same(await blobs(), ['i', 'i/x', 's/', 's/y'])
    t.equal((await namespace.stat(at('s'), { fresh: true })).posix.mode, 0o700)
    t.equal((await namespace.stat(at('i'), { fresh: true })).posix.mode, 0o700)
  })

  t.test('is ENOENT on nothing and ENOTSUP on a root', async (t) => {
    const { namespace } = await over([])

    await t.rejects(namespace.setAttributes(at('no'), { uid: 1 }), { code: 'ENOENT' })
    await t.rejects(namespace.setAttributes(at(''), { uid: 1 }), { code: 'ENOTSUP' })
  })
})

t.test('a symbolic link is a blob whose body is its target', async (t) => {
  const { namespace, memory, store } = await over(['f', 'd/x'])
  await namespace.list(at(''))
  store.take()

  const link = await namespace.createSymlink(at('l'), '../über/target')

  t.same(store.take(), ['put l'])
  t.match(link, { type: 'symlink', sizeBytes: 15, posix: { mode: 0o777 } })
  t.match((await memory.head(at('l'))).metadata, { is_symlink: 'true', permissions: '41471' })
  t.equal(await namespace.readSymlink(at('l')), '../über/target')
  await t.rejects(namespace.readSymlink(at('f')), { code: 'EINVAL' })
  for (const name of ['l', 'f', 'd']) {
    await t.rejects(namespace.createSymlink(at(name), 'x'), { code: 'EEXIST' }, name)
  }
})

t.test('what a writer committed is known at once, with the directories it implies', async (t) => {
  const { namespace, memory, store } = await over([])
  await namespace.list(at(''))
  const properties = await memory.put(at('a/b/c'), Buffer.from('new'))
  store.take()

  namespace.noteCommitted(at('a/b/c'), entryFromBlob('a/b/c', properties))

  t.same(shown(await namespace.list(at(''))), ['a/'])
  t.same(store.take(), [])
  t.equal((await namespace.stat(at('a/b/c'))).sizeBytes, 3)
})

t.test('a file created in a fresh directory costs no look-ups at all', async (t) => {
  const { namespace, memory, store } = await over([])
  await namespace.list(at(''))
  await namespace.makeDirectory(at('d'))
  store.take()

  for (const name of ['d/1', 'd/2', 'd/3']) {
    t.equal(await namespace.exists(at(name)), false)
    const properties = await memory.put(at(name), none)
    namespace.noteCommitted(at(name), entryFromBlob(name, properties))
    t.equal(await namespace.exists(at(name)), true)
  }

  t.same(store.take(), [])
})

t.test('invalidate forgets one listing, those below it, or all', async (t) => {
  const { namespace, store } = await over(['a/b/c', 'd/e'])
  const listings = async () => {
    for (const name of ['', 'a', 'a/b', 'd']) await namespace.list(at(name))
    return store.take()
  }
  await listings()

  namespace.invalidate(at('a'), { recursive: false })
  t.same(await listings(), ['listPage a/'])
  namespace.invalidate(at('a'))
  t.same(await listings(), ['listPage a/', 'listPage a/b/'])
  namespace.invalidate()
  t.equal((await listings()).length, 4)
})
