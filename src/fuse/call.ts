import { FileSystemError } from '../errors.ts'
import type { CallContext } from '../vfs/operations.ts'
import type { FuseRequest, RequestHeader } from './request.ts'

/** One request under way: who asks, and whether it was interrupted. */
export class Call implements CallContext {
  readonly kind: FuseRequest['kind']
  readonly header: RequestHeader
  /** The queue that the request came from and its reply goes to. */
  readonly source: number
  #controller: AbortController | undefined
  #interrupted = false

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
      if (this.#interrupted) this.#abort()
    }
    return this.#controller.signal
  }

  get interrupted(): boolean {
    return this.#interrupted
  }

  interrupt(): void {
    this.#interrupted = true
    this.#abort()
  }

  #abort(): void {
    this.#controller?.abort(new FileSystemError('EINTR', `fuse.${this.kind}`))
  }
}
