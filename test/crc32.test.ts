import t from 'tap'
import { crc32, crc32Parts, portableCrc32 } from '../src/crc32.ts'
import { patternOf } from './support/pattern.ts'

t.test('the CRC of the catalogue', (t) => {
  t.equal(crc32(Buffer.from('123456789')), 0xcbf43926)
  t.equal(portableCrc32(Buffer.from('123456789')), 0xcbf43926)
  t.end()
})

t.test('parts have the sums that they have alone', (t) => {
  const content = patternOf(1000)
  const sums = crc32Parts(content, 300)
  const parts = [0, 300, 600, 900].map((at) => content.subarray(at, at + 300))
  t.same([...sums], parts.map(portableCrc32))
  t.same([...crc32Parts(content.subarray(0, 0), 300)], [])
  t.end()
})
