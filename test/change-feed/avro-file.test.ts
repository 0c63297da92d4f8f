import fc from 'fast-check'
import t from 'tap'
import {
  type AvroHeader,
  findBlock,
  parseHeader,
  readBlocks,
} from '../../src/change-feed/avro-file.ts'
import { isFileSystemError } from '../../src/errors.ts'
import { fastavroFile, whyNoFastavro } from '../support/avro-files.ts'

const schema = {
  type: 'record',
  name: 'Event',
  namespace: 'a.b',
  fields: [
    { name: 'number', type: 'long' },
    { name: 'text', type: 'string' },
    { name: 'kind', type: { type: 'enum', name: 'Kind', symbols: ['One', 'Two'] } },
    { name: 'again', type: 'Kind' },
    { name: 'maybe', type: ['null', { type: 'map', values: 'string' }] },
    { name: 'list', type: { type: 'array', items: ['null', 'int', 'double', 'boolean'] } },
    { name: 'next', type: ['null', 'a.b.Event'] },
  ],
}
const event = (number: number, next: unknown = null): Record<string, unknown> => ({
  number,
  text: `é${'x'.repeat(Math.abs(number) % 90)}`,
  kind: 'Two',
  again: 'One',
  maybe: number % 2 === 0 ? { [`key ${number}`]: 'value' } : null,
  list: [null, number % 1000, 0.5, true],
  next,
})
const numbers = [0, -1, 1, 63, 64, -64, -65, 2 ** 31, -(2 ** 40), Number.MAX_SAFE_INTEGER]
const values = [...numbers.map((number) => event(number)), event(7, event(8))]

t.test('files that fastavro wrote', { skip: whyNoFastavro() }, async (t) => {
  for (const codec of ['null', 'deflate'] as const) {
    const file = fastavroFile(t.testdir(), { schema, values }, codec)

    t.test(`are read as they were written (${codec})`, async (t) => {
      const header = headerOf(file)
      const { values: found, endBytes } = readBlocks(header, file.subarray(header.sizeBytes))

      t.strictSame(found, values)
      t.equal(endBytes, file.length - header.sizeBytes)
    })

    t.test(`are read up to the last whole block, wherever they end (${codec})`, async (t) => {
      const header = headerOf(file)
      for (let end = 0; end < file.length; end += 1) {
        const early = parseHeader(file.subarray(0, end))
        if (end < header.sizeBytes) {
          if (early !== undefined) t.fail(`a header of ${end} bytes`)
          continue
        }
        const { values: some, endBytes } = readBlocks(header, file.subarray(header.sizeBytes, end))
        const rest = readBlocks(header, file.subarray(header.sizeBytes + endBytes))
        t.same([...some, ...rest.values].length, values.length)
      }
    })

    t.test(`a block is found from anywhere (${codec})`, async (t) => {
      const header = headerOf(file)
      const at = findBlock(header, file.subarray(header.sizeBytes + 1)) ?? 0
      const { values: found } = readBlocks(header, file.subarray(header.sizeBytes + 1 + at))

      t.ok(found.length > 0 && found.length < values.length)
      t.strictSame(found, values.slice(-found.length))
    })

    t.test(`what is damaged is read or refused, and nothing else (${codec})`, async () => {
      const change = fc.record({ at: fc.nat(file.length - 1), to: fc.nat(255) })
      fc.assert(
        fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
          const bytes = Buffer.from(file)
          for (const { at, to } of changes) bytes[at] = to
          return isReadOrRefused(bytes)
        }),
        { numRuns: 500 },
      )
    })
  }
})

t.test('bytes of any kind are read or refused, and nothing else', async () => {
  const magic = Buffer.from('Obj\u0001', 'latin1')
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) =>
      isReadOrRefused(Buffer.concat([magic, bytes])),
    ),
  )
})

t.test('a schema that cannot be read is refused', async (t) => {
  const schemas = [
    'nothing',
    7,
    { type: 'record', name: 'R' },
    { type: 'enum' },
    ['null', 'a.B'],
    {},
  ]
  for (const each of schemas) t.throws(() => parseHeader(fileOf(each)), /change feed is damaged/)
})

t.test('values within each other without an end are refused', async (t) => {
  const record = { type: 'record', name: 'R', fields: [{ name: 'r', type: 'R' }] }
  const file = fileOf(record, Buffer.from([2, 0]))
  const header = headerOf(file)

  t.match(readBlocks(header, file.subarray(header.sizeBytes)).damage, /within each other/)
})

function headerOf(file: Uint8Array): AvroHeader {
  const header = parseHeader(file)
  if (header === undefined) throw new Error('no header')
  return header
}

function isReadOrRefused(bytes: Uint8Array): boolean {
  try {
    const header = parseHeader(bytes)
    if (header !== undefined) readBlocks(header, bytes.subarray(header.sizeBytes))
    return true
  } catch (error) {
    return isFileSystemError(error, 'EIO')
  }
}

/** A file with one block of these counts, which has no content. */
function fileOf(schemaOf: unknown, block: Uint8Array = Buffer.alloc(0)): Buffer {
  const json = Buffer.from(JSON.stringify(schemaOf))
  const head = Buffer.from('Obj\u0001\u0002\u0016avro.schema', 'latin1')
  const length = [((json.length * 2) & 0x7f) | 0x80, (json.length * 2) >> 7]
  const sync = Buffer.alloc(16, 1)
  return Buffer.concat([
    head,
    Buffer.from(length),
    json,
    Buffer.from([0]),
    sync,
    block,
    block.length > 0 ? sync : block,
  ])
}
