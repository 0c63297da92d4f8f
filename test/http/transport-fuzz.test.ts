import type { Socket } from 'node:net'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { FileSystemError } from '../../src/errors.ts'
import type { HttpHandler, HttpRequest, TransportOptions } from '../../src/http/handler.ts'
import { socketHandler } from '../../src/http/socket-handler.ts'
import { undiciHandler } from '../../src/http/undici-handler.ts'
import { get } from '../support/http-bench.ts'
import { startRawServer, writePieces } from '../support/raw-server.ts'
import { generateServerCertificate, type ServerCertificate } from '../support/server-certificate.ts'

// Answers of every form and in every state of decay, over real sockets, on connections that are used again.
// What must come of each is known from how it was made. ABFS_LONG_TESTS=1 goes on for a minute each.

const seed = Math.floor(Math.random() * 2 ** 31)
const timeLimitMs = process.env['ABFS_LONG_TESTS'] === '1' ? 60_000 : 3000
const certificate = await generateServerCertificate()

type Method = 'GET' | 'HEAD' | 'PUT'

/** An answer as it goes over the wire. */
interface Answer {
  readonly method: Method
  readonly interim: readonly number[]
  readonly status: number
  readonly body: Buffer
  readonly framing: 'length' | 'chunked' | 'close'
  readonly chunkSizes: readonly number[]
  readonly trailers: boolean
  /** Sent when the head of the request has come, while its body is still on the way. */
  readonly early: boolean
}

/** What is done to it. */
type Fate =
  | { readonly kind: 'whole' }
  | { readonly kind: 'cut'; readonly at: number }
  | { readonly kind: 'garbage'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'damaged'
      readonly at: number
      readonly remove: number
      readonly insert: Uint8Array
    }

interface Exchange {
  readonly answer: Answer
  readonly fate: Fate
  readonly cuts: readonly number[]
}

const answerArbitrary: fc.Arbitrary<Answer> = fc.record({
  method: fc.constantFrom<Method>('GET', 'GET', 'HEAD', 'PUT'),
  interim: fc.array(fc.constantFrom(100, 102, 103), { maxLength: 2 }),
  status: fc.constantFrom(200, 200, 206, 201, 204, 403, 404, 412, 500, 503),
  body: fc.uint8Array({ maxLength: 3000 }).map((bytes) => Buffer.from(bytes)),
  framing: fc.constantFrom('length', 'chunked', 'close'),
  chunkSizes: fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 5 }),
  trailers: fc.boolean(),
  early: fc.boolean(),
})
const fateArbitrary: fc.Arbitrary<Fate> = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Fate>({ kind: 'whole' }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('cut' as const), at: fc.nat() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('garbage' as const),
      bytes: fc.uint8Array({ maxLength: 300 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('damaged' as const),
      at: fc.nat(),
      remove: fc.nat(6),
      insert: fc.uint8Array({ maxLength: 6 }),
    }),
  },
)
const exchangeArbitrary: fc.Arbitrary<Exchange> = fc.record({
  answer: answerArbitrary,
  fate: fateArbitrary,
  cuts: fc.array(fc.nat(), { maxLength: 12 }),
})

function hasBody({ method, status }: Answer): boolean {
  return method !== 'HEAD' && status !== 204
}

function headOf(answer: Answer): Buffer {
  const interim = answer.interim.map((status) => `HTTP/1.1 ${status} Soon\r\nlink: </x>\r\n\r\n`)
  const lines = [`HTTP/1.1 ${answer.status} Fine`, 'x-ms-request-id: r', 'ETag:  "0x1" ']
  if (answer.framing === 'length' && answer.status !== 204)
    lines.push(`Content-Length: ${answer.body.length}`)
  if (answer.framing === 'chunked' && answer.status !== 204)
    lines.push('Transfer-Encoding: chunked')
  if (answer.framing === 'close') lines.push('Connection: close')
  return Buffer.from(`${interim.join('')}${lines.join('\r\n')}\r\n\r\n`, 'latin1')
}

function chunkedBody({ body, chunkSizes, trailers }: Answer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0, turn = 0; at < body.length; turn++) {
    const size = Math.min(chunkSizes[turn % chunkSizes.length] ?? 1, body.length - at)
    const extension = turn % 2 === 0 ? '' : ';name="v;x"'
    parts.push(Buffer.from(`${size.toString(16)}${extension}\r\n`))
    parts.push(body.subarray(at, at + size), Buffer.from('\r\n'))
    at += size
  }
  parts.push(Buffer.from(`0\r\n${trailers ? 'x-trailer: a\r\nx-other: b\r\n' : ''}\r\n`))
  return Buffer.concat(parts)
}

function wireOf(answer: Answer): Buffer {
  const { framing, body } = answer
  if (!hasBody(answer)) return headOf(answer)
  return Buffer.concat([headOf(answer), framing === 'chunked' ? chunkedBody(answer) : body])
}

/** What goes over the wire, and whether the connection ends with it. */
function spoiled({ answer, fate }: Exchange): { readonly wire: Buffer; readonly ends: boolean } {
  const whole = wireOf(answer)
  if (fate.kind === 'whole') return { wire: whole, ends: answer.framing === 'close' }
  if (fate.kind === 'garbage') return { wire: Buffer.from(fate.bytes), ends: true }
  if (fate.kind === 'cut') return { wire: whole.subarray(0, cutOf(answer, fate.at)), ends: true }
  const at = fate.at % whole.length
  const after = whole.subarray(at + fate.remove)
  return { wire: Buffer.concat([whole.subarray(0, at), fate.insert, after]), ends: true }
}

