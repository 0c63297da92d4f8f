import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import type { BlobStore } from '../../src/blob/store.ts'
import { KiB, MiB } from '../../src/byte-range.ts'
import { FileSystemError } from '../../src/errors.ts'
import type { HandleId } from '../../src/vfs/operations.ts'
import { caller, type MountOptions, type Teardown, VfsMount } from '../support/vfs-mount.ts'

const path = { container: 'box', name: 'f' }
const blockBytes = MiB

/** A mount of small blocks; `copies` says whether the service can make blocks of other versions. */
async function mountOf(
  t: Teardown,
  { copies = true, ...options }: MountOptions & { readonly copies?: boolean } = {},
): Promise<VfsMount> {
  const mount = await VfsMount.make(t, { blockBytes, ...options })
  mount.before('stageBlockFrom', () => {
    if (!copies) throw new FileSystemError('ENOTSUP', 'blob.stageBlockFrom')
  })
  return mount
}

/** Commits `content` in blocks of the given sizes, as another client would, with ids of its own. */
async function storeInBlocks(
  store: BlobStore,
  content: Buffer,
  sizes: readonly number[],
  idOf: (index: number) => Buffer = (index) => Buffer.from(`${index}`.padStart(7, '0')),
): Promise<string[]> {
  const ids: string[] = []
  let at = 0
  for (const [index, size] of sizes.entries()) {
    const id = idOf(index).toString('base64')
    await store.stageBlock(path, id, content.subarray(at, at + size))
    ids.push(id)
    at += size
  }
  await store.commitBlocks(path, ids)
  return ids
}

function sent(mount: VfsMount): number {
  return mount.counting.requests.reduce((sum, { sentBytes = 0 }) => sum + sentBytes, 0)
}

function fetched(mount: VfsMount): number {
  return mount.counting.requests.reduce(
    (sum, { verb, range }) => (verb === 'get' && range ? sum + range.end - range.start : sum),
    0,
  )
}

async function content(mount: VfsMount): Promise<Buffer> {
  return Buffer.from((await mount.account.get(path)).data)
}

for (const layout of ['one put', 'blocks of ours', 'odd blocks of others'] as const) {
  t.test(
    `4 KiB in a file of ${layout} send 4 KiB, where the service copies the rest`,
    async (t) => {
      const mount = await mountOf(t)
      const bytes = randomBytes(9 * MiB)
      if (layout === 'one put') await mount.account.put(path, bytes)
      if (layout === 'blocks of ours') await mount.save('f', bytes)
      if (layout === 'odd blocks of others') {
        await storeInBlocks(mount.account, bytes, [3 * MiB, 1000, 2 * MiB, 4 * MiB - 1000])
      }
      const edit = randomBytes(4 * KiB)
      const handle = await mount.open('f', constants.O_WRONLY)
      mount.counting.take()

      await mount.write(handle, 7 * MiB + 300 * KiB, edit)
      await mount.vfs.fsync(handle, false, caller)

      t.equal(sent(mount), 4 * KiB)
      t.equal(fetched(mount), 0)
      edit.copy(bytes, 7 * MiB + 300 * KiB)
      t.ok(bytes.equals(await content(mount)))
      await mount.close(handle)
    },
  )
}

t.test('where the service copies nothing, one block is read and sent', async (t) => {
  const mount = await mountOf(t, { copies: false })
  const bytes = randomBytes(9 * MiB)
  await mount.save('f', bytes)
  const handle = await mount.open('f', constants.O_WRONLY)
  mount.counting.take()

  await mount.write(handle, 5 * MiB + 5000, Buffer.alloc(4 * KiB, 'x'))
  await mount.close(handle)

  t.equal(sent(mount), blockBytes)
  t.ok(fetched(mount) <= 2 * blockBytes)
  bytes.fill('x', 5 * MiB + 5000, 5 * MiB + 5000 + 4 * KiB)
  t.ok(bytes.equals(await content(mount)))
})

