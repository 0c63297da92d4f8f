import { randomUUID } from 'node:crypto'
import { open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { type ByteRange, clampRange, lengthOf, MiB, splitRange } from '../byte-range.ts'
import { FileSystemError } from '../errors.ts'
import { makeDirectories } from '../make-directories.ts'
import { type FaultEvent, faultChannel } from '../telemetry.ts'
import { type Claim, MemoryBudget } from './memory-budget.ts'
import { Overflow, startOfPage } from './overflow.ts'
import { type WritableAt, writeFully } from './write-fully.ts'

/** What a spool needs of an open file; Node's `FileHandle` has it. */
export interface SpoolFile extends WritableAt {
  read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }>
  truncate(sizeBytes: number): Promise<void>
  close(): Promise<void>
}

/** Where spools keep what memory does not hold. */
export interface SpoolOptions {
  /** The directory of spool files; made when it is missing. */
  readonly directory: string
  /** How much of one file stays in memory; bytes. Default 4 MiB. */
  readonly memoryBytes?: number | undefined
  /** How much more of it stays in memory when the disk has no room, or fails; bytes. Default 64 MiB. */
  readonly overflowBytes?: number | undefined
  /**
   * Counts what all spools have in memory: what it has no room for goes to the disk, or is `ENOSPC` where that is
   * full. Nobody waits for it. Absent: each has what is said above.
   */
  readonly memory?: MemoryBudget | undefined
  /** Opens a file in `directory` that nobody else can reach. Default: a real one, already unlinked. */
  readonly openFile?: ((directory: string) => Promise<SpoolFile>) | undefined
}

/**
 * The bytes of one file while it is written, in any order: in memory while they are few, then in a
 * sparse file on disk that has no name, so that a crash leaves nothing behind. Gaps read as zeros.
 * What the disk does not take stays in memory, up to a limit.
 * Writes and truncations must not overlap each other; reads may overlap anything.
 */
export class Spool {
  readonly #options: SpoolOptions
  readonly #memoryBytes: number
  #memory: Buffer | undefined = Buffer.alloc(0)
  #file: SpoolFile | undefined
  readonly #claim: Claim
  readonly #overflow: Overflow
  #sizeBytes = 0
  readonly #reads = new Set<Promise<unknown>>()
  /** Why the disk has not taken something. */
  #fault: FileSystemError | undefined

