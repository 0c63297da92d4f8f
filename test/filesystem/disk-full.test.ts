import { execFileSync } from 'node:child_process'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { MiB } from '../../src/byte-range.ts'
import { memoryFileSystem, temporaryDirectory } from '../support/file-system.ts'

/** A disk of 1 MiB; `undefined` where this process may not mount one. */
async function smallDisk(t: Test): Promise<string | undefined> {
  const path = join(await temporaryDirectory(t), 'disk')
  await mkdir(path)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', path], { stdio: 'ignore' })
  } catch {
    return undefined
  }
  t.teardown(() => execFileSync('umount', ['-l', path]))
  return path
}

t.test('a full disk is ENOSPC with the path, and no half file stays', async (t) => {
  const disk = await smallDisk(t)
  if (disk === undefined) {
    t.comment('skipped: a small disk needs mount(8) and the right to use it')
    return
  }
  const { fs } = await memoryFileSystem()
  await fs.writeBytes('box/large', new Uint8Array(3 * MiB))
  await fs.writeText('box/small', 'small')
  const target = join(disk, 'large')

  await t.rejects(fs.getFile('box/large', target), { code: 'ENOSPC', path: target })
  t.strictSame(await readdir(disk), [])
  const result = await fs.get('box/', disk, { recursive: true, onError: 'return' })
  t.match(result.failed, [{ path: target, error: { code: 'ENOSPC', path: target } }])
  t.strictSame(await readdir(disk), ['small'], 'what had room is there')
})
