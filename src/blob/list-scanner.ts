import { KiB } from '../byte-range.ts'
import { quoted } from './azure-request.ts'
import { type ListedBlob, ListPattern, type ListValues, type PageText } from './list-pattern.ts'
import { decodeText, parseHttpDate, quotedEtag } from './list-values.ts'
import type { BlobProperties, ListEntry, ListPage } from './store.ts'
import { markKey } from './written-mark.ts'

/**
 * Reads one page of List Blobs (XML, UTF-8) in one pass: the subset of XML that the service sends,
 * with unknown elements skipped. It walks a Latin-1 view of the page, in which positions are those
 * of the bytes, and cuts values out of the bytes themselves, so that no entry keeps the page alive.
 * An XML library takes over a hundred milliseconds for a page of 5,000 entries, during which no
 * other request of the process moves.
 *
 * Throws `SyntaxError` when the page ends early or is not of this form.
 */
export function scanListPage(page: Buffer, options: { readonly metadata: boolean }): ListPage {
  const scanner = new ListScanner(page, options.metadata)
  scanner.scan(Number.POSITIVE_INFINITY)
  return scanner.page()
}

/** A page of 5,000 entries is ten of these or more: some two milliseconds each. */
export const turnBytes: number = 256 * KiB

/**
 * As {@link scanListPage}, in turns of `turnBytes`: between two of them `pause` lets others run, so that a
 * long page delays nobody by more than a turn. An entry is not divided.
 */
export async function scanInTurns(
  page: Buffer,
  options: { readonly metadata: boolean; readonly pause: () => Promise<void> },
): Promise<ListPage> {
  const scanner = new ListScanner(page, options.metadata)
  while (scanner.scan(turnBytes)) await options.pause()
  return scanner.page()
}

const OPEN = 1
const CLOSE = 2
const END = 0

const LESS = 0x3c
const GREATER = 0x3e
const SLASH = 0x2f
const QUESTION = 0x3f
const EXCLAMATION = 0x21

/** Forms that a page's entries are learned to have; beyond, one for each so many that had a known one. */
const freeForms = 8
/** Shared by all entries that have none. */
const noMetadata: Readonly<Record<string, string>> = Object.freeze({})

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] }

class ListScanner {
  readonly #bytes: Buffer
  readonly #text: string
  readonly #withMetadata: boolean
  /** Where the next token begins. */
  #at = 0
  /** The element of the last tag: where its name lies, and whether it is `<Name/>`. */
  #nameStart = 0
  #nameEnd = 0
  #isEmpty = false
  readonly #entries: ListEntry[] = []
  #continuation: string | undefined
  #isComplete = false
  #isInBlobs = false
  #lastContentType: string | undefined
  #dateText = ''
  #dateMs = 0
  #pattern: ListPattern | undefined
  #learned = 0
  #matched = 0
  readonly #values: ListValues
  readonly #page: PageText

