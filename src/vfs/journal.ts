import { randomBytes } from 'node:crypto'
import { renameSync, writeFileSync } from 'node:fs'
import { open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Metadata } from '../blob/store.ts'
import type { Clock } from '../clock.ts'
import { crc32 } from '../crc32.ts'
import { FileSystemError } from '../errors.ts'
import { makeDirectories } from '../make-directories.ts'
import { type BlobPath, formatPath } from '../path.ts'
import type { FileContent } from '../transfer/file-content.ts'
import { NearDisk } from '../transfer/near-disk.ts'
import { writeFully } from '../transfer/write-fully.ts'
import { removeNear, syncDirectory, syncFile, writeSynced } from './journal-files.ts'
import {
  bytesIn,
  type KeptPart,
  type KeptVersion,
  partsInRecord,
  readPart,
  readRecord,
} from './journal-record.ts'

export interface JournalOptions {
  /** Made when it is missing, for this user alone. */
  readonly directory: string
  readonly clock: Clock
  /** Called before each change on the disk; what it throws is as if the process died there. */
  readonly onStep?: ((step: string) => void) | undefined
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

/** When what was not synced is; milliseconds. */
const syncAfterMs = 1000

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
  /** Removals by path: what comes after one outlives the machine only together with it. */
  readonly #removals = new Map<string, string>()
  #syncing: Promise<void> | undefined
  /** Of the last version: a clock that is set back does not change their order. */
  #lastMs = 0
  readonly #disk: NearDisk
  /** Set once the directory is there. */
  #made: Promise<void> | undefined

  constructor(options: JournalOptions) {
    this.#options = options
    this.#disk = new NearDisk(options.clock)
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
    version: Omit<KeptVersion, 'id' | 'base' | 'parts' | 'sizeBytes' | 'type'>,
    content: FileContent,
    { all = false, synced = true }: KeepOptions = {},
  ): Promise<KeptVersion> {
    const id = this.#newId(version.path)
    const { sizeBytes } = content
    try {
      const inRecord = all ? undefined : await partsInRecord(content)
      await this.#makeDirectory(inRecord === undefined)
      if (inRecord !== undefined) {
        const small = { ...version, id, sizeBytes, base: content.base, parts: inRecord }
        return await this.#keepSmall(small, synced)
      }
      await this.#syncRemoval(version.path)
      this.#step('data')
      const parts = await this.#writeData(id, content, all)
      const kept = { ...version, id, sizeBytes, base: content.base, parts }
      await this.#writeRecord(kept)
      return kept
    } catch (error) {
      throw describeFailure(error, this.#options.directory)
    }
  }

  /** Writes down a directory that is to be made, with its metadata. Fails as `keep` does. */
  keepDirectory(
    { path, metadata }: { readonly path: BlobPath; readonly metadata: Metadata },
    { synced = true }: Pick<KeepOptions, 'synced'> = {},
  ): Promise<KeptVersion> {
    return this.#keepBare({ type: 'directory', path, description: { metadata } }, synced)
  }

  /** Writes down that a version of a file is to go. Fails as `keep` does; is synced later, or before what takes its place. */
  async keepRemoval({
    path,
    etag,
  }: {
    readonly path: BlobPath
    readonly etag: string
  }): Promise<KeptVersion> {
    const kept = await this.#keepBare(
      { type: 'removal', path, replaces: etag, description: {} },
      false,
    )
    this.#removals.set(formatPath(path), kept.id)
    return kept
  }

