import { KiB } from '../../byte-range.ts'
import { crc64 as crc64ByAddon, hasFastCrc64 } from '../../crc64.ts'

// The CRC-64 of Azure Storage (also named CRC-64/NVME): polynomial 0xAD93D23594C93659 reflected,
// ones in front and behind. JavaScript's integers have 32 bits, so each value is two halves; eight
// bytes are taken at once from eight tables ("slicing by eight"). Long bodies are added up by the addon, where
// there is one: by tables 1 GiB takes five seconds of the one thread that all clients share, so that who sends sums
// would be slower here than who sends none. A test compares both.
const polynomialLow = 0xac4bc9b5 | 0
const polynomialHigh = 0x9a6c9329 | 0

interface Tables {
  readonly low: Int32Array
  readonly high: Int32Array
}

let tables: Tables | undefined

/** A CRC-64 as the service writes it: base64 of its eight bytes, the lowest first. */
export function crc64(data: Uint8Array): string {
  if (data.length < longBytes || !hasFastCrc64()) return crc64ByTables(data)
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(crc64ByAddon(data))
  return bytes.toString('base64')
}

const longBytes = 64 * KiB

/** As {@link crc64}, by tables alone. */
export function crc64ByTables(data: Uint8Array): string {
  tables ??= makeTables()
  const [low, high] = digest(data, tables)
  const bytes = Buffer.alloc(8)
  bytes.writeInt32LE(~low, 0)
  bytes.writeInt32LE(~high, 4)
  return bytes.toString('base64')
}

function digest(data: Uint8Array, { low: tl, high: th }: Tables): [low: number, high: number] {
  let low = -1
  let high = -1
  let at = 0
  for (const whole = data.length - (data.length % 8); at < whole; at += 8) {
    const a = low ^ word(data, at)
    const b = high ^ word(data, at + 4)
    const i0 = 1792 + (a & 255)
    const i1 = 1536 + ((a >>> 8) & 255)
    const i2 = 1280 + ((a >>> 16) & 255)
    const i3 = 1024 + (a >>> 24)
    const i4 = 768 + (b & 255)
    const i5 = 512 + ((b >>> 8) & 255)
    const i6 = 256 + ((b >>> 16) & 255)
    const i7 = b >>> 24
    low = at0(tl, i0) ^ at0(tl, i1) ^ at0(tl, i2) ^ at0(tl, i3)
    low ^= at0(tl, i4) ^ at0(tl, i5) ^ at0(tl, i6) ^ at0(tl, i7)
    high = at0(th, i0) ^ at0(th, i1) ^ at0(th, i2) ^ at0(th, i3)
    high ^= at0(th, i4) ^ at0(th, i5) ^ at0(th, i6) ^ at0(th, i7)
  }
  for (; at < data.length; at++) {
    const index = (low ^ (data[at] ?? 0)) & 255
    low = ((low >>> 8) | (high << 24)) ^ at0(tl, index)
    high = (high >>> 8) ^ at0(th, index)
  }
  return [low, high]
}

/** Four bytes, little-endian. */
function word(data: Uint8Array, at: number): number {
  return (
    at0(data, at) | (at0(data, at + 1) << 8) | (at0(data, at + 2) << 16) | (at0(data, at + 3) << 24)
  )
}

function at0(values: Int32Array | Uint8Array, index: number): number {
  return values[index] ?? 0
}

/** Table `n` at `256 * n`: the effect of a byte with `n` bytes after it. */
function makeTables(): Tables {
  const made = { low: new Int32Array(2048), high: new Int32Array(2048) }
  for (let byte = 0; byte < 256; byte++) {
    let low = byte
    let high = 0
    for (let bit = 0; bit < 8; bit++) {
      const odd = -(low & 1)
      low = ((low >>> 1) | (high << 31)) ^ (polynomialLow & odd)
      high = (high >>> 1) ^ (polynomialHigh & odd)
    }
    made.low[byte] = low
    made.high[byte] = high
  }
  for (let index = 256; index < 2048; index++) {
    const low = at0(made.low, index - 256)
    const high = at0(made.high, index - 256)
    made.low[index] = ((low >>> 8) | (high << 24)) ^ at0(made.low, low & 255)
    made.high[index] = (high >>> 8) ^ at0(made.high, low & 255)
  }
  return made
}
