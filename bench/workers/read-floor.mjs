// The readers of ../read-floor.mjs that are Node's: bare sockets, and a mount that answers from memory.
import { connect } from 'node:tls'
import { mount } from '../../dist/fuse/mount.js'

/** Receives a body into the same buffer over and over; resolves when the connection is closed. */
function receive(part) {
  const endpoint = new URL(process.env.ABFS_BLOB_ENDPOINT)
  const state = { head: '', left: Number.NaN }
  const { promise, resolve, reject } = withResolvers()
  const callback = (count, buffer) => {
    if (Number.isNaN(state.left)) beginBody(state, buffer.subarray(0, count))
    else state.left -= count
    if (state.left === 0) socket.destroy()
    return true
  }
  const onread = { buffer: Buffer.allocUnsafeSlow(2 ** 20), callback }
  const { hostname: host, port } = endpoint
  const socket = connect({ host, port: Number(port), rejectUnauthorized: false, onread })
  socket.on('error', reject)
  socket.on('close', () => (state.left === 0 ? resolve() : reject(new Error('ended early'))))
  socket.write(
    `GET ${endpoint.pathname}/data/${part}?${process.env.BENCH_SAS} HTTP/1.1\r\nHost: ${endpoint.host}\r\nx-ms-version: 2025-01-05\r\n\r\n`,
  )
  return promise
}

function withResolvers() {
  const all = {}
  all.promise = new Promise((resolve, reject) => Object.assign(all, { resolve, reject }))
  return all
}

function beginBody(state, bytes) {
  state.head += bytes.toString('latin1')
  const end = state.head.indexOf('\r\n\r\n')
  if (end < 0) return
  const length = /content-length: (\d+)/i.exec(state.head)
  if (!state.head.startsWith('HTTP/1.1 200') || length === null) throw new Error(state.head)
  state.left = Number(length[1]) - (state.head.length - end - 4)
}

async function sockets(streams, ...parts) {
  if (streams === '1') for (const part of parts) await receive(part)
  else await Promise.all(parts.map(receive))
}

const content = Buffer.alloc(2 ** 20)
const stable = { uid: 0, gid: 0, atimeNs: 0n, mtimeNs: 0n, ctimeNs: 0n, rdev: 0, blockBytes: 4096 }

function attributesOf(ino, sizeBytes) {
  const mode = ino === 1 ? 0o40755 : 0o100444
  return { ...stable, ino, mode, nlink: 1, sizeBytes: ino === 1 ? 0 : sizeBytes, attrTtlMs: 60_000 }
}

async function serve(mountpoint, size, ...parts) {
  const sizeBytes = Number(size)
  const operations = {
    lookup: async (_parent, name) => ({
      kind: 'entry',
      attributes: attributesOf(parts.indexOf(name) + 2, sizeBytes),
      generation: 0,
      entryTtlMs: 60_000,
    }),
    forget: () => undefined,
    getattr: async (ino) => attributesOf(ino, sizeBytes),
    open: async () => ({ handle: 1, keepCache: false, directIo: false }),
    read: async (_handle, { start, end }) => [content.subarray(0, end - start)],
    flush: async () => undefined,
    release: async () => undefined,
    unmounted: async () => undefined,
  }
  const mounted = await mount(operations, { mountpoint, source: 'memory' })
  process.stdout.write('mounted\n')
  await mounted.closed
}

const [job, ...args] = process.argv.slice(2)
await { sockets, mount: serve }[job](...args)
