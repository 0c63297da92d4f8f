/** Avro's object container files: https://avro.apache.org/docs/1.11.1/specification/#object-container-files */
import { inflateRawSync } from 'node:zlib'
import { MiB } from '../byte-range.ts'
import { type FileSystemError, isFileSystemError } from '../errors.ts'
import { AvroBytes, EndOfBytes } from './avro-bytes.ts'
import { type ReadValue, readerOf } from './avro-values.ts'
import { damaged } from './damage.ts'

/** What stands at the beginning of a file, and is needed to read any of it. */
export interface AvroHeader {
  readonly read: ReadValue
  readonly codec: 'null' | 'deflate'
  /** Follows each block. */
  readonly sync: Uint8Array
  readonly sizeBytes: number
}

/** The header that `start` begins with; `undefined` when more of the file is needed. */
export function parseHeader(start: Uint8Array): AvroHeader | undefined {
  const bytes = new AvroBytes(start)
  if (magic.some((byte, index) => index < start.byteLength && start[index] !== byte)) {
    throw damaged('a file that is not Avro')
  }
  if (start.byteLength < magic.length) return undefined
  bytes.at = magic.length
  const found = whole(() => ({ facts: readFacts(bytes), sync: bytes.take(syncBytes) }))
  if (found === undefined) return undefined
  const { facts, sync } = found
  const codec = text(facts['avro.codec']) ?? 'null'
  if (codec !== 'null' && codec !== 'deflate')
    throw damaged(`the codec '${codec}', which is not known`)
  return { read: readerOf(schemaOf(facts)), codec, sync: sync.slice(), sizeBytes: bytes.at }
}

/** Whole blocks at the beginning of some bytes. */
export interface AvroBlocks {
  readonly values: readonly unknown[]
  /** Where the first block begins that is not there whole, or is damaged. */
  readonly endBytes: number
  /** What is wrong with that block; `undefined` where the rest of it may be yet to come. */
  readonly damage: FileSystemError | undefined
}

/** Reads whole blocks of `bytes`, which begins with one, up to one that cannot be read. */
export function readBlocks(header: AvroHeader, data: Uint8Array): AvroBlocks {
  const bytes = new AvroBytes(data)
  const values: unknown[] = []
  let endBytes = 0
  try {
    for (
      let block = nextBlock(header, bytes);
      block !== undefined;
      block = nextBlock(header, bytes)
    ) {
      for (const value of block) values.push(value)
      endBytes = bytes.at
    }
  } catch (error) {
    if (!isFileSystemError(error, 'EIO')) throw error
    return { values, endBytes, damage: error }
  }
  return { values, endBytes, damage: undefined }
}

/** The values of the block that begins here; `undefined` while it is not there whole. */
function nextBlock(header: AvroHeader, bytes: AvroBytes): readonly unknown[] | undefined {
  const block = whole(() => ({ count: bytes.long(), sizeBytes: bytes.long() }))
  if (block === undefined) return undefined
  const { count, sizeBytes } = block
  if (count < 0 || sizeBytes < 0 || sizeBytes > maxBlockBytes) throw damaged('a block of no size')
  if (bytes.left < sizeBytes + syncBytes) return undefined
  const values = readBlock(header, count, bytes.take(sizeBytes))
  if (!isSync(header, bytes.take(syncBytes))) throw damaged('a block without its end')
  return values
}

/** Where the first block begins behind a mark in `data`; `undefined` when none is there. */
export function findBlock({ sync }: AvroHeader, data: Uint8Array): number | undefined {
  const at = Buffer.from(data.buffer, data.byteOffset, data.byteLength).indexOf(sync)
  return at < 0 ? undefined : at + syncBytes
}

function readBlock(header: AvroHeader, count: number, packed: Uint8Array): readonly unknown[] {
  const values: unknown[] = []
  const content = new AvroBytes(header.codec === 'null' ? packed : inflate(packed))
  for (let left = count; left > 0; left -= 1) {
    const value = whole(() => ({ read: header.read(content) }))
    if (value === undefined) throw damaged('a block that ends within a value')
    values.push(value.read)
  }
  if (content.left > 0) throw damaged('a block with more than its values')
  return values
}

function inflate(packed: Uint8Array): Uint8Array {
  try {
    return inflateRawSync(packed, { maxOutputLength: maxBlockBytes })
  } catch (error) {
    throw damaged('a block that cannot be unpacked', error)
  }
}

function readFacts(bytes: AvroBytes): Readonly<Record<string, unknown>> {
  const value = factsReader(bytes)
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

function schemaOf(facts: Readonly<Record<string, unknown>>): unknown {
  const schema = text(facts['avro.schema'])
  if (schema === undefined) throw damaged('a file without its schema')
  try {
    return JSON.parse(schema)
  } catch (error) {
    throw damaged('a schema that is not JSON', error)
  }
}

/** What `read` gives, or `undefined` where the bytes end before. */
function whole<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof EndOfBytes) return undefined
    throw error
  }
}

function isSync({ sync }: AvroHeader, bytes: Uint8Array): boolean {
  return Buffer.compare(sync, bytes) === 0
}

function text(value: unknown): string | undefined {
  return value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : undefined
}

const factsReader = readerOf({ type: 'map', values: 'bytes' })
/** `Obj` and the format's version. */
const magic: readonly number[] = [0x4f, 0x62, 0x6a, 1]
/** Of the mark that separates blocks. */
export const syncBytes = 16
/** A file whose header is longer is none of the change feed. */
export const maxHeaderBytes: number = MiB
const maxBlockBytes = 64 * MiB