  async #keepBare(
    what: Pick<KeptVersion, 'type' | 'path' | 'replaces' | 'description'>,
    synced: boolean,
  ): Promise<KeptVersion> {
    const id = this.#newId(what.path)
    try {
      await this.#makeDirectory()
      const version = { ...what, id, reason: 'pending', sizeBytes: 0, parts: [] } as const
      return await this.#keepSmall(version, synced)
    } catch (error) {
      throw describeFailure(error, this.#options.directory)
    }
  }

  /**
   * Resolves when a version is on the disk, or has gone from here. What the disk has refused once stays
   * refused: to be asked again it may say yes, and have nothing.
   */
  async sync({ id, path }: Pick<KeptVersion, 'id' | 'path'>): Promise<void> {
    await this.#syncRemoval(path)
    await this.#syncOne(id)
  }

  /** Has the removal from `path` on the disk, if one is promised. */
  async #syncRemoval(path: BlobPath): Promise<void> {
    const id = this.#removals.get(formatPath(path))
    if (id !== undefined) await this.#syncOne(id)
  }

  async #syncOne(id: string): Promise<void> {
    await this.#sync([id])
    const refusal = this.#unsynced.get(id)?.refusal
    if (refusal !== undefined) throw refusal
  }

  /** Forgets a version, which is in Azure now. */
  async remove({ id, path }: Pick<KeptVersion, 'id' | 'path'>): Promise<void> {
    this.#step('remove record')
    this.#unsynced.delete(id)
    if (this.#removals.get(formatPath(path)) === id) this.#removals.delete(formatPath(path))
    const place = join(this.#options.directory, `${id}.json`)
    const isSmall = this.#small.delete(id)
    if (isSmall && (await this.#isNear())) return this.#disk.run(() => removeNear(place))
    await rm(place, { force: true })
    if (isSmall) return
    this.#step('remove data')
    await rm(this.placeOf({ id }), { force: true })
  }

  /** All versions, oldest first. A record that cannot be read is left out. */
  async list(): Promise<KeptVersion[]> {
    const versions: KeptVersion[] = []
    for (const name of (await this.#names()).filter((each) => each.endsWith('.json')).sort()) {
      const text = await readFile(join(this.#options.directory, name), 'utf8')
      const version = readRecord(text)
      if (version !== undefined) versions.push(version)
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

  /** Others take it away while it is empty. */
  #makeDirectory(anew = false): Promise<void> {
    if (anew) this.#made = undefined
    this.#made ??= makeDirectories(this.#options.directory, 0o700).catch((error: unknown) => {
      this.#made = undefined
      throw error
    })
    return this.#made
  }

  #isNear(): Promise<boolean> | boolean {
    return this.#disk.isNear(this.#options.directory)
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

  async #keepSmall(version: KeptVersion, synced: boolean): Promise<KeptVersion> {
    const { id } = version
    const place = join(this.#options.directory, `${id}.json`)
    const text = JSON.stringify(version)
    this.#step('record')
    try {
      await this.#writeSmall(place, text)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      await this.#makeDirectory(true)
      await this.#writeSmall(place, text)
    }
    this.#small.add(id)
    this.#unsynced.set(id, {})
    if (synced) await this.sync(version)
    else this.#syncing ??= this.#syncSoon()
    // The bytes are on the disk: memory need not have them twice.
    return { ...version, parts: [] }
  }

  /** At once where the disk is near: each step by another thread costs more than all of them do here, and somebody waits. */
  async #writeSmall(place: string, text: string): Promise<void> {
    const part = `${place}.new`
    const isNear = await this.#isNear()
    try {
      if (isNear) this.#disk.run(() => writeFileSync(part, text, { mode: 0o600 }))
      else await writeFile(part, text, { mode: 0o600 })
      this.#step('name record')
      if (isNear) this.#disk.run(() => renameSync(part, place))
      else await rename(part, place)
    } catch (error) {
      await rm(part, { force: true })
      throw error
    }
  }

  /** What the disk refuses is told by the fsync that asks for it. */
  async #syncSoon(): Promise<void> {
    await this.#options.clock.sleep(syncAfterMs)
    this.#syncing = undefined
    await this.#sync([...this.#unsynced.keys()])
  }

  async #sync(ids: readonly string[]): Promise<void> {
    const { directory } = this.#options
    const names: string[] = []
    for (const id of ids) {
      if (this.#unsynced.get(id)?.refusal !== undefined || !this.#unsynced.has(id)) continue
      try {
        this.#step('sync record')
        await syncFile(join(directory, `${id}.json`))
        names.push(id)
      } catch (error) {
        this.#refuse(id, error)
      }
    }
    if (names.length === 0) return
    try {
      await syncDirectory(directory)
      for (const id of names) this.#unsynced.delete(id)
    } catch (error) {
      for (const id of names) this.#refuse(id, error)
    }
  }

  /** Unless it has gone meanwhile. */
  #refuse(id: string, error: unknown): void {
    const refusal = describeFailure(error, this.#options.directory)
    if (this.#unsynced.has(id)) this.#unsynced.set(id, { refusal })
  }

  #step(step: string): void {
    this.#options.onStep?.(step)
  }

  /** Tells its time and the file's name to whoever looks into the directory. */
  #newId({ name }: BlobPath): string {
    this.#lastMs = Math.max(this.#lastMs, this.#options.clock.nowMs())
    const time = new Date(this.#lastMs).toISOString().replace(/[-:.]/g, '')
    const base = name
      .slice(name.lastIndexOf('/') + 1)
      .replace(/[^\w.-]/g, '_')
      .slice(0, 80)
    const order = String(this.#count++).padStart(9, '0')
    return `${time}-${order}-${randomBytes(4).toString('hex')}-${base}`
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
