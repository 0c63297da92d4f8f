import { writeSync } from 'node:fs'
import { constants } from 'node:os'
import { FileSystemError } from '../errors.ts'
import { addonPlaces, findAddon, howToBuildAddon } from '../native-addon.ts'
import { FUSE_NOTIFY_RESEND, structs } from './abi.ts'
import type {
  ContentChannel,
  FrameReceiver,
  FuseChannel,
  HeldFrame,
  NamesChannel,
  SettledInode,
} from './channel.ts'
import { maxRequestBytes } from './limits.ts'

/** The functions of the addon that mount; failures are negative errnos. `native/addon_mounting.cc` has their contracts. */
export interface NativeMounting {
  mount(
    target: string,
    source: string,
    readOnly: boolean,
    allowOther: boolean,
    maxReadBytes: number,
  ): Promise<number>
  unmount(target: string, lazy: boolean): Promise<number>
  socketPair(): [number, number] | number
  receiveDescriptor(socket: number): number
  sendDescriptor(socket: number, descriptor: number): number
  closeDescriptor(descriptor: number): void
}

interface NativeConnection {
  readonly pool: ArrayBuffer
  readonly frames: Int32Array
  receive(
    onFrames: (count: number) => void,
    onEnd: (errno: number) => void,
    onExpired: (unique: bigint, errno: number) => void,
    onSent: (ticket: number, result: number) => void,
  ): number
  release(slot: number): void
  send(
    source: number,
    parts: readonly Uint8Array[],
    settled?: Float64Array,
    told?: Uint8Array,
  ): number
  sendLater(source: number, parts: readonly Uint8Array[], ticket: number): number
  progress(unique: bigint): void
  invalidateAttributes(ino: number): void
  expireName(directory: number, name: string): void
  inodeChanged(ino: number): void
  namesKnown(directory: number, names: readonly string[], holdsMs: number): void
  namesChanged(directory: number): void
  handleIdle(handle: number): void
  offerXattrs(prefixes: readonly string[]): void
  offerNames(handle: number, message: Uint8Array, end: number, settled: Float64Array): void
  withdrawNames(handle: number): void
  invalidateContent(ino: number): Promise<number>
  invalidateSize(ino: number): Promise<number>
  attachContent(handle: number, sizeBytes: number): void
  addPiece(
    handle: number,
    start: number,
    sizeBytes: number,
    descriptor: number,
    complete: boolean,
  ): number
  markPresent(handle: number, start: number, sizeBytes: number): void
  detachContent(handle: number): void
  openBacking(descriptor: number): number
  closeBacking(backing: number): number
  close(): void
}

interface Addon extends NativeMounting {
  readonly NativeChannel: new (
    device: number,
    slotCount: number,
    slotBytes: number,
    readerCount: number,
    deadlineMs: number,
    ownQueues: boolean,
  ) => NativeConnection
}

/** Loads the addon. Throws ENOTSUP when it was not built for this platform. */
export function loadNativeMounting(): NativeMounting {
  return loadAddon()
}

/** How a channel serves. */
export interface NativeChannelOptions {
  /**
   * How long a request may go without progress before the addon's own threads answer it with
   * `ETIMEDOUT`; milliseconds. 0 for ever.
   */
  readonly timeoutMs: number
  /** Another process holds the connection too: what this one has taken and not answered outlives it. Default false. */
  readonly isKept?: boolean | undefined
}

/** The mount behind `device`, an open /dev/fuse, which the channel takes over. */
export class NativeFuseChannel implements FuseChannel {
  readonly content: ContentChannel
  readonly names: NamesChannel
  readonly #connection: NativeConnection
  #receiver: FrameReceiver | undefined
  /** Where the frame that is being delivered stands in `frames`. */
  #position = 0
  #heldSlots = 0
  readonly #sending = new Map<number, LateReply>()
  #tickets = 0
  readonly #device: number

  constructor(device: number, { timeoutMs, isKept = false }: NativeChannelOptions) {
    const { NativeChannel } = loadAddon()
    this.#device = device
    this.#connection = new NativeChannel(
      device,
      slotCount,
      slotBytes,
      readerCount,
      timeoutMs,
      !isKept,
    )
    this.content = contentOf(this.#connection)
    this.names = namesOf(this.#connection)
  }

  receive(receiver: FrameReceiver): void {
    this.#receiver = receiver
    const result = this.#connection.receive(
      (count) => this.#deliver(count),
      (errno) => receiver.onEnd(errno === 0 ? undefined : readFailure(errno)),
      (unique, errno) =>
        receiver.onExpired(unique, errno === constants.errno.EINTR ? 'EINTR' : 'ETIMEDOUT'),
      (ticket, result) => this.#sent(ticket, result),
    )
    if (result < 0) throw readFailure(-result)
  }