t.test('blocks of others that no change touches keep their ids', async (t) => {
  const mount = await mountOf(t)
  const bytes = randomBytes(6 * MiB)
  const ids = await storeInBlocks(mount.account, bytes, [3 * MiB, 1000, 2 * MiB, MiB - 1000])
  const handle = await mount.open('f', constants.O_WRONLY | constants.O_APPEND)

  await mount.write(handle, 0, 'appended')
  await mount.close(handle)

  const after = (await mount.account.getBlocks(path)).blocks
  t.strictSame(
    after.slice(0, 4).map(({ id }) => id),
    ids,
  )
  t.equal(after.length, 5)
  t.equal((await content(mount)).subarray(-8).toString(), 'appended')
})

t.test('a hundred small commits leave few blocks and send little', async (t) => {
  const mount = await mountOf(t)
  const bytes = randomBytes(4 * MiB)
  await mount.save('f', bytes)
  const handle = await mount.open('f', constants.O_RDWR)
  mount.counting.take()

  for (let round = 0; round < 100; round++) {
    const at = (round * 2_654_435_761) % (4 * MiB - 100)
    bytes.fill(round, at, at + 100)
    await mount.write(handle, at, bytes.subarray(at, at + 100))
    await mount.vfs.fsync(handle, false, caller)
  }

  t.ok(bytes.equals(await content(mount)))
  t.ok((await mount.account.getBlocks(path)).blocks.length <= 4 * 17)
  t.ok(sent(mount) < 100 * blockBytes, `${sent(mount)} bytes were sent`)
  await mount.close(handle)
})

t.test('a part that is not written over is read from the version that was opened', async (t) => {
  const mount = await mountOf(t)
  const bytes = randomBytes(3 * MiB)
  await mount.save('f', bytes)
  const handle = await mount.open('f', constants.O_RDWR)
  await mount.write(handle, MiB, 'edited')

  const around = await mount.read(handle, MiB - 5, MiB + 11)
  t.equal(around.subarray(5, 11).toString(), 'edited')
  t.ok(around.subarray(0, 5).equals(bytes.subarray(MiB - 5, MiB)))
  await mount.storeElsewhere('f', 'other')

  await t.rejects(mount.read(handle, 0, 10), { code: 'ESTALE' })
  t.equal((await mount.read(handle, MiB, MiB + 6)).toString(), 'edited')
  await t.rejects(mount.close(handle), { code: 'ESTALE' })
  t.equal(await mount.stored('f'), 'other')
})

t.test('headers, tier, tags and metadata of others survive an edit and a rewrite', async (t) => {
  const tags = { project: 'blue moon' }
  const described = {
    headers: { cacheControl: 'no-store', contentLanguage: 'de' },
    contentType: 'text/plain',
    tier: 'Cool',
    metadata: { theirs: 'kept' },
  }
  const given: unknown[] = []
  for (const [size, flags] of [
    [10, constants.O_WRONLY],
    [3 * MiB, constants.O_WRONLY],
    [3 * MiB, constants.O_WRONLY | constants.O_TRUNC],
  ] as const) {
    const mount = await mountOf(t, {
      administration: {
        getTags: async () => {
          given.push(size)
          return tags
        },
        setTags: async () => undefined,
        setTier: async () => undefined,
      },
    })
    await mount.account.put(path, randomBytes(size), { ...described, tags })

    const handle = await mount.open('f', flags)
    await mount.write(handle, 0, 'new')
    await mount.close(handle)

    const { headers, contentType, accessTier, metadata, tagCount } = await mount.account.head(path)
    t.match({ headers, contentType, tier: accessTier, metadata }, described)
    t.equal(tagCount, 1)
  }
  t.equal(given.length, 2 * 3, 'at open, and again for the new version')
})

t.test('a file whose tags may not be read is not opened for writing', async (t) => {
  const mount = await mountOf(t, {
    administration: {
      getTags: async () => {
        throw new FileSystemError('EACCES', 'blob.getTags')
      },
      setTags: async () => undefined,
      setTier: async () => undefined,
    },
  })
  await mount.account.put(path, Buffer.from('tagged'), { tags: { project: 'moon' } })
  await mount.account.put({ container: 'box', name: 'plain' }, Buffer.from('plain'))

  for (const flags of [constants.O_WRONLY, constants.O_RDWR | constants.O_TRUNC]) {
    await t.rejects(mount.open('f', flags), { code: 'EACCES' })
  }
  const change = { sizeBytes: 1 }
  await t.rejects(mount.vfs.setattr(await mount.ino('f'), change, caller), { code: 'EACCES' })
  t.equal(await mount.load('f'), 'tagged', 'it can be read')
  await mount.close(await mount.open('plain', constants.O_WRONLY))
})

