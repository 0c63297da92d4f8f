import { constants } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { caller, VfsMount } from '../support/vfs-mount.ts'

type Step =
  | {
      readonly kind: 'write'
      readonly offset: number
      readonly length: number
      readonly fill: number
    }
  | { readonly kind: 'truncate'; readonly size: number }
  | { readonly kind: 'read'; readonly start: number; readonly length: number }
  | { readonly kind: 'flush' }
  | { readonly kind: 'reopen'; readonly truncate: boolean }
  | { readonly kind: 'rename' }

const offset = fc.nat({ max: 300 })
const length = fc.integer({ min: 1, max: 120 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      offset,
      length,
      fill: fc.integer({ min: 1, max: 255 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('truncate' as const), size: offset }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('read' as const), start: offset, length }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('flush' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('reopen' as const), truncate: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('rename' as const) }) },
)

/** What the file must hold, as a plain buffer. */
class Model {
  bytes: Buffer = Buffer.alloc(0)

  write(at: number, data: Buffer): void {
    if (at + data.length > this.bytes.length) this.truncate(at + data.length)
    data.copy(this.bytes, at)
  }

  truncate(size: number): void {
    const next = Buffer.alloc(size)
    this.bytes.copy(next, 0, 0, Math.min(size, this.bytes.length))
    this.bytes = next
  }
}

t.test(
  'any order of writes, cuts, flushes, reopenings and renames leaves the right bytes',
  async (t) => {
    const seed = Number(process.env['FC_SEED'] ?? Date.now() % 2 ** 31)
    t.comment(`FC_SEED=${seed}`)
    const property = fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const mount = await VfsMount.make(t, { blockBytes: 64, spoolMemoryBytes: 100 })
      const model = new Model()
      let name = 'a'
      let handle = await mount.create(name)
      for (const each of steps) {
        switch (each.kind) {
          case 'write': {
            const data = Buffer.alloc(each.length, each.fill)
            model.write(each.offset, data)
            await mount.write(handle, each.offset, data)
            break
          }
          case 'truncate':
            model.truncate(each.size)
            await mount.vfs.setattr(await mount.ino(name), { sizeBytes: each.size, handle }, caller)
            break
          case 'read': {
            const end = each.start + each.length
            const read = await mount.read(handle, each.start, end)
            if (!read.equals(model.bytes.subarray(each.start, end))) throw new Error('read differs')
            break
          }
          case 'flush':
            await mount.vfs.flush(handle, caller)
            break
          case 'reopen':
            await mount.close(handle)
            if (each.truncate) model.truncate(0)
            handle = await mount.open(
              name,
              constants.O_RDWR | (each.truncate ? constants.O_TRUNC : 0),
            )
            break
          case 'rename': {
            const next = name === 'a' ? 'b' : 'a'
            await mount.rename(name, next)
            name = next
            break
          }
          default:
            each satisfies never
        }
        const { sizeBytes } = await mount.stat(name)
        if (sizeBytes !== model.bytes.length)
          throw new Error(`size ${sizeBytes} after ${each.kind}`)
      }
      await mount.close(handle)
      const stored = await mount.account.get({ container: 'box', name })
      if (!model.bytes.equals(stored.data)) throw new Error('stored bytes differ')
    })
    await fc.assert(property, { seed, numRuns: 150 })
    t.pass('150 runs')
  },
)