/** Where an answer is cut so that it is not complete: one that ends with its connection, in its head. */
function cutOf(answer: Answer, at: number): number {
  const isOpen = answer.framing === 'close' && hasBody(answer)
  return at % (isOpen ? headOf(answer).length : wireOf(answer).length)
}

function piecesOf(wire: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % (wire.length + 1)))].sort((a, b) => a - b)
  return [0, ...places].map((start, index) => wire.subarray(start, places[index] ?? wire.length))
}

type Outcome = { readonly status: number; readonly body: Buffer } | 'EIO' | 'any'

function expected({ answer, fate }: Exchange): Outcome {
  if (fate.kind === 'damaged') return 'any'
  if (fate.kind !== 'whole') return 'EIO'
  return { status: answer.status, body: hasBody(answer) ? answer.body : Buffer.alloc(0) }
}

async function outcomeOf(handle: HttpHandler, request: HttpRequest): Promise<Outcome> {
  try {
    const { status, body } = await handle(request)
    return { status, body: Buffer.from(body) }
  } catch (error) {
    if (!(error instanceof FileSystemError)) throw error
    return 'EIO'
  }
}

/** A server that does to request `/n` what exchange `n` says, and answers all others. */
async function fuzzServer(t: Test, secure: ServerCertificate | undefined) {
  const exchanges: Exchange[] = []
  const play = async (socket: Socket, exchange: Exchange) => {
    const { wire, ends } = spoiled(exchange)
    await writePieces(socket, piecesOf(wire, exchange.cuts))
    if (ends) socket.end()
  }
  const exchangeOf = (head: string) =>
    exchanges[Number(/^\w+ \/(\d+) /.exec(head)?.[1] ?? Number.NaN)]
  const isEarly = ({ answer }: Exchange) => answer.early && answer.method === 'PUT'
  const server = await startRawServer(t, {
    certificate: secure,
    onConnection(socket) {
      socket.setNoDelay(true)
      socket.on('data', (data) => {
        const exchange = exchangeOf(data.toString('latin1', 0, 100))
        // Not at once: a write here has Node hand more data to this listener before this piece reaches the next one.
        if (exchange !== undefined && isEarly(exchange)) setImmediate(play, socket, exchange)
      })
    },
    onRequest(socket, { head }) {
      const exchange = exchangeOf(head)
      if (exchange !== undefined && isEarly(exchange)) return
      if (exchange !== undefined) void play(socket, exchange)
      else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')
    },
  })
  return { url: server.url, exchanges }
}

interface Transport {
  readonly open: (options: TransportOptions) => ReturnType<typeof socketHandler>
  /** Whether a `100 Continue` that nobody asked for is passed over. */
  readonly takes100: boolean
}

async function fuzz(
  t: Test,
  { open, takes100 }: Transport,
  secure: ServerCertificate | undefined,
): Promise<number> {
  const { url, exchanges } = await fuzzServer(t, secure)
  const { handle, close } = open({
    ca: certificate.cert,
    maxSockets: 2,
    headersTimeoutMs: 5000,
    bodyIdleTimeoutMs: 5000,
  })
  t.teardown(close)
  let count = 0
  const run = async (given: Exchange) => {
    const interim = given.answer.interim.filter((status) => takes100 || status !== 100)
    const exchange = { ...given, answer: { ...given.answer, interim } }
    const place = exchanges.push(exchange) - 1
    const { method } = exchange.answer
    const body =
      method === 'PUT' ? Buffer.alloc(exchange.answer.early ? 200_000 : 2000, 'b') : undefined
    const request = get(new URL(`/${place}`, url), { method, body })
    const outcome = await outcomeOf(handle, request)
    const wanted = expected(exchange)
    if (wanted !== 'any') assertSame(outcome, wanted)
    count++
  }
  const sound = async () => {
    for (let attempt = 1; ; attempt++) {
      const outcome = await outcomeOf(handle, get(new URL('/sound', url)))
      if (outcome === 'EIO' && attempt < 4) continue
      assertSame(outcome, { status: 200, body: Buffer.from('ok') })
      return
    }
  }
  const series = fc.array(exchangeArbitrary, { minLength: 1, maxLength: 4 })
  await fc.assert(
    fc.asyncProperty(series, async (batch) => {
      for (const exchange of batch) {
        await run(exchange)
        // Bytes that are left of it may still come, and be taken for the next answer on the connection.
        if (exchange.fate.kind === 'damaged') await sound()
      }
      await sound()
    }),
    { seed, numRuns: 1_000_000, interruptAfterTimeLimit: timeLimitMs, endOnFailure: true },
  )
  return count
}

function assertSame(outcome: Outcome, wanted: Outcome): void {
  const [got, want] = [outcome, wanted].map((each) =>
    typeof each === 'string' ? each : `${each.status} ${each.body.toString('hex')}`,
  )
  if (got !== want) throw new Error(`got ${got}, wanted ${want}`)
}

for (const [name, transport] of [
  ['socket', { open: socketHandler, takes100: true }],
  // Without an `expect: 100-continue` undici takes it for a broken answer.
  ['undici', { open: undiciHandler, takes100: false }],
] as const) {
  for (const secure of [undefined, certificate]) {
    const scheme = secure === undefined ? 'plain' : 'TLS'
    t.test(`${name} over ${scheme} makes of each answer what it is (seed ${seed})`, async (t) => {
      const count = await fuzz(t, transport, secure)

      t.ok(count > 20, `${count} answers`)
      t.comment(`${count} answers`)
    })
  }
}
