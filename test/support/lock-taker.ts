/** Takes a directory's lock again and again for some time, and leaves it each time as one that dies does. */
import { spawnSync } from 'node:child_process'
import { closeSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isFileSystemError } from '../../src/errors.ts'
import { lockDirectory } from '../../src/storage-server/disk/directory-lock.ts'

const [directory = '', timeMs = '0'] = process.argv.slice(2)
const path = join(directory, 'lock')
const inside = join(directory, 'inside')
const { pid } = spawnSync('true')
const end = performance.now() + Number(timeMs)
let taken = 0

function work(): void {
  // Throws when another one is here.
  closeSync(openSync(inside, 'wx'))
  for (const until = performance.now() + 0.5; performance.now() < until; );
  const held = JSON.parse(readFileSync(path, 'utf8'))
  if (held.pid !== process.pid) throw new Error(`the lock became that of ${held.pid}`)
  rmSync(inside)
  const left = join(directory, `left.${process.pid}`)
  writeFileSync(left, JSON.stringify({ ...held, pid }))
  renameSync(left, path)
}

while (performance.now() < end) {
  try {
    lockDirectory(directory)
  } catch (error) {
    if (!isFileSystemError(error, 'EBUSY')) throw error
    continue
  }
  taken += 1
  work()
}
process.send?.(taken)
