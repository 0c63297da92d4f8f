import fc from 'fast-check'
import t from 'tap'
import { crc32, crc32Parts, portableCrc32 } from '../src/crc32.ts'
import { patternOf } from './support/pattern.ts'

const seed = Number(process.env['ABFS_TEST_SEED'] ?? Date.now() % 1_000_000)
t.comment(`seed ${seed}`)

t.test('the CRC of the catalogue', (t) => {
  t.equal(crc32(Buffer.from('123456789')), 0xcbf43926)
  t.equal(portableCrc32(Buffer.from('123456789')), 0xcbf43926)
  t.end()
})

t.test('parts have the sums that they have alone, however long they are', async () => {
  const content = patternOf(700_000)
  const lengths = fc.record({
    start: fc.nat(300_000),
    sizeBytes: fc.integer({ min: 1, max: 400_000 }),
    partBytes: fc.integer({ min: 1000, max: 200_000 }),
  })
  const property = fc.asyncProperty(lengths, async ({ start, sizeBytes, partBytes }) => {
    const data = content.subarray(start, start + sizeBytes)
    const sums = await crc32Parts(data, partBytes)
    return (
      sums.length === Math.ceil(data.length / partBytes) &&
      sums.every((sum, index) => {
        const part = data.subarray(index * partBytes, (index + 1) * partBytes)
        return sum === portableCrc32(part)
      })
    )
  })
  await fc.assert(property, { seed, numRuns: 60 })
})

t.test('parts of all short lengths', async (t) => {
  const content = patternOf(300_000)
  for (let partBytes = 1; partBytes <= 200; partBytes += 1) {
    const sums = await crc32Parts(content, partBytes)
    t.equal(sums[1], portableCrc32(content.subarray(partBytes, 2 * partBytes)), `${partBytes}`)
  }
})
