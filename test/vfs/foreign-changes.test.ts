import t from 'tap'
import { type ForeignChange, ForeignChanges } from '../../src/vfs/foreign-changes.ts'
import { rootIno } from '../../src/vfs/operations.ts'
import { caller, type MountOptions, type Teardown, VfsMount } from '../support/vfs-mount.ts'

/** A mount that is told of changes, and what it has the kernel forget. */
async function told(t: Teardown, options: MountOptions = {}) {
  const foreign = new ForeignChanges()
  const mount = await VfsMount.make(t, { ...options, foreignChanges: foreign })
  const forgotten: string[] = []
  mount.vfs.watchChanges({
    attributesChanged: (ino) => forgotten.push(`attributes ${mount.vfs.nameOf(ino)}`),
    nameChanged: (ino, name) => forgotten.push(`name ${name} in '${mount.vfs.nameOf(ino)}'`),
    inodeChanged: () => undefined,
    contentChanged: async () => undefined,
    sizeChanged: async () => undefined,
  })
  const note = async (
    name: string,
    kind: ForeignChange['kind'],
    more: Partial<ForeignChange> = {},
  ) => {
    const timeMs = Date.now()
    return foreign.note({
      container: 'box',
      name,
      kind,
      etag: await etagOf(mount, name),
      timeMs,
      ...more,
    })
  }
  return { mount, foreign, forgotten, note }
}

async function etagOf({ account }: VfsMount, name: string): Promise<string | undefined> {
  const found = await account.head({ container: 'box', name }).catch(() => undefined)
  return found?.etag.replaceAll('"', '')
}

t.test('what others change shows once it is told, and not before', async (t) => {
  const { mount, note, forgotten } = await told(t)
  for (const name of ['d/a', 'd/b', 'other/c']) await mount.storeElsewhere(name, 'old')
  for (const each of ['', 'd', 'other']) await mount.list(each)
  for (const each of ['d/a', 'd/b']) await mount.stat(each)
  await mount.storeElsewhere('d/a', 'longer')
  await mount.account.delete({ container: 'box', name: 'd/b' })
  await mount.storeElsewhere('d/new/deep', 'x')
  t.strictSame(await mount.list('d'), ['a', 'b'])
  t.equal((await mount.stat('d/a')).sizeBytes, 3)

  t.ok(await note('d/a', 'written'))
  t.ok(await note('d/b', 'removed'))
  t.ok(await note('d/new/deep', 'written'))

  t.strictSame(forgotten, [
    'attributes d/a',
    "name a in 'd'",
    'attributes d/b',
    "name b in 'd'",
    "name d in ''",
    "name new in 'd'",
    "name d in ''",
  ])
  t.strictSame(await mount.list('d'), ['a', 'new'])
  t.equal((await mount.stat('d/a')).sizeBytes, 6)
  t.ok(
    mount.namespace.believed({ container: 'box', name: 'other' }),
    'what lies elsewhere is believed',
  )
})

t.test('own changes, and what is known already, make it forget nothing', async (t) => {
  const { mount, note, forgotten } = await told(t)
  await mount.mkdir('d')
  await mount.list('d')
  await mount.list('')
  await mount.save('d/mine', 'x')
  await mount.mkdir('d/sub')
  await mount.save('d/gone', 'x')
  await mount.unlink('d/gone')
  await mount.storeElsewhere('d/seen', 'x')
  mount.namespace.invalidate()
  await mount.list('')
  await mount.list('d')
  forgotten.length = 0

  t.notOk(await note('d/mine', 'written'))
  t.notOk(await note('d/sub', 'written'))
  t.notOk(await note('d/seen', 'written'))
  t.notOk(await note('d/gone', 'removed'))
  t.notOk(await note('d/mine', 'written', { etag: 'older', timeMs: Date.now() - 60_000 }))
  t.strictSame(forgotten, [])
})

t.test('a directory that goes with its last file, and one that comes with its first', async (t) => {
  const { mount, note, forgotten } = await told(t)
  await mount.storeElsewhere('a/b/c', 'x')
  for (const each of ['', 'a', 'a/b']) await mount.list(each)
  await mount.account.delete({ container: 'box', name: 'a/b/c' })
  await note('a/b/c', 'removed')

  t.ok(forgotten.includes("name a in ''"))
  t.strictSame(await mount.list(''), [])
  await mount.storeElsewhere('a/b/c', 'x')
  await note('a/b/c', 'written')
  t.strictSame(await mount.list(''), ['a'])
})

t.test('of what the mount does not show it forgets nothing', async (t) => {
  const { mount, note, forgotten } = await told(t, { root: { container: 'box', name: 'top' } })
  await mount.storeElsewhere('top/a', 'x')
  await mount.list('')

  for (const name of ['topmost', 'else/a', 'top//a', '.abfs/journal'])
    t.notOk(await note(name, 'written'), name)
  t.notOk(await note('top/a', 'written', { container: 'bin' }))
  t.strictSame(forgotten, [])
  t.ok(await note('top/b', 'written'))
  t.ok(await note('top', 'changed'))
  t.strictSame(forgotten, ["name b in 'top'", 'attributes top'])
})

t.test('an open file keeps the version that it reads', async (t) => {
  const { mount, note } = await told(t)
  await mount.storeElsewhere('f', 'old')
  const handle = await mount.open('f')
  t.equal(`${await mount.read(handle)}`, 'old')
  await mount.storeElsewhere('f', 'longer')
  await note('f', 'written')

  t.equal(`${await mount.read(handle, 0, 3)}`, 'old')
  t.equal(await mount.load('f'), 'longer')
  await mount.close(handle)
})

t.test('when changes were missed, all is asked for anew', async (t) => {
  const { mount, foreign, forgotten } = await told(t)
  for (const name of ['d/a', 'b']) await mount.storeElsewhere(name, 'x')
  for (const each of ['', 'd']) await mount.list(each)
  for (const each of ['d/a', 'b']) await mount.stat(each)
  mount.requests()

  foreign.missed()

  t.ok(forgotten.includes("name a in 'd'") && forgotten.includes("name b in ''"))
  await mount.vfs.getattr(rootIno, undefined, caller)
  await mount.list('d')
  t.not(mount.requests().length, 0)
})
