import t from 'tap'
import { firstPieceBytes, nextPieceBytes } from '../../src/http/send-piece.ts'

/** The sizes of pieces on a connection that takes each in so many milliseconds. */
function sizesAt(tookMs: readonly number[]): number[] {
  const sizes = [firstPieceBytes]
  for (const ms of tookMs) sizes.push(nextPieceBytes(sizes.at(-1) ?? 0, ms))
  return sizes.map((bytes) => bytes / 1024)
}

t.test('pieces that are taken quickly grow to 1 MiB', async (t) => {
  t.strictSame(sizesAt([0, 20, 100, 5, 5]), [256, 512, 1024, 1024, 1024, 1024])
})

t.test('a piece that takes long is followed by a small one', async (t) => {
  t.strictSame(sizesAt([0, 0, 101, 3000, 10]), [256, 512, 1024, 256, 256, 512])
})
