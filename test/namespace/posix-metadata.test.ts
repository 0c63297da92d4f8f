import fc from 'fast-check'
import t from 'tap'
import type { EntryType } from '../../src/namespace/entry.ts'
import {
  entryTypeOf,
  readPosixAttributes,
  withPosixAttributes,
} from '../../src/namespace/posix-metadata.ts'

const seed = Number(process.env['ABFS_TEST_SEED'] ?? Date.now() % 1_000_000)
t.comment(`seed ${seed}`)

t.test('what AzCopy writes is read: decimal st_mode, owner, group, nanoseconds', async (t) => {
  const metadata = {
    permissions: '33188',
    posix_owner: '1000',
    posix_group: '100',
    modtime: '1700000000123456789',
  }

  t.same(readPosixAttributes(metadata), {
    mode: 0o644,
    uid: 1000,
    gid: 100,
    mtimeNs: 1_700_000_000_123_456_789n,
  })
})

t.test('what is written is read back, under keys in any case', async (t) => {
  const types: EntryType[] = ['file', 'directory', 'symlink', 'fifo', 'socket', 'block-device']
  const attributes = fc.record({
    mode: fc.nat(0o7777),
    uid: fc.nat(0xffffffff),
    gid: fc.nat(0xffffffff),
    mtimeNs: fc.bigInt(-(10n ** 18n), 10n ** 19n - 1n),
  })

  fc.assert(
    fc.property(attributes, fc.constantFrom(...types), (given, type) => {
      const metadata = withPosixAttributes({}, type, given)
      const upper = Object.fromEntries(
        Object.entries(metadata).map(([key, value]) => [key.toUpperCase(), value]),
      )
      t.same(readPosixAttributes(upper), given)
      t.equal(entryTypeOf(upper, 0), type)
    }),
    { seed },
  )
})

t.test('the type flags of AzCopy, of blobfuse2 and of adlfs are understood', async (t) => {
  t.equal(entryTypeOf({ Hdi_isfolder: 'True' }, 0), 'directory')
  t.equal(entryTypeOf({ is_directory: 'true' }, 0), 'directory')
  t.equal(entryTypeOf({ is_directory: 'false' }, 0), 'file')
  t.equal(entryTypeOf({ is_char_dev: 'true' }, 0), 'character-device')
  t.equal(entryTypeOf({ is_symlink: 'true' }, 9), 'symlink')
  t.equal(entryTypeOf({ hdi_isfolder: 'true' }, 9), 'file', 'bytes are never hidden')
})

t.test("rclone's mtime and Lustre's octal permissions are read", async (t) => {
  const expected = 1_700_000_000_000_000_000n
  t.equal(readPosixAttributes({ mtime: '2023-11-14T22:13:20Z' }).mtimeNs, expected)
  t.equal(
    readPosixAttributes({ mtime: '2023-11-14T23:13:20.000000123+01:00' }).mtimeNs,
    expected + 123n,
  )
  t.match(readPosixAttributes({ permissions: '0755', owner: '5', group: '6' }), {
    mode: 0o755,
    uid: 5,
    gid: 6,
  })
})

t.test('values that make no sense are as if absent', async (t) => {
  const metadata = { permissions: 'rwx', posix_owner: '-1', posix_group: '', modtime: 'soon' }

  t.same(Object.values(readPosixAttributes(metadata)), [undefined, undefined, undefined, undefined])
})

t.test('keys of others are kept, our own replaced whatever their case', async (t) => {
  const metadata = withPosixAttributes({ author: 'ada', Permissions: '1' }, 'file', { mode: 0o600 })

  t.same(metadata, { author: 'ada', permissions: '33152' })
})

t.test("a new time is written under rclone's key too where it stands", async (t) => {
  const metadata = withPosixAttributes({ mtime: '2001-01-01T00:00:00Z' }, 'file', {
    mtimeNs: 1_700_000_000_000_000_005n,
  })

  t.same(metadata, { modtime: '1700000000000000005', mtime: '2023-11-14T22:13:20.000000005Z' })
})
