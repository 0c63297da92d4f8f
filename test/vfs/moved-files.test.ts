import t from 'tap'
import { InodeTable } from '../../src/vfs/inode-table.ts'
import { MovedFiles } from '../../src/vfs/moved-files.ts'

const container = 'box'
const etags = { sourceEtag: 'one', targetEtag: 'two' }

/** `d/e/f`, and what a rename of `d` is told of. */
function moving() {
  const table = new InodeTable({ container, name: '' })
  const top = table.ensureChild(table.root, 'd', 'directory')
  const below = table.ensureChild(top, 'e', 'directory')
  const file = table.ensureChild(below, 'f', 'file')
  return { moved: new MovedFiles({ container, name: 'd' }, top), below, file }
}

t.test('a known file below the name that moves is told of', (t) => {
  const { moved, file } = moving()
  const blob = { from: { container, name: 'd/e/f' }, ...etags }

  moved.note(blob)

  t.equal(moved.of(file), blob)
  t.end()
})

t.test('directories, unknown files and those of other trees are not', (t) => {
  const { moved, below, file } = moving()

  for (const name of ['d/e', 'd', 'd/e/g', 'd/e/f/g', '', 'c/e/f', 'dd/e/f', 'd2e/f', 'x/d/e/f'])
    moved.note({ from: { container, name }, ...etags })

  t.equal(moved.of(file), undefined)
  t.equal(moved.of(below), undefined)
  t.end()
})
