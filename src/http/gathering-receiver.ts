import { defaultMaxBodyBytes } from './body-sink.ts'
import type { BodyReceiver, HttpRequest } from './handler.ts'

const firstBytes = 64 * 1024

/** Gathers a body in `request.into`, or in a buffer of the announced length, which grows where none is. */
export class GatheringReceiver implements BodyReceiver {
  /** The longest body that is taken. */
  readonly limit: number
  receivedBytes = 0
  readonly #into: Uint8Array | undefined
  #target: Uint8Array

  constructor({ into, maxBodyBytes = defaultMaxBodyBytes }: HttpRequest) {
    this.#into = into
    this.#target = into ?? new Uint8Array(0)
    this.limit = into?.length ?? maxBodyBytes
  }

  get body(): Uint8Array {
    return this.#target.subarray(0, this.receivedBytes)
  }

  begin(_status: number, headers: Readonly<Record<string, string>>): void {
    this.receivedBytes = 0
    const announced = headers['content-length']
    const bytes = announced === undefined ? firstBytes : Number(announced)
    this.#target = this.#into ?? Buffer.allocUnsafe(Math.min(bytes, this.limit))
  }

  next(): Uint8Array {
    if (this.receivedBytes === this.#target.length) this.#grow()
    return this.#target.subarray(this.receivedBytes)
  }

  filled(count: number): void {
    this.receivedBytes += count
  }

  /** Where nothing was announced: an announced body ends here, and there is nothing to hold. */
  #grow(): void {
    if (this.#into !== undefined) return
    const bytes = Math.min(Math.max(2 * this.#target.length, firstBytes), this.limit)
    const larger = Buffer.allocUnsafe(bytes)
    larger.set(this.body)
    this.#target = larger
  }
}
