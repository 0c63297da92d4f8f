import { writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { opcodes, structs } from '../../src/fuse/abi.ts'
import { loadNativeMounting, NativeFuseChannel } from '../../src/fuse/native-channel.ts'
import { parseRequest } from '../../src/fuse/parse-request.ts'
import { MalformedRequest, opcodeName, parseHeader } from '../../src/fuse/request.ts'
import { Session } from '../../src/fuse/session.ts'
import { frameOf } from '../support/fake-channel.ts'
import { MemoryOperations } from '../support/memory-operations.ts'

// With ABFS_LONG_TESTS=1 a million frames instead of twenty thousand.
const frameCount = process.env['ABFS_LONG_TESTS'] === '1' ? 1_000_000 : 20_000
const seed = Number(process.env['ABFS_FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

/** Numbers from 0 to `below`, without it; the same for the same seed. */
function randomFrom(start: number): (below: number) => number {
  let state = start >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

/** A frame that is nearly right, or not at all: cut, with lengths that lie, with any bytes. */
function randomFrame(random: (below: number) => number): Buffer {
  const codes = Object.values(opcodes)
  const opcode = random(20) === 0 ? random(2 ** 32) : (codes[random(codes.length)] ?? 1)
  const body = Buffer.alloc(random(160))
  const kind = random(3)
  for (let at = 0; at < body.length; at += 1) {
    if (kind === 0) body[at] = random(256)
    else if (kind === 1 && random(4) === 0) body[at] = random(8)
    else if (kind === 2 && at > 40) body[at] = random(30) === 0 ? 0 : 97 + random(26)
  }
  const frame = frameOf(opcode, body, { nodeid: random(4), unique: BigInt(random(2 ** 31)) * 2n })
  if (random(4) === 0) frame.writeUInt32LE(random(2) ? random(2 ** 32) : random(300), 0)
  if (random(6) === 0) frame.writeUInt16LE(random(2 ** 16), structs.inHeader.totalExtlen)
  return random(4) === 0 ? frame.subarray(0, random(frame.length + 1)) : frame
}

t.test(`${frameCount} frames are parsed or refused, seed ${seed}`, (t) => {
  const random = randomFrom(seed)
  const outcomes = { parsed: 0, refused: 0, headless: 0 }
  for (let count = 0; count < frameCount; count += 1) {
    const frame = randomFrame(random)
    const header = parseHeader(frame)
    if (header === undefined) {
      outcomes.headless += 1
      continue
    }
    try {
      parseRequest(header, frame)
      outcomes.parsed += 1
    } catch (error) {
      outcomes.refused += 1
      if (error instanceof MalformedRequest) continue
      t.fail(`seed ${seed}, frame ${count} (${opcodeName(header.opcode)}): ${String(error)}`)
      break
    }
  }
  t.comment(JSON.stringify(outcomes))
  t.ok(outcomes.parsed > frameCount / 20, 'many are right enough to be parsed')
  t.ok(outcomes.refused > frameCount / 20, 'many are refused')
  t.end()
})

const addon = ((): ReturnType<typeof loadNativeMounting> | undefined => {
  try {
    return loadNativeMounting()
  } catch {
    return undefined
  }
})()

t.test(
  `the addon takes any bytes from its descriptor, seed ${seed}`,
  { skip: addon === undefined && 'the addon is not built' },
  async (t) => {
    const pair = addon?.socketPair()
    if (pair === undefined || typeof pair === 'number') throw new Error(`no sockets: ${pair}`)
    const [device, kernel] = pair
    const channel = new NativeFuseChannel(device, { timeoutMs: 1000 })
    const session = new Session(channel, new MemoryOperations())
    session.start()
    const random = randomFrom(seed)

    for (let count = 0; count < 500; count += 1) {
      writeSync(kernel, randomFrame(random))
      if (count % 20 === 0) await sleep(1)
    }
    await sleep(50)
    const lookup = frameOf(opcodes.lookup, Buffer.from('x\0'), { unique: 2n ** 40n })
    writeSync(kernel, lookup)
    await sleep(50)

    // Nobody reads the replies: once they fill the socket they are refused, and nothing waits.
    channel.close()
    t.equal(channel.send(0, [Buffer.alloc(16)]), -9, 'the channel is closed, by EBADF')
    addon?.closeDescriptor(kernel)
  },
)
