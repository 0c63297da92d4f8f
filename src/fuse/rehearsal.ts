import { constants } from 'node:fs'
import { KiB } from '../byte-range.ts'
import { type FileOperations, rootIno } from '../vfs/operations.ts'
import { FUSE_KERNEL_VERSION, type Layout, maxKernelMinor, opcodes, structs } from './abi.ts'
import type { ContentChannel, FrameReceiver, FuseChannel, HeldFrame } from './channel.ts'
import { Session } from './session.ts'

/**
 * Asks `operations` what the kernel asks for a program that lists the top directory and reads the beginning of
 * its file `name`: whoever comes next finds all of that compiled. Rejects when a call fails.
 */
export async function rehearse(operations: FileOperations, name: string): Promise<void> {
  const kernel = new PretendedKernel()
  const session = new Session(kernel, operations)
  session.start()
  try {
    const protocol = { major: FUSE_KERNEL_VERSION, minor: maxKernelMinor, flags: 0xffff_ffff }
    await kernel.ask(opcodes.init, rootIno, bodyOf(structs.initIn, protocol))
    await listTop(kernel)
    await readFile(kernel, name)
  } finally {
    kernel.end()
    await session.closed
  }
}

async function listTop(kernel: PretendedKernel): Promise<void> {
  const opened = await kernel.ask(opcodes.opendir, rootIno, bodyOf(structs.openIn))
  const fh = opened.readBigUInt64LE(structs.openOut.fh)
  const range = bodyOf(structs.readIn, { fh, size: 4 * KiB })
  await kernel.ask(opcodes.readdirplus, rootIno, range)
  await kernel.ask(opcodes.releasedir, rootIno, bodyOf(structs.releaseIn, { fh }))
}

async function readFile(kernel: PretendedKernel, name: string): Promise<void> {
  const found = await kernel.ask(opcodes.lookup, rootIno, Buffer.from(`${name}\0`))
  const ino = Number(found.readBigUInt64LE(structs.entryOut.nodeid))
  await kernel.ask(opcodes.getattr, ino, bodyOf(structs.getattrIn))
  const flags = constants.O_RDONLY
  const opened = await kernel.ask(opcodes.open, ino, bodyOf(structs.openIn, { flags }))
  const fh = opened.readBigUInt64LE(structs.openOut.fh)
  await kernel.ask(opcodes.read, ino, bodyOf(structs.readIn, { fh, size: 128 * KiB }))
  await kernel.ask(opcodes.release, ino, bodyOf(structs.releaseIn, { fh }))
}

/** Asks one thing after the other. */
class PretendedKernel implements FuseChannel {
  readonly content: ContentChannel = unused
  #receiver: FrameReceiver | undefined
  #lastUnique = 0n
  #onReply: (message: Buffer) => void = () => undefined

  receive(receiver: FrameReceiver): void {
    this.#receiver = receiver
  }

  hold(frame: Buffer): HeldFrame {
    return { bytes: frame, release: () => undefined }
  }

  send(_source: number, parts: readonly Uint8Array[]): number {
    this.#onReply(Buffer.concat(parts))
    return 0
  }

  close(): void {
    this.#receiver = undefined
  }

  /** What the reply to a request holds behind its head. */
  async ask(opcode: number, nodeid: number, body: Buffer): Promise<Buffer> {
    const head = structs.inHeader
    const frame = Buffer.concat([Buffer.alloc(head.sizeBytes), body])
    frame.writeUInt32LE(frame.length, head.len)
    frame.writeUInt32LE(opcode, head.opcode)
    this.#lastUnique += 1n
    frame.writeBigUInt64LE(this.#lastUnique, head.unique)
    frame.writeBigUInt64LE(BigInt(nodeid), head.nodeid)
    const replied = new Promise<Buffer>((resolve) => {
      this.#onReply = resolve
    })
    this.#receiver?.onFrame(frame, 0)
    const reply = await replied
    const error = reply.readInt32LE(structs.outHeader.error)
    if (error !== 0) throw new Error(`request ${opcode} was answered with errno ${-error}`)
    return reply.subarray(structs.outHeader.sizeBytes)
  }

  end(): void {
    this.#receiver?.onEnd()
  }
}

const unused: ContentChannel = {
  attach: () => undefined,
  addPiece: () => undefined,
  markPresent: () => undefined,
  detach: () => undefined,
  openBacking: () => -1,
  closeBacking: () => undefined,
}

/** A struct with the given fields, the others zero. */
function bodyOf<Field extends string>(
  struct: Layout<Field>,
  fields: { readonly [F in Field]?: number | bigint } = {},
): Buffer {
  const body = Buffer.alloc(struct.sizeBytes)
  for (const field of Object.keys(fields) as Field[]) {
    const value = fields[field] ?? 0
    if (typeof value === 'bigint') body.writeBigUInt64LE(value, struct[field])
    else body.writeUInt32LE(value, struct[field])
  }
  return body
}
