import { createHash } from 'node:crypto'
import { KiB } from '../../src/byte-range.ts'

/** Bytes in which every position shows: a misplaced part is noticed. */
export function patternOf(sizeBytes: number): Buffer {
  const block = createHash('shake256', { outputLength: 64 * KiB })
    .update('abfs')
    .digest()
  const content = Buffer.alloc(sizeBytes)
  for (let at = 0; at < sizeBytes; at += block.length) {
    block.copy(content, at)
    if (at + 8 <= sizeBytes) content.writeUInt32BE(at / block.length, at)
  }
  return content
}
