/**
 * One mount's conversation with the kernel. First INIT settles the version and what both sides can
 * do. Then each request is parsed, becomes a {@link Call}, and is answered when its operation
 * settles; calls overlap without order. INTERRUPT aborts the signal of the call that it names.
 * When the connection ends, calls that nobody waits for any more are aborted, those that may be
 * saving data are awaited, and the session closes.
 */
import { constants } from 'node:os'
import { errnoOf, FileSystemError } from '../errors.ts'
import type { FileOperations, Ino } from '../vfs/operations.ts'
import { FUSE_KERNEL_VERSION, initFlags2, minKernelMinor, opcodes } from './abi.ts'
import { answer, type OperationRequest } from './answer.ts'
import { Call } from './call.ts'
import {
  errnoOfFailure,
  goneErrnos,
  hungUp,
  isLong,
  maxEarlyInterrupts,
  mayBeSaving,
  noFailover,
  ofOneAnswer,
  reportFault,
  tooOld,
  withoutReply,
} from './call-rules.ts'
import type { FuseChannel, HeldFrame } from './channel.ts'
import { deferred } from './deferred.ts'
import { limitsFor, maxRequestBytes, noLimits } from './limits.ts'
import { OpenModes } from './open-modes.ts'
import { parseRequest } from './parse-request.ts'
import { watchProgress } from './progress.ts'
import {
  initReply,
  type Message,
  type SessionLimits,
  statusReply,
  toldAttributes,
} from './reply.ts'
import {
  type Forget,
  type FuseRequest,
  MalformedRequest,
  opcodeName,
  parseHeader,
  type RequestHeader,
} from './request.ts'

type InitRequest = Extract<FuseRequest, { readonly kind: 'init' }>

/** What a session asks of the kernel. */
export interface SessionOptions {
  /** How far ahead of a reader the kernel may ask; it has a limit of its own. */
  readonly maxReadAheadBytes?: number | undefined
  /** Has the kernel read files by itself that lie whole on the local disk, where it can. Default false. */
  readonly passthrough?: boolean | undefined
  /** For a connection that outlives this process. */
  readonly failover?: SessionFailover | undefined
}

/** What a session has to do with those before and after it. */
export interface SessionFailover {
  /** The INIT that another process has answered: the conversation goes on. */
  readonly init?: Uint8Array | undefined
  /** Takes the INIT that was answered here, before its answer is sent. */
  readonly begun: (init: Uint8Array) => void
}

/** Serves `operations` to the kernel behind `channel`. */
export class Session {
  /** Resolves when the mount serves; rejects when the kernel cannot be served, or hangs up before. */
  readonly ready: Promise<void>
  /** Resolves when the mount is gone and every call has settled; rejects when reading requests failed. */
  readonly closed: Promise<void>
  readonly #channel: FuseChannel
  readonly #operations: FileOperations
  readonly #maxReadAheadBytes: number
  readonly #calls = new Map<bigint, Call>()
  /** Interrupts that overtook their request. */
  readonly #earlyInterrupts = new Set<bigint>()
  readonly #readiness = deferred<void>()
  readonly #drained = deferred<void>()
  readonly #closing = deferred<void>()
  readonly #wantsPassthrough: boolean
  #modes: OpenModes | undefined
  readonly #failover: SessionFailover | undefined
  /** What has come since the session was paused. */
  #waiting: { readonly frame: Buffer; readonly source: number }[] | undefined
  #whenIdle: () => void = () => {}
  #ended = false
  #stopWatching: () => void = () => {}

  constructor(channel: FuseChannel, operations: FileOperations, options: SessionOptions = {}) {
    this.#channel = channel
    this.#operations = operations
    this.#failover = options.failover
    this.#wantsPassthrough = options.passthrough ?? false
    this.#maxReadAheadBytes = options.maxReadAheadBytes ?? maxRequestBytes
    this.ready = this.#readiness.promise
    this.closed = this.#closing.promise
  }