  constructor(bytes: Buffer, withMetadata: boolean) {
    this.#bytes = bytes
    this.#text = bytes.toString('latin1')
    this.#withMetadata = withMetadata
    this.#page = { text: this.#text, bytes }
    this.#values = {
      text: (start, end) => decodeText(bytes, start, end),
      etag: (start, end) => quotedEtag(bytes, start, end),
      dateMs: (start, end) => this.#dateAt(start, end),
    }
  }

  /** Reads on until `bytes` are behind it; false when the whole page is. */
  scan(bytes: number): boolean {
    const until = this.#at + bytes
    while (this.#at < until) {
      if (this.#isInBlobs) this.#isInBlobs = this.#blobOrEnd()
      else if (!this.#element()) return false
    }
    return true
  }

  /** What was read. */
  page(): ListPage {
    if (!this.#isComplete) throw new SyntaxError('the list page ends before its closing tag')
    const continuation = this.#continuation
    return { entries: this.#entries, continuation: continuation === '' ? undefined : continuation }
  }

  /** False at the end of the page. */
  #element(): boolean {
    const tag = this.#tag()
    if (tag === END) return false
    if (tag === CLOSE) this.#isComplete ||= this.#is('EnumerationResults')
    else if (this.#is('Blobs')) this.#isInBlobs = !this.#isEmpty
    else if (this.#is('NextMarker')) this.#continuation = this.#value()
    else if (!this.#is('EnumerationResults')) this.#skip()
    return true
  }

  /** False at the end of the blobs. */
  #blobOrEnd(): boolean {
    const start = this.#at
    const known = this.#pattern?.match(this.#page, start, this.#values)
    if (known !== undefined) {
      this.#entries.push(known.blob)
      this.#matched++
      this.#at = known.end
      return true
    }
    if (!this.#child()) return false
    if (this.#is('Blob')) {
      const blob = this.#blob()
      this.#entries.push(blob)
      this.#learn(start, blob)
    } else if (this.#is('BlobPrefix')) {
      this.#entries.push({ kind: 'prefix', name: this.#prefixName() })
    } else this.#skip()
    return true
  }

  /** Learning costs as much as reading several entries: it has to be worth it. */
  #learn(start: number, model: ListedBlob): void {
    if (this.#learned - freeForms > this.#matched / freeForms) return
    this.#learned++
    const place = { start, end: this.#at }
    const values = this.#values
    this.#pattern = ListPattern.learn(this.#page, place, { model, values }) ?? this.#pattern
  }

  #prefixName(): string {
    let name = ''
    if (this.#isEmpty) return name
    while (this.#child()) {
      if (this.#is('Name')) name = this.#name()
      else this.#skip()
    }
    return name
  }

  #blob(): ListedBlob {
    let name = ''
    let metadata: Readonly<Record<string, string>> | undefined
    const properties: Mutable<BlobProperties> = { sizeBytes: 0, etag: '', lastModifiedMs: 0 }
    if (!this.#isEmpty) {
      while (this.#child()) {
        if (this.#is('Name')) name = this.#name()
        else if (this.#is('Properties')) this.#properties(properties)
        else if (this.#is('Metadata')) metadata = this.#metadata()
        else this.#skip()
      }
    }
    if (this.#withMetadata) properties.metadata = metadata ?? noMetadata
    return { kind: 'blob', name, properties }
  }

  #properties(properties: Mutable<BlobProperties>): void {
    if (this.#isEmpty) return
    while (this.#child()) {
      if (this.#is('Last-Modified')) properties.lastModifiedMs = this.#date()
      else if (this.#is('Content-Length')) properties.sizeBytes = Number(this.#value())
      else if (this.#is('Etag')) properties.etag = this.#etag()
      else this.#optionalProperty(properties)
    }
  }

  #optionalProperty(properties: Mutable<BlobProperties>): void {
    if (this.#is('Creation-Time')) properties.createdMs = this.#date()
    else if (this.#is('Content-Type')) properties.contentType = this.#contentType()
    else if (this.#is('Content-MD5')) properties.contentMd5 = this.#nonEmpty()
    else if (this.#is('BlobType')) properties.blobType = blobTypeOf(this.#value())
    else if (this.#is('AccessTier')) properties.accessTier = this.#nonEmpty()
    else this.#skip()
  }

  #metadata(): Readonly<Record<string, string>> {
    if (this.#isEmpty) return noMetadata
    const metadata: Record<string, string> = {}
    while (this.#child()) {
      // Headers lose the case of keys, so that one listed and one asked for would differ.
      const key = this.#text.slice(this.#nameStart, this.#nameEnd).toLowerCase()
      const value = this.#value()
      if (key !== markKey) metadata[key] = value
    }
    return metadata
  }

  /** The value of `<Name>`, whose characters beyond XML's are percent-encoded when it says so. */
  #name(): string {
    const isEncoded = this.#at - this.#nameEnd > 1 && this.#hasEncodedMark()
    const name = this.#value()
    return isEncoded ? decodeURIComponent(name) : name
  }

  #hasEncodedMark(): boolean {
    const attributes = this.#text.slice(this.#nameEnd, this.#at)
    return /\bEncoded\s*=\s*["'](?:true|1)["']/i.test(attributes)
  }

  #etag(): string {
    const start = this.#at
    const value = this.#value()
    const end = start + value.length
    return this.#text.startsWith(`${value}<`, start)
      ? quotedEtag(this.#bytes, start, end)
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
    const value = this.#value()
    return value === '' ? undefined : value
  }

  #date(): number {
    const start = this.#at
    const value = this.#value()
    const isPlain = this.#text.startsWith(`${value}<`, start)
    return isPlain ? this.#dateAt(start, start + value.length) : parseHttpDate(value)
  }

  /** A page often repeats one second many times over. */
  #dateAt(start: number, end: number): number {
    if (this.#dateText.length === end - start && this.#text.startsWith(this.#dateText, start)) {
      return this.#dateMs
    }
    this.#dateText = this.#bytes.toString('latin1', start, end)
    this.#dateMs = parseHttpDate(this.#dateText)
    return this.#dateMs
  }

  /** The text of the element whose opening tag was just read; moves behind its closing tag. */
  #value(): string {
    if (this.#isEmpty) return ''
    const start = this.#at
    const end = this.#text.indexOf('<', start)
    if (end === -1) throw new SyntaxError('the list page ends inside a value')
    if (this.#text.charCodeAt(end + 1) !== SLASH) return this.#mixedValue()
    this.#closeLeaf(end)
    return decodeText(this.#bytes, start, end)
  }

  /** A value with CDATA sections or comments in it. */
  #mixedValue(): string {
    let value = ''
    for (;;) {
      const end = this.#text.indexOf('<', this.#at)
      if (end === -1) throw new SyntaxError('the list page ends inside a value')
      value += decodeText(this.#bytes, this.#at, end)
      if (this.#text.startsWith('<![CDATA[', end)) {
        const close = this.#after(']]>', end)
        value += this.#bytes.toString('utf8', end + 9, close - 3)
      } else if (this.#text.startsWith('<!--', end)) {
        this.#after('-->', end)
      } else if (this.#text.charCodeAt(end + 1) === SLASH) {
        this.#closeLeaf(end)
        return value
      } else throw new SyntaxError('the list page has an element where a value should be')
    }
  }

  #closeLeaf(end: number): void {
    if (this.#text.charCodeAt(end + 1) !== SLASH) {
      throw new SyntaxError('the list page has an element where a value should be')
    }
    this.#after('>', end)
  }

  /** Moves behind the closing tag of the element whose opening tag was just read. */
  #skip(): void {
    if (this.#isEmpty) return
    for (let depth = 1; depth > 0; ) {
      const tag = this.#tag()
      if (tag === END) throw new SyntaxError('the list page ends inside an element')
      if (tag === CLOSE) depth--
      else if (!this.#isEmpty) depth++
    }
  }

  /** Reads the opening tag of the next child; false at the closing tag of the parent. */
  #child(): boolean {
    const tag = this.#tag()
    if (tag === END) throw new SyntaxError('the list page ends inside an element')
    return tag === OPEN
  }

  #tag(): typeof OPEN | typeof CLOSE | typeof END {
    const text = this.#text
    for (;;) {
      const start = text.indexOf('<', this.#at)
      if (start === -1) return END
      const first = text.charCodeAt(start + 1)
      if (first === QUESTION) this.#after('?>', start)
      else if (first === EXCLAMATION) this.#skipDeclaration(start)
      else {
        const isClosing = first === SLASH
        this.#readName(isClosing ? start + 2 : start + 1)
        return isClosing ? CLOSE : OPEN
      }
    }
  }

  #skipDeclaration(start: number): void {
    if (this.#text.startsWith('<!--', start)) this.#after('-->', start)
    else if (this.#text.startsWith('<![CDATA[', start)) this.#after(']]>', start)
    else this.#after('>', start)
  }

  #readName(start: number): void {
    const text = this.#text
    let end = start
    for (; end < text.length; end++) {
      const code = text.charCodeAt(end)
      if (code === GREATER || code <= 0x20 || code === SLASH) break
      if (code === LESS) throw new SyntaxError('the list page has a broken tag')
    }
    this.#nameStart = start
    this.#nameEnd = end
    const close = text.charCodeAt(end) === GREATER ? end : this.#tagEnd(end)
    this.#isEmpty = text.charCodeAt(close - 1) === SLASH
    this.#at = close + 1
  }

  /** Where the `>` of a tag with attributes is: the first one outside quotes. */
  #tagEnd(from: number): number {
    let quote = ''
    for (let index = from; index < this.#text.length; index++) {
      const character = this.#text.charAt(index)
      if (quote !== '') quote = character === quote ? '' : quote
      else if (character === '"' || character === "'") quote = character
      else if (character === '>') return index
    }
    throw new SyntaxError('the list page ends inside a tag')
  }

  #after(mark: string, from: number): number {
    const found = this.#text.indexOf(mark, from)
    if (found === -1) throw new SyntaxError(`the list page ends before ${mark}`)
    this.#at = found + mark.length
    return this.#at
  }

  #is(name: string): boolean {
    return (
      this.#nameEnd - this.#nameStart === name.length &&
      this.#text.startsWith(name, this.#nameStart)
    )
  }
}

function blobTypeOf(value: string): BlobProperties['blobType'] {
  return value === 'BlockBlob' || value === 'AppendBlob' || value === 'PageBlob' ? value : undefined
}
