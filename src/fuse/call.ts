import { FileSystemError } from '../errors.ts'
import type { CallContext, HandleId, Ino } from '../vfs/operations.ts'
import type { SettledInode } from './channel.ts'
import type { FuseRequest, RequestHeader } from './request.ts'

/** One request under way: who asks, and whether it was interrupted. */
export class Call implements CallContext {
  readonly kind: FuseRequest['kind']
  readonly header: RequestHeader
  /** The queue that the request came from and its reply goes to. */
  readonly source: number
  /** Inodes of which the reply tells what may be told again without asking. */
  readonly settled: SettledInode[] = []
  /** Directories of which more is told beside the reply. */
  readonly touched: Ino[] = []
  /** Directories whose names may be known now, to be told before the reply. */
  readonly listed: Ino[] = []
  /** Open files that have nothing to store, to be told before the reply. */
  readonly idle: HandleId[] = []
  readonly #undos: (() => unknown)[] = []
  readonly #dones: (() => void)[] = []
  #controller: AbortController | undefined
  #ending: EndCode | undefined

  constructor(kind: FuseRequest['kind'], header: RequestHeader, source: number) {
    this.kind = kind
    this.header = header
    this.source = source
  }

  get uid(): number {
    return this.header.uid
  }

  get gid(): number {
    return this.header.gid
  }

  get pid(): number {
    return this.header.pid
  }

  /** Made when it is first asked for: most calls are answered without looking at it. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      this.#abort()
    }
    return this.#controller.signal
  }

  /** Whether nobody waits for the outcome in full: the caller was interrupted, or has its answer. */
  get interrupted(): boolean {
    return this.#ending !== undefined
  }

  /** The caller met a signal, or, with `ETIMEDOUT`, was told that this takes too long. */
  interrupt(code: EndCode = 'EINTR'): void {
    this.#ending ??= code
    this.#abort()
  }

  /** Notes what is to be done when the reply reaches nobody. */
  whenUnheard(undo: () => unknown): void {
    this.#undos.push(undo)
  }

  readonly whenAnswered = (done: () => void): void => {
    this.#dones.push(done)
  }

  /** The reply was sent, or given up. */
  answered(): void {
    for (const done of this.#dones.splice(0)) done()
  }

  /** The reply reached nobody. */
  async undo(): Promise<void> {
    for (const undo of this.#undos.splice(0)) await undo()
  }

  #abort(): void {
    if (this.#ending === undefined) return
    this.#controller?.abort(new FileSystemError(this.#ending, `fuse.${this.kind}`))
  }
}

type EndCode = 'EINTR' | 'ETIMEDOUT'
