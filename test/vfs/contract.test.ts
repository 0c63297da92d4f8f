/** Sentences of docs/semantics.md that no other suite is about. */
import { constants } from 'node:fs'
import t from 'tap'
import { FileSystemError } from '../../src/errors.ts'
import { caller, listingTtlMs, newAccount, VfsMount } from '../support/vfs-mount.ts'

t.test('what one machine has synced the other one opens, while it is open there', async (t) => {
  const account = await newAccount()
  const a = await VfsMount.make(t, { account })
  const b = await VfsMount.make(t, { account })
  const handle = await a.create('f')

  for (const word of ['one', 'two', 'six']) {
    await a.write(handle, 0, word)
    await a.vfs.fsync(handle, false, caller)
    await b.clock.advance(listingTtlMs + 1)
    t.equal(await b.load('f'), word)
  }
  await a.close(handle)
})

t.test(
  'opening for writing asks for the version that is there, whatever a listing said',
  async (t) => {
    const mount = await VfsMount.make(t)
    await mount.storeElsewhere('f', 'first')
    t.strictSame(await mount.list(''), ['f'])
    await mount.storeElsewhere('f', 'second, which no listing told')

    const handle = await mount.open('f', constants.O_RDWR)
    await mount.write(handle, 0, 'S')
    await mount.close(handle)

    t.equal(await mount.stored('f'), 'Second, which no listing told')
  },
)

t.test('a name that did not exist is believed missing as long as its listing', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.storeElsewhere('f', 'x')
  t.strictSame(await mount.list(''), ['f'])
  await mount.storeElsewhere('new', 'y')

  await mount.clock.advance(listingTtlMs - 1)
  await t.rejects(mount.load('new'), { code: 'ENOENT' })
  await mount.clock.advance(2)
  t.equal(await mount.load('new'), 'y')
})

t.test('a file that is renamed is at one place at least, whatever fails', async (t) => {
  for (const verb of ['copy', 'delete'] as const) {
    const mount = await VfsMount.make(t)
    await mount.save('from', 'content')
    mount.before(verb, () => {
      throw new FileSystemError('EIO', `blob.${verb}`)
    })

    await t.rejects(mount.rename('from', 'to'), { code: 'EIO' })

    t.equal(await mount.stored('from'), 'content')
    t.equal(await mount.stored('to'), verb === 'copy' ? undefined : 'content')
  }
})

t.test('a version is replaced whole: who reads at any moment has one or the other', async (t) => {
  const account = await newAccount()
  const a = await VfsMount.make(t, { account, blockBytes: 1000 })
  const versions = ['a', 'b'].map((letter) => letter.repeat(10_000))
  await a.save('f', versions[0] ?? '')
  const seen = new Set<string>()
  a.counting.before = async () => void seen.add((await a.stored('f')) ?? '')

  const handle = await a.open('f', constants.O_WRONLY | constants.O_TRUNC)
  for (let at = 0; at < 10_000; at += 500) await a.write(handle, at, 'b'.repeat(500))
  await a.close(handle)
  seen.add((await a.stored('f')) ?? '')

  t.strictSame([...seen], versions)
})

t.test('a file has one link, and was accessed when it was modified', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.save('f', 'x')
  const { nlink, atimeNs, mtimeNs } = await mount.stat('f')

  t.equal(nlink, 1)
  t.equal(atimeNs, mtimeNs)
})
