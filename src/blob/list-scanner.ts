import { KiB } from '../byte-range.ts'
import { quoted } from './azure-request.ts'
import { viewOf } from './expected-bytes.ts'
import { ListPattern, type ListValues, type PageBytes } from './list-pattern.ts'
import { decodeText, parseHttpDate, quotedEtag } from './list-values.ts'
import { type ListedBlob, ListedProperties, ListedRow } from './listed-blob.ts'
import type { BlobProperties, ListEntry, ListOptions, ListPage, StateMark } from './store.ts'
import { markKey } from './written-mark.ts'
import { CLOSE, END, XmlCursor } from './xml-cursor.ts'

/**
 * Reads one page of List Blobs (XML, UTF-8) in one pass: the subset of XML that the service sends,
 * with unknown elements skipped. It walks a Latin-1 view of the page, in which positions are those
 * of the bytes, and cuts values out of the bytes themselves, so that no entry keeps the page alive.
 * An XML library takes over a hundred milliseconds for a page of 5,000 entries, during which no
 * other request of the process moves.
 *
 * Throws `SyntaxError` when the page ends early or is not of this form.
 */
export function scanListPage(page: Buffer, options: ScanOptions): ListPage {
  const scanner = new ListScanner(options)
  scanner.read(page)
  return scanner.page()
}

/** What the listing was asked for, and entries therefore tell. */
export type ScanOptions = Pick<
  ListOptions,
  'metadata' | 'tags' | 'versions' | 'snapshots' | 'deleted'
>

/** A page of 5,000 entries is ten of these or more: some two milliseconds each. */
export const turnBytes: number = 256 * KiB
/** An entry ends within so many, unless it has much metadata. */
const entryBytes = 64 * KiB

/**
 * As {@link scanListPage}, in turns of `turnBytes`: between two of them `pause` lets others run, so that a
 * long page delays nobody by more than a turn. An entry is not divided. The text of a turn is V8's own and short-lived:
 * that of a page would lie outside its heap, and each 64 MiB of those make it collect all garbage.
 */
export async function scanInTurns(
  page: Buffer,
  options: ScanOptions & { readonly pause: () => Promise<void> },
): Promise<ListPage> {
  const scanner = new ListScanner(options)
  try {
    for (let at = 0; at < page.length; ) {
      if (at > 0) await options.pause()
      const end = endOfTurn(page, at)
      scanner.read(page.subarray(at, end))
      at = end
    }
    return scanner.page()
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    // A value may hold what looks like the end of an entry; else this says the same again.
    return scanListPage(page, options)
  }
}

/** Behind an entry, or the page's end. */
function endOfTurn(page: Buffer, at: number): number {
  const from = at + turnBytes
  if (from >= page.length) return page.length
  let near = page.subarray(from, from + entryBytes)
  let end = page.length
  for (const mark of entryEnds) {
    const found = near.indexOf(mark)
    if (found === -1) continue
    end = from + found + mark.length
    // The other is looked for before it alone.
    near = near.subarray(0, found)
  }
  return end
}

const entryEnds = ['</Blob>', '</BlobPrefix>'] as const

/** Forms that a page's entries are learned to have; beyond, one for each so many that had a known one. */
const freeForms = 8
/** Shared by all entries that have none. */
const noMetadata: Readonly<Record<string, string>> = Object.freeze({})

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] }

class ListScanner extends XmlCursor {
  readonly #options: ScanOptions
  readonly #withMetadata: boolean
  readonly #withState: boolean
  readonly #entries: ListEntry[] = []
  /** What the blob under way has that most have not. */
  #state: FoundState = {}
  #continuation: string | undefined
  #isComplete = false
  #isInBlobs = false
  #isTierInferred = false
  #lastContentType: string | undefined
  #dateText = ''
  #dateMs = 0
  #pattern: ListPattern | undefined
  #learned = 0
  #matched = 0
  readonly #values: ListValues
  #page: PageBytes = { bytes: this.bytes, view: viewOf(this.bytes) }

