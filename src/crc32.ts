import * as zlib from 'node:zlib'

const table = new Uint32Array(256).map((_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1
  return value
})

/** CRC-32 (IEEE 802.3) computed here; the first releases of Node 20 and 22 have none. */
export function portableCrc32(data: Uint8Array): number {
  let value = 0xffffffff
  for (const byte of data) value = (table[(value ^ byte) & 0xff] ?? 0) ^ (value >>> 8)
  return (value ^ 0xffffffff) >>> 0
}

const native: unknown = Reflect.get(zlib, 'crc32')

/** CRC-32 (IEEE 802.3) of the bytes. */
export const crc32: (data: Uint8Array) => number =
  typeof native === 'function' ? (data) => Number(native(data)) : portableCrc32

/** The CRC-32 of each `partBytes` of `data`, the last of which may be shorter. */
export function crc32Parts(data: Uint8Array, partBytes: number): Uint32Array {
  return Uint32Array.from({ length: Math.ceil(data.byteLength / partBytes) }, (_, index) =>
    crc32(data.subarray(index * partBytes, (index + 1) * partBytes)),
  )
}