interface ChangeStep {
  readonly kind: 'write' | 'truncate' | 'zero' | 'extend'
  readonly at: number
  readonly length: number
}

type Step = ChangeStep | { readonly kind: 'commit' | 'reopen' | 'chmod' | 'rename' }

const fileBytes = 3 * MiB
const at = fc.integer({ min: 0, max: fileBytes })
const length = fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 1_500_000 }))
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('write' as const), at, length }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('truncate' as const, 'zero' as const, 'extend' as const),
      at,
      length,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'commit' as const,
        'reopen' as const,
        'chmod' as const,
        'rename' as const,
      ),
    }),
  },
)

t.test('what is staged, given up and written anew keeps the length of its ids', async (t) => {
  const write = { kind: 'write', at: 0, length: 512 * KiB + 1 } as const
  await run(t, [write, { kind: 'truncate', at: 0, length: 1 }, write], false)
})

for (const copies of [true, false]) {
  t.test(`random edits of odd blocks are what a plain buffer has, copies: ${copies}`, async (t) => {
    const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
    t.comment(`SEED=${seed}`)
    const numRuns = process.env['ABFS_LONG_TESTS'] === '1' ? 300 : 25
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 14 }), (steps) => run(t, steps, copies)),
      { seed, numRuns },
    )
    t.pass('every run agreed')
  })
}

async function run(t: Teardown, steps: readonly Step[], copies: boolean): Promise<void> {
  const mount = await mountOf(t, { copies, blockBytes: 512 * KiB, spoolMemoryBytes: 100 * KiB })
  let expected: Buffer = randomBytes(fileBytes)
  await storeInBlocks(mount.account, expected, [700_000, 100, 1_500_000, fileBytes - 2_200_100])
  let name = 'f'
  let handle = await mount.open(name, constants.O_RDWR)
  let fill = 0
  for (const each of steps) {
    if (each.kind === 'commit') await mount.vfs.fsync(handle, false, caller)
    else if (each.kind === 'chmod') {
      await mount.vfs.setattr(await mount.ino(name), { mode: 0o600 + (fill % 8) }, caller)
    } else if (each.kind === 'rename') {
      const next = name === 'f' ? 'g' : 'f'
      await mount.rename(name, next)
      name = next
    } else if (each.kind === 'reopen') {
      await mount.close(handle)
      handle = await mount.open(name, constants.O_RDWR)
    } else if ('at' in each) {
      fill += 1
      expected = await change(mount, { handle, expected, fill }, each)
    }
    const read = await mount.read(handle, 0, 2 ** 30)
    if (!read.equals(expected)) throw new Error(`reads differ after ${JSON.stringify(each)}`)
  }
  await mount.close(handle)
  const stored = Buffer.from((await mount.account.get({ ...path, name })).data)
  if (!stored.equals(expected)) throw new Error('what is stored differs')
}

async function change(
  mount: VfsMount,
  file: { readonly handle: HandleId; readonly expected: Buffer; readonly fill: number },
  { kind, at: start, length: size }: ChangeStep,
): Promise<Buffer> {
  const { handle, fill, expected } = file
  const range = { start, end: start + size }
  if (kind === 'write') {
    const data = Buffer.alloc(size, fill)
    await mount.write(handle, start, data)
    const next = Buffer.alloc(Math.max(expected.length, range.end))
    expected.copy(next)
    data.copy(next, start)
    return next
  }
  if (kind === 'truncate') {
    await mount.vfs.setattr(
      await mount.ino('f').catch(() => mount.ino('g')),
      { handle, sizeBytes: start },
      caller,
    )
    const next = Buffer.alloc(start)
    expected.copy(next)
    return next
  }
  await mount.vfs.fallocate(
    handle,
    { range, zero: kind === 'zero', keepSize: kind === 'zero' },
    caller,
  )
  const next = Buffer.alloc(
    kind === 'zero' ? expected.length : Math.max(expected.length, range.end),
  )
  expected.copy(next)
  if (kind === 'zero') next.fill(0, Math.min(start, next.length), Math.min(range.end, next.length))
  return next
}
