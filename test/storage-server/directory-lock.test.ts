import { fork, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { isFileSystemError } from '../../src/errors.ts'
import { lockDirectory } from '../../src/storage-server/disk/directory-lock.ts'
import type { Teardown } from '../support/vfs-mount.ts'

const script = fileURLToPath(new URL('../support/lock-taker.ts', import.meta.url))

function scratch(t: Teardown): string {
  const directory = mkdtempSync(join(tmpdir(), 'abfs-lock-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

t.test('a lock is had once, and again when it was given back', async (t) => {
  const directory = scratch(t)
  const release = lockDirectory(directory)
  t.throws(() => lockDirectory(directory), { code: 'EBUSY' })
  release()
  lockDirectory(directory)()
  t.strictSame(readdirSync(directory), [])
})

t.test('what a crash has cut is no lock, nor is what stands for taking it', async (t) => {
  const directory = scratch(t)
  const names = ['lock', 'lock.of-damaged', 'lock.of-damaged.of-damaged']
  for (const name of names) writeFileSync(join(directory, name), '{"pid":')
  lockDirectory(directory)()
  t.strictSame(readdirSync(directory), [])
})

/** The lock's module over a disk that calls `before` ahead of each call that changes it. */
async function lockOver(t: Test, before: () => void): Promise<typeof lockDirectory> {
  const watched = <Call extends (...args: never[]) => unknown>(call: Call) =>
    ((...args: Parameters<Call>) => {
      before()
      return call(...args)
    }) as unknown as Call
  const disk = {
    ...fs,
    linkSync: watched(fs.linkSync),
    renameSync: watched(fs.renameSync),
    rmSync: watched(fs.rmSync),
  }
  const lock = '../../src/storage-server/disk/directory-lock.ts'
  return (
    await t.mockImport<typeof import('../../src/storage-server/disk/directory-lock.ts')>(lock, {
      'node:fs': disk,
    })
  ).lockDirectory
}

t.test('whenever two others try while the lock of a dead one is taken, one has it', async (t) => {
  const { pid } = spawnSync('true')
  let had = 0
  for (let first = 1; first <= 10; first++) {
    for (let second = first; second <= 10; second++) {
      const directory = scratch(t)
      const dead = { pid, started: '1', token: randomUUID() }
      writeFileSync(join(directory, 'lock'), JSON.stringify(dead))
      let holders = 0
      const attempt = (lock: typeof lockDirectory): void => {
        try {
          lock(directory)
          holders += 1
        } catch (error) {
          if (!isFileSystemError(error, 'EBUSY')) throw error
        }
      }
      let calls = 0
      const interrupted = await lockOver(t, () => {
        calls += 1
        if (calls === first) attempt(lockDirectory)
        if (calls === second) attempt(lockDirectory)
      })
      attempt(interrupted)
      t.ok(holders <= 1, `others came ahead of calls ${first} and ${second}: ${holders} have it`)
      had += holders
    }
  }
  t.ok(had > 40, `${had} of 55 times somebody had it`)
})

t.test('of three processes that take the lock of a dead one, one has it at a time', async (t) => {
  const directory = scratch(t)
  const execArgv = process.execArgv.filter((argument) => argument.includes('typescript'))
  const takers = [1, 2, 3].map(async () => {
    const child = fork(script, [directory, '2000'], { execArgv })
    let taken = 0
    child.on('message', (count) => {
      taken = Number(count)
    })
    const [code] = await once(child, 'close')
    t.equal(code, 0)
    return taken
  })
  const taken = await Promise.all(takers)
  t.comment(`taken ${taken} times`)
  t.ok(
    taken.every((count) => count > 0),
    'each had it',
  )
})
