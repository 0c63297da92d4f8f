// The bound of trees of small files: 32 bare sockets that send each file read whole, and one rename for each
// file received. It knows the names beforehand, takes every answer to be good, and keeps nothing.
import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  writeSync,
} from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { inFlight, measured } from './measured.mjs'

const [job, text = '{}'] = process.argv.slice(2)
const options = JSON.parse(text)
const endpoint = new URL(process.env.ABFS_BLOB_ENDPOINT)
const width = 32

/** A connection that resolves to the body of each answer. */
function openLane() {
  const scratch = Buffer.allocUnsafeSlow(64 * 1024)
  let [held, done] = [0, undefined]
  const onread = {
    buffer: () => scratch.subarray(held),
    callback: (count) => {
      held += count
      const start = scratch.subarray(0, held).indexOf('\r\n\r\n') + 4
      if (start < 4) return true
      const head = scratch.latin1Slice(0, start)
      if (!head.startsWith('HTTP/1.1 20')) throw new Error(head)
      const length = Number(/content-length: (\d+)/i.exec(head)[1])
      if (held < start + length) return true
      held = 0
      done(scratch.subarray(start, start + length))
      return true
    },
  }
  const socket = connect({ host: endpoint.hostname, port: Number(endpoint.port), onread })
  socket.setNoDelay(true)
  return {
    ask(method, path, { headers = '', body } = {}) {
      return new Promise((resolve) => {
        done = resolve
        socket.cork()
        socket.write(
          `${method} ${endpoint.pathname}/${path}?${process.env.BENCH_SAS} HTTP/1.1\r\nHost: ${endpoint.host}\r\nx-ms-version: 2025-01-05\r\n${headers}\r\n`,
          'latin1',
        )
        if (body !== undefined) socket.write(body)
        socket.uncork()
      })
    },
    close: () => socket.destroy(),
  }
}

function namesBelow(directory) {
  return readdirSync(directory, { withFileTypes: true }).flatMap((parent) =>
    readdirSync(join(directory, parent.name)).map((name) => `${parent.name}/${name}`),
  )
}

function readWhole(file) {
  const descriptor = openSync(file, 'r')
  const data = Buffer.allocUnsafe(fstatSync(descriptor).size)
  readSync(descriptor, data, 0, data.length, 0)
  closeSync(descriptor)
  return data
}

function writeWhole(file, data) {
  const descriptor = openSync(`${file}.part`, 'wx')
  writeSync(descriptor, data)
  closeSync(descriptor)
  renameSync(`${file}.part`, file)
}

async function overLanes(names, work) {
  const lanes = Array.from({ length: width }, openLane)
  const free = [...lanes]
  await inFlight(names.length, width, async (index) => {
    const lane = free.pop()
    await work(lane, names[index])
    free.push(lane)
  })
  for (const lane of lanes) lane.close()
  return names.length
}

const jobs = {
  put: () =>
    measured(undefined, () =>
      overLanes(namesBelow(options.directory), (lane, name) => {
        const body = readWhole(join(options.directory, name))
        const headers = `x-ms-blob-type: BlockBlob\r\ncontent-length: ${body.length}\r\n`
        return lane.ask('PUT', `${options.path}/${name}`, { headers, body })
      }),
    ),
  get() {
    const names = namesBelow(options.source)
    return measured(undefined, () => {
      for (const name of readdirSync(options.source)) mkdirSync(join(options.directory, name))
      return overLanes(names, async (lane, name) => {
        const data = await lane.ask('GET', `${options.path}/${name}`)
        writeWhole(join(options.directory, name), data)
      })
    })
  },
}

await jobs[job]()
