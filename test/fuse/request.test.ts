import fc from 'fast-check'
import t from 'tap'
import { opcodes, structs } from '../../src/fuse/abi.ts'
import { parseRequest } from '../../src/fuse/parse-request.ts'
import { type FuseRequest, MalformedRequest, parseHeader } from '../../src/fuse/request.ts'
import { bodyOf, frameOf } from '../support/fake-channel.ts'

function parse(frame: Buffer): FuseRequest {
  const header = parseHeader(frame)
  if (header === undefined) throw new MalformedRequest('no head')
  return parseRequest(header, frame)
}

t.test('the structs have the sizes of the kernel header', async (t) => {
  const sizes = Object.fromEntries(
    Object.entries(structs).map(([name, struct]) => [name, struct.sizeBytes]),
  )

  t.match(sizes, {
    inHeader: 40,
    outHeader: 16,
    initIn: 64,
    initOut: 64,
    attr: 88,
    attrOut: 104,
    entryOut: 128,
    setattrIn: 88,
    readIn: 40,
    writeIn: 40,
    statfsOut: 80,
    dirent: 24,
  })
})

t.test('a frame shorter than a head has no header', async (t) => {
  t.equal(parseHeader(Buffer.alloc(39)), undefined)
})

t.test('a write carries its payload without a copy', async (t) => {
  const body = bodyOf(structs.writeIn, { fh: 7, offset: 2n ** 40n, size: 3 }, 'abc')
  const frame = frameOf(opcodes.write, body)

  const request = parse(frame)

  t.match(request, { kind: 'write', handle: 7, offsetBytes: 2 ** 40 })
  const data = request.kind === 'write' ? request.data : Buffer.alloc(0)
  t.equal(data.toString(), 'abc')
  t.equal(data.buffer, frame.buffer)
})

t.test('setattr takes privileges away with an owner, a size, or nothing else', (t) => {
  for (const [valid, expected] of [
    [2, undefined],
    [2 | 2048, true],
    [0, true],
  ] as const) {
    const request = parse(
      frameOf(opcodes.setattr, bodyOf(structs.setattrIn, { valid }), { nodeid: 3 }),
    )
    t.match(request, { changes: { dropPrivileges: expected } }, `valid ${valid}`)
  }
  t.end()
})

t.test('setattr names only what the kernel marked as valid', async (t) => {
  const valid = 1 | 8 | 32 | 64 | 128
  const fields = { valid, fh: 9, size: 5n, mode: 0o100644, mtime: -2n, mtimensec: 500_000_000 }
  const frame = frameOf(opcodes.setattr, bodyOf(structs.setattrIn, fields), { nodeid: 3 })

  const request = parse(frame)

  t.strictSame(request, {
    kind: 'setattr',
    ino: 3,
    changes: {
      handle: 9,
      mode: 0o644,
      uid: undefined,
      gid: undefined,
      sizeBytes: 5,
      dropPrivileges: undefined,
      atimeNs: 'now',
      mtimeNs: -1_500_000_000n,
      ctimeNs: undefined,
    },
  })
})

t.test('a rename carries both names and its flags', async (t) => {
  const body = bodyOf(structs.rename2In, { newdir: 4, flags: 1 }, 'old\0new\0')

  t.strictSame(parse(frameOf(opcodes.rename2, body)), {
    kind: 'rename',
    parent: 1,
    name: 'old',
    target: { parent: 4, name: 'new', noReplace: true, exchange: false },
  })
})

t.test('fallocate says what becomes of the range', async (t) => {
  const ask = (mode: number) =>
    parse(
      frameOf(
        opcodes.fallocate,
        bodyOf(structs.fallocateIn, { fh: 4, offset: 8, length: 2, mode }),
      ),
    )
  const range = { start: 8, end: 10 }

  t.match(ask(0), { handle: 4, allocation: { range, zero: false, keepSize: false } })
  t.match(ask(3), { allocation: { range, zero: true, keepSize: true } })
  t.match(ask(16), { allocation: { range, zero: true, keepSize: false } })
  t.strictSame(ask(8), { kind: 'fallocate', handle: 4, allocation: undefined })
})

t.test('a batch of forgets gives each inode its count', async (t) => {
  const one = (nodeid: number, nlookup: number): Buffer =>
    bodyOf(structs.forgetOne, { nodeid, nlookup })
  const body = bodyOf(structs.batchForgetIn, { count: 2 }, one(5, 1), one(6, 3))

  t.strictSame(parse(frameOf(opcodes.batchForget, body, { nodeid: 0 })), {
    kind: 'forget',
    forgets: [
      { ino: 5, lookupCount: 1 },
      { ino: 6, lookupCount: 3 },
    ],
  })
})

const malformed: readonly (readonly [string, Buffer])[] = [
  ['a name without an end', frameOf(opcodes.lookup, Buffer.from('name'))],
  ['an empty name', frameOf(opcodes.lookup, Buffer.from('\0'))],
  ['a name with a slash', frameOf(opcodes.lookup, Buffer.from('a/b\0'))],
  ['a name that is not UTF-8', frameOf(opcodes.lookup, Buffer.from([0xff, 0]))],
  ['an inode number beyond 2^53', frameOf(opcodes.readlink, Buffer.alloc(0), { nodeid: 2 ** 60 })],
  ['the inode number 0', frameOf(opcodes.readlink, Buffer.alloc(0), { nodeid: 0 })],
  ['the handle 0', frameOf(opcodes.flush, bodyOf(structs.flushIn))],
  [
    'a write shorter than it says',
    frameOf(opcodes.write, bodyOf(structs.writeIn, { fh: 1, size: 9 })),
  ],
  [
    'a batch of forgets shorter than it says',
    frameOf(opcodes.batchForget, bodyOf(structs.batchForgetIn, { count: 1_000_000 })),
  ],
  [
    'a length that is not the frame’s',
    Buffer.concat([frameOf(opcodes.readlink, Buffer.alloc(0)), Buffer.alloc(1)]),
  ],
  [
    'a rename with unknown flags',
    frameOf(opcodes.rename2, bodyOf(structs.rename2In, { newdir: 1, flags: 4 }, 'a\0b\0')),
  ],
]
for (const [what, frame] of malformed) {
  t.test(`${what} is malformed`, async (t) => {
    t.throws(() => parse(frame), MalformedRequest)
  })
}

t.test('any bytes give a request or MalformedRequest', async (t) => {
  const body = fc.uint8Array({ maxLength: 200 })
  const opcode = fc.oneof(fc.constantFrom(...Object.values(opcodes)), fc.nat())
  const nodeid = fc.constantFrom(0, 1, 2 ** 32, 2 ** 60)
  const property = fc.property(opcode, body, nodeid, fc.nat(300), (number, bytes, ino, cut) => {
    const frame = frameOf(number, Buffer.from(bytes), { nodeid: ino }).subarray(0, cut)
    // Half of the frames say their true length, so that parsing goes on.
    if (cut % 2 === 0 && frame.length >= 4) frame.writeUInt32LE(frame.length, 0)
    try {
      return typeof parse(frame).kind === 'string'
    } catch (error) {
      return error instanceof MalformedRequest
    }
  })

  const outcome = fc.check(property, { numRuns: 5000 })

  t.notOk(outcome.failed, `seed ${outcome.seed}: ${JSON.stringify(outcome.counterexample)}`)
})