  /** Begins to serve. Called once. */
  start(): void {
    this.#operations.watchChanges?.({
      attributesChanged: (ino) => this.#channel.invalidateAttributes?.(ino),
      nameChanged: (directory, name) => this.#channel.expireName?.(directory, name),
      inodeChanged: (ino) => this.#channel.inodeChanged?.(ino),
      contentChanged: async (ino) => this.#channel.invalidateContent?.(ino),
      sizeChanged: async (ino) => this.#channel.invalidateSize?.(ino),
    })
    this.#stopWatching = watchProgress({
      // Calls that wait for many answers may go on.
      answered: () => this.#prolong(({ kind }) => !ofOneAnswer.has(kind)),
      // Whoever is held back on purpose is not late, and nobody knows whose requests wait.
      held: () => this.#prolong(() => true),
    })
    const init = this.#failover?.init
    if (init !== undefined) this.#goOn(Buffer.from(init))
    this.#channel.receive({
      onFrame: (frame, source) => this.#receive(frame, source),
      onExpired: (unique, code) => this.#expire(unique, code),
      onEnd: (error) => void this.#end(error),
    })
    const { xattrPrefixes } = this.#operations
    if (xattrPrefixes !== undefined) this.#channel.offerXattrs?.(xattrPrefixes)
    if (init !== undefined) this.#channel.resend?.()
  }

  /**
   * Begins no further call; resolves when those under way are answered. What the kernel asks meanwhile is for who
   * takes over, or waits for `resume`.
   */
  async pause(): Promise<void> {
    this.#waiting ??= []
    if (this.#calls.size > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve
      })
    }
  }

  /** Goes on after `pause`. */
  resume(): void {
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    for (const { frame, source } of waiting) this.#receive(frame, source)
  }

  /** Ends the conversation from this side, once what is being saved is. Resolves when `closed` does. */
  async hangUp(): Promise<void> {
    await this.#end(undefined)
    await this.closed
  }

  /** Why the kernel reads no file by itself; `undefined` when it does, or will when there is one. */
  get whyNoPassthrough(): string | undefined {
    if (!this.#wantsPassthrough) return 'it is turned off, or the mount is not read-only'
    return this.#modes?.refusal
  }

  /** Finds out whether the kernel would read a file like the one behind `descriptor` by itself. */
  tryPassthrough(descriptor: number): void {
    if (this.#wantsPassthrough) this.#modes?.tryBacking(descriptor)
  }

  #receive(frame: Buffer, source: number): void {
    const header = parseHeader(frame)
    if (header === undefined) {
      reportFault('frame', 0, new MalformedRequest(`frame of ${frame.length} bytes has no head`))
      return
    }
    if (this.#waiting !== undefined && !withoutReply.has(header.opcode)) {
      this.#waiting.push({ frame: Buffer.from(frame), source })
      return
    }
    // The payload of a write is not copied; all other requests leave nothing in the frame.
    const held = header.opcode === opcodes.write ? this.#channel.hold(frame) : undefined
    const request = this.#parse(header, held?.bytes ?? frame, source)
    if (request?.kind === 'init') this.#initialize(request, frame, new Call('init', header, source))
    else if (request === undefined) held?.release()
    else this.#dispatch(request, new Call(request.kind, header, source), held)
  }

  #parse(header: RequestHeader, frame: Buffer, source: number): FuseRequest | undefined {
    try {
      return parseRequest(header, frame)
    } catch (error) {
      reportFault(opcodeName(header.opcode), header.nodeid, error)
      if (!withoutReply.has(header.opcode)) {
        const code = error instanceof MalformedRequest ? error.code : 'EINVAL'
        this.#channel.send(source, statusReply(header.unique, errnoOf(code)))
      }
      return undefined
    }
  }

  #dispatch(
    request: Exclude<FuseRequest, InitRequest>,
    call: Call,
    held: HeldFrame | undefined,
  ): void {
    switch (request.kind) {
      case 'forget':
        this.#forget(request.forgets)
        break
      case 'interrupt':
        this.#interrupt(request.unique)
        break
      case 'destroy':
        this.#send(call, statusReply(call.header.unique))
        break
      default:
        void this.#serve(request, call, held)
    }
  }

  async #serve(request: OperationRequest, call: Call, held: HeldFrame | undefined): Promise<void> {
    const { unique } = call.header
    this.#calls.set(unique, call)
    if (this.#earlyInterrupts.delete(unique)) call.interrupt()
    const reply = await this.#answer(request, call)
    held?.release()
    this.#calls.delete(unique)
    this.#reply(call, reply)
    if (this.#calls.size > 0) return
    this.#whenIdle()
    if (this.#ended) this.#drained.resolve()
  }

  async #answer(request: OperationRequest, call: Call): Promise<Message> {
    const { unique } = call.header
    try {
      const whenUnheard = (undo: () => unknown): void => call.whenUnheard(undo)
      const modes = this.#modes
      const { settled, touched, listed, idle } = call
      const operations = this.#operations
      const { names } = this.#channel
      const own = { settled, touched, listed, idle, whenUnheard }
      const exchange = { operations, context: call, unique, modes, names, ...own }
      return await answer(exchange, request)
    } catch (error) {
      return statusReply(unique, errnoOfFailure(error, call))
    }
  }

  #send(call: Call, reply: Message): void {
    this.#operations.beforeReply?.()
    const { source, settled, touched, listed, idle } = call
    for (const ino of listed) this.#tellNames(ino)
    for (const handle of idle) this.#channel.handleIdle?.(handle)
    const told = touched.length === 0 ? undefined : this.#tell(touched)
    this.#sent(call, this.#channel.send(source, reply, settled, told))
  }

  /** Of directories that have changed, as they are at this moment. */
  #tell(directories: readonly Ino[]): Uint8Array {
    const known = directories.map((ino) => this.#operations.attributesNow?.(ino))
    return toldAttributes(known.filter((attributes) => attributes !== undefined))
  }

  #tellNames(directory: Ino): void {
    const known = this.#operations.namesNow?.(directory)
    if (known === undefined) return
    this.#channel.namesKnown?.(directory, known.names, known.believedMs)
  }

  /** Long ones are copied by another thread: this one has sockets to read meanwhile. */
  #reply(call: Call, reply: Message): void {
    const { sendLater } = this.#channel
    if (sendLater === undefined || !isLong(call, reply)) this.#send(call, reply)
    else {
      this.#operations.beforeReply?.()
      this.#channel.sendLater?.(call.source, reply, (result) => this.#sent(call, result))
    }
  }

  #sent(call: Call, result: number): void {
    call.answered()
    if (result === 0) return
    if (result === -constants.errno.ENOENT && !this.#ended) void this.#undo(call)
    if (goneErrnos.has(-result)) return
    reportFault(call.kind, call.header.nodeid, new Error(`reply was refused: errno ${-result}`))
    // The caller must not wait for ever; if the kernel has ended the request, this one is ignored.
    this.#channel.send(call.source, statusReply(call.header.unique, constants.errno.EIO))
  }

  async #undo(call: Call): Promise<void> {
    // A name that was made after its caller was answered: whoever asks for it asks anew.
    for (const ino of call.touched) this.#channel.namesChanged?.(ino)
    try {
      await call.undo()
    } catch (error) {
      reportFault(call.kind, call.header.nodeid, error)
    }
  }

  #initialize(request: InitRequest, frame: Buffer, call: Call): void {
    const { unique } = call.header
    if (request.major > FUSE_KERNEL_VERSION) {
      // The kernel asks once more, in the version named here.
      this.#send(call, initReply(unique, FUSE_KERNEL_VERSION, noLimits))
      return
    }
    if (request.major < FUSE_KERNEL_VERSION || request.minor < minKernelMinor) {
      this.#send(call, statusReply(unique, constants.errno.EPROTO))
      this.#readiness.reject(tooOld(request))
      return
    }
    const limits = this.#agree(request)
    if (this.#failover !== undefined && (request.flags2 & initFlags2.FUSE_HAS_RESEND) === 0) {
      this.#send(call, statusReply(unique, constants.errno.EPROTO))
      this.#readiness.reject(noFailover())
      return
    }
    this.#failover?.begun(Buffer.from(frame))
    this.#send(call, initReply(unique, FUSE_KERNEL_VERSION, limits))
    this.#readiness.resolve()
  }

  /** As the process before this one has agreed with the kernel. */
  #goOn(init: Buffer): void {
    const header = parseHeader(init)
    const request = header && this.#parse(header, init, 0)
    if (request?.kind !== 'init') throw new MalformedRequest('what was kept is no INIT')
    this.#agree(request)
    this.#failover?.begun(init)
    for (const { ino, ...open } of this.#operations.openFiles?.() ?? []) {
      this.#modes?.opened(ino, { ...open, keepCache: false, directIo: false })
    }
    this.#readiness.resolve()
  }

  #agree(request: InitRequest): SessionLimits {
    const limits = limitsFor(request, {
      maxReadAheadBytes: this.#maxReadAheadBytes,
      flocks: this.#operations.flock !== undefined,
      passthrough: this.#wantsPassthrough && this.#channel.content !== undefined,
    })
    const agreed = (limits.flags2 & initFlags2.FUSE_PASSTHROUGH) !== 0
    if (this.#channel.content !== undefined) {
      this.#modes = new OpenModes(this.#channel.content, { passthrough: agreed })
    }
    return limits
  }

  #forget(forgets: readonly Forget[]): void {
    for (const { ino, lookupCount } of forgets) {
      try {
        this.#operations.forget(ino, lookupCount)
      } catch (error) {
        reportFault('forget', ino, error)
      }
    }
  }

  #interrupt(unique: bigint): void {
    const call = this.#calls.get(unique)
    if (call !== undefined) {
      call.interrupt()
      return
    }
    // Two readers may swap a request and its interrupt. Most are simply answered already.
    if (this.#earlyInterrupts.size >= maxEarlyInterrupts) this.#earlyInterrupts.clear()
    this.#earlyInterrupts.add(unique)
  }

  /** The channel has answered in our place. */
  #expire(unique: bigint, code: 'ETIMEDOUT' | 'EINTR'): void {
    const call = this.#calls.get(unique)
    if (call === undefined) return
    call.interrupt(code)
    if (code !== 'ETIMEDOUT') return
    const detail = 'it made no progress for as long as --timeout allows'
    const error = new FileSystemError(code, `fuse.${call.kind}`, { detail })
    reportFault(call.kind, call.header.nodeid, error)
  }

  #prolong(may: (call: Call) => boolean): void {
    if (this.#channel.progress === undefined) return
    for (const [unique, call] of this.#calls) {
      if (may(call)) this.#channel.progress(unique)
    }
  }

  async #end(error: Error | undefined): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    this.#stopWatching()
    this.#readiness.reject(hungUp(error))
    for (const call of this.#calls.values()) {
      if (!mayBeSaving.has(call.kind)) call.interrupt()
    }
    if (this.#calls.size === 0) this.#drained.resolve()
    await this.#drained.promise
    await this.#unmounted()
    this.#channel.close()
    if (error === undefined) this.#closing.resolve()
    else this.#closing.reject(error)
  }

  async #unmounted(): Promise<void> {
    try {
      await this.#operations.unmounted?.()
    } catch (error) {
      reportFault('unmounted', 0, error)
    }
  }
}
