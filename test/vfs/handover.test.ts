import { appendFileSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readHandedOver } from '../../src/vfs/handed-over.ts'
import { HandoverFile } from '../../src/vfs/handover-file.ts'
import { temporaryDirectory } from '../support/cli.ts'

const begin = { kind: 'begin', format: 1, init: 'aW5pdA==', lastIno: 7, lastHandle: 2 }
const inode = { kind: 'inode', ino: 9, type: 'file', parent: 1, name: 'a', lookups: 1 }

t.test('the last that is said of something holds; a line without end says nothing', async (t) => {
  const path = join(await temporaryDirectory(t), 'handover')
  const file = new HandoverFile(path)
  file.replace([begin, inode, { ...inode, ino: 8 }].map((line) => JSON.stringify(line)))
  file.append(
    [
      { ...inode, lookups: 3 },
      { kind: 'gone', ino: 8 },
    ].map((line) => JSON.stringify(line)),
  )
  file.close()
  appendFileSync(path, '{"kind":"gone","ino":9}')

  const { init, lastIno, lastHandle, inodes } = readHandedOver(path)

  t.equal(String(Buffer.from(init)), 'init')
  t.strictSame([lastIno, lastHandle], [9, 2])
  t.strictSame([...inodes.values()], [{ ...inode, lookups: 3 }])
  t.equal(statSync(path).mode & 0o777, 0o600)
})

t.test('what another version has left is EIO, and tells so', async (t) => {
  const path = join(await temporaryDirectory(t), 'handover')
  for (const content of ['', '{}\n', `${JSON.stringify({ ...begin, format: 2 })}\n`, 'no JSON\n']) {
    writeFileSync(path, content)
    t.throws(() => readHandedOver(path), { code: 'EIO', message: /another version of abfs/ })
  }
})

t.test('a file of lines that say nothing any more is worth writing anew', async (t) => {
  const path = join(await temporaryDirectory(t), 'handover')
  const file = new HandoverFile(path)
  file.replace(['whole'])
  const line = 'x'.repeat(1024 * 1024)
  for (let lines = 0; lines < 5; lines++) file.append([line])
  t.ok(file.isLong)
  file.replace(['whole', 'again'])
  file.append(['after'])
  file.close()

  t.notOk(file.isLong)
  t.equal(readFileSync(path, 'utf8'), 'whole\nagain\nafter\n')
})
