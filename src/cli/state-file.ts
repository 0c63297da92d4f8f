/**
 * Where a command stands, in a file that the next run goes on from. It is replaced at once, each second and at the end, and only by
 * what lies behind rows that standard output took: what kills the command has the rows of its last second told again, and none lost.
 */
import { access, constants, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { repeat, systemClock } from '../clock.ts'
import type { Output } from './output.ts'
import { usageError } from './usage.ts'

const savedEachMs = 1000

/** What {@link StateFile} works with. */
export interface StateSource {
  /**
   * Text for behind the row that was given last. Who is given a row writes it before the event loop turns, so that whoever asks in
   * a later turn has it behind rows that are on their way.
   */
  readonly standing: () => string
  readonly stdout: Output
  /** Told that the file cannot be written, between rows. */
  readonly onFailure: (error: unknown) => void
}

/** Keeps a state while its command runs. */
export class StateFile {
  readonly #file: string
  readonly #source: StateSource
  readonly #stop: () => void
  #saving: Promise<void> | undefined
  #saved: string | undefined
  #savedAtMs = systemClock.nowMs()

  constructor(file: string, source: StateSource) {
    this.#file = file
    this.#source = source
    this.#stop = repeat(savedEachMs, () => void this.#save().catch(source.onFailure))
  }

  /** To be awaited behind each row: rows that are told without a turn of the event loop keep its timer waiting. */
  async told(): Promise<void> {
    if (systemClock.nowMs() - this.#savedAtMs >= savedEachMs) await this.#save()
  }

  /** Saves what was told; not to be called when a row could not be written. */
  async save(): Promise<void> {
    await this.#saving?.catch(() => undefined)
    await this.#save()
  }

  /** Saves no more. */
  close(): void {
    this.#stop()
  }

  #save(): Promise<void> {
    this.#saving ??= this.#write().finally(() => {
      this.#saving = undefined
      this.#savedAtMs = systemClock.nowMs()
    })
    return this.#saving
  }

  async #write(): Promise<void> {
    const standing = this.#source.standing()
    if (standing === this.#saved) return
    await this.#source.stdout.flushed()
    await replaceFile(this.#file, `${standing}\n`)
    this.#saved = standing
  }
}

/** What a run left; `undefined` where there is no file yet, in a directory that may be written. */
export async function readState(file: string): Promise<string | undefined> {
  try {
    await access(dirname(file), constants.W_OK)
  } catch (error) {
    throw usageError(`--state ${file}: expected a file in a directory that may be written`, error)
  }
  try {
    return (await readFile(file, 'utf8')).trim()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

async function replaceFile(file: string, text: string): Promise<void> {
  const partial = `${file}.${process.pid}`
  try {
    await writeFile(partial, text, { mode: 0o600 })
    await rename(partial, file)
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  }
}
