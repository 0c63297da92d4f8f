import t from 'tap'
import { GiB, MiB } from '../../src/byte-range.ts'
import { driveBudgetBytes, readCacheBytes } from '../../src/cli/drive/memory.ts'

t.test('a drive holds a quarter of what its process may have, at most 4 GiB', async (t) => {
  t.equal(driveBudgetBytes(undefined, 512 * MiB), 128 * MiB)
  t.equal(driveBudgetBytes(undefined, 64 * GiB), 4 * GiB)
  t.equal(driveBudgetBytes(600 * MiB, 512 * MiB), 600 * MiB, 'unless told otherwise')
  t.ok(driveBudgetBytes(undefined) <= 4 * GiB)
})

t.test('half of it is for what was read', async (t) => {
  t.equal(readCacheBytes(undefined, 512 * MiB), 64 * MiB)
  t.equal(readCacheBytes(undefined, 64 * GiB), 256 * MiB, 'and no more than is of use by default')
  t.equal(readCacheBytes(GiB, 64 * GiB), 512 * MiB)
})
