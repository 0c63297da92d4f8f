import type { BodyReceiver } from '../../src/http/handler.ts'
import { answer, silence } from '../support/fault-server.ts'
import { get, type HttpCase } from '../support/http-bench.ts'
import type { RawStep } from '../support/raw-server.ts'

const cases: HttpCase[] = []

/** What handlers do with a body that a receiver takes piece by piece. */
export const streamCases: readonly HttpCase[] = cases

function check(title: string, run: HttpCase['run']): void {
  cases.push({ title, run })
}

/** Takes a body into buffers of `pieceBytes`; has room for `room` bytes until `give` makes more. */
class TestReceiver implements BodyReceiver {
  readonly begun: { status: number; etag: string | undefined }[] = []
  readonly #content: Buffer
  #room: number
  #received = 0
  #resume: (() => void) | undefined
  #whenBehind: (() => void) | undefined

  constructor(capacity: number, room: number = Number.POSITIVE_INFINITY) {
    this.#content = Buffer.alloc(capacity, '-')
    this.#room = room
  }

  get receivedBytes(): number {
    return this.#received
  }

  get text(): string {
    return this.#content.toString('latin1', 0, this.#received)
  }

  get content(): Buffer {
    return this.#content.subarray(0, this.#received)
  }

  /** Resolves when the handler has been told that there is no room. */
  behind(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#resume !== undefined) resolve()
      else this.#whenBehind = resolve
    })
  }

  give(bytes: number): void {
    this.#room += bytes
    const resume = this.#resume
    this.#resume = undefined
    resume?.()
  }

  begin(status: number, headers: Readonly<Record<string, string>>): void {
    this.begun.push({ status, etag: headers['etag'] })
  }

  next(resume: () => void): Uint8Array | undefined {
    const left = this.#content.length - this.#received
    if (left === 0) return this.#content.subarray(0, 0)
    const count = Math.min(this.#room, left, 1000)
    if (count > 0) return this.#content.subarray(this.#received, this.#received + count)
    this.#resume = resume
    this.#whenBehind?.()
    return undefined
  }

  filled(count: number): void {
    this.#received += count
    this.#room -= count
  }
}

/** Bytes of which every stretch is told from every other. */
function pattern(bytes: number): Buffer {
  return Buffer.from(Array.from({ length: bytes }, (_, at) => (at * 31 + (at >> 8)) % 251))
}

function withLength(content: Uint8Array): RawStep {
  return (socket) => {
    socket.write(`HTTP/1.1 200 OK\r\netag: "1"\r\ncontent-length: ${content.length}\r\n\r\n`)
    socket.write(content)
  }
}

function inChunks(content: Uint8Array, chunkBytes: number): RawStep {
  return (socket) => {
    socket.write('HTTP/1.1 200 OK\r\netag: "1"\r\ntransfer-encoding: chunked\r\n\r\n')
    for (let at = 0; at < content.length; at += chunkBytes) {
      const chunk = content.subarray(at, at + chunkBytes)
      socket.write(`${chunk.length.toString(16)}\r\n`)
      socket.write(chunk)
      socket.write('\r\n')
    }
    socket.write('0\r\n\r\n')
  }
}

check('a receiver gets the head, then every byte in order, chunked or not', async (t, bench) => {
  const content = pattern(1_000_003)
  const handle = bench.open(t)

  for (const onRequest of [withLength(content), inChunks(content, 70_001)]) {
    const server = await bench.serveRaw(t, { onRequest })
    const receiver = new TestReceiver(content.length)

    const { status, body } = await handle(get(server.url, { receiver }))

    t.equal(status, 200)
    t.equal(body.length, 0)
    t.same(receiver.begun, [{ status: 200, etag: '"1"' }])
    t.ok(content.equals(receiver.content))
  }
})

check('a receiver without room stops the server until it has some', async (t, bench) => {
  const content = pattern(8_000_000)
  const handle = bench.open(t)

  for (const onRequest of [withLength(content), inChunks(content, 1_000_001)]) {
    let blocked: () => boolean = () => false
    const server = await bench.serveRaw(t, {
      onRequest(socket, request) {
        onRequest(socket, request)
        blocked = () => socket.writableLength > 0
      },
    })
    const receiver = new TestReceiver(content.length, 5000)
    const answered = handle(get(server.url, { receiver }))

    await receiver.behind()
    t.equal(receiver.receivedBytes, 5000)
    t.ok(blocked(), 'the server waits')
    receiver.give(100_000)
    await receiver.behind()
    t.equal(receiver.receivedBytes, 105_000)
    receiver.give(Number.POSITIVE_INFINITY)
    await answered

    t.ok(content.equals(receiver.content))
  }
})

check('the last bytes of an answer wait for room as well', async (t, bench) => {
  const server = await bench.serve(t, answer(200, 'hello world', { 'content-length': '11' }))
  const handle = bench.open(t)
  const receiver = new TestReceiver(11, 5)
  let isSettled = false
  const answered = handle(get(server.url, { receiver })).finally(() => {
    isSettled = true
  })

  await receiver.behind()
  // A request of its own: by its answer, the first one has long come.
  await handle(get(server.url))
  t.equal(receiver.text, 'hello')
  t.notOk(isSettled)
  receiver.give(6)
  await answered

  t.equal(receiver.text, 'hello world')
})

