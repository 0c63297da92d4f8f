import { setImmediate } from 'node:timers/promises'
import { opcodes, structs } from '../../src/fuse/abi.ts'
import type {
  DirectoryNames,
  FrameReceiver,
  FuseChannel,
  HeldFrame,
  NamesChannel,
  SettledInode,
} from '../../src/fuse/channel.ts'

/** One reply as the kernel would read it. */
export interface FakeReply {
  /** Positive; 0 for success. */
  readonly errno: number
  readonly body: Buffer
  readonly source: number
}

/** What a request is about, where it is not the default. */
export interface FrameOptions {
  readonly nodeid?: number
  readonly unique?: bigint
  readonly uid?: number
}

/** A channel whose kernel is the test. */
export class FakeChannel implements FuseChannel {
  readonly replies = new Map<bigint, FakeReply>()
  readonly progressed: bigint[] = []
  /** What the channel may answer by itself from each reply that says so. */
  readonly settled: SettledInode[][] = []
  /** The inodes of which more was told beside each reply. */
  readonly told: number[][] = []
  /** What was offered of open directories, by handle. */
  readonly offered: Map<number, DirectoryNames> = new Map()
  readonly names: NamesChannel = {
    offer: (handle, names) => this.offered.set(handle, names),
    withdraw: (handle) => this.offered.delete(handle),
  }
  /** The names that were told of directories. */
  readonly known: Map<number, readonly string[]> = new Map()
  /** Open files of whose end nothing waits. */
  readonly idle: number[] = []
  xattrPrefixes: readonly string[] | undefined
  heldFrames = 0
  isClosed = false
  /** What `send` answers. */
  sendResult = 0
  #receiver: FrameReceiver | undefined
  #lastUnique = 0n

  receive(receiver: FrameReceiver): void {
    this.#receiver = receiver
  }

  hold(frame: Buffer): HeldFrame {
    this.heldFrames += 1
    const release = (): void => {
      this.heldFrames -= 1
    }
    return { bytes: frame, release }
  }

  offerXattrs(prefixes: readonly string[]): void {
    this.xattrPrefixes = prefixes
  }

  namesKnown(directory: number, names: readonly string[]): void {
    this.known.set(directory, names)
  }

  namesChanged(directory: number): void {
    this.known.delete(directory)
  }

  handleIdle(handle: number): void {
    this.idle.push(handle)
  }

  send(
    source: number,
    parts: readonly Uint8Array[],
    settled: readonly SettledInode[] = [],
    told: Uint8Array = new Uint8Array(),
  ): number {
    if (told.length > 0) this.told.push(inodesIn(told))
    if (settled.length > 0) this.settled.push([...settled])
    const message = Buffer.concat(parts)
    const at = structs.outHeader
    if (message.readUInt32LE(at.len) !== message.length) return -22
    const errno = -message.readInt32LE(at.error)
    const body = message.subarray(at.sizeBytes)
    this.replies.set(message.readBigUInt64LE(at.unique), { errno, body, source })
    return this.sendResult
  }

  progress(unique: bigint): void {
    this.progressed.push(unique)
  }

  /** Answers a request in the session's place, as the addon does. */
  expire(unique: bigint, code: 'ETIMEDOUT' | 'EINTR'): void {
    this.#receiver?.onExpired(unique, code)
  }

  close(): void {
    this.isClosed = true
  }

  /** Delivers a frame, whatever it is. */
  deliver(frame: Buffer, source = 0): void {
    this.#receiver?.onFrame(frame, source)
  }

  /** Sends a request and gives its number. */
  post(opcode: number, body: Buffer = Buffer.alloc(0), options: FrameOptions = {}): bigint {
    this.#lastUnique += 2n
    const unique = options.unique ?? this.#lastUnique
    this.deliver(frameOf(opcode, body, { ...options, unique }))
    return unique
  }

  /** Sends a request and awaits its reply. */
  async ask(opcode: number, body?: Buffer, options?: FrameOptions): Promise<FakeReply> {
    return this.reply(this.post(opcode, body, options))
  }

  async reply(unique: bigint): Promise<FakeReply> {
    for (let turn = 0; turn < 100; turn += 1) {
      const reply = this.replies.get(unique)
      if (reply !== undefined) return reply
      await setImmediate()
    }
    throw new Error(`request ${unique} was not answered`)
  }

  async initialize(minor = 41): Promise<FakeReply> {
    const body = bodyOf(structs.initIn, { major: 7, minor, flags: -1 >>> 0, maxReadahead: 131072 })
    return this.ask(opcodes.init, body)
  }

  end(error?: Error): void {
    this.#receiver?.onEnd(error)
  }
}

/** A request's bytes. */
export function frameOf(opcode: number, body: Buffer, options: FrameOptions = {}): Buffer {
  const at = structs.inHeader
  const head = Buffer.alloc(at.sizeBytes)
  head.writeUInt32LE(at.sizeBytes + body.length, at.len)
  head.writeUInt32LE(opcode, at.opcode)
  head.writeBigUInt64LE(options.unique ?? 2n, at.unique)
  head.writeBigUInt64LE(BigInt(options.nodeid ?? 1), at.nodeid)
  head.writeUInt32LE(options.uid ?? 1000, at.uid)
  return Buffer.concat([head, body])
}

/** A struct with the given fields, the others zero, and then bytes. */
export function bodyOf(
  struct: Readonly<Record<string, number>> & { readonly sizeBytes: number },
  fields: Readonly<Record<string, number | bigint>> = {},
  ...tail: readonly (string | Uint8Array)[]
): Buffer {
  const body = Buffer.alloc(struct.sizeBytes)
  for (const [field, value] of Object.entries(fields)) {
    const at = struct[field]
    if (at === undefined) throw new Error(`no field ${field}`)
    if (typeof value === 'bigint') body.writeBigInt64LE(value, at)
    else body.writeUInt32LE(value, at)
  }
  return Buffer.concat([body, ...tail.map((part) => Buffer.from(part))])
}

function inodesIn(told: Uint8Array): number[] {
  const { sizeBytes, attr } = structs.attrOut
  const bytes = Buffer.from(told)
  return Array.from({ length: bytes.length / sizeBytes }, (_, index) =>
    Number(bytes.readBigUInt64LE(index * sizeBytes + attr + structs.attr.ino)),
  )
}
