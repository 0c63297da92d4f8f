import fc from 'fast-check'
import t from 'tap'
import { FileSystemError } from '../../src/errors.ts'
import { AnswerParser } from '../../src/http/answer-parser.ts'
import type { HttpRequest, HttpResponse } from '../../src/http/handler.ts'
import { TransportError } from '../../src/http/transport-error.ts'

const seed = Math.floor(Math.random() * 2 ** 31)
t.comment(`seed ${seed}`)

const request: HttpRequest = {
  method: 'GET',
  url: new URL('http://127.0.0.1/'),
  headers: {},
  operation: 'blob.get',
}

/** Feeds `wire` in pieces that end at `cuts`, body bytes the direct way where the parser offers it. */
function parse(wire: Buffer, cuts: readonly number[]): HttpResponse | Error {
  const parser = new AnswerParser()
  parser.begin(request)
  const scratch = Buffer.alloc(Math.max(wire.length, 1))
  const ends = [...new Set([...cuts.map((cut) => cut % (wire.length + 1)), wire.length])]
  let at = 0
  try {
    for (const end of ends.sort((a, b) => a - b)) {
      while (at < end && !parser.isDone) at += feed(parser, wire.subarray(at, end), scratch)
    }
    parser.end()
    const response = parser.response(0)
    return { ...response, body: Buffer.from(response.body) }
  } catch (error) {
    if (error instanceof TransportError || error instanceof FileSystemError) return error
    throw error
  }
}

function feed(parser: AnswerParser, bytes: Buffer, scratch: Buffer): number {
  const count = Math.min(parser.directBytes, bytes.length)
  if (count > 0) {
    parser.space(count)?.set(bytes.subarray(0, count))
    parser.filled(count)
    return count
  }
  bytes.copy(scratch)
  const taken = parser.take(scratch.subarray(0, bytes.length))
  // The socket uses its buffer again: nothing of it may be kept.
  scratch.fill(0xee)
  return taken
}

const body = fc.uint8Array({ maxLength: 2000 }).map((bytes) => Buffer.from(bytes))

const lengthy = body.map((content) => ({
  content,
  wire: Buffer.concat([
    Buffer.from(
      `HTTP/1.1 206 Partial Content\r\nETag: "1"\r\nContent-Length: ${content.length}\r\n\r\n`,
    ),
    content,
  ]),
}))

const chunked = fc
  .tuple(fc.array(body.filter((part) => part.length > 0)), fc.boolean())
  .map(([parts, hasTrailer]) => ({
    content: Buffer.concat(parts),
    wire: Buffer.concat([
      Buffer.from('HTTP/1.1 206 OK\r\netag: "1"\r\ntransfer-encoding: Chunked\r\n\r\n'),
      ...parts.flatMap((part) => [
        Buffer.from(`${part.length.toString(16)}\r\n`),
        part,
        Buffer.from('\r\n'),
      ]),
      Buffer.from(hasTrailer ? '0\r\nx-checksum: 1\r\n\r\n' : '0\r\n\r\n'),
    ]),
  }))

const openEnded = body.map((content) => ({
  content,
  wire: Buffer.concat([Buffer.from('HTTP/1.0 206 OK\r\netag: "1"\r\n\r\n'), content]),
}))

const cuts = fc.array(fc.nat(), { maxLength: 40 })

t.test('every answer is read whole wherever it is cut', async (t) => {
  fc.assert(
    fc.property(fc.oneof(lengthy, chunked, openEnded), cuts, ({ content, wire }, cuts) => {
      const response = parse(wire, cuts)
      if (response instanceof Error) throw response
      return (
        response.status === 206 &&
        response.headers['etag'] === '"1"' &&
        content.equals(response.body)
      )
    }),
    { seed, numRuns: 600 },
  )
  t.pass('600 answers')
})

t.test(
  'an answer that lost bytes, gained some or has them changed never hangs or crashes',
  async (t) => {
    const damage = fc.record({
      at: fc.nat(),
      remove: fc.nat(8),
      insert: fc.uint8Array({ maxLength: 8 }),
    })
    fc.assert(
      fc.property(
        fc.oneof(lengthy, chunked, openEnded),
        fc.array(damage, { minLength: 1, maxLength: 4 }),
        cuts,
        ({ wire }, damages, cuts) => {
          let damaged = wire
          for (const { at, remove, insert } of damages) {
            const start = at % (damaged.length + 1)
            damaged = Buffer.concat([
              damaged.subarray(0, start),
              insert,
              damaged.subarray(start + remove),
            ])
          }
          // What comes out must not depend on how it was cut.
          const whole = parse(damaged, [])
          const pieces = parse(damaged, cuts)
          return describe(whole) === describe(pieces)
        },
      ),
      { seed, numRuns: 1500 },
    )
    t.pass('1,500 damaged answers')
  },
)

t.test('bytes that were never HTTP are refused', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 8, maxLength: 500 }), cuts, (bytes, cuts) => {
      const outcome = parse(Buffer.from(bytes), cuts)
      return outcome instanceof Error
    }),
    { seed, numRuns: 500 },
  )
  t.pass('500 times')
})

t.test('every prefix of an answer is incomplete, and says so', async (t) => {
  const wire = Buffer.from(
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
  )
  for (let length = 0; length < wire.length; length++) {
    const outcome = parse(wire.subarray(0, length), [])
    t.ok(outcome instanceof TransportError && outcome.code === 'ABFS_CLOSED', `${length} bytes`)
  }
  t.match(parse(wire, []), { status: 200 })
})

t.test('an announced length beyond what is accepted allocates nothing', async (t) => {
  const wire = Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 99999999999999\r\n\r\n')

  t.match(parse(wire, []), { code: 'EFBIG' })
})

t.test('a chunk that claims more than is accepted is refused at its size', async (t) => {
  const wire = Buffer.from('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffff\r\n')

  t.match(parse(wire, []), { code: 'EFBIG' })
})

function describe(outcome: HttpResponse | Error): string {
  if (outcome instanceof TransportError || outcome instanceof FileSystemError) return outcome.code
  if (outcome instanceof Error) return outcome.message
  return JSON.stringify([
    outcome.status,
    outcome.headers,
    Buffer.from(outcome.body).toString('hex'),
  ])
}