  resend(): void {
    writeSync(this.#device, resendNotice())
  }

  hold(frame: Buffer): HeldFrame {
    if (this.#heldSlots >= maxHeldSlots) return { bytes: Buffer.from(frame), release() {} }
    const slot = Math.floor(frame.byteOffset / slotBytes)
    this.#connection.frames[this.#position] = -1
    this.#heldSlots += 1
    let held = true
    const release = (): void => {
      if (!held) return
      held = false
      this.#heldSlots -= 1
      this.#connection.release(slot)
    }
    return { bytes: frame, release }
  }

  send(
    source: number,
    parts: readonly Uint8Array[],
    settled: readonly SettledInode[] = [],
    told?: Uint8Array,
  ): number {
    if (settled.length === 0) return this.#connection.send(source, parts, undefined, told)
    return this.#connection.send(source, parts, pairsOf(settled), told)
  }

  sendLater(
    source: number,
    parts: readonly Uint8Array[],
    whenSent: (result: number) => void,
  ): void {
    const ticket = this.#tickets++
    // The parts are held here as long as the thread of the addon looks at them.
    this.#sending.set(ticket, { parts, whenSent })
    const result = this.#connection.sendLater(source, parts, ticket)
    if (result < 0) this.#sent(ticket, result)
  }

  #sent(ticket: number, result: number): void {
    const late = this.#sending.get(ticket)
    this.#sending.delete(ticket)
    late?.whenSent(result)
  }

  progress(unique: bigint): void {
    this.#connection.progress(unique)
  }

  invalidateAttributes(ino: number): void {
    this.#connection.invalidateAttributes(ino)
  }

  expireName(directory: number, name: string): void {
    this.#connection.expireName(directory, name)
  }

  inodeChanged(ino: number): void {
    this.#connection.inodeChanged(ino)
  }

  namesKnown(directory: number, names: readonly string[], holdsMs: number): void {
    this.#connection.namesKnown(directory, names, holdsMs)
  }

  namesChanged(directory: number): void {
    this.#connection.namesChanged(directory)
  }

  handleIdle(handle: number): void {
    this.#connection.handleIdle(handle)
  }

  offerXattrs(prefixes: readonly string[]): void {
    this.#connection.offerXattrs(prefixes)
  }

  async invalidateContent(ino: number): Promise<void> {
    const result = await this.#connection.invalidateContent(ino)
    if (result < 0 && !goneErrnos.has(-result)) throw notInvalidated(-result)
  }

  async invalidateSize(ino: number): Promise<void> {
    const result = await this.#connection.invalidateSize(ino)
    if (result < 0 && !goneErrnos.has(-result)) throw notInvalidated(-result)
  }

  close(): void {
    this.#connection.close()
    for (const ticket of [...this.#sending.keys()]) this.#sent(ticket, -constants.errno.ENODEV)
  }

  #deliver(count: number): void {
    const { frames, pool } = this.#connection
    for (let index = 0; index < count; index += 1) {
      this.#position = index * 3
      const [slot = 0, lengthBytes = 0, source = 0] = frames.subarray(index * 3, index * 3 + 3)
      this.#receiver?.onFrame(Buffer.from(pool, slot * slotBytes, lengthBytes), source)
    }
  }
}

/** `fuse_out_header` of a notice: its code stands for an error, and it answers no request. */
function resendNotice(): Uint8Array {
  const { sizeBytes, len, error } = structs.outHeader
  const notice = Buffer.alloc(sizeBytes)
  notice.writeUInt32LE(sizeBytes, len)
  notice.writeInt32LE(FUSE_NOTIFY_RESEND, error)
  return notice
}

function pairsOf(settled: readonly SettledInode[]): Float64Array {
  const pairs = new Float64Array(settled.length * 2)
  settled.forEach(({ ino, plain }, index) => {
    pairs[index * 2] = ino
    pairs[index * 2 + 1] = plain ? 1 : 0
  })
  return pairs
}

function namesOf(connection: NativeConnection): NamesChannel {
  return {
    offer: (handle, { message, end, settled }) =>
      connection.offerNames(handle, message, end, pairsOf(settled)),
    withdraw: (handle) => connection.withdrawNames(handle),
  }
}

interface LateReply {
  readonly parts: readonly Uint8Array[]
  readonly whenSent: (result: number) => void
}

function contentOf(connection: NativeConnection): ContentChannel {
  return {
    attach: (handle, sizeBytes) => connection.attachContent(handle, sizeBytes),
    addPiece: (handle, { start, sizeBytes, descriptor }, complete) => {
      // A piece that cannot be added (too many descriptors) is asked for as before.
      connection.addPiece(handle, start, sizeBytes, descriptor, complete)
    },
    markPresent: (handle, { start, end }) => connection.markPresent(handle, start, end - start),
    detach: (handle) => connection.detachContent(handle),
    openBacking: (descriptor) => connection.openBacking(descriptor),
    closeBacking: (backing) => {
      connection.closeBacking(backing)
    },
  }
}

/** One request of the largest size and its head, in whole pages. */
const slotBytes = maxRequestBytes + 4096
/** Addresses, not memory: a slot costs nothing before its first use, and the last freed is used first. */
const slotCount = 32
/** The rest stays free for requests that must get through whatever is held: interrupts, forgets. */
const maxHeldSlots = 24
const readerCount = 2

let loaded: Addon | undefined

function loadAddon(): Addon {
  loaded ??= requireAddon()
  return loaded
}

function requireAddon(): Addon {
  const failures: unknown[] = []
  const addon = findAddon(isAddon, failures)
  if (addon !== undefined && isAddon(addon)) return addon
  throw new FileSystemError('ENOTSUP', 'mount', {
    detail:
      `the native addon for ${process.platform}-${process.arch} is missing or does not load: ` +
      howToBuildAddon(),
    cause: new AggregateError(failures, `looked for ${addonPlaces.join(', ')}`),
  })
}

function isAddon(value: object): value is Addon {
  return 'NativeChannel' in value
}

/** The mount is gone, and with it whatever the kernel held. */
const goneErrnos: ReadonlySet<number> = new Set([constants.errno.ENODEV, constants.errno.EBADF])

function notInvalidated(errno: number): FileSystemError {
  const detail = `the kernel did not drop what it holds of a file: errno ${errno}`
  return new FileSystemError('EIO', 'flock', { detail })
}

function readFailure(errno: number): FileSystemError {
  const name = Object.entries(constants.errno).find(([, number]) => number === errno)?.[0]
  return new FileSystemError('EIO', 'mount', {
    detail: `reading requests from the kernel failed: ${name ?? errno}`,
  })
}
