import { randomBytes } from 'node:crypto'
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { type FileHandle, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { type ByteRange, KiB, lengthOf } from '../byte-range.ts'
import type { Clock } from '../clock.ts'
import { crc32 } from '../crc32.ts'
import { FileSystemError } from '../errors.ts'
import { makeDirectories } from '../make-directories.ts'
import type { BlobPath } from '../path.ts'
import type { BaseVersion, FileContent } from '../transfer/file-content.ts'
import { writeFully } from '../transfer/write-fully.ts'
import type { Described } from './transfers.ts'

export interface JournalOptions {
  /** Made when it is missing, for this user alone. */
  readonly directory: string
  readonly clock: Clock
  /** Called before each change on the disk; what it throws is as if the process died there. */
  readonly onStep?: ((step: string) => void) | undefined
}

/** Why a version lies in the journal. */
export type KeptReason =
  /** It is to be stored: by this mount soon, or by the next one. */
  | 'pending'
  /** Another version was in its place. */
  | 'conflict'
  /** It could not be stored, and nobody was left to be told. */
  | 'failed'

/** A version of a file that is not in Azure, as its record tells. */
export interface KeptVersion {
  readonly id: string
  readonly reason: KeptReason
  readonly path: BlobPath
  readonly sizeBytes: number
  /** The version that it may replace; absent: none may be there. */
  readonly replaces?: string | undefined
  /** The version that shows through up to `endBytes` where no part lies. */
  readonly base?: (BaseVersion & { readonly endBytes: number }) | undefined
  /** What lies in the data file, each with its CRC-32; a part without one is zeros. Of small files it is in the record. */
  readonly parts: readonly KeptPart[]
  readonly description: Described
}

export interface KeptPart extends ByteRange {
  readonly crc32?: number | undefined
  /** The bytes, as base64, where no data file has them. */
  readonly bytes?: string | undefined
}

/** How a version is written down. */
export interface KeepOptions {
  /** Whatever can be had of the version below, too, so that the data file is the file. Default false. */
  readonly all?: boolean | undefined
  /**
   * Whether it is on the disk when the call resolves. Otherwise a small file outlives this process, and a crash of the
   * machine from a second later on. Default true.
   */
  readonly synced?: boolean | undefined
}

/** So many bytes stand in the record itself: it is one small file, written at once. */
const mostInRecord = 64 * KiB
/** When what was not synced is; milliseconds. */
const syncAfterMs = 1000

const described = z.object({
  metadata: z.record(z.string(), z.string()).optional(),
  contentType: z.string().optional(),
  headers: z
    .object({
      contentEncoding: z.string().optional(),
      contentLanguage: z.string().optional(),
      contentDisposition: z.string().optional(),
      cacheControl: z.string().optional(),
    })
    .optional(),
  tier: z.string().optional(),
  tags: z.record(z.string(), z.string()).optional(),
})

const count = z.number().int().min(0)
const path = z.object({ container: z.string(), name: z.string() })

const record: z.ZodType<KeptVersion> = z.object({
  id: z.string().regex(/^[\w.-]+$/),
  reason: z.enum(['pending', 'conflict', 'failed']),
  path,
  sizeBytes: count,
  replaces: z.string().optional(),
  base: z.object({ path, etag: z.string(), sizeBytes: count, endBytes: count }).optional(),
  parts: z.array(
    z.object({ start: count, end: count, crc32: count.optional(), bytes: z.string().optional() }),
  ),
  description: described,
})

/**
 * Versions of files that are not in Azure yet, or never will be, on the local disk: `ID.data` has the
 * bytes where they are in the file, `ID.json` says what they are. The record is written last and
 * removed first, so what has none is nothing. What is small has its bytes in the record.
 */
export class Journal {
  readonly #options: JournalOptions
  #count = 0
  /** Those without a data file. */
  readonly #small = new Set<string>()
  /** Written, and not yet sure to outlive the machine; with what the disk refused that with. */
  readonly #unsynced = new Map<string, { readonly refusal?: unknown }>()
  #syncing: Promise<void> | undefined

  constructor(options: JournalOptions) {
    this.#options = options
  }

  get directory(): string {
    return this.#options.directory
  }

  /** Where the bytes of a version lie. */
  placeOf({ id }: Pick<KeptVersion, 'id'>): string {
    return join(this.#options.directory, `${id}.data`)
  }

  /** Writes down what differs from the version that `content` began with. `ENOSPC` and `EIO` when the disk fails. */
  async keep(
    version: Omit<KeptVersion, 'id' | 'base' | 'parts' | 'sizeBytes'>,
    content: FileContent,
    { all = false, synced = true }: KeepOptions = {},
  ): Promise<KeptVersion> {
    const id = this.#newId(version.path)
    const { sizeBytes } = content
    try {
      await makeDirectories(this.#options.directory, 0o700)
      const inRecord = all ? undefined : await partsInRecord(content)
      if (inRecord !== undefined) {
        const small = { ...version, id, sizeBytes, base: content.base, parts: inRecord }
        return await this.#keepSmall(small, synced)
      }
      this.#step('data')
      const parts = await this.#writeData(id, content, all)
      const kept = { ...version, id, sizeBytes, base: content.base, parts }
      await this.#writeRecord(kept)
      return kept
    } catch (error) {
      throw describeFailure(error, this.#options.directory)
    }
  }

  /**
   * Resolves when a version is on the disk, or has gone from here. What the disk has refused once stays
   * refused: to be asked again it may say yes, and have nothing.
   */
  async sync({ id }: Pick<KeptVersion, 'id'>): Promise<void> {
    const state = this.#unsynced.get(id)
    if (state === undefined) return
    if (state.refusal !== undefined) throw state.refusal
    try {
      this.#step('sync record')
      await syncFile(join(this.#options.directory, `${id}.json`))
      await syncDirectory(this.#options.directory)
      this.#unsynced.delete(id)
    } catch (error) {
      if (!this.#unsynced.has(id)) return
      const refusal = describeFailure(error, this.#options.directory)
      this.#unsynced.set(id, { refusal })
      throw refusal
    }
  }

  /** Forgets a version, which is in Azure now. */
  async remove({ id }: Pick<KeptVersion, 'id'>): Promise<void> {
    this.#step('remove record')
    this.#unsynced.delete(id)
    if (this.#small.delete(id))
      return rmSync(join(this.#options.directory, `${id}.json`), { force: true })
    await rm(join(this.#options.directory, `${id}.json`), { force: true })
    this.#step('remove data')
    await rm(this.placeOf({ id }), { force: true })
  }

  /** All versions, oldest first. A record that cannot be read is left out. */
  async list(): Promise<KeptVersion[]> {
    const versions: KeptVersion[] = []
    for (const name of (await this.#names()).filter((each) => each.endsWith('.json')).sort()) {
      const text = await readFile(join(this.#options.directory, name), 'utf8')
      const result = record.safeParse(parseJson(text))
      if (result.success) versions.push(result.data)
    }
    return versions
  }

  /**
   * Puts the parts of a version into `content`, which is empty or shows its base. `EIO` when they
   * are not what was written.
   */
  async restore(version: KeptVersion, content: FileContent): Promise<void> {
    content.truncate(Math.min(content.sizeBytes, version.base?.endBytes ?? 0))
    content.truncate(version.sizeBytes)
    const place = this.placeOf(version)
    const isApart = version.parts.some(
      (part) => part.crc32 !== undefined && part.bytes === undefined,
    )
    const file = isApart ? await open(place, 'r') : undefined
    try {
      for (const part of version.parts) {
        if (part.crc32 === undefined) content.zero(part)
        else if (part.bytes !== undefined) await content.write(part.start, bytesIn(part, place))
        else if (file !== undefined)
          await content.write(part.start, await readPart(file, part, place))
      }
    } finally {
      await file?.close()
    }
  }

  /**
   * Takes away what a process that died in the middle has left, which was never promised, and the empty
   * records that a machine leaves which stops before they are synced.
   */
  async sweep(): Promise<void> {
    const names = new Set(await this.#names())
    for (const name of names) {
      const place = join(this.#options.directory, name)
      const isLeft = name.endsWith('.data') && !names.has(name.replace(/data$/, 'json'))
      const isEmpty = name.endsWith('.json') && (await stat(place)).size === 0
      if (isLeft || isEmpty || name.endsWith('.new')) await rm(place)
    }
  }

  async #names(): Promise<string[]> {
    try {
      return await readdir(this.#options.directory)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw describeFailure(error, this.#options.directory)
    }
  }

  async #writeData(id: string, content: FileContent, all: boolean): Promise<KeptPart[]> {
    const file = await open(this.placeOf({ id }), 'wx', 0o600)
    try {
      const parts: KeptPart[] = []
      for await (const { range, bytes } of all ? content.everything() : content.changes()) {
        if (bytes !== undefined) await writeFully(file, bytes, range.start)
        parts.push(bytes === undefined ? range : { ...range, crc32: crc32(bytes) })
      }
      await file.truncate(content.sizeBytes)
      this.#step('sync data')
      await file.sync()
      return parts
    } catch (error) {
      await rm(this.placeOf({ id }), { force: true })
      throw error
    } finally {
      await file.close()
    }
  }

  async #writeRecord(version: KeptVersion): Promise<void> {
    const { directory } = this.#options
    const place = join(directory, `${version.id}.json`)
    this.#step('record')
    await writeSynced(`${place}.new`, JSON.stringify(version))
    this.#step('name record')
    await rename(`${place}.new`, place)
    this.#step('sync directory')
    await syncDirectory(directory)
  }

  /** At once: each step by another thread costs more than all of them do here, and somebody waits. */
  async #keepSmall(version: KeptVersion, synced: boolean): Promise<KeptVersion> {
    const { id } = version
    const place = join(this.#options.directory, `${id}.json`)
    this.#step('record')
    try {
      writeFileSync(`${place}.new`, JSON.stringify(version), { mode: 0o600 })
      this.#step('name record')
      renameSync(`${place}.new`, place)
    } catch (error) {
      rmSync(`${place}.new`, { force: true })
      throw error
    }
    this.#small.add(id)
    this.#unsynced.set(id, {})
    if (synced) await this.sync(version)
    else this.#syncing ??= this.#syncSoon()
    // The bytes are on the disk: memory need not have them twice.
    return { ...version, parts: [] }
  }

  /** What the disk refuses is told by the fsync that asks for it. */
  async #syncSoon(): Promise<void> {
    await this.#options.clock.sleep(syncAfterMs)
    this.#syncing = undefined
    for (const id of [...this.#unsynced.keys()]) await this.sync({ id }).catch(() => undefined)
  }

  #step(step: string): void {
    this.#options.onStep?.(step)
  }

  /** Tells its time and the file's name to whoever looks into the directory. */
  #newId({ name }: BlobPath): string {
    const time = new Date(this.#options.clock.nowMs()).toISOString().replace(/[-:.]/g, '')
    const base = name
      .slice(name.lastIndexOf('/') + 1)
      .replace(/[^\w.-]/g, '_')
      .slice(0, 80)
    const order = String(this.#count++).padStart(9, '0')
    return `${time}-${order}-${randomBytes(4).toString('hex')}-${base}`
  }
}

/** What differs, with its bytes; `undefined` where that is too much for a record. */
async function partsInRecord(content: FileContent): Promise<KeptPart[] | undefined> {
  const changes = [...content.changesIn({ start: 0, end: content.sizeBytes })]
  if (changes.reduce((total, change) => total + lengthOf(change), 0) > mostInRecord)
    return undefined
  const parts: KeptPart[] = []
  for await (const { range, bytes } of content.changes()) {
    const text =
      bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
    parts.push(bytes === undefined ? range : { ...range, crc32: crc32(bytes), bytes: text })
  }
  return parts
}

function bytesIn(part: KeptPart, place: string): Uint8Array {
  const bytes = Buffer.from(part.bytes ?? '', 'base64')
  if (bytes.length === lengthOf(part) && crc32(bytes) === part.crc32) return bytes
  throw damaged(place)
}

function damaged(place: string): FileSystemError {
  const detail = 'the bytes are not those that were written: the disk has damaged them'
  return new FileSystemError('EIO', 'replay', { path: place, detail })
}

async function syncFile(place: string): Promise<void> {
  const file = await open(place, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

async function readPart(file: FileHandle, part: KeptPart, place: string): Promise<Uint8Array> {
  const bytes = Buffer.alloc(part.end - part.start)
  const { bytesRead } = await file.read(bytes, 0, bytes.length, part.start)
  if (bytesRead === bytes.length && crc32(bytes) === part.crc32) return bytes
  throw damaged(place)
}

async function writeSynced(place: string, text: string): Promise<void> {
  const file = await open(place, 'w', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** A name is on the disk only when its directory is. */
function syncDirectory(directory: string): Promise<void> {
  return syncFile(directory)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function describeFailure(error: unknown, directory: string): unknown {
  const code = (error as NodeJS.ErrnoException).code
  if (error instanceof FileSystemError || code === undefined) return error
  const full = code === 'ENOSPC' || code === 'EDQUOT'
  return new FileSystemError(full ? 'ENOSPC' : 'EIO', 'journal', {
    path: directory,
    detail: `the journal of unsaved files cannot be written (${code})`,
    cause: error,
  })
}
