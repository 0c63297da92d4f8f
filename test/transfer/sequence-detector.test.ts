import t from 'tap'
import { KiB, MiB } from '../../src/byte-range.ts'
import { SequenceDetector } from '../../src/transfer/sequence-detector.ts'

const at = (start: number, length: number) => ({ start, end: start + length })

t.test('a header, and a read elsewhere however long, begin without a window', async (t) => {
  const detector = new SequenceDetector(32 * MiB)

  t.equal(detector.observe(at(0, 128 * KiB)).windowBytes, 0)
  t.equal(detector.observe(at(100 * MiB, 8 * MiB)).windowBytes, 0)
})

t.test('a long read at the beginning has a window of eight times its length', async (t) => {
  for (const length of [256 * KiB, MiB]) {
    t.equal(new SequenceDetector(32 * MiB).observe(at(0, length)).windowBytes, 8 * length)
  }
  t.equal(new SequenceDetector(4 * MiB).observe(at(0, MiB)).windowBytes, 4 * MiB, 'at most')
})

t.test('a window grows by twice what the run advances', async (t) => {
  const detector = new SequenceDetector(32 * MiB)
  const windows = [0, 1, 2, 3].map((mebi) => detector.observe(at(mebi * MiB, MiB)).windowBytes)
  t.same(
    windows.map((bytes) => bytes / MiB),
    [8, 10, 12, 14],
  )

  detector.observe(at(50 * MiB, MiB))
  t.equal(detector.observe(at(51 * MiB, MiB)).windowBytes, 4 * MiB)
})
