import type { Test } from 'tap'
import { type BlobStore, listAll } from '../../src/blob/store.ts'
import { Namespace } from '../../src/namespace/namespace.ts'

const nothing = new Uint8Array(0)
const folder = { hdi_isfolder: 'true' }
/** As different tools write it. */
const otherCases = [{ hdi_isfolder: 'True' }, { hdi_isfolder: 'true' }, { is_directory: 'true' }]

/** What every flat account must do with the blobs that mark directories, whoever wrote them. */
export async function checkDirectoryMarkers(t: Test, store: BlobStore): Promise<void> {
  let containers = 0
  /** A container of its own: names that end in `/` mark a directory, `+` ones with metadata. */
  async function planted(names: readonly string[]) {
    const container = `markers-${containers++}`
    await store.createContainer(container)
    const at = (name: string) => ({ container, name })
    for (const name of names) {
      if (name.startsWith('+')) await store.put(at(name.slice(1)), nothing, { metadata: folder })
      else await store.put(at(name), name.endsWith('/') ? nothing : Buffer.from(name))
    }
    const blobs = async () => {
      const found: string[] = []
      for await (const { name } of listAll(store, at(''))) found.push(name)
      return found.sort()
    }
    const namespace = new Namespace({ store, listingTtlMs: 0 })
    const shown = async (name: string) =>
      (await namespace.list(at(name))).map((each) => `${each.type[0]} ${each.name}`).sort()
    return { at, blobs, namespace, shown }
  }

  const forms: Record<string, readonly string[]> = {
    'a blob with hdi_isfolder': ['+d'],
    'a blob whose name ends in a slash': ['d/'],
    'a blob of either kind': ['+d', 'd/'],
    'a marked slash blob': ['+d/'],
  }
  for (const [form, names] of Object.entries(forms)) {
    t.test(`${form} is one directory, empty and then not, and goes with it`, async (t) => {
      const { at, blobs, namespace, shown } = await planted(names)

      t.same(await shown(''), ['d d'])
      t.same(await shown('d'), [])
      t.match(await namespace.stat(at('d')), { type: 'directory', sizeBytes: 0 })
      const walked: string[] = []
      for await (const { name } of namespace.listTree(at(''), { directories: true })) {
        walked.push(name)
      }
      t.same(walked, ['d'])
      await t.rejects(namespace.makeDirectory(at('d')), { code: 'EEXIST' })
      await store.put(at('d/file'), Buffer.from('x'))
      t.same([await shown(''), await shown('d')], [['d d'], ['f d/file']])
      await t.rejects(namespace.removeDirectory(at('d')), { code: 'ENOTEMPTY' })
      await namespace.removeFile(at('d/file'))
      t.same([await shown(''), await shown('d')], [['d d'], []])
      await namespace.rename(at('d'), at('e'))
      t.same([await shown(''), await shown('e')], [['d e'], []])
      await namespace.removeDirectory(at('e'))
      t.same(await blobs(), [])
    })

    t.test(`${form} goes with the tree that it marks`, async (t) => {
      const { at, blobs, namespace } = await planted([...names, 'd/a', 'd/sub/b', 'other'])

      await namespace.removeTree(at('d'))

      t.same(await blobs(), ['other'])
    })
  }

  t.test('the flag is understood in every spelling', async (t) => {
    const { at, namespace } = await planted([])
    for (const [index, metadata] of otherCases.entries()) {
      await store.put(at(`d${index}`), nothing, { metadata })

      t.equal((await namespace.stat(at(`d${index}`))).type, 'directory', JSON.stringify(metadata))
    }
  })

  t.test('a new directory is a blob with hdi_isfolder, and nothing else', async (t) => {
    const { at, blobs, namespace } = await planted([])

    await namespace.makeDirectory(at('new'))

    t.same(await blobs(), ['new'])
    t.match((await store.head(at('new'))).metadata, folder)
  })

  t.test('a blob with content is a file whatever its flag says', async (t) => {
    const { at, namespace, shown } = await planted([])
    await store.put(at('f'), Buffer.from('content'), { metadata: folder })

    t.same(await shown(''), ['f f'])
    await t.rejects(namespace.removeDirectory(at('f')), { code: 'ENOTDIR' })
    await t.rejects(namespace.list(at('f')), { code: 'ENOTDIR' })
  })

  t.test('a slash blob with content is not removed as an empty directory', async (t) => {
    const { at, blobs, namespace, shown } = await planted([])
    await store.put(at('d/'), Buffer.from('content'))

    t.same(await shown(''), ['d d'])
    await t.rejects(namespace.removeDirectory(at('d')), { code: 'ENOTEMPTY' })
    t.same(await blobs(), ['d/'])
    await namespace.removeTree(at('d'))
    t.same(await blobs(), [])
  })

  t.test(
    'the last file of an implied directory leaves it marked, in each way it can go',
    async (t) => {
      const { at, namespace, shown } = await planted(['a/f', 'b/f', 'c/sub/f', 'd/sub/f', 'e/sub/'])

      await namespace.removeFile(at('a/f'))
      await namespace.rename(at('b/f'), at('moved'))
      await namespace.removeTree(at('c/sub'))
      await namespace.rename(at('d/sub'), at('moved-too'))
      await namespace.removeDirectory(at('e/sub'))

      t.same(await shown(''), ['d a', 'd b', 'd c', 'd d', 'd e', 'd moved-too', 'f moved'])
      for (const name of ['a', 'b', 'c', 'd', 'e']) t.same(await shown(name), [], name)
    },
  )

  t.test('no marker is written while something else keeps the directory', async (t) => {
    const { at, blobs, namespace } = await planted(['a/f', 'a/g', 'b/many/1', 'b/many/2', 'b/z'])

    await namespace.removeFile(at('a/f'))
    await namespace.removeTree(at('b/many'))

    t.same(await blobs(), ['a/g', 'b/z'])
  })

  t.test('a directory hides a file of its name, and neither goes with the other', async (t) => {
    const { at, blobs, namespace, shown } = await planted(['x', 'x/in', 'y', 'y/in', 'z', 'z/in'])

    t.same(await shown(''), ['d x', 'd y', 'd z'])
    await namespace.rename(at('x/in'), at('out'))
    t.same(await blobs(), ['out', 'x', 'x/', 'y', 'y/in', 'z', 'z/in'])
    const cached = new Namespace({ store })
    await cached.list(at(''))
    await cached.removeTree(at('y'))
    await cached.rename(at('z'), at('moved'))
    t.same(await blobs(), ['moved/in', 'out', 'x', 'x/', 'y', 'z'])
    t.equal(Buffer.from((await store.get(at('y'))).data).toString(), 'y')
  })
}
