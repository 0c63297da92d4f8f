import t from 'tap'
import { directoriesBelow } from '../../src/namespace/directories-below.ts'
import { storeOf } from '../support/named-blobs.ts'

const container = 'data'
const top = { container, name: 'top' }

t.test('directories are those that names lie in, and those that blobs mark', async (t) => {
  const store = await storeOf(container, [
    { name: 'top/a', kind: 'file' },
    { name: 'top/b/c/1', kind: 'file' },
    { name: 'top/marked', kind: 'marker' },
    { name: 'top/slash', kind: 'slash' },
    { name: 'topmost/x/2', kind: 'file' },
  ])

  const found = await directoriesBelow(store, top, { maxNames: 100 })

  t.same([...(found ?? [])].sort(), ['top/b', 'top/b/c', 'top/marked', 'top/slash'])
})

t.test('a listing that is longer than is worth it tells nothing', async (t) => {
  const names = ['top/a/1', 'top/b/2', 'top/c/3']
  const store = await storeOf(
    container,
    names.map((name) => ({ name, kind: 'file' })),
  )

  t.equal(await directoriesBelow(store, top, { maxNames: 2 }), undefined)
  const whole = await directoriesBelow(store, top, { maxNames: 3 })
  t.same([...(whole ?? [])].sort(), ['top/a', 'top/b', 'top/c'])
})
