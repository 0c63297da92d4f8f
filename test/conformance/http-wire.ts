import { isFileSystemError } from '../../src/errors.ts'
import { get, type HttpCase } from '../support/http-bench.ts'
import { type RawStep, writePieces } from '../support/raw-server.ts'

const cases: HttpCase[] = []

/** What handlers make of answers that come byte by byte, in odd forms, or not at all. */
export const wireCases: readonly HttpCase[] = cases

function check(title: string, run: HttpCase['run']): void {
  cases.push({ title, run })
}

/** Writes `text` (latin1) at once. */
function write(text: string): RawStep {
  return (socket) => void socket.write(Buffer.from(text, 'latin1'))
}

/** Writes `text` in pieces of `size` bytes. */
function writeIn(size: number, text: string): RawStep {
  const bytes = Buffer.from(text, 'latin1')
  const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  )
  return (socket) => void writePieces(socket, pieces)
}

const chunked =
  'HTTP/1.1 200 OK\r\nX-Ms-Meta-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n' +
  '5;name=value\r\nhello\r\n1\r\n \r\n0000A\r\nand so on!\r\n0\r\nX-Trailer: t\r\n\r\n'

check('an answer is the same however the network cuts it', async (t, bench) => {
  const lengthy = `HTTP/1.1 200 OK\r\nx-ms-meta-a: 1\r\ncontent-length: 16\r\n\r\nhello and so on!`
  const handle = bench.open(t)

  for (const text of [lengthy, chunked]) {
    for (const size of [1, 2, 3, 7, 64]) {
      const server = await bench.serveRaw(t, { onRequest: writeIn(size, text) })

      const { status, headers, body } = await handle(get(server.url))

      t.equal(status, 200)
      t.equal(headers['x-ms-meta-a'], '1')
      t.equal(Buffer.from(body).toString(), 'hello and so on!')
    }
  }
})

check('a chunked body is put where the request wants it', async (t, bench) => {
  const server = await bench.serveRaw(t, { onRequest: writeIn(5, chunked) })
  const handle = bench.open(t)
  const into = Buffer.alloc(20, '-')

  const { body } = await handle(get(server.url, { into }))

  t.equal(into.toString(), 'hello and so on!----')
  t.equal(body.buffer, into.buffer)
})

