import {
  chmodSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { LineFile } from '../../../src/cli/drive/line-file.ts'
import { smallDisk, whyNoSmallDisk } from '../../support/small-disk.ts'

function opened(path: string) {
  const faults: unknown[] = []
  return { file: new LineFile(path, (error) => void faults.push(error)), faults }
}

function lines(t: Test, path: string): string[] {
  const text = readFileSync(path, 'utf8')
  t.ok(text.endsWith('\n'))
  return text.trimEnd().split('\n')
}

t.test('lines are added in their order, for its owner alone', async (t) => {
  const path = join(t.testdir({ log: 'before\n' }), 'log')
  chmodSync(path, 0o600)
  const { file, faults } = opened(path)
  const written = Array.from({ length: 1000 }, (_, i) => `line ${i}`)

  for (const line of written) file.write(`${line}\n`)
  await file.close()

  t.strictSame(lines(t, path), ['before', ...written])
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.strictSame(faults, [])
})

t.test('after it was moved away lines go to the old file until it is opened anew', async (t) => {
  const path = join(t.testdir({}), 'log')
  const { file, faults } = opened(path)
  file.write('one\n')
  renameSync(path, `${path}.1`)
  file.write('two\n')
  await file.reopen()
  file.write('three\n')
  await file.close()

  t.strictSame(lines(t, `${path}.1`), ['one', 'two'])
  t.strictSame(lines(t, path), ['three'])
  t.strictSame(faults, [])
})

t.test('where it cannot be opened anew the old file is kept', async (t) => {
  const directory = join(t.testdir({ logs: {} }), 'logs')
  const path = join(directory, 'log')
  const { file, faults } = opened(path)
  renameSync(directory, `${directory}.1`)
  await file.reopen()
  file.write('kept\n')
  await file.close()

  t.strictSame(lines(t, join(`${directory}.1`, 'log')), ['kept'])
  t.match(faults, [{ code: 'ENOENT' }])
})

t.test(
  'a disk that is full costs lines, is told once, and then again',
  { skip: whyNoSmallDisk() },
  async (t) => {
    const disk = smallDisk(t, 65_536)
    const { file, faults } = opened(join(disk, 'log'))
    mkdirSync(join(disk, 'd'))
    writeFileSync(join(disk, 'd', 'filler'), Buffer.alloc(32_768))
    const passes = async (line: string) => {
      file.write(`${line}\n`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    for (let i = 0; i < 5; i++) await passes('x'.repeat(16_384))
    t.match(faults, [{ code: 'ENOSPC' }])

    rmSync(join(disk, 'd', 'filler'))
    await passes('there is room')
    for (let i = 0; i < 5; i++) await passes('x'.repeat(16_384))
    t.match(faults, [{ code: 'ENOSPC' }, { code: 'ENOSPC' }])
    await file.close()
    t.match(readFileSync(join(disk, 'log'), 'utf8'), 'there is room')
  },
)

t.test('what cannot be opened at all is an error', (t) => {
  t.throws(() => opened('/proc/none/log'), { code: 'ENOENT' })
  t.end()
})
