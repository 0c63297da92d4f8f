import { createHash, randomUUID } from 'node:crypto'
import type { Dirent } from 'node:fs'
import {
  type FileHandle,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { CallOptions } from '../blob/store.ts'
import { GiB } from '../byte-range.ts'
import { type Clock, systemClock } from '../clock.ts'
import {
  expectCall,
  expectDuration,
  expectMethod,
  expectOptions,
  expectText,
  expectWhole,
} from '../expect-option.ts'
import { makeDirectories } from '../make-directories.ts'
import type { AzureBlobFileSystem } from './azure-blob-file-system.ts'
import { isMissing, onLocalDisk } from './local-error.ts'
import type { PathInput } from './location.ts'

// In the directory lie, for each version of a file that was read, its bytes as `<digest>.data`, and
// for each name what it stood for last as `<digest>.json`. The first is named after account, name
// and etag, so that it never changes. Both appear by a rename, whole: processes may share the
// directory without locks, and the worst that two can do is to download a file twice.

export interface LocalFileCacheOptions {
  /** Where files come from. Stays the caller's to close. */
  readonly fs: AzureBlobFileSystem
  /** Made when it is missing; several processes may share it. */
  readonly directory: string
  /** Bytes of files that stay; the longest unread go first. Default 10 GiB. */
  readonly maxBytes?: number | undefined
  /**
   * How long a name stands for the version that it had, without asking; milliseconds. Default 0:
   * every reading asks. `Infinity`: what is here is never asked for again.
   */
  readonly expiryMs?: number | undefined
  readonly clock?: Clock | undefined
}

/** What a name stood for when the service was asked last. */
interface Known {
  readonly etag: string
  readonly checkedAtMs: number
  /** The copy's own name. */
  readonly copy: string | undefined
}

interface OpenCopy {
  readonly local: string
  readonly handle: FileHandle
}

/** What a killed process left behind is removed at this age. */
const abandonedMs = 24 * 60 * 60 * 1000

/**
 * Copies of remote files on the local disk, each of one version, which any number of processes may
 * share. Methods reject with `FileSystemError`, for the local disk too (`ENOSPC`, `EACCES`).
 */
export class LocalFileCache {
  readonly fs: AzureBlobFileSystem
  readonly directory: string
  readonly #maxBytes: number
  readonly #expiryMs: number
  readonly #clock: Clock

  /** `TypeError` or `RangeError` that names the option. */
  constructor(options: LocalFileCacheOptions) {
    expectOptions(options, '{ fs, directory }')
    expectMethod('fs', options.fs, { method: 'open', wanted: 'an AzureBlobFileSystem' })
    expectText('directory', options.directory, "a directory's name")
    expectWhole('maxBytes', options.maxBytes, 'bytes', 1)
    expectDuration('expiryMs', options.expiryMs)
    this.fs = options.fs
    this.directory = options.directory
    this.#maxBytes = options.maxBytes ?? 10 * GiB
    this.#expiryMs = options.expiryMs ?? 0
    this.#clock = options.clock ?? systemClock
  }

  /** Opens the local copy to be read, which is downloaded first when it is missing or out of date. */
  async open(path: PathInput, options: CallOptions = {}): Promise<FileHandle> {
    expectCall(options)
    return (await this.#open(path, options)).handle
  }

  /** The whole file, by way of the local copy. */
  async readBytes(path: PathInput, options: CallOptions = {}): Promise<Uint8Array> {
    expectCall(options)
    await using handle = await this.open(path, options)
    return await onLocalDisk(String(path), () => handle.readFile())
  }

  /** The whole file as UTF-8, by way of the local copy. */
  async readText(path: PathInput, options: CallOptions = {}): Promise<string> {
    expectCall(options)
    return new TextDecoder().decode(await this.readBytes(path, options))
  }

  /**
   * The name of the local copy, which is not to be written to. Another process may remove it to make
   * room; who must not lose it uses {@link open}.
   */
  async localPath(path: PathInput, options: CallOptions = {}): Promise<string> {
    expectCall(options)
    const { local, handle } = await this.#open(path, options)
    await handle.close()
    return local
  }

  /** Bytes of the local copies. */
  async sizeBytes(): Promise<number> {
    return (await this.#copies()).reduce((total, { sizeBytes }) => total + sizeBytes, 0)
  }

  /** Forgets what the name stands for: the next reading asks. */
  async forget(path: PathInput): Promise<void> {
    const pointer = this.#pointerOf(path)
    await onLocalDisk(pointer, () => rm(pointer, { force: true }))
  }

  /**
   * Forgets names that were last asked for longer than `expiryMs` ago (default: the cache's), and removes copies that
   * no other name stands for and nobody has read for as long. Nothing where that is 0, when each reading asks and no
   * copy expires, or endless. Who has a copy open reads on.
   */
  async clearExpired(options: { readonly expiryMs?: number | undefined } = {}): Promise<void> {
    expectDuration('expiryMs', options.expiryMs)
    const { expiryMs = this.#expiryMs } = options
    if (expiryMs === 0) return
    const oldestMs = this.#clock.nowMs() - expiryMs
    const believed = await this.#forgetBefore(oldestMs)
    for (const { name, usedAtMs } of believed === undefined ? [] : await this.#copies()) {
      if (usedAtMs < oldestMs && believed?.has(name) !== true) await this.#remove(name)
    }
    await this.#removeAbandoned()
  }

  /** Removes all copies, but not what a process is just writing. Who has one open reads on. */
  async clear(): Promise<void> {
    for (const { name } of await this.#entries()) {
      if (!name.endsWith('.part')) await this.#remove(name)
    }
    await this.#removeAbandoned()
  }

  /** The copies of the names that stay; `undefined` where a name does not tell its copy, as older ones do not. */
  async #forgetBefore(oldestMs: number): Promise<ReadonlySet<string> | undefined> {
    const believed = new Set<string | undefined>()
    for (const { name } of await this.#entries()) {
      if (!name.endsWith('.json')) continue
      const known = await this.#known(join(this.directory, name))
      if (known === undefined || known.checkedAtMs < oldestMs) await this.#remove(name)
      else believed.add(known.copy)
    }
    return believed.has(undefined)
      ? undefined
      : new Set([...believed].filter((copy) => copy !== undefined))
  }

  #ageAllowed(): number {
    // Within one millisecond nothing has been asked at all.
    return this.#expiryMs === 0 ? -1 : this.#expiryMs
  }

  async #open(path: PathInput, options: CallOptions): Promise<OpenCopy> {
    const pointer = this.#pointerOf(path)
    const known = await this.#known(pointer)
    if (known !== undefined && this.#clock.nowMs() - known.checkedAtMs <= this.#ageAllowed()) {
      const local = this.#dataOf(path, known.etag)
      const handle = await this.#openIfAny(local)
      if (handle !== undefined) return { local, handle }
    }
    return this.#download(path, pointer, options)
  }

  async #download(path: PathInput, pointer: string, options: CallOptions): Promise<OpenCopy> {
    await using reader = await this.fs.open(path, 'r', options)
    const etag = reader.info.etag ?? ''
    const local = this.#dataOf(path, etag)
    const found = await this.#openIfAny(local)
    const handle = found ?? (await this.#writeWhole(local, withSignal(reader, options.signal)))
    try {
      if (found === undefined) await this.#makeRoom(local)
      const copy = basename(local)
      const known: Known = { etag, checkedAtMs: this.#clock.nowMs(), copy }
      await (await this.#writeWhole(pointer, JSON.stringify(known))).close()
      return { local, handle }
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** Opens a copy, which counts as read just now; undefined when there is none. */
  async #openIfAny(local: string): Promise<FileHandle | undefined> {
    try {
      return await this.#openUsed(local)
    } catch (error) {
      if (isMissing(error)) return undefined
      return onLocalDisk(local, () => Promise.reject(error))
    }
  }

  async #openUsed(local: string): Promise<FileHandle> {
    const handle = await open(local, 'r')
    try {
      const now = new Date(this.#clock.nowMs())
      await handle.utimes(now, now)
      return handle
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** Opened before it has its name: another process may make room the moment that it has. */
  async #writeWhole(
    target: string,
    content: string | AsyncIterable<Uint8Array>,
  ): Promise<FileHandle> {
    const part = join(this.directory, `${randomUUID()}.part`)
    return await onLocalDisk(target, async () => {
      await makeDirectories(this.directory, 0o700)
      try {
        await writeFile(part, content, { flag: 'wx', mode: 0o600 })
        const handle = await this.#openUsed(part)
        return await rename(part, target).then(
          () => handle,
          async (error) => {
            await handle.close()
            throw error
          },
        )
      } catch (error) {
        await rm(part, { force: true })
        throw error
      }
    })
  }

  async #known(pointer: string): Promise<Known | undefined> {
    try {
      return parseKnown(await readFile(pointer, 'utf8'))
    } catch (error) {
      // A power cut may leave it empty.
      if (isMissing(error) || error instanceof SyntaxError) return undefined
      return onLocalDisk(pointer, () => Promise.reject(error))
    }
  }

  /** Removes the longest unread copies beyond the limit, except `kept`, and what was abandoned. */
  async #makeRoom(kept: string): Promise<void> {
    const copies = (await this.#copies()).sort((a, b) => a.usedAtMs - b.usedAtMs)
    let total = copies.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    for (const { name, sizeBytes } of copies) {
      if (total <= this.#maxBytes) break
      if (join(this.directory, name) === kept) continue
      await this.#remove(name)
      total -= sizeBytes
    }
    await this.#removeAbandoned()
  }

  async #removeAbandoned(): Promise<void> {
    for (const { name } of await this.#entries()) {
      if (!name.endsWith('.part')) continue
      const found = await this.#statIfAny(name)
      if (found !== undefined && this.#clock.nowMs() - found.mtimeMs > abandonedMs) {
        await this.#remove(name)
      }
    }
  }

  async #copies(): Promise<
    { readonly name: string; readonly sizeBytes: number; readonly usedAtMs: number }[]
  > {
    const copies = []
    for (const { name } of await this.#entries()) {
      if (!name.endsWith('.data')) continue
      const found = await this.#statIfAny(name)
      if (found !== undefined) copies.push({ name, sizeBytes: found.size, usedAtMs: found.mtimeMs })
    }
    return copies
  }

  async #statIfAny(
    name: string,
  ): Promise<{ readonly size: number; readonly mtimeMs: number } | undefined> {
    try {
      return await stat(join(this.directory, name))
    } catch (error) {
      if (isMissing(error)) return undefined
      return onLocalDisk(name, () => Promise.reject(error))
    }
  }

  /** What this made: a directory with other files in it keeps those. */
  async #entries(): Promise<Dirent[]> {
    try {
      const all = await readdir(this.directory, { withFileTypes: true })
      return all.filter((entry) => entry.isFile() && ownName.test(entry.name))
    } catch (error) {
      if (isMissing(error)) return []
      return onLocalDisk(this.directory, () => Promise.reject(error))
    }
  }

  async #remove(name: string): Promise<void> {
    const local = join(this.directory, name)
    await onLocalDisk(local, () => rm(local, { force: true }))
  }

  #pointerOf(path: PathInput): string {
    return join(this.directory, `${this.#digest(path)}.json`)
  }

  #dataOf(path: PathInput, etag: string): string {
    return join(this.directory, `${this.#digest(path, etag)}.data`)
  }

  #digest(path: PathInput, etag?: string): string {
    const parts = [this.fs.account, this.fs.nameOf(path), etag ?? null]
    return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
  }
}

const ownName = /^([0-9a-f]{64}\.(data|json)|[0-9a-f-]{36}\.part)$/

function parseKnown(text: string): Known | undefined {
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null) return undefined
  if (!('etag' in value) || !('checkedAtMs' in value)) return undefined
  const { etag, checkedAtMs } = value
  const copy = 'copy' in value && typeof value.copy === 'string' ? value.copy : undefined
  return typeof etag === 'string' && typeof checkedAtMs === 'number'
    ? { etag, checkedAtMs, copy }
    : undefined
}

async function* withSignal(
  pieces: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void> {
  for await (const piece of pieces) {
    signal?.throwIfAborted()
    yield piece
  }
}