  constructor(options: SpoolOptions) {
    this.#options = options
    this.#memoryBytes = options.memoryBytes ?? 4 * MiB
    const overflowBytes = options.overflowBytes ?? 64 * MiB
    const memory =
      options.memory ??
      new MemoryBudget({ maxBytes: Math.max(1, this.#memoryBytes + overflowBytes) })
    this.#claim = memory.claimNone()
    this.#overflow = new Overflow(overflowBytes, memory.claimNone())
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /** Whether `bytes` more can be taken for sure, if the disk takes none. */
  hasRoomFor(bytes: number): boolean {
    return this.#overflow.isEmpty || this.#overflow.hasRoomFor(bytes)
  }

  /** Copies `data` in. `ENOSPC` when the disk is full and memory too, `EIO` when the disk fails otherwise. */
  async write(offsetBytes: number, data: Uint8Array): Promise<void> {
    const end = offsetBytes + data.length
    const memory = this.#memoryFor(end)
    if (memory !== undefined) memory.set(data, offsetBytes)
    else if (this.#overflow.isEmpty) await this.#writeOrOverflow(offsetBytes, data)
    else await this.#writePages(offsetBytes, data)
    this.#sizeBytes = Math.max(this.#sizeBytes, end)
  }

  /** Lets go of what the disk had no room for and nobody asks for any more; where that lay. */
  drop(range: ByteRange): readonly ByteRange[] {
    return this.#overflow.drop(range)
  }

  /** A copy of the bytes in `range`, shorter when they end before it does. */
  async read(range: ByteRange): Promise<Uint8Array> {
    const { start, end } = clampRange(range, this.#sizeBytes)
    const bytes = Buffer.alloc(lengthOf({ start, end }))
    if (this.#memory !== undefined) this.#memory.copy(bytes, 0, start, end)
    else await this.#readPages(bytes, start)
    return bytes
  }

  /** Makes zeros of what lies in `range` and before the end. */
  async zero(range: ByteRange): Promise<void> {
    const within = clampRange(range, this.#sizeBytes)
    for (const { start, end } of splitRange(within, MiB)) {
      await this.write(start, new Uint8Array(end - start))
    }
  }

  /** Cuts the bytes at `sizeBytes`, or adds zeros up to there. */
  async truncate(sizeBytes: number): Promise<void> {
    if (sizeBytes < this.#sizeBytes) {
      this.#memory?.fill(0, sizeBytes)
      this.#overflow.cut(sizeBytes)
      if (this.#file !== undefined) await this.#onDisk((file) => file.truncate(sizeBytes))
    } else if (this.#memoryFor(sizeBytes) === undefined) {
      await this.#writeOrOverflow(this.#sizeBytes, new Uint8Array(0))
    }
    this.#sizeBytes = sizeBytes
  }

  /** Gives memory and disk back, once the reads under way have ended. Nothing may follow. */
  async close(): Promise<void> {
    const file = this.#file
    this.#memory = Buffer.alloc(0)
    this.#claim.release()
    this.#overflow.cut(0)
    this.#file = undefined
    this.#sizeBytes = 0
    await Promise.allSettled(this.#reads)
    await file?.close()
  }

  async #writeOrOverflow(offsetBytes: number, data: Uint8Array): Promise<void> {
    try {
      await this.#onDisk((file) => writeFully(file, data, offsetBytes))
    } catch (error) {
      const memory = this.#memory
      this.#leaveMemory()
      this.#noteFault(error)
      if (memory !== undefined) await this.#writePages(0, memory.subarray(0, this.#sizeBytes))
      await this.#writePages(offsetBytes, data)
    }
  }

  #noteFault(cause: unknown): void {
    const { directory } = this.#options
    this.#fault = describeFailure(cause, directory)
    faultChannel.publish({
      operation: 'spool',
      path: directory,
      error: this.#fault,
    } satisfies FaultEvent)
  }

  /** To the disk what it takes, to memory the rest: a page is at one place. */
  async #writePages(offsetBytes: number, data: Uint8Array): Promise<void> {
    const range = { start: offsetBytes, end: offsetBytes + data.length }
    for (const { start, end, page, held } of this.#overflow.over(range)) {
      const part = data.subarray(start - offsetBytes, end - offsetBytes)
      const memory = held ?? (await this.#pageUnlessOnDisk(page, part, start))
      memory?.set(part, start - startOfPage(page))
    }
  }

  /** `undefined` when the disk has taken `part`, which begins at `start`. */
  async #pageUnlessOnDisk(
    page: number,
    part: Uint8Array,
    start: number,
  ): Promise<Buffer | undefined> {
    const file = this.#file
    try {
      if (file !== undefined) {
        await writeFully(file, part, start)
        return undefined
      }
    } catch (error) {
      this.#fault = describeFailure(error, this.#options.directory)
    }
    const memory = this.#overflow.add(page)
    if (memory === undefined) throw this.#fault ?? new FileSystemError('ENOSPC', 'write')
    if (file !== undefined) await this.#readFile(memory, startOfPage(page))
    return memory
  }

  async #readPages(bytes: Uint8Array, offsetBytes: number): Promise<void> {
    if (this.#file !== undefined) await this.#readFile(bytes, offsetBytes)
    if (this.#overflow.isEmpty) return
    const range = { start: offsetBytes, end: offsetBytes + bytes.length }
    for (const { start, end, page, held } of this.#overflow.over(range)) {
      const at = startOfPage(page)
      if (held !== undefined) bytes.set(held.subarray(start - at, end - at), start - offsetBytes)
    }
  }

  async #readFile(bytes: Uint8Array, start: number): Promise<void> {
    const reading = this.#onDisk((file) => readFully(file, bytes, start))
    this.#reads.add(reading)
    try {
      await reading
    } finally {
      this.#reads.delete(reading)
    }
  }

  /** The memory, grown to hold `end` bytes; `undefined` when that is more than it may hold. */
  #memoryFor(end: number): Buffer | undefined {
    if (this.#memory === undefined || end > this.#memoryBytes) return undefined
    if (end > this.#memory.length) {
      const length = Math.min(this.#memoryBytes, Math.max(end, 2 * this.#memory.length))
      if (!this.#claim.tryGrow(length)) return undefined
      const grown = Buffer.alloc(length)
      this.#memory.copy(grown, 0, 0, this.#sizeBytes)
      this.#memory = grown
    }
    return this.#memory
  }

  async #onDisk<T>(use: (file: SpoolFile) => Promise<T>): Promise<T> {
    try {
      return await use(this.#file ?? (await this.#spill()))
    } catch (error) {
      throw describeFailure(error, this.#options.directory)
    }
  }

  async #spill(): Promise<SpoolFile> {
    const file = await (this.#options.openFile ?? openUnlinked)(this.#options.directory)
    try {
      const held = this.#memory?.subarray(0, this.#sizeBytes)
      if (held !== undefined) await writeFully(file, held, 0)
    } catch (error) {
      await file.close()
      throw error
    }
    this.#file = file
    this.#leaveMemory()
    return file
  }

  #leaveMemory(): void {
    this.#memory = undefined
    this.#claim.release()
  }
}

async function openUnlinked(directory: string): Promise<SpoolFile> {
  await makeDirectories(directory, 0o700)
  const path = join(directory, `spool-${randomUUID()}`)
  const file = await open(path, 'wx+', 0o600)
  try {
    await unlink(path)
  } catch (error) {
    await file.close()
    throw error
  }
  return file
}

/** Fills `bytes` from `position`; what lies past the end of the sparse file stays zero. */
async function readFully(file: SpoolFile, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0
  while (done < bytes.length) {
    const { bytesRead } = await file.read(bytes, done, bytes.length - done, position + done)
    if (bytesRead === 0) return
    done += bytesRead
  }
}

function describeFailure(error: unknown, directory: string): FileSystemError {
  if (error instanceof FileSystemError) return error
  const code = (error as NodeJS.ErrnoException).code
  const full = code === 'ENOSPC' || code === 'EDQUOT'
  return new FileSystemError(full ? 'ENOSPC' : 'EIO', 'write', {
    path: directory,
    detail: full
      ? 'the disk that buffers unsaved writes is full: free space in the spool directory, or mount with another one'
      : `the spool directory cannot buffer unsaved writes (${code ?? 'unknown error'}): see that it is a directory which this user may write`,
    cause: error,
  })
}
