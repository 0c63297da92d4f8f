import fc from 'fast-check'
import t from 'tap'
import {
  combineCrc64,
  crc64,
  crc64Aside,
  crc64ByTables,
  formatCrc64,
  hasFastCrc64,
  parseCrc64,
} from '../src/crc64.ts'

const seed = Number(process.env['ABFS_TEST_SEED'] ?? Date.now() % 1_000_000)
t.comment(`seed ${seed}`)

/** Bit by bit, as the polynomial says. */
function plain(data: Uint8Array): bigint {
  let crc = 2n ** 64n - 1n
  for (const byte of data) {
    crc ^= BigInt(byte)
    for (let bit = 0; bit < 8; bit++) {
      crc = (crc & 1n) === 0n ? crc >> 1n : (crc >> 1n) ^ 0x9a6c9329ac4bc9b5n
    }
  }
  return crc ^ (2n ** 64n - 1n)
}

t.test('the check value of CRC-64/NVME', async (t) => {
  t.equal(crc64(Buffer.from('123456789')), 0xae8b14860a799888n)
  t.equal(crc64ByTables(Buffer.from('123456789')), 0xae8b14860a799888n)
  t.equal(crc64(Buffer.alloc(0)), 0n)
  t.equal(formatCrc64(0xae8b14860a799888n), 'iJh5CoYUi64=')
})

t.test('bytes of every length and alignment give the same sum every way', async (t) => {
  const bytes = fc.uint8Array({ maxLength: 700 })
  await fc.assert(
    fc.asyncProperty(bytes, fc.nat(15), fc.nat(700), async (data, skew, cut) => {
      const shifted = Buffer.concat([Buffer.alloc(skew), data]).subarray(skew)
      const first = shifted.subarray(0, cut)
      const second = shifted.subarray(cut)
      const wanted = plain(data)
      return (
        crc64(shifted) === wanted &&
        crc64ByTables(shifted) === wanted &&
        crc64(second, crc64(first)) === wanted &&
        crc64ByTables(second, crc64ByTables(first)) === wanted &&
        combineCrc64(crc64(first), crc64(second), second.length) === wanted
      )
    }),
    { seed, numRuns: 300 },
  )
  t.pass('300 runs')
})

t.test('large ones are added up beside, with the same result', async (t) => {
  const data = Buffer.alloc(1_000_003, 'abfs')
  t.equal(await crc64Aside(data), crc64(data))
  t.equal(crc64(data), crc64ByTables(data))
  t.comment(`with the addon: ${hasFastCrc64()}`)
})

t.test('pieces whose sizes 32 bits cannot say are combined', async (t) => {
  const zeros = combineCrc64(crc64(Buffer.from('a')), crc64(Buffer.alloc(0)), 0)
  t.equal(zeros, crc64(Buffer.from('a')))
  const [a, b] = [0x1234n, 0x5678n]
  const half = 2 ** 40
  t.equal(combineCrc64(0n, b, half), b)
  const twice = combineCrc64(combineCrc64(a, b, half), b, half)
  t.equal(twice, combineCrc64(a, combineCrc64(b, b, half), 2 * half))
})

t.test('text that is no sum is none', async (t) => {
  t.equal(parseCrc64('iJh5CoYUi64='), 0xae8b14860a799888n)
  for (const text of ['', 'iJh5CoYUi6', 'iJh5CoYUi64', '********', 'AAAA']) {
    t.equal(parseCrc64(text), undefined, text)
  }
})