check('a long body arrives byte for byte, chunked or not', async (t, bench) => {
  const content = Buffer.from(
    Array.from({ length: 3_000_001 }, (_, at) => (at * 31 + (at >> 8)) % 251),
  )
  const middle = 1_234_567
  const server = await bench.serveRaw(t, {
    onRequest(socket, { head }) {
      if (!head.startsWith('GET /chunked')) {
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${content.length}\r\n\r\n`)
        socket.write(content)
        return
      }
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')
      for (const part of [content.subarray(0, middle), content.subarray(middle)]) {
        socket.write(`${part.length.toString(16)}\r\n`)
        socket.write(part)
        socket.write('\r\n')
      }
      socket.write('0\r\n\r\n')
    },
  })
  const handle = bench.open(t)
  const into = Buffer.alloc(content.length)

  for (const path of ['/', '/chunked']) {
    const url = new URL(path, server.url)
    const gathered = await handle(get(url))
    const placed = await handle(get(url, { into: into.fill(0) }))

    t.ok(content.equals(gathered.body), `${path} gathered`)
    t.ok(content.equals(placed.body) && content.equals(into), `${path} placed`)
  }
})

check('informational answers before the final one are skipped', async (t, bench) => {
  const informed =
    'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'
  const handle = bench.open(t)

  for (const size of [1, 1000]) {
    const server = await bench.serveRaw(t, { onRequest: writeIn(size, informed) })
    const { status, headers, body } = await handle(get(server.url))

    t.equal(status, 200)
    t.notOk('link' in headers)
    t.equal(Buffer.from(body).toString(), 'ok')
  }
})

check('answers without a body end with their head', async (t, bench) => {
  const server = await bench.serveRaw(t, {
    onRequest(socket, { head }) {
      const status = /^\w+ \/(\d+)/.exec(head)?.[1]
      // undici takes the length that a 304 may announce for a body that is missing.
      const length = status === '200' || status === '404' ? 'content-length: 5\r\n' : ''
      socket.write(`HTTP/1.1 ${status} X\r\netag: "1"\r\n${length}\r\n`)
    },
  })
  const handle = bench.open(t)
  const url = (status: number) => new URL(`/${status}`, server.url)

  const head = await handle(get(url(200), { method: 'HEAD' }))
  const missing = await handle(get(url(404), { method: 'HEAD' }))
  const none = await handle(get(url(204)))
  const unchanged = await handle(get(url(304)))

  t.same(
    [head, missing, none, unchanged].map((response) => response.status),
    [200, 404, 204, 304],
  )
  for (const { body, headers } of [head, missing, none, unchanged]) {
    t.equal(body.length, 0)
    t.equal(headers['etag'], '"1"')
  }
})

check('a body without a length ends with the connection', async (t, bench) => {
  const server = await bench.serveRaw(t, {
    onRequest: (socket) => socket.end('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nto the end'),
  })
  const handle = bench.open(t)

  for (const _ of [1, 2]) {
    t.equal(Buffer.from((await handle(get(server.url))).body).toString(), 'to the end')
  }
  t.equal(server.connections(), 2)
})

check('a repeated header is joined and blanks around values are dropped', async (t, bench) => {
  const server = await bench.serveRaw(t, {
    onRequest: write(
      'HTTP/1.1 200 OK\r\nx-a: 1\r\nX-A:  2 \t\r\nx-b:\r\ncontent-length: 0\r\n\r\n',
    ),
  })
  const handle = bench.open(t)

  const { headers } = await handle(get(server.url))

  t.equal(headers['x-a'], '1, 2')
  t.equal(headers['x-b'], '')
})

check('an answer that contradicts itself or is none rejects with EIO', async (t, bench) => {
  const handle = bench.open(t)
  const answers = {
    'not http': 'SSH-2.0-OpenSSH_9.2\r\n\r\n',
    'a status of two digits': 'HTTP/1.1 20 OK\r\n\r\n',
    'length and chunks':
      'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    'two lengths': 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!',
    'a negative length': 'HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello',
    'a chunk size that is no number':
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n',
    'a chunk longer than it says':
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n',
    'a header without a colon': 'HTTP/1.1 200 OK\r\nnonsense\r\ncontent-length: 0\r\n\r\n',
    'a header with a control character':
      'HTTP/1.1 200 OK\r\nx-a: \x01\r\ncontent-length: 0\r\n\r\n',
    'an endless head': `HTTP/1.1 200 OK\r\nx-a: ${'a'.repeat(200_000)}`,
  }

  for (const [name, text] of Object.entries(answers)) {
    const server = await bench.serveRaw(t, { onRequest: write(text) })

    const error = await handle(get(server.url)).catch((e) => e)

    t.ok(isFileSystemError(error, 'EIO'), name)
  }
})

check('an answer cut off anywhere rejects with EIO that may be tried again', async (t, bench) => {
  const handle = bench.open(t)
  const lengthy = 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell'
  for (const text of ['', 'HTTP/1.1 2', lengthy, chunked.slice(0, -40), chunked.slice(0, -2)]) {
    const server = await bench.serveRaw(t, { onRequest: (socket) => socket.end(text) })

    const error = await handle(get(server.url)).catch((e) => e)

    t.ok(isFileSystemError(error, 'EIO') && error.retryable, JSON.stringify(text))
  }
})

check('bytes after an answer are not taken for the next one', async (t, bench) => {
  const server = await bench.serveRaw(t, {
    onRequest(socket, { connection }) {
      const injected = 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil'
      const own = `HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n${connection}`
      socket.write(connection === 1 ? own + injected : own)
    },
  })
  const handle = bench.open(t, { maxSockets: 1 })

  const first = await handle(get(server.url)).catch((e) => e)
  const second = await handle(get(server.url)).catch((e) => e)

  for (const outcome of [first, second]) {
    t.notMatch(Buffer.from(outcome.body ?? '').toString(), 'evil')
  }
})

check('a connection is closed when the server says so', async (t, bench) => {
  const server = await bench.serveRaw(t, {
    onRequest: write('HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n'),
  })
  const handle = bench.open(t)

  await handle(get(server.url))
  await handle(get(server.url))

  t.equal(server.connections(), 2)
})

check('an answer that comes before the body was sent is the answer', async (t, bench) => {
  const server = await bench.serveRaw(t, {
    onConnection(socket) {
      socket.once('data', () => {
        socket.pause()
        socket.write('HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 3\r\n\r\nbig')
      })
    },
  })
  const handle = bench.open(t, { headersTimeoutMs: 5000 })

  const body = Buffer.alloc(32 * 1024 * 1024)
  const response = await handle(get(server.url, { method: 'PUT', body }))

  t.equal(response.status, 413)
  t.equal(Buffer.from(response.body).toString(), 'big')
})

check('a body of many pieces arrives whole', async (t, bench) => {
  const body = Buffer.from(Array.from({ length: 3_000_000 }, (_, at) => at % 253))
  const server = await bench.serveRaw(t, {
    onRequest: write('HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n'),
  })
  const handle = bench.open(t)

  const response = await handle(get(server.url, { method: 'PUT', body }))

  t.equal(response.status, 201)
  const received = server.received()
  const sent = Buffer.from(received.slice(received.indexOf('\r\n\r\n') + 4), 'latin1')
  t.ok(body.equals(sent))
})

check('a request whose body is not taken rejects with ETIMEDOUT', async (t, bench) => {
  const server = await bench.serveRaw(t, { onConnection: (socket) => void socket.pause() })
  const handle = bench.open(t, { headersTimeoutMs: 200, sendIdleTimeoutMs: 200 })

  const body = Buffer.alloc(32 * 1024 * 1024)
  const sent = handle(get(server.url, { method: 'PUT', body }))

  await t.rejects(sent, { code: 'ETIMEDOUT', retryable: true })
})

check('the slot of a request that failed is free for the next', async (t, bench) => {
  const server = await bench.serveRaw(t, {
    onRequest(socket, { connection }) {
      if (connection <= 2) socket.destroy()
      else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')
    },
  })
  const handle = bench.open(t, { maxSockets: 2 })

  const outcomes = await Promise.allSettled(
    Array.from({ length: 6 }, () => handle(get(server.url, { idempotent: true }))),
  )

  const failed = outcomes.filter((outcome) => outcome.status === 'rejected')
  t.equal(failed.length, 2)
})

check('requests beyond the limit of connections wait and are all answered', async (t, bench) => {
  let running = 0
  let most = 0
  const server = await bench.serve(t, (request, response) => {
    most = Math.max(most, ++running)
    setImmediate(() => {
      running -= 1
      response.end(request.url)
    })
  })
  const handle = bench.open(t, { maxSockets: 3 })

  const paths = Array.from({ length: 40 }, (_, index) => `/${index}`)
  const answers = await Promise.all(paths.map((path) => handle(get(new URL(path, server.url)))))

  t.same(
    answers.map(({ body }) => Buffer.from(body).toString()),
    paths,
  )
  t.ok(most <= 3, `${most} at once`)
  t.ok(server.connections() <= 3, `${server.connections()} connections`)
})

check('an abort ends a request at every stage', async (t, bench) => {
  const reason = new Error('enough')
  const head = 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n'
  const handle = bench.open(t)
  for (const text of ['', 'HTTP/1.1', head, `${head}hell`]) {
    const abort = new AbortController()
    const server = await bench.serveRaw(t, {
      onRequest(socket) {
        socket.write(text, () => setImmediate(() => abort.abort(reason)))
      },
    })

    await t.rejects(handle(get(server.url, { signal: abort.signal })), reason)
  }
})

check('an abort while the body is sent ends the request', async (t, bench) => {
  const reason = new Error('enough')
  const abort = new AbortController()
  const server = await bench.serveRaw(t, {
    onConnection: (socket) => {
      socket.once('data', () => {
        socket.pause()
        setImmediate(() => abort.abort(reason))
      })
    },
  })
  const handle = bench.open(t)

  const body = Buffer.alloc(32 * 1024 * 1024)
  const sent = handle(get(server.url, { method: 'PUT', body, signal: abort.signal }))

  await t.rejects(sent, reason)
})
