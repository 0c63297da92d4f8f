import { type Crc64Addon, findAddon } from './native-addon.ts'

// The CRC-64 of Azure Storage (CRC-64/NVME): polynomial 0xAD93D23594C93659 reflected, ones in front
// and behind. The addon folds 128 bits at a time; without it eight tables of halves take eight bytes
// at once, because integers of 64 bits are slow in JavaScript. docs/decisions/0011 has the figures.

/** A CRC-64 as a number of 64 bits; that of no bytes is 0. */
export type Crc64 = bigint

/** Below this, telling another thread costs more than the sum itself. */
const asideBytes = 256 * 1024

let addon: Crc64Addon | undefined
let hasLooked = false

function native(): Crc64Addon | undefined {
  if (!hasLooked) {
    const found = findAddon(addsUp)
    addon = found !== undefined && addsUp(found) ? found : undefined
    hasLooked = true
  }
  return addon
}

function addsUp(value: object): value is Crc64Addon {
  return 'crc64' in value && 'crc64Async' in value
}

/** Whether the sum costs next to nothing here: with the addon some GB/s, without it some 0.2. */
export function hasFastCrc64(): boolean {
  return native() !== undefined
}

/** The CRC of `data`, or of what `before` is the CRC of and `data` behind it. */
export function crc64(data: Uint8Array, before: Crc64 = 0n): Crc64 {
  const fast = native()
  return fast === undefined ? crc64ByTables(data, before) : fast.crc64(data, before)
}

/** As {@link crc64}, beside the event loop where that pays. `data` is not to be changed meanwhile. */
export function crc64Aside(data: Uint8Array): Promise<Crc64> {
  const fast = native()
  if (fast !== undefined && data.byteLength >= asideBytes) return fast.crc64Async(data)
  return Promise.resolve(crc64(data))
}

/** The CRC of two pieces, one behind the other, from theirs. */
export function combineCrc64(first: Crc64, second: Crc64, secondBytes: number): Crc64 {
  // Of nothing, or as good as nothing: what is in one piece needs no product, which takes longer than its sum.
  return first === 0n ? second : multiply(first, shiftBy(secondBytes)) ^ second
}

/** The sum of one piece of something. */
export interface Crc64Part {
  readonly crc64: Crc64
  readonly bytes: number
}

/** The CRC of all pieces, one behind the other; `undefined` when that of one is unknown. */
export function composeCrc64(parts: Iterable<Crc64Part | undefined>): Crc64 | undefined {
  let crc64: Crc64 = 0n
  for (const part of parts) {
    if (part === undefined) return undefined
    crc64 = combineCrc64(crc64, part.crc64, part.bytes)
  }
  return crc64
}

/** One for all: a buffer and its method took longer than the sum of a small file. */
const formatted = new DataView(new ArrayBuffer(8))
const formattedBytes = Buffer.from(formatted.buffer)

/** As the service writes it: base64 of the eight bytes, the lowest first. */
export function formatCrc64(crc: Crc64): string {
  formatted.setBigUint64(0, crc, true)
  return formattedBytes.toString('base64')
}

/** What {@link formatCrc64} made; `undefined` for anything else. */
export function parseCrc64(text: string): Crc64 | undefined {
  const bytes = Buffer.from(text, 'base64')
  const isCrc = bytes.length === 8 && bytes.toString('base64') === text
  return isCrc ? bytes.readBigUInt64LE() : undefined
}

const polynomial = 0x9a6c9329ac4bc9b5n
/** x^0, reflected. */
const one = 1n << 63n

/** Product of two polynomials modulo ours, all reflected. */
function multiply(a: bigint, b: bigint): bigint {
  let product = 0n
  let factor = b
  for (let bit = one; bit !== 0n; bit >>= 1n) {
    if ((a & bit) !== 0n) product ^= factor
    factor = (factor & 1n) === 0n ? factor >> 1n : (factor >> 1n) ^ polynomial
  }
  return product
}

/** x^(8 * bytes): blocks of one blob have few lengths. */
const shifts = new Map<number, bigint>()
const maxShifts = 64

function shiftBy(bytes: number): bigint {
  const known = shifts.get(bytes)
  if (known !== undefined) return known
  let power = one
  let square = one >> 8n
  for (let left = BigInt(bytes); left !== 0n; left >>= 1n) {
    if ((left & 1n) !== 0n) power = multiply(power, square)
    square = multiply(square, square)
  }
  if (shifts.size >= maxShifts) shifts.clear()
  shifts.set(bytes, power)
  return power
}

interface Tables {
  readonly low: Int32Array
  readonly high: Int32Array
}

let tables: Tables | undefined

/** {@link crc64} without the addon. */
export function crc64ByTables(data: Uint8Array, before: Crc64 = 0n): Crc64 {
  tables ??= makeTables()
  const inverted = BigInt.asUintN(64, ~before)
  let low = Number(BigInt.asIntN(32, inverted))
  let high = Number(BigInt.asIntN(32, inverted >> 32n))
  const { low: tl, high: th } = tables
  let at = 0
  for (const whole = data.length - (data.length % 8); at < whole; at += 8) {
    const a = low ^ word(data, at)
    const b = high ^ word(data, at + 4)
    low = sum(tl, a, b)
    high = sum(th, a, b)
  }
  for (; at < data.length; at++) {
    const index = (low ^ (data[at] ?? 0)) & 255
    low = ((low >>> 8) | (high << 24)) ^ (tl[index] ?? 0)
    high = (high >>> 8) ^ (th[index] ?? 0)
  }
  return (BigInt(~high >>> 0) << 32n) | BigInt(~low >>> 0)
}

function word(data: Uint8Array, at: number): number {
  const low = (data[at] ?? 0) | ((data[at + 1] ?? 0) << 8)
  return low | ((data[at + 2] ?? 0) << 16) | ((data[at + 3] ?? 0) << 24)
}

/** What eight bytes, in two words, do to one half. */
function sum(table: Int32Array, a: number, b: number): number {
  const first =
    (table[1792 + (a & 255)] ?? 0) ^
    (table[1536 + ((a >>> 8) & 255)] ?? 0) ^
    (table[1280 + ((a >>> 16) & 255)] ?? 0) ^
    (table[1024 + (a >>> 24)] ?? 0)
  const second =
    (table[768 + (b & 255)] ?? 0) ^
    (table[512 + ((b >>> 8) & 255)] ?? 0) ^
    (table[256 + ((b >>> 16) & 255)] ?? 0) ^
    (table[b >>> 24] ?? 0)
  return first ^ second
}

/** Table `n` at `256 * n`: the effect of a byte with `n` bytes after it. */
function makeTables(): Tables {
  const low = new Int32Array(2048)
  const high = new Int32Array(2048)
  for (let byte = 0; byte < 256; byte++) {
    let crc = BigInt(byte)
    for (let bit = 0; bit < 8; bit++) crc = (crc >> 1n) ^ ((crc & 1n) === 0n ? 0n : polynomial)
    low[byte] = Number(BigInt.asIntN(32, crc))
    high[byte] = Number(BigInt.asIntN(32, crc >> 32n))
  }
  for (let index = 256; index < 2048; index++) {
    const [l, h] = [low[index - 256] ?? 0, high[index - 256] ?? 0]
    low[index] = ((l >>> 8) | (h << 24)) ^ (low[l & 255] ?? 0)
    high[index] = (h >>> 8) ^ (high[l & 255] ?? 0)
  }
  return { low, high }
}
