import { FileSystemError } from '../errors.ts'
import type { Interceptor } from './handler.ts'
import { targetOf } from './network-error.ts'

/** Lets calls in until it is closed; those that are under way go on. */
export class Door {
  #isClosed = false

  /** Rejects with `EBADF` what comes too late, before anybody is asked for a credential. */
  readonly guard: Interceptor = (next) => (request) => {
    if (!this.#isClosed) return next(request)
    const detail = 'the file system is closed; make another'
    const error = new FileSystemError('EBADF', request.operation, {
      path: targetOf(request),
      detail,
    })
    return Promise.reject(error)
  }

  close(): void {
    this.#isClosed = true
  }
}
