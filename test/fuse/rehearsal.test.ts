import t from 'tap'
import { rehearse } from '../../src/fuse/rehearsal.ts'
import type { FileOperations } from '../../src/vfs/operations.ts'
import { MemoryOperations } from '../support/memory-operations.ts'

/** The names of the calls that were made, as they come. */
function noting(operations: FileOperations): { operations: FileOperations; calls: string[] } {
  const calls: string[] = []
  const noted = new Proxy(operations, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      return (...args: unknown[]): unknown => {
        calls.push(String(name))
        return Reflect.apply(value, target, args)
      }
    },
  })
  return { operations: noted, calls }
}

t.test('a rehearsal lists the top directory and reads its file, and closes both', async (t) => {
  const memory = new MemoryOperations()
  memory.addFile('a', Buffer.from('content'))
  const { operations, calls } = noting(memory)

  await rehearse(operations, 'a')

  const expected = [
    'opendir',
    'readdir',
    'releasedir',
    'lookup',
    'getattr',
    'open',
    'read',
    'release',
  ]
  t.same(
    calls.filter((name) => expected.includes(name)),
    expected,
  )
})

t.test('a rehearsal rejects when a call fails, and ends its session', async (t) => {
  const { operations, calls } = noting(new MemoryOperations())

  await t.rejects(rehearse(operations, 'absent'), /errno 2/)

  t.notOk(calls.includes('open'))
})
