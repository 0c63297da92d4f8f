import t from 'tap'
import { structs } from '../../src/fuse/abi.ts'
import { wordsOf, writeAttributes, writeDirent, writeTtl } from '../../src/fuse/attribute-words.ts'
import { type Attributes, toIno } from '../../src/vfs/operations.ts'

const at = structs.attr

const attributes: Attributes = {
  ino: toIno(2 ** 40 + 3),
  sizeBytes: 5 * 2 ** 32 + 513,
  mode: 0o100644,
  nlink: 1,
  uid: 0xffff_fffe,
  gid: 7,
  atimeNs: 1_767_225_600_123_456_789n,
  mtimeNs: 1_767_225_600_123_456_789n,
  ctimeNs: 1_767_225_600_123_456_789n,
  rdev: 0,
  blockBytes: 4096,
  attrTtlMs: 0,
  xattrs: 'none',
}

/** The bytes of `changes` to the attributes above, with eight in front of them. */
function written(changes: Partial<Attributes>): Buffer {
  const message = Buffer.alloc(8 + at.sizeBytes)
  writeAttributes(wordsOf(message), 8, { ...attributes, ...changes })
  t.equal(message.readBigUInt64LE(0), 0n, 'nothing is written before the start')
  return message.subarray(8)
}

t.test('numbers of more than 32 bits are written whole', async (t) => {
  const bytes = written({})

  t.equal(bytes.readBigUInt64LE(at.ino), 2n ** 40n + 3n)
  t.equal(bytes.readBigUInt64LE(at.size), 5n * 2n ** 32n + 513n)
  t.equal(bytes.readBigUInt64LE(at.blocks), (5n * 2n ** 32n) / 512n + 2n)
  t.equal(bytes.readUInt32LE(at.uid), 0xffff_fffe)
})

t.test('each of three times is its own', async (t) => {
  const bytes = written({ atimeNs: 1_000_000_001n, ctimeNs: 2_000_000_002n })

  const times = ['atime', 'mtime', 'ctime'] as const
  t.same(
    times.map((name) => bytes.readBigInt64LE(at[name])),
    [1n, 1_767_225_600n, 2n],
  )
  t.same(
    times.map((name) => bytes.readUInt32LE(at[`${name}nsec`])),
    [1, 123_456_789, 2],
  )
})

t.test('before 1970 seconds are negative and nanoseconds are not', async (t) => {
  for (const [ns, seconds, nanoseconds] of [
    [-1n, -1n, 999_999_999],
    [-1_000_000_000n, -1n, 0],
    [-(2n ** 33n) * 1_000_000_000n - 1n, -(2n ** 33n) - 1n, 999_999_999],
  ] as const) {
    const bytes = written({ mtimeNs: ns })

    t.equal(bytes.readBigInt64LE(at.mtime), seconds)
    t.equal(bytes.readUInt32LE(at.mtimensec), nanoseconds)
  }
})

t.test('a time to live may be a part of a second, or have no end', async (t) => {
  const message = Buffer.alloc(16)
  for (const [ttlMs, seconds, nanoseconds] of [
    [0, 0n, 0],
    [1500.5, 1n, 500_500_000],
    [Number.POSITIVE_INFINITY, 0xffff_ffffn, 0],
  ] as const) {
    writeTtl(wordsOf(message), 0, 8, ttlMs)

    t.equal(message.readBigUInt64LE(0), seconds)
    t.equal(message.readUInt32LE(8), nanoseconds)
  }
})

t.test('a name has its place, its length and its kind', async (t) => {
  const message = Buffer.alloc(structs.dirent.sizeBytes)
  const entry = { name: 'ab', ino: toIno(2 ** 33), mode: 0o040755, nextOffset: 2 ** 34 + 1 }

  writeDirent(wordsOf(message), 0, entry, 2)

  t.equal(message.readBigUInt64LE(structs.dirent.ino), 2n ** 33n)
  t.equal(message.readBigUInt64LE(structs.dirent.off), 2n ** 34n + 1n)
  t.equal(message.readUInt32LE(structs.dirent.namelen), 2)
  t.equal(message.readUInt32LE(structs.dirent.type), 4)
})
