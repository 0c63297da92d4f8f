import t from 'tap'
import { GiB, MiB } from '../../src/byte-range.ts'
import { type DriveMemory, driveMemory } from '../../src/cli/drive/memory.ts'

function sumOf({ sharedBytes, spoolBytes, pendingBytes }: DriveMemory): number {
  return sharedBytes + spoolBytes + pendingBytes
}

t.test('a drive holds a quarter of what its process may have, at most 4 GiB', async (t) => {
  t.equal(sumOf(driveMemory(undefined, 512 * MiB)), 120 * MiB, 'of which 8 may wait for a disk')
  t.ok(sumOf(driveMemory(undefined, 64 * GiB)) <= 4 * GiB)
  t.equal(sumOf(driveMemory(128 * MiB, 64 * GiB)), 120 * MiB, 'unless told otherwise')
  t.ok(sumOf(driveMemory(undefined)) <= 4 * GiB)
})

t.test('half of it is for what was read', async (t) => {
  t.equal(driveMemory(undefined, 512 * MiB).cacheBytes, 64 * MiB)
  const { cacheBytes } = driveMemory(undefined, 64 * GiB)
  t.equal(cacheBytes, 256 * MiB, 'and no more than is of use by default')
  t.equal(driveMemory(GiB, 64 * GiB).cacheBytes, 512 * MiB)
})

t.test('however little it is, two blocks can be written and two sent', async (t) => {
  const { sharedBytes, spoolBytes } = driveMemory(4 * MiB, 512 * MiB)
  t.ok(sharedBytes >= 16 * MiB && spoolBytes >= 16 * MiB)
})