check('no time-out runs while the receiver has no room', async (t, bench) => {
  const content = pattern(4_000_000)
  const waiting = await bench.serve(t, silence)
  const server = await bench.serveRaw(t, { onRequest: withLength(content) })
  const handle = bench.open(t, { bodyIdleTimeoutMs: 50, headersTimeoutMs: 400 })
  const receiver = new TestReceiver(content.length, 10)
  const answered = handle(get(server.url, { receiver }))

  await receiver.behind()
  await t.rejects(handle(get(waiting.url)), { code: 'ETIMEDOUT' })
  receiver.give(Number.POSITIVE_INFINITY)
  await answered

  t.ok(content.equals(receiver.content))
})

check('a server that stops while there is room rejects with ETIMEDOUT', async (t, bench) => {
  const server = await bench.serveRaw(t, {
    onRequest: (socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n0123456789'),
  })
  const handle = bench.open(t, { bodyIdleTimeoutMs: 20 })
  const receiver = new TestReceiver(20, 5)
  const answered = handle(get(server.url, { receiver }))
  const rejected = t.rejects(answered, { code: 'ETIMEDOUT', retryable: true })

  await receiver.behind()
  receiver.give(15)
  await rejected

  t.equal(receiver.text, '0123456789')
})

check('an answer that ends early rejects with EIO, what came is kept', async (t, bench) => {
  const handle = bench.open(t)

  for (const head of ['content-length: 10', 'transfer-encoding: chunked']) {
    const text = head.includes('chunked') ? '6\r\nhello ' : 'hello '
    const server = await bench.serveRaw(t, {
      onRequest: (socket) => socket.end(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n${text}`),
    })
    const receiver = new TestReceiver(10)

    const answered = handle(get(server.url, { receiver }))

    await t.rejects(answered, { code: 'EIO', retryable: true })
    t.equal(receiver.text, 'hello ')
  }
})

check('a longer body than accepted rejects with EFBIG, announced or not', async (t, bench) => {
  const handle = bench.open(t)
  const steps = [withLength(pattern(2000)), inChunks(pattern(2000), 1500)]

  for (const onRequest of steps) {
    const server = await bench.serveRaw(t, { onRequest })
    const receiver = new TestReceiver(3000)

    const answered = handle(get(server.url, { receiver, maxBodyBytes: 1999 }))

    await t.rejects(answered, { code: 'EFBIG' })
    t.ok(receiver.receivedBytes <= 1999)
  }
})

check('bytes after the last one that a receiver expects reject', async (t, bench) => {
  const server = await bench.serveRaw(t, { onRequest: withLength(pattern(2000)) })
  const handle = bench.open(t)
  const receiver = new TestReceiver(1500)

  const answered = handle(get(server.url, { receiver }))

  await t.rejects(answered, { code: 'EIO' })
})

check('the body of an error does not reach the receiver', async (t, bench) => {
  const server = await bench.serve(t, answer(404, 'no such blob'))
  const handle = bench.open(t)
  const receiver = new TestReceiver(100)

  const { body } = await handle(get(server.url, { receiver }))

  t.equal(Buffer.from(body).toString(), 'no such blob')
  t.same(receiver.begun, [])
  t.equal(receiver.receivedBytes, 0)
})

check('a receiver that throws ends the request with its error', async (t, bench) => {
  const server = await bench.serve(t, answer(200, 'hello'))
  const handle = bench.open(t)
  const refusing = new (class extends TestReceiver {
    override begin(): void {
      throw new Error('not this one')
    }
  })(5)

  const error = await handle(get(server.url, { receiver: refusing })).catch((e) => e)

  t.match(String(error.cause ?? error), /not this one/)
  t.equal(refusing.receivedBytes, 0)
})

check('an abort ends a body that waits for room or flows', async (t, bench) => {
  const reason = new Error('enough')
  const content = pattern(4_000_000)
  const server = await bench.serveRaw(t, { onRequest: withLength(content) })
  const handle = bench.open(t)

  for (const then of [0, 2_000_000]) {
    const abort = new AbortController()
    const receiver = new TestReceiver(content.length, 10_000)
    const rejected = t.rejects(handle(get(server.url, { receiver, signal: abort.signal })), reason)
    await receiver.behind()
    if (then > 0) receiver.give(then)
    abort.abort(reason)
    await rejected
    const before = receiver.receivedBytes
    receiver.give(1)
    await handle(get(server.url, { receiver: new TestReceiver(content.length) }))

    t.equal(receiver.receivedBytes, before)
  }
})

check('a connection that streamed an answer serves the next request', async (t, bench) => {
  const server = await bench.serveRaw(t, {
    onRequest: withLength(pattern(300_000)),
  })
  const handle = bench.open(t)

  for (let i = 0; i < 5; i++) {
    const receiver = new TestReceiver(300_000, 1000)
    const answered = handle(get(server.url, { receiver }))
    await receiver.behind()
    receiver.give(Number.POSITIVE_INFINITY)
    await answered
    t.ok(pattern(300_000).equals(receiver.content))
  }

  t.ok(server.connections() <= 2, `${server.connections()} connections`)
})
