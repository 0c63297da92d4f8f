// The bounds of a listing: a bare connection that asks for page after page and keeps nothing. `bytes` looks for the next
// marker alone, `names` makes a text of each name too.
import { connect } from 'node:net'
import { measured } from './measured.mjs'

const [job, text = '{}'] = process.argv.slice(2)
const { prefix } = JSON.parse(text)
const endpoint = new URL(process.env.ABFS_BLOB_ENDPOINT)
const query = `restype=container&comp=list&maxresults=5000&prefix=${encodeURIComponent(prefix)}`

/** A connection that resolves to the body of each answer, which lies in memory that is used again. */
function openLane() {
  const room = Buffer.allocUnsafeSlow(16 * 1024 * 1024)
  const state = { held: 0, start: 0, end: Number.POSITIVE_INFINITY, done: undefined }
  const callback = (count) => {
    state.held += count
    if (state.start === 0) readHead(state, room)
    if (state.held < state.end) return true
    // Node asks for the next buffer as soon as this returns: the next answer begins at the beginning.
    state.held = 0
    state.done(room.subarray(state.start, state.end))
    return true
  }
  const onread = { buffer: () => room.subarray(state.held), callback }
  const socket = connect({ host: endpoint.hostname, port: Number(endpoint.port), onread })
  socket.setNoDelay(true)
  const fetchPage = (marker) =>
    new Promise((resolve) => {
      Object.assign(state, { start: 0, end: Number.POSITIVE_INFINITY, done: resolve })
      const target = `${endpoint.pathname}/data?${query}&marker=${encodeURIComponent(marker)}`
      socket.write(
        `GET ${target}&${process.env.BENCH_SAS} HTTP/1.1\r\nHost: ${endpoint.host}\r\nx-ms-version: 2025-01-05\r\n\r\n`,
      )
    })
  return { fetchPage, close: () => socket.destroy() }
}

function readHead(state, room) {
  const end = room.subarray(0, state.held).indexOf('\r\n\r\n')
  if (end < 0) return
  const head = room.toString('latin1', 0, end)
  const [, length] = /^content-length: (\d+)/im.exec(head) ?? []
  if (!head.startsWith('HTTP/1.1 200') || length === undefined) throw new Error(head)
  state.start = end + 4
  state.end = state.start + Number(length)
}

const open = Buffer.from('<Name>')

function namesIn(page) {
  let found = 0
  for (let at = page.indexOf(open); at >= 0; at = page.indexOf(open, at)) {
    const end = page.indexOf('</Name>', at)
    if (page.toString('utf8', at + open.length, end) !== '') found++
    at = end
  }
  return found
}

function nextMarker(page) {
  const tail = page.toString('utf8', Math.max(page.length - 4096, 0))
  return /<NextMarker>([^<]+)</.exec(tail)?.[1]
}

await measured(undefined, async () => {
  const { fetchPage, close } = openLane()
  let [marker, count] = ['', 0]
  while (marker !== undefined) {
    const page = await fetchPage(marker)
    count += job === 'names' ? namesIn(page) : page.length
    marker = nextMarker(page)
  }
  close()
  return count
})
