import { closeSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { MiB } from '../byte-range.ts'
import { makeDirectoriesSync } from '../make-directories.ts'

/** A file of less is not written anew. */
const smallBytes = 4 * MiB

/** The lines of the file `path`; throws ENOENT when there is none. One that was not written to its end is left out. */
export function readHandover(path: string): string[] {
  return readFileSync(path, 'utf8').split('\n').slice(0, -1)
}

/**
 * Lines that one process leaves for the next, however it ends, in a file that this user alone may read: appended as
 * things change, and written anew, whole, when most of them are out of date.
 */
export class HandoverFile {
  readonly #path: string
  #descriptor: number | undefined
  #sizeBytes = 0
  #wholeBytes = 0

  constructor(path: string) {
    this.#path = path
  }

  /** Whether it is worth while to write it anew. */
  get isLong(): boolean {
    return this.#sizeBytes > Math.max(smallBytes, 2 * this.#wholeBytes)
  }

  /** Adds `lines`, once there are some. */
  append(lines: readonly string[]): void {
    if (this.#descriptor !== undefined) this.#write(this.#descriptor, lines)
  }

  /** From here on the file is `lines` and nothing else; in one step. */
  replace(lines: readonly string[]): void {
    makeDirectoriesSync(dirname(this.#path), 0o755)
    const draft = `${this.#path}.new`
    rmSync(draft, { force: true })
    const descriptor = openSync(draft, 'ax', 0o600)
    this.#sizeBytes = 0
    this.#write(descriptor, lines)
    renameSync(draft, this.#path)
    this.#wholeBytes = this.#sizeBytes
    this.close()
    this.#descriptor = descriptor
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor)
    this.#descriptor = undefined
  }

  #write(descriptor: number, lines: readonly string[]): void {
    const bytes = Buffer.from(`${lines.join('\n')}\n`)
    for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at)
    this.#sizeBytes += bytes.length
  }
}
