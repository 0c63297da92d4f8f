import { constants } from 'node:fs'
import t from 'tap'
import { shownBy } from '../../../src/cli/drive/shown.ts'
import { rootIno } from '../../../src/vfs/operations.ts'
import { caller, VfsMount } from '../../support/vfs-mount.ts'

const none = { include: [], exclude: [], filter: undefined }

t.test('a mount shows what patterns and a filter leave; all else is not there', async (t) => {
  const writer = await VfsMount.make(t)
  for (const name of ['train', 'tmp']) await writer.mkdir(name)
  for (const name of ['a.csv', 'a.txt', 'train/b.csv', 'train/large.csv', 'tmp/c.csv']) {
    await writer.save(name, name.includes('large') ? 'x'.repeat(100) : 'x')
  }
  const isShown = shownBy({ include: ['*.csv'], exclude: ['tmp'], filter: 'size<50' })
  const mount = await VfsMount.make(t, { account: writer.account, readOnly: true, isShown })
  const names = async (path: string) => {
    const { handle } = await mount.vfs.opendir(await mount.ino(path), caller)
    return [...(await mount.vfs.readdir(handle, 0, caller))].map(({ name }) => name).slice(2)
  }

  t.strictSame(await names(''), ['a.csv', 'train'])
  t.strictSame(await names('train'), ['b.csv'])
  t.equal((await mount.read(await mount.open('a.csv', constants.O_RDONLY))).toString(), 'x')
  for (const hidden of ['a.txt', 'tmp', 'train/large.csv']) {
    await t.rejects(mount.ino(hidden), { code: 'ENOENT' }, hidden)
  }
  t.equal((await mount.vfs.lookup(rootIno, 'tmp', caller)).kind, 'absent')
})

t.test('patterns and conditions that are none are refused by name', (t) => {
  t.equal(shownBy(none), undefined)
  t.throws(() => shownBy({ ...none, include: ['a**b'] }), { message: /--include a\*\*b/ })
  t.throws(() => shownBy({ ...none, exclude: ['/'] }), { message: /--exclude must be a pattern/ })
  for (const filter of ['tag=a:b', 'name=^x', 'size=1k', 'modtime>soon', 'size>1 &&']) {
    t.throws(() => shownBy({ ...none, filter }), { message: /--filter has/ }, filter)
  }
  t.end()
})
