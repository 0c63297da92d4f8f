/** Small files beside those that are read are fetched before anybody opens them. */
import t, { type Test } from 'tap'
import { KiB, MiB } from '../../src/byte-range.ts'
import { FileSystemError } from '../../src/errors.ts'
import { ChunkCache } from '../../src/transfer/chunk-cache.ts'
import { caller, listingTtlMs, type MountOptions, VfsMount } from '../support/vfs-mount.ts'

const fileBytes = KiB

const nameOf = (at: number): string => `set/f-${String(at).padStart(3, '0')}`

/** What file `at` holds: another byte than its neighbours. */
const contentOf = (at: number): string => String.fromCharCode(97 + (at % 26)).repeat(fileBytes)

/** What somebody else makes of it: no shorter, so that who has opened it reads it. */
const theirs = (at: number): string => `theirs ${at}`.padEnd(fileBytes + 1)

async function setUp(t: Test, count: number, options: MountOptions = {}) {
  const mount = await VfsMount.make(t, options)
  for (let at = 0; at < count; at += 1) await mount.storeElsewhere(nameOf(at), contentOf(at))
  await mount.list('set')
  mount.requests()
  return mount
}

/** Lets what was begun go on, until nothing more is asked for. */
async function settled({ counting }: VfsMount): Promise<void> {
  for (let before = -1; before !== counting.requests.length; ) {
    before = counting.requests.length
    for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Reads files one after the other and compares what they hold. */
async function readFiles(t: Test, mount: VfsMount, files: Iterable<number>): Promise<void> {
  for (const at of files) {
    if ((await mount.load(nameOf(at))) !== contentOf(at)) t.fail(`${nameOf(at)} is not what it was`)
    await settled(mount)
  }
}

function fetched({ counting }: VfsMount): string[] {
  return counting.requests.filter(({ verb }) => verb === 'get').map(({ name }) => name)
}

const upTo = (count: number, from = 0): number[] =>
  Array.from({ length: count }, (_, i) => from + i)
const shuffled = (count: number): number[] => upTo(count).map((i) => (i * 37) % count)

t.test('who reads a directory in order finds the next files there', async (t) => {
  const mount = await setUp(t, 60)

  await readFiles(t, mount, upTo(3))
  t.strictSame(fetched(mount), upTo(3).map(nameOf), 'three files say nothing yet')
  await readFiles(t, mount, [3])
  t.strictSame(fetched(mount), upTo(8).map(nameOf), 'as many as were read are there now')
  await readFiles(t, mount, upTo(16, 4))
  const before = fetched(mount).length
  await mount.load(nameOf(20))
  t.ok(before >= 40, `${before} files fetched when 20 were read`)
  await readFiles(t, mount, upTo(39, 21))

  t.strictSame(fetched(mount).toSorted(), upTo(60).map(nameOf), 'each file once')
  t.strictSame(mount.chunkCache.ahead, {
    ...{ fetchedFiles: 56, fetchedBytes: 56 * fileBytes },
    ...{ usedFiles: 56, usedBytes: 56 * fileBytes },
  })
})

t.test('who stops has no more fetched in vain than was read', async (t) => {
  const mount = await setUp(t, 200)
  for (const count of upTo(40, 1)) {
    await readFiles(t, mount, [count - 1])
    const unread = fetched(mount).length - count
    if (unread > count || unread > 32) t.fail(`${unread} of ${count}`)
  }
})

t.test('a shuffled epoch has the rest fetched once an eighth was read', async (t) => {
  const mount = await setUp(t, 100)
  const order = shuffled(100)

  for (const [index, at] of order.entries()) {
    await readFiles(t, mount, [at])
    const count = index + 1
    if (fetched(mount).length > 9 * count) t.fail(`${fetched(mount).length} of ${count}`)
    if (count === 20) t.equal(fetched(mount).length, 100, 'all of it is there')
  }

  t.strictSame(fetched(mount).toSorted(), upTo(100).map(nameOf), 'each file once')
})

t.test('a few files here and there bring no others', async (t) => {
  const mount = await setUp(t, 400)
  const some = [7, 390, 120, 250, 60, 330, 180]
  await readFiles(t, mount, some)
  t.strictSame(fetched(mount), some.map(nameOf))
})

t.test('two readers of one directory both find their next files', async (t) => {
  const mount = await setUp(t, 400)
  for (const at of upTo(20)) await readFiles(t, mount, [at, 200 + at])
  const names = new Set(fetched(mount))

  t.ok(names.has(nameOf(21)) && names.has(nameOf(221)))
  t.notOk(names.has(nameOf(100)), 'and nothing far from both')
  t.equal(names.size, fetched(mount).length)
})

t.test('readers at once fetch no file twice', async (t) => {
  const mount = await setUp(t, 128)
  const workers = upTo(4).map(async (worker) => {
    for (const at of upTo(32, worker * 32)) t.equal(await mount.load(nameOf(at)), contentOf(at))
  })
  await Promise.all(workers)
  await settled(mount)
  t.strictSame(fetched(mount).toSorted(), upTo(128).map(nameOf))
})

t.test('a second epoch over what has left the memory is read ahead again', async (t) => {
  const chunkCache = new ChunkCache({ maxBytes: 64 * KiB, reusesMemory: true })
  const mount = await setUp(t, 200, { chunkCache })
  await readFiles(t, mount, upTo(200))
  const { usedFiles } = chunkCache.ahead
  mount.requests()
  await readFiles(t, mount, upTo(100))

  t.ok(usedFiles > 150)
  t.ok(chunkCache.ahead.usedFiles > usedFiles + 80)
})

t.test('what was replaced elsewhere before it was fetched is read as it is', async (t) => {
  const mount = await setUp(t, 60)
  for (const at of upTo(50, 4)) await mount.storeElsewhere(nameOf(at), theirs(at))
  await readFiles(t, mount, upTo(4))

  for (const at of upTo(20, 4)) t.equal(await mount.load(nameOf(at)), theirs(at))
})

t.test('what is replaced after it was fetched shows with the listing, and is whole', async (t) => {
  const mount = await setUp(t, 60)
  await readFiles(t, mount, upTo(4))
  t.ok(fetched(mount).includes(nameOf(6)))
  await mount.storeElsewhere(nameOf(6), 'theirs')
  t.equal(await mount.load(nameOf(6)), contentOf(6), 'as the listing that is believed tells')

  await mount.clock.advance(listingTtlMs + 1)
  t.equal(await mount.load(nameOf(6)), 'theirs')
})

t.test('what is replaced while it is on its way is read as one or the other', async (t) => {
  const mount = await setUp(t, 60)
  let isHeld = false
  let release = (): void => undefined
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  mount.before('get', async ({ name }) => {
    if (name !== nameOf(5)) return
    isHeld = true
    await held
  })
  await readFiles(t, mount, upTo(4))
  t.ok(isHeld)
  const read = mount.load(nameOf(5))
  await mount.storeElsewhere(nameOf(5), theirs(5))
  release()

  t.equal(await read, theirs(5))
})

t.test('what is replaced here is read as it was written', async (t) => {
  const mount = await setUp(t, 60)
  await readFiles(t, mount, upTo(4))
  await mount.save(nameOf(6), 'ours')
  t.equal(await mount.load(nameOf(6)), 'ours')
  await readFiles(t, mount, [4, 5, 7, 8, 9])
})

t.test('a failure of what nobody asked for is nobody’s, and ends it there', async (t) => {
  const mount = await setUp(t, 60)
  let refuses = true
  mount.before('get', ({ name }) => {
    if (refuses && name > nameOf(3)) throw new FileSystemError('EACCES', 'get')
  })
  await readFiles(t, mount, upTo(4))
  refuses = false
  const { length } = fetched(mount)
  await readFiles(t, mount, upTo(20, 4))

  t.equal(fetched(mount).length, length + 20, 'each is asked for by its reader')
})

for (const [code, outcome] of [
  ['ENOENT', 'read anew'],
  ['ESTALE', 'read anew'],
  ['EIO', 'told'],
] as const) {
  t.test(
    `what fails with ${code} while its reader waits is ${outcome}, and not counted`,
    async (t) => {
      const mount = await setUp(t, 60)
      let release = (): void => undefined
      const held = new Promise<void>((resolve) => {
        release = resolve
      })
      let failures = 1
      mount.before('get', async ({ name }) => {
        if (name !== nameOf(5) || failures-- <= 0) return
        await held
        throw new FileSystemError(code, 'blob.get', { path: name })
      })
      await readFiles(t, mount, upTo(4))
      t.equal(failures, 0)
      const read = mount.load(nameOf(5)).catch((error: FileSystemError) => error.code)
      await settled(mount)
      release()

      t.equal(await read, outcome === 'told' ? code : contentOf(5))
      const { fetchedFiles, usedFiles, usedBytes } = mount.chunkCache.ahead
      t.strictSame([usedFiles, usedBytes], [0, 0])
      t.ok(fetchedFiles > 0)
      await readFiles(t, mount, [5])
    },
  )
}

t.test('nothing is read ahead where it has no place', async (t) => {
  for (const [why, options] of [
    ['others have requests to send', { hasRoomAhead: () => false }],
    ['the memory is small', { chunkCache: new ChunkCache({ maxBytes: fileBytes }) }],
    ['it is hidden', { readOnly: true, isShown: (path) => path === 'set' || path < nameOf(4) }],
  ] as [string, MountOptions][]) {
    const mount = await setUp(t, 30, options)
    await readFiles(t, mount, upTo(4))
    t.strictSame(fetched(mount), upTo(4).map(nameOf), why)
  }
})

t.test('large and empty files and directories are passed over', async (t) => {
  const mount = await setUp(t, 6)
  await mount.storeElsewhere('set/f-006', 'x'.repeat(MiB + 1))
  await mount.storeElsewhere('set/f-007', '')
  await mount.storeElsewhere('set/f-008/below', 'x')
  await mount.storeElsewhere('set/f-009', contentOf(9))
  await mount.clock.advance(listingTtlMs + 1)
  await mount.list('set')
  await readFiles(t, mount, upTo(6))
  t.strictSame(fetched(mount), [...upTo(6), 9].map(nameOf))
})

t.test('a mount that ends fetches nothing more', async (t) => {
  const mount = await setUp(t, 60)
  const signals: (AbortSignal | undefined)[] = []
  mount.before('get', async ({ name, signal }) => {
    if (name <= nameOf(3)) return
    signals.push(signal)
    await new Promise((_, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason))
    })
  })
  await readFiles(t, mount, upTo(4))
  await mount.vfs.close()
  await settled(mount)

  t.equal(signals.length, 4)
  t.ok(signals.every((signal) => signal?.aborted === true))
})

t.test('who opens and does not read is no reason to fetch', async (t) => {
  const mount = await setUp(t, 60)
  for (const at of upTo(30)) {
    const { handle } = await mount.vfs.open(await mount.ino(nameOf(at)), 0, caller)
    await mount.vfs.release(handle, caller)
  }
  await settled(mount)
  t.strictSame(fetched(mount), [])
})

t.test('without fetching ahead only what is read is fetched', async (t) => {
  const mount = await setUp(t, 60, { prefetchFiles: false })

  await readFiles(t, mount, upTo(20))

  t.strictSame(fetched(mount), upTo(20).map(nameOf))
  t.equal(mount.chunkCache.ahead.fetchedFiles, 0)
})
