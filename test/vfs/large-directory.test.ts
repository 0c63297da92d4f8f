import t from 'tap'
import { caller, VfsMount } from '../support/vfs-mount.ts'

t.test('of a very large directory the first names are told with what they are', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.mkdir('d')
  for (let index = 0; index < 16_500; index += 1) {
    await mount.account.put({ container: 'box', name: `d/${index}` }, new Uint8Array())
  }
  const ino = await mount.ino('d')
  mount.namespace.invalidate()
  const { handle } = await mount.vfs.opendir(ino, caller)
  const alone = [...(await mount.vfs.readdir(handle, 2, caller))]
  await mount.ino('d/16400')

  const rest = [...(await mount.vfs.readdir(handle, 16_400, caller))]

  t.equal(alone.filter(({ lookup }) => lookup !== undefined).length, 16_382, 'without . and ..')
  t.ok(
    rest.every(({ lookup }) => lookup !== undefined),
    'the reader has asked for one of them',
  )
})

t.test('a directory asks to be read in pieces that cost little to make room for', async (t) => {
  const mount = await VfsMount.make(t)
  await mount.mkdir('d')
  await mount.save('f', 'x')

  t.equal((await mount.stat('d')).blockBytes, 128 * 1024)
  t.equal((await mount.stat('f')).blockBytes, 1024 * 1024)
})
