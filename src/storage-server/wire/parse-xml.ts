import { refusal } from './refusals.ts'

/** One element: attributes are dropped, text is that directly inside. */
export interface XmlElement {
  readonly name: string
  readonly text: string
  readonly children: readonly XmlElement[]
}

interface Open {
  readonly name: string
  text: string
  readonly children: XmlElement[]
}

const token =
  /<\?[\s\S]*?\?>|<!--[\s\S]*?-->|<!\[CDATA\[([\s\S]*?)\]\]>|<(\/?)([A-Za-z_][\w.:-]*)((?:\s+[\w.:-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|([^<]+)/y
const entity = /&(?:#x([0-9a-fA-F]{1,6})|#(\d{1,7})|(amp|lt|gt|quot|apos));|&/g
const named: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
const maxDepth = 32

/**
 * Reads a small document such as a block list: elements, text, CDATA, references; no DTD. Throws
 * 400 `InvalidXmlDocument` for what is not well-formed.
 */
export function parseXml(data: Uint8Array): XmlElement {
  const text = decode(data)
  const root: Open = { name: '', text: '', children: [] }
  const open: Open[] = [root]
  token.lastIndex = 0
  while (token.lastIndex < text.length) {
    const match = token.exec(text)
    if (match === null) throw refusal('InvalidXmlDocument')
    take(match, open)
  }
  const [document] = root.children
  if (open.length !== 1 || document === undefined || root.children.length > 1) {
    throw refusal('InvalidXmlDocument')
  }
  if (root.text.trim() !== '') throw refusal('InvalidXmlDocument')
  return document
}

/** The first child of that name. */
export function childOf(parent: XmlElement | undefined, name: string): XmlElement | undefined {
  return parent?.children.find((child) => child.name === name)
}

/** The text of the first child of that name, trimmed. */
export function childText(parent: XmlElement | undefined, name: string): string | undefined {
  return childOf(parent, name)?.text.trim()
}

function take(match: RegExpExecArray, open: Open[]): void {
  const [, cdata, slash, name, , selfClosing, text] = match
  const top = open[open.length - 1]
  if (top === undefined) throw refusal('InvalidXmlDocument')
  if (cdata !== undefined) top.text += cdata
  else if (text !== undefined) top.text += text.replace(entity, resolve)
  else if (name !== undefined && slash === '/') close(name, open)
  else if (name !== undefined) start(name, selfClosing === '/', open)
}

function start(name: string, selfClosing: boolean, open: Open[]): void {
  const element: Open = { name, text: '', children: [] }
  open[open.length - 1]?.children.push(element)
  if (!selfClosing) open.push(element)
  if (open.length > maxDepth) throw refusal('InvalidXmlDocument')
}

function close(name: string, open: Open[]): void {
  if (open.length < 2 || open.pop()?.name !== name) throw refusal('InvalidXmlDocument')
}

function resolve(
  _: string,
  hex: string | undefined,
  decimal: string | undefined,
  name: string | undefined,
): string {
  if (name !== undefined) return named[name] ?? ''
  const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16)
  if (!(code > 0 && code <= 0x10ffff)) throw refusal('InvalidXmlDocument')
  return String.fromCodePoint(code)
}

function decode(data: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(data)
  } catch (cause) {
    throw refusal('InvalidXmlDocument', { cause })
  }
}
