// The bound: a loop over bare sockets that does nothing but ask for ranges and receive them.
import { connect } from 'node:net'
import { connect as connectSecurely } from 'node:tls'
import { inFlight, measured, offsets, rangesToWarmUp } from './measured.mjs'

const [job, text = '{}'] = process.argv.slice(2)
const options = JSON.parse(text)
const endpoint = new URL(process.env.ABFS_BLOB_ENDPOINT)

/** A connection that receives one range at a time straight into the buffer it is given. */
function openLane() {
  const scratch = Buffer.allocUnsafeSlow(16 * 1024)
  const state = { head: '', target: undefined, at: 0, done: undefined }
  const onread = {
    buffer: () => {
      const { target, at } = state
      return target === undefined
        ? scratch
        : target.subarray(at, Math.min(at + 2 ** 20, target.length))
    },
    callback: (count, buffer) => {
      if (state.target === undefined) receiveHead(state, buffer.subarray(0, count))
      else state.at += count
      if (state.target !== undefined && state.at === state.target.length) {
        state.target = undefined
        state.done()
      }
      return true
    },
  }
  const address = { host: endpoint.hostname, port: Number(endpoint.port), onread }
  const socket =
    endpoint.protocol === 'https:'
      ? connectSecurely({ ...address, rejectUnauthorized: false })
      : connect(address)
  socket.setNoDelay(true)
  return {
    fetch(path, start, buffer) {
      return new Promise((resolve) => {
        Object.assign(state, { head: '', wanted: buffer, at: 0, done: resolve })
        const range = `bytes=${start}-${start + buffer.length - 1}`
        socket.write(
          `GET ${endpoint.pathname}/${path}?${process.env.BENCH_SAS} HTTP/1.1\r\nHost: ${endpoint.host}\r\nx-ms-version: 2025-01-05\r\nx-ms-range: ${range}\r\n\r\n`,
        )
      })
    },
    close: () => socket.destroy(),
  }
}

function receiveHead(state, bytes) {
  state.head += bytes.toString('latin1')
  const end = state.head.indexOf('\r\n\r\n')
  if (end < 0) return
  if (!state.head.startsWith('HTTP/1.1 206')) throw new Error(state.head)
  const body = Buffer.from(state.head.slice(end + 4), 'latin1')
  body.copy(state.wanted)
  state.target = state.wanted
  state.at = body.length
}

async function withLanes(width, rangeBytes, count, startOf) {
  const lanes = Array.from({ length: width }, () => ({
    lane: openLane(),
    buffer: Buffer.allocUnsafeSlow(rangeBytes),
  }))
  const run = async (times) => {
    const free = [...lanes]
    await inFlight(times, width, async (index) => {
      const own = free.pop()
      await own.lane.fetch(options.path, startOf(index), own.buffer)
      free.push(own)
    })
  }
  await measured(
    () => run(Math.min(count, rangesToWarmUp)),
    () => run(count),
  )
  for (const { lane } of lanes) lane.close()
}

const rangeBytes = 8 * 1024 * 1024
const jobs = {
  read: () =>
    withLanes(4, rangeBytes, options.sizeBytes / rangeBytes, (index) => index * rangeBytes),
  ranges() {
    const next = offsets(options.sizeBytes, 4096)
    return withLanes(options.width, 4096, options.count, () => next())
  },
}

await jobs[job]()
