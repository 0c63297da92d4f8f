import type { Metadata } from '../blob/store.ts'
import type { Clock } from '../clock.ts'
import type { FileSystemError } from '../errors.ts'
import type { Entry, PosixAttributes } from '../namespace/entry.ts'
import { millisecondsToNs, withoutStored } from './attributes.ts'
import { type CommitContext, withKnownHeaders } from './file-commit.ts'
import { type PosixUse, shownEntry } from './posix-use.ts'
import type { WritableFileOptions } from './writable-file-options.ts'

type Start = Pick<WritableFileOptions, 'stored' | 'posix' | 'isExclusive'> & {
  readonly context: Pick<CommitContext, 'clock' | 'posixAttrs'>
}

/** What an open file has that its stored version has not, apart from the bytes themselves. */
export class UnsavedChanges {
  readonly #clock: Clock
  readonly #posixUse: PosixUse
  #stored: Entry | undefined
  /** The version that a commit must find in its place; `undefined`: none. */
  replaces: string | undefined
  /** Attributes to send with the next commit. */
  #posix: PosixAttributes
  /** Metadata that the next commit sends, instead of the stored version's. */
  #metadata: Metadata | undefined
  #changedAtMs: number
  #content = false
  /** Something was written, or an attribute was set, since the last commit. */
  touched = false
  /** The content is another than the journal was last given. */
  isUnpromised = false
  /** What was set of a file of which nothing is stored and nothing was ever written; `undefined` of others. */
  #setOnMade: PosixAttributes | undefined
  /** Why the last commit failed, which its caller knows; nothing was changed since. */
  reported: FileSystemError | undefined

  /** Whoever made it is told where somebody else was first. */
  readonly isExclusive: boolean

  constructor({ context, stored, posix = {}, isExclusive = false }: Start) {
    const { clock, posixAttrs = 'write' } = context
    this.isExclusive = isExclusive
    this.#clock = clock
    this.#posixUse = posixAttrs
    this.#stored = stored
    this.replaces = stored?.etag
    this.#posix = posix
    this.#changedAtMs = clock.nowMs()
    if (stored === undefined) this.#setOnMade = {}
    if (stored !== undefined) return
    this.inContentNow()
    this.setTime()
  }

  /** The version that the content began with, or that was committed last. */
  get stored(): Entry | undefined {
    return this.#stored
  }

  get posix(): PosixAttributes {
    return this.#posix
  }

  /** What was set of a file that was only made: whoever makes it too has all else of it. `undefined` where there is more to it. */
  get setOnMade(): PosixAttributes | undefined {
    return this.replaces === undefined ? this.#setOnMade : undefined
  }

  get metadata(): Metadata {
    return this.#metadata ?? this.#stored?.metadata ?? {}
  }

  /** The bytes differ from what is stored, or nothing is stored. */
  get inContent(): boolean {
    return this.#content
  }

  get exist(): boolean {
    const isKept = this.#posixUse === 'write' && Object.keys(this.#posix).length > 0
    return this.#content || isKept
  }

  /** What the file is to this mount, with `sizeBytes` of content. */
  entry(name: string, sizeBytes: number | undefined): Entry {
    const stored = this.#stored
    if (stored !== undefined && !this.exist) return { ...stored, name }
    return {
      metadata: {},
      ...stored,
      name,
      type: 'file',
      sizeBytes: sizeBytes ?? stored?.sizeBytes ?? 0,
      etag: this.#content ? undefined : stored?.etag,
      lastModifiedMs: this.#changedAtMs,
      posix: { ...stored?.posix, ...this.#posix },
      ...(this.#metadata === undefined ? {} : { metadata: this.#metadata }),
    }
  }

  /** The content is another than what is stored. */
  inContentNow(): void {
    this.#content = true
    this.isUnpromised = true
  }

  /** Somebody wrote or cut. */
  touchContent(): void {
    this.#setOnMade = undefined
    this.inContentNow()
    this.touch()
  }

  /** Something was set, whatever came of it: the next close has something to store. */
  touch(): void {
    this.#touched()
    this.setTime()
  }

  setTime(): void {
    this.#changedAtMs = this.#clock.nowMs()
    this.#posix = { ...this.#posix, mtimeNs: millisecondsToNs(this.#changedAtMs) }
  }

  setAttributes(changes: PosixAttributes): void {
    const given = withoutStored(changes, {})
    const merged = { ...this.#posix, ...given }
    if (this.#setOnMade !== undefined) this.#setOnMade = { ...this.#setOnMade, ...given }
    this.#posix = this.#content ? merged : withoutStored(merged, this.#stored?.posix ?? {})
    this.#changedAtMs = this.#clock.nowMs()
    this.#touched()
  }

  /** `undefined` changes nothing; whether something did change. */
  changeMetadata(change: (metadata: Metadata) => Metadata | undefined): boolean {
    const metadata = change(this.metadata)
    if (metadata === undefined) return false
    this.#metadata = metadata
    this.#setOnMade = undefined
    this.#touched()
    return true
  }

  /** `stored` is what lies there now; what differs from it still does. */
  adopt(stored: Entry): void {
    this.#setOnMade = undefined
    this.#stored = withKnownHeaders(shownEntry(stored, this.#posixUse), this.#stored)
    this.replaces = stored.etag
  }

  /** `stored` has the attributes that were set here. */
  attributesStored(stored: Entry): void {
    this.adopt(stored)
    this.#posix = {}
  }

  /** `stored` has all that was changed here. */
  allStored(stored: Entry): void {
    this.attributesStored(stored)
    this.#metadata = undefined
    this.#content = false
  }

  /** `theirs` is the file that was only made here: what was set is still to be stored. */
  becomeTheirs(theirs: Entry): void {
    const posix = this.setOnMade ?? {}
    this.drop()
    this.adopt(theirs)
    this.#posix = withoutStored(posix, theirs.posix)
  }

  /** The stored version has other tags or another tier: the next has them too. */
  noteKept(kept: Pick<Entry, 'tagCount' | 'chosenTier'>): void {
    if (this.#stored !== undefined) this.#stored = { ...this.#stored, ...kept }
  }

  /** Nobody wants them any more. */
  drop(): void {
    this.#posix = {}
    this.#content = false
  }

  #touched(): void {
    this.touched = true
    this.reported = undefined
  }
}
