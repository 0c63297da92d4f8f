import t from 'tap'
import type { OpenedDirectory } from '../../src/vfs/operations.ts'
import { caller, listingTtlMs, type Teardown, VfsMount } from '../support/vfs-mount.ts'

interface Reading {
  readonly mount: VfsMount
  readonly open: () => Promise<OpenedDirectory>
  readonly close: (opened: OpenedDirectory) => Promise<void>
}

/** The directory `d` with a file in it, listed. */
async function readingOf(t: Teardown): Promise<Reading> {
  const mount = await VfsMount.make(t)
  await mount.mkdir('d')
  await mount.save('d/file', 'x')
  await mount.list('d')
  const ino = await mount.ino('d')
  const open = (): Promise<OpenedDirectory> => mount.vfs.opendir(ino, caller)
  const close = ({ handle }: OpenedDirectory): Promise<void> => mount.vfs.releasedir(handle, caller)
  return { mount, open, close }
}

const changes: readonly (readonly [string, (mount: VfsMount) => Promise<unknown>])[] = [
  ['was made', (mount) => mount.mkdir('d/new')],
  ['was made for a file', (mount) => mount.save('d/new', 'x')],
  ['was removed', (mount) => mount.unlink('d/file')],
  ['was given to another file', (mount) => mount.rename('d/file', 'd/moved')],
]

t.test('the kernel keeps the names of a directory that stays as it is', async (t) => {
  const { open } = await readingOf(t)

  await open()

  t.match(await open(), { cacheNames: true, keepCache: true })
  t.match(await open(), { cacheNames: true, keepCache: true })
})

for (const [what, change] of changes) {
  t.test(`who read before a name ${what} leaves no former names`, async (t) => {
    const { mount, open, close } = await readingOf(t)
    const former = await open()
    await change(mount)
    await close(former)

    t.match(await open(), { cacheNames: true, keepCache: false })
    t.match(await open(), { cacheNames: true, keepCache: true })
  })

  t.test(`nothing is kept while somebody reads from before a name ${what}`, async (t) => {
    const { mount, open, close } = await readingOf(t)
    const former = await open()
    await change(mount)

    t.match(await open(), { cacheNames: false, keepCache: false })
    t.match(await open(), { cacheNames: false, keepCache: false })
    await close(former)
    t.match(await open(), { cacheNames: true, keepCache: false })
    t.match(await open(), { cacheNames: true, keepCache: true })
  })
}

t.test('nothing is kept while somebody reads names of an earlier listing', async (t) => {
  const { mount, open, close } = await readingOf(t)
  const former = await open()
  await mount.clock.advance(listingTtlMs + 1)

  t.match(await open(), { cacheNames: false, keepCache: false })
  await close(former)

  t.match(await open(), { cacheNames: true, keepCache: false })
})
