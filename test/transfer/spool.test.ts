import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Spool } from '../../src/transfer/spool.ts'

const all = { start: 0, end: 2 ** 50 }

function scratch(t: { teardown(work: () => void): void }): string {
  const directory = mkdtempSync(join(tmpdir(), 'abfs-spool-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

t.test('a few bytes stay in memory and make no file', async (t) => {
  const directory = join(scratch(t), 'not-made')
  const spool = new Spool({ directory, memoryBytes: 10 })

  await spool.write(5, Buffer.from('abc'))

  t.strictSame(await spool.read(all), Buffer.from('\0\0\0\0\0abc'))
  t.throws(() => readdirSync(directory), { code: 'ENOENT' })
  await spool.close()
})

t.test('more bytes go to a file without a name, in a directory that is made', async (t) => {
  const directory = join(scratch(t), 'a', 'b')
  const spool = new Spool({ directory, memoryBytes: 10 })
  await spool.write(0, Buffer.from('first'))

  await spool.write(2 ** 33, Buffer.from('far away'))

  t.strictSame(readdirSync(directory), [])
  t.equal(spool.sizeBytes, 2 ** 33 + 8)
  t.equal(Buffer.from(await spool.read({ start: 0, end: 6 })).toString(), 'first\0')
  t.equal(Buffer.from(await spool.read({ start: 2 ** 33, end: 2 ** 34 })).toString(), 'far away')
  await spool.close()
})

for (const memoryBytes of [0, 100]) {
  t.test(
    `what is cut off is zeros when it is extended again (memory ${memoryBytes})`,
    async (t) => {
      const spool = new Spool({ directory: scratch(t), memoryBytes })
      await spool.write(0, Buffer.from('abcdef'))

      await spool.truncate(2)
      await spool.truncate(4)

      t.equal(Buffer.from(await spool.read(all)).toString(), 'ab\0\0')
      await spool.close()
    },
  )
}

t.test('bytes that were read do not change when they are written over', async (t) => {
  const spool = new Spool({ directory: scratch(t), memoryBytes: 100 })
  await spool.write(0, Buffer.from('before'))
  const read = await spool.read(all)

  await spool.write(0, Buffer.from('after!'))

  t.equal(Buffer.from(read).toString(), 'before')
  await spool.close()
})

t.test(
  'a spool directory that cannot be made is EIO once memory is full, and says which and why',
  async (t) => {
    const spool = new Spool({ directory: '/dev/null/spool', memoryBytes: 0, overflowBytes: 0 })

    await t.rejects(spool.write(0, Buffer.from('x')), {
      code: 'EIO',
      message: /ENOTDIR.*\/dev\/null\/spool/,
    })
  },
)
