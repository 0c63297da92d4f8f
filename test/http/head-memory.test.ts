import fc from 'fast-check'
import t from 'tap'
import { parseHead } from '../../src/http/answer-head.ts'
import { HeadMemory } from '../../src/http/head-memory.ts'
import { TransportError } from '../../src/http/transport-error.ts'

const seed = Math.floor(Math.random() * 2 ** 31)
t.comment(`seed ${seed}`)

/** Little enough of each that heads resemble each other. */
const name = fc.constantFrom('ETag', 'etag', 'Date', 'x-ms-meta-a', 'x-ms-meta-b', '7', '__proto__')
const value = fc.oneof(
  fc.constantFrom('1', '22', ' 1 ', '', 'a: b', '\xe9', '"0x8D"', 'close', 'a\x01', 'a\nb', 'a\rb'),
  fc.string({ maxLength: 5 }),
)
const line = fc.oneof(
  { weight: 20, arbitrary: fc.tuple(name, value).map(([name, value]) => `${name}: ${value}`) },
  { weight: 2, arbitrary: value.map((value) => `Connection: ${value}`) },
  { weight: 1, arbitrary: value },
)
const status = fc.constantFrom('HTTP/1.1 200 OK', 'HTTP/1.1 206 OK', 'HTTP/1.0 200 OK', 'HTTP')

/** Heads that differ from the first in a line or two. */
const heads = fc
  .tuple(
    fc.array(line, { maxLength: 5 }),
    fc.array(fc.tuple(status, fc.nat(), fc.option(line), fc.boolean()), { maxLength: 40 }),
  )
  .map(([first, changes]) =>
    changes.map(([status, at, other, isKept]) => {
      const lines = isKept || first.length === 0 ? first : first.toSpliced(at % first.length, 1)
      if (other !== null) lines.splice(at % (lines.length + 1), 1, other)
      return [status, ...lines].join('\r\n')
    }),
  )

function outcome(parse: () => unknown): unknown {
  try {
    return parse()
  } catch (error) {
    if (error instanceof TransportError) return error.message
    throw error
  }
}

t.test('a head means the same, whatever heads came before it', async (t) => {
  let read = 0
  fc.assert(
    fc.property(heads, (texts) => {
      const memory = new HeadMemory()
      for (const text of texts) {
        const isLatin1 = /^[\0-\xff]*$/.test(text) && !text.includes('\r\n\r\n')
        if (!isLatin1) continue
        read++
        const expected = outcome(() => parseHead(text))
        const found = outcome(() => memory.parse(`${text}\r\n`, 'blob.get'))
        if (JSON.stringify(found) !== JSON.stringify(expected)) return false
      }
      return true
    }),
    { seed, numRuns: 3000 },
  )
  t.ok(read > 10_000, `${read} heads`)
})

t.test('what is kept of one operation is not used for another', async (t) => {
  const memory = new HeadMemory()
  const head = (value: string) => `HTTP/1.1 200 OK\r\nx-a: ${value}\r\nx-b: same\r\n`
  for (const value of ['1', '2', '3', '4']) {
    t.same(memory.parse(head(value), 'blob.get').headers, { 'x-a': value, 'x-b': 'same' })
    t.same(memory.parse('HTTP/1.1 404 No\r\n', 'blob.head'), {
      status: 404,
      headers: {},
      keepAlive: true,
    })
  }
})

t.test('a header object is the caller’s own', async (t) => {
  const memory = new HeadMemory()
  const text = 'HTTP/1.1 200 OK\r\nx-a: 1\r\n'
  const first: Record<string, string> = memory.parse(text, 'blob.get').headers
  const second: Record<string, string> = memory.parse(text, 'blob.get').headers
  first['x-a'] = 'changed'
  second['x-b'] = 'added'
  t.same(memory.parse(text, 'blob.get').headers, { 'x-a': '1' })
})