  constructor(options: ScanOptions) {
    super()
    this.#options = options
    this.#withMetadata = options.metadata !== false
    this.#withState = [options.versions, options.snapshots, options.deleted].includes(true)
    this.#values = {
      text: (start, end) => decodeText(this.bytes, start, end),
      etag: (start, end) => quotedEtag(this.bytes, start, end),
      dateMs: (start, end) => this.#dateAt(start, end),
    }
  }

  /** Reads the page, or what follows of it, up to the end of an entry. */
  read(bytes: Buffer): void {
    this.look(bytes)
    this.#page = { bytes, view: viewOf(bytes) }
    while (this.at < bytes.length) {
      if (this.#isInBlobs) this.#isInBlobs = this.#blobOrEnd()
      else if (!this.#element()) return
    }
  }

  /** What was read. */
  page(): ListPage {
    if (!this.#isComplete) throw new SyntaxError('the list page ends before its closing tag')
    const continuation = this.#continuation
    return { entries: this.#entries, continuation: continuation === '' ? undefined : continuation }
  }

  /** False at the end of the page. */
  #element(): boolean {
    const tag = this.tag()
    if (tag === END) return false
    if (tag === CLOSE) this.#isComplete ||= this.is('EnumerationResults')
    else if (this.is('Blobs')) this.#isInBlobs = !this.isEmpty
    else if (this.is('NextMarker')) this.#continuation = this.value()
    else if (!this.is('EnumerationResults')) this.skip()
    return true
  }

  /** False at the end of the blobs. */
  #blobOrEnd(): boolean {
    const start = this.at
    const known = this.#pattern?.match(this.#page, start, this.#values)
    if (known !== undefined) {
      this.#entries.push(known.blob)
      this.#matched++
      this.at = known.end
      return true
    }
    if (!this.child()) return false
    if (this.is('Blob')) {
      const blob = this.#blob()
      this.#entries.push(blob)
      this.#learn(start, blob)
    } else if (this.is('BlobPrefix')) {
      this.#entries.push({ kind: 'prefix', name: this.#prefixName() })
    } else this.skip()
    return true
  }

  /** Learning costs as much as reading several entries: it has to be worth it. */
  #learn(start: number, model: ListedBlob): void {
    if (this.#learned - freeForms > this.#matched / freeForms) return
    this.#learned++
    const place = { start, end: this.at }
    const values = this.#values
    this.#pattern = ListPattern.learn(this.#page, place, { model, values }) ?? this.#pattern
  }

  #prefixName(): string {
    let name = ''
    if (this.isEmpty) return name
    while (this.child()) {
      if (this.is('Name')) name = this.#name()
      else this.skip()
    }
    return name
  }

  #blob(): ListedBlob {
    let name = ''
    let metadata: Readonly<Record<string, string>> | undefined
    const properties = new ListedProperties()
    this.#state = {}
    if (!this.isEmpty) {
      while (this.child()) {
        if (this.is('Name')) name = this.#name()
        else if (this.is('Properties')) this.#properties(properties)
        else if (this.is('Metadata')) metadata = this.#metadata()
        else if (this.#withState || this.#options.tags === true) this.#rare()
        else this.skip()
      }
    }
    if (this.#withMetadata) properties.metadata = metadata ?? noMetadata
    const blob = new ListedRow(name, properties)
    return this.#withState || this.#options.tags === true ? this.#withRare(blob) : blob
  }

  #rare(): void {
    if (this.is('VersionId')) this.#state.versionId = this.#nonEmpty()
    else if (this.is('Snapshot')) this.#state.snapshot = this.#nonEmpty()
    else if (this.is('IsCurrentVersion')) this.#state.isCurrentVersion = this.value() === 'true'
    else if (this.is('Deleted')) this.#state.isDeleted = this.value() === 'true'
    else if (this.is('Tags')) this.#state.tags = this.#tags()
    else this.skip()
  }

  #withRare(blob: ListedBlob): ListedBlob {
    const { tags, ...found } = this.#state
    return {
      ...blob,
      ...(this.#withState && { state: stateMark(found, this.#options.versions === true) }),
      ...(this.#options.tags === true && { tags: tags ?? noMetadata }),
    }
  }

  #tags(): Readonly<Record<string, string>> {
    const tags: Record<string, string> = {}
    if (this.isEmpty) return tags
    while (this.child()) {
      if (!this.is('TagSet') || this.isEmpty) this.skip()
      else while (this.child()) this.#addTag(tags)
    }
    return tags
  }

  #addTag(tags: Record<string, string>): void {
    if (!this.is('Tag') || this.isEmpty) {
      this.skip()
      return
    }
    let [key, value] = ['', '']
    while (this.child()) {
      if (this.is('Key')) key = this.value()
      else if (this.is('Value')) value = this.value()
      else this.skip()
    }
    tags[key] = value
  }

  #properties(properties: ListedProperties): void {
    if (this.isEmpty) return
    this.#isTierInferred = false
    while (this.child()) {
      if (this.is('Last-Modified')) properties.lastModifiedMs = this.#date()
      else if (this.is('Content-Length')) properties.sizeBytes = Number(this.value())
      else if (this.is('Etag')) properties.etag = this.#etag()
      else this.#optionalProperty(properties)
    }
    if (properties.accessTier !== undefined) properties.isTierChosen = !this.#isTierInferred
  }

  #optionalProperty(properties: ListedProperties): void {
    if (this.is('Creation-Time')) properties.createdMs = this.#date()
    else if (this.is('Content-Type')) properties.contentType = this.#contentType()
    else if (this.is('Content-MD5')) properties.contentMd5 = this.#nonEmpty()
    else if (this.is('BlobType')) properties.blobType = blobTypeOf(this.value())
    else if (this.is('AccessTier')) properties.accessTier = this.#nonEmpty()
    else if (this.is('AccessTierInferred')) this.#isTierInferred = this.value() === 'true'
    else if (this.is('TagCount')) properties.tagCount = Number(this.value()) || undefined
    else if (this.is('CustomerProvidedKeySha256')) {
      properties.customerKeySha256 = this.#nonEmpty()
    } else if (this.#withState && this.is('DeletedTime')) this.#state.deletedMs = this.#date()
    else if (this.#withState && this.is('RemainingRetentionDays')) {
      this.#state.daysLeft = Number(this.value())
    } else this.skip()
  }

  #metadata(): Readonly<Record<string, string>> {
    if (this.isEmpty) return noMetadata
    const metadata: Record<string, string> = {}
    while (this.child()) {
      // Headers lose the case of keys, so that one listed and one asked for would differ.
      const key = this.text.slice(this.nameStart, this.nameEnd).toLowerCase()
      const value = this.value()
      if (key !== markKey) metadata[key] = value
    }
    return metadata
  }

  /** The value of `<Name>`, whose characters beyond XML's are percent-encoded when it says so. */
  #name(): string {
    const isEncoded = this.at - this.nameEnd > 1 && this.#hasEncodedMark()
    const name = this.value()
    return isEncoded ? decodeURIComponent(name) : name
  }

  #hasEncodedMark(): boolean {
    const attributes = this.text.slice(this.nameEnd, this.at)
    return /\bEncoded\s*=\s*["'](?:true|1)["']/i.test(attributes)
  }

  #etag(): string {
    const start = this.at
    const value = this.value()
    const end = start + value.length
    return this.text.startsWith(`${value}<`, start)
      ? quotedEtag(this.bytes, start, end)
      : quoted(value)
  }

  /** Most blobs of a page have the same. */
  #contentType(): string | undefined {
    const value = this.#nonEmpty()
    if (value === this.#lastContentType) return this.#lastContentType
    this.#lastContentType = value
    return value
  }

  #nonEmpty(): string | undefined {
    const value = this.value()
    return value === '' ? undefined : value
  }

  #date(): number {
    const start = this.at
    const value = this.value()
    const isPlain = this.text.startsWith(`${value}<`, start)
    return isPlain ? this.#dateAt(start, start + value.length) : parseHttpDate(value)
  }

  /** A page often repeats one second many times over. */
  #dateAt(start: number, end: number): number {
    const text = this.bytes.toString('latin1', start, end)
    if (text === this.#dateText) return this.#dateMs
    this.#dateText = text
    this.#dateMs = parseHttpDate(text)
    return this.#dateMs
  }
}

/** What a row says of which state it is. */
type FoundState = Mutable<Partial<Omit<StateMark, 'isCurrent'>>> & {
  isCurrentVersion?: boolean
  tags?: Readonly<Record<string, string>>
}

/** Only a listing of versions says which of them is the current one. */
function stateMark(found: FoundState, versions: boolean): StateMark {
  const { versionId, snapshot, isDeleted = false, deletedMs, daysLeft } = found
  const isLatest = versions && versionId !== undefined ? found.isCurrentVersion === true : true
  const isCurrent = !isDeleted && snapshot === undefined && isLatest
  return { versionId, snapshot, isCurrent, isDeleted, deletedMs, daysLeft }
}

function blobTypeOf(value: string): BlobProperties['blobType'] {
  return value === 'BlockBlob' || value === 'AppendBlob' || value === 'PageBlob' ? value : undefined
}
