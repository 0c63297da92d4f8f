import { type FileHandle, open, readdir, readlink, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { KiB } from '../../src/byte-range.ts'
import { portableCrc32 } from '../../src/crc32.ts'
import {
  type GranuleAccess,
  granuleAccess,
  isSum,
  portableGranules,
} from '../../src/transfer/disk-granules.ts'
import { patternOf } from '../support/pattern.ts'

const seed = Number(process.env['ABFS_TEST_SEED'] ?? Date.now() % 1_000_000)
t.comment(`seed ${seed}`)

type Test = Pick<typeof t, 'testdir' | 'teardown'>

async function openFiles(t: Test) {
  const directory = t.testdir()
  const [data, sums] = [join(directory, '0.data'), join(directory, '0.sums')]
  const files = { data: await open(data, 'w+'), sums: await open(sums, 'w+') }
  t.teardown(() => Promise.all([files.data.close(), files.sums.close()]))
  return { files, names: { data, sums } }
}

const ways = { addon: granuleAccess(), 'node:fs': portableGranules }
const skip = ways.addon === portableGranules ? 'the addon is not built' : false

async function bytesOf({ data, sums }: { data: FileHandle; sums: FileHandle }) {
  return [await data.readFile(), await sums.readFile()]
}

t.test('both ways write the same, and read what the other wrote', { skip }, async (t) => {
  const content = patternOf(600 * KiB)
  const writes = fc.record({
    first: fc.nat(8),
    sizeBytes: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 500_000 })),
    from: fc.nat(50_000),
  })
  const property = fc.asyncProperty(writes, async ({ first, sizeBytes, from }) => {
    const bytes = content.subarray(from, from + sizeBytes)
    const kept: Buffer[][] = []
    for (const [writer, reader] of [
      [ways.addon, ways['node:fs']],
      [ways['node:fs'], ways.addon],
    ] as const) {
      const { files } = await openFiles(t)
      const written = await writer.write(files, first, bytes)
      const into = Buffer.alloc(bytes.length)
      const read = await reader.read(files, first, into)
      if (!into.equals(bytes) || !written.named || !read.named) return false
      const { sums: words } = await reader.readSums(files, first, written.sums.length)
      for (const [index, sum] of written.sums.entries()) {
        const granule = bytes.subarray(index * 64 * KiB, (index + 1) * 64 * KiB)
        if (sum !== portableCrc32(granule) || read.sums[index] !== sum) return false
        if (words[2 * index] !== sum || !isSum(sum, words[2 * index + 1])) return false
      }
      kept.push(await bytesOf(files))
    }
    return kept[0]?.every((each, index) => kept[1]?.[index]?.equals(each) === true) === true
  })
  await fc.assert(property, { seed, numRuns: 40 })
})

for (const [name, access] of Object.entries<GranuleAccess>(ways)) {
  t.test(`${name}: of a file that ends early the granules that are whole have sums`, async (t) => {
    const { files } = await openFiles(t)
    await access.write(files, 0, patternOf(200 * KiB))
    await files.data.truncate(190 * KiB)
    const { sums } = await access.read(files, 0, Buffer.alloc(200 * KiB))
    t.equal(sums.length, 2)
    const { sums: words } = await access.readSums(files, 2, 3)
    t.same([...words.slice(4)], [0, 0], 'behind the end nothing was written')
    t.notOk(isSum(words[4], words[5]))
  })

  t.test(`${name}: opens what is there, and makes what is not when asked to`, async (t) => {
    const place = join(t.testdir(), 'not', 'yet', '0')
    t.equal(await access.open(place, false), undefined)
    const made = await access.open(place, true)
    if (made === undefined) throw new Error('nothing was made')
    await access.write(made, 0, patternOf(64 * KiB))
    const again = await access.open(place, false)
    if (again === undefined) throw new Error('nothing was found')
    t.equal(again.identity, made.identity)
    t.equal(await access.identityOf(again.data), made.identity)
    t.equal((await access.read(again, 0, Buffer.alloc(64 * KiB))).sums.length, 1)
    for (const file of [`${place}.data`, `${place}.sums`]) {
      t.equal((await stat(file)).mode & 0o777, 0o600)
    }
    t.equal((await stat(dirname(place))).mode & 0o777, 0o700)
    await rm(`${place}.data`)
    const other = await access.open(place, true)
    if (other === undefined) throw new Error('nothing was made anew')
    t.not(other.identity, made.identity, 'while the former is open its number is not taken')
    await Promise.all([made, again, other].map((files) => access.close(files)))
    await t.rejects(access.identityOf(other.data), { code: 'EBADF' })
  })

  t.test(`${name}: one file without the other is none, and leaves nothing open`, async (t) => {
    const place = join(t.testdir({ '0.data': 'bytes' }), '0')
    t.equal(await access.open(place, false), undefined)
    const names = await Promise.all(
      (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
    )
    t.notOk(names.includes(`${place}.data`))
  })

  t.test(`${name}: what cannot be opened says why`, async (t) => {
    const place = join(t.testdir({ file: '' }), 'file', '0')
    await t.rejects(access.open(place, false), { code: 'ENOTDIR' })
    await t.rejects(access.open(place, true), { code: 'ENOTDIR' })
  })

  for (const removed of ['data', 'sums'] as const) {
    t.test(`${name}: nothing is written to files of which .${removed} was removed`, async (t) => {
      const { files, names } = await openFiles(t)
      await access.write(files, 0, patternOf(64 * KiB))
      await rm(names[removed])
      t.equal((await access.write(files, 1, patternOf(64 * KiB))).named, false)
      t.equal((await files.data.stat()).size, 64 * KiB)
      t.equal((await access.read(files, 0, Buffer.alloc(64 * KiB))).named, false)
      t.equal((await access.readSums(files, 0, 1)).named, false)
    })
  }

  t.test(`${name}: a disk that is full says so, before there is a sum`, async (t) => {
    const { files } = await openFiles(t)
    const full = await open('/dev/full', 'r+')
    t.teardown(() => full.close())
    const written = access.write({ ...files, data: full }, 0, patternOf(64 * KiB))
    await t.rejects(written, { code: 'ENOSPC' })
    if (name === 'addon') t.equal((await files.sums.stat()).size, 0)
  })
}
