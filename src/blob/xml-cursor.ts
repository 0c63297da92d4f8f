import { decodeText } from './list-values.ts'

export const OPEN = 1
export const CLOSE = 2
export const END = 0

const LESS = 0x3c
const GREATER = 0x3e
const SLASH = 0x2f
const QUESTION = 0x3f
const EXCLAMATION = 0x21

/**
 * Goes through the subset of XML that the service sends, element by element. It walks a Latin-1 view of the
 * page, in which positions are those of the bytes, and cuts values out of the bytes themselves. Throws
 * `SyntaxError` where the page is not of this form.
 */
export class XmlCursor {
  protected bytes: Buffer = Buffer.alloc(0)
  #text: string | undefined
  /** Where the next token begins. */
  protected at = 0
  /** The element of the last tag: where its name lies, and whether it is `<Name/>`. */
  protected nameStart = 0
  protected nameEnd = 0
  protected isEmpty = false

  /** Goes on at the beginning of `bytes`. */
  protected look(bytes: Buffer): void {
    this.bytes = bytes
    this.#text = undefined
    this.at = 0
  }

  /** Made where it is looked at: most of a long page is known by its bytes. */
  protected get text(): string {
    this.#text ??= this.bytes.toString('latin1')
    return this.#text
  }

  /** The text of the element whose opening tag was just read; moves behind its closing tag. */
  protected value(): string {
    if (this.isEmpty) return ''
    const start = this.at
    const end = this.text.indexOf('<', start)
    if (end === -1) throw new SyntaxError('the list page ends inside a value')
    if (this.text.charCodeAt(end + 1) !== SLASH) return this.#mixedValue()
    this.#closeLeaf(end)
    return decodeText(this.bytes, start, end)
  }

  /** A value with CDATA sections or comments in it. */
  #mixedValue(): string {
    let value = ''
    for (;;) {
      const end = this.text.indexOf('<', this.at)
      if (end === -1) throw new SyntaxError('the list page ends inside a value')
      value += decodeText(this.bytes, this.at, end)
      if (this.text.startsWith('<![CDATA[', end)) {
        const close = this.#after(']]>', end)
        value += this.bytes.toString('utf8', end + 9, close - 3)
      } else if (this.text.startsWith('<!--', end)) {
        this.#after('-->', end)
      } else if (this.text.charCodeAt(end + 1) === SLASH) {
        this.#closeLeaf(end)
        return value
      } else throw new SyntaxError('the list page has an element where a value should be')
    }
  }

  #closeLeaf(end: number): void {
    if (this.text.charCodeAt(end + 1) !== SLASH) {
      throw new SyntaxError('the list page has an element where a value should be')
    }
    this.#after('>', end)
  }

  /** Moves behind the closing tag of the element whose opening tag was just read. */
  protected skip(): void {
    if (this.isEmpty) return
    for (let depth = 1; depth > 0; ) {
      const tag = this.tag()
      if (tag === END) throw new SyntaxError('the list page ends inside an element')
      if (tag === CLOSE) depth--
      else if (!this.isEmpty) depth++
    }
  }

  /** Reads the opening tag of the next child; false at the closing tag of the parent. */
  protected child(): boolean {
    const tag = this.tag()
    if (tag === END) throw new SyntaxError('the list page ends inside an element')
    return tag === OPEN
  }

  protected tag(): typeof OPEN | typeof CLOSE | typeof END {
    const text = this.text
    for (;;) {
      const start = text.indexOf('<', this.at)
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
    if (this.text.startsWith('<!--', start)) this.#after('-->', start)
    else if (this.text.startsWith('<![CDATA[', start)) this.#after(']]>', start)
    else this.#after('>', start)
  }

  #readName(start: number): void {
    const text = this.text
    let end = start
    for (; end < text.length; end++) {
      const code = text.charCodeAt(end)
      if (code === GREATER || code <= 0x20 || code === SLASH) break
      if (code === LESS) throw new SyntaxError('the list page has a broken tag')
    }
    this.nameStart = start
    this.nameEnd = end
    const close = text.charCodeAt(end) === GREATER ? end : this.#tagEnd(end)
    this.isEmpty = text.charCodeAt(close - 1) === SLASH
    this.at = close + 1
  }

  /** Where the `>` of a tag with attributes is: the first one outside quotes. */
  #tagEnd(from: number): number {
    let quote = ''
    for (let index = from; index < this.text.length; index++) {
      const character = this.text.charAt(index)
      if (quote !== '') quote = character === quote ? '' : quote
      else if (character === '"' || character === "'") quote = character
      else if (character === '>') return index
    }
    throw new SyntaxError('the list page ends inside a tag')
  }

  #after(mark: string, from: number): number {
    const found = this.text.indexOf(mark, from)
    if (found === -1) throw new SyntaxError(`the list page ends before ${mark}`)
    this.at = found + mark.length
    return this.at
  }

  protected is(name: string): boolean {
    return (
      this.nameEnd - this.nameStart === name.length && this.text.startsWith(name, this.nameStart)
    )
  }
}
