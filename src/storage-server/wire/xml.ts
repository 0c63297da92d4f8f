// An element with every character that a text must not hold as it is.
const special = /[&<>"'\r]/
const specials = /[&<>"'\r]/g
// XML 1.0 has no place for these, not even as references.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they come in prefixes that are echoed.
const notXml = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/

const references: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
  '\r': '&#xD;',
}

export const xmlDeclaration = '<?xml version="1.0" encoding="utf-8"?>'

/** Escapes text for an element or an attribute. */
export function xmlText(text: string): string {
  return special.test(text) ? text.replace(specials, (each) => references[each] ?? each) : text
}

/** `<name>text</name>`; nothing when the text is `undefined`. */
export function element(name: string, text: string | number | undefined): string {
  if (text === undefined) return ''
  return `<${name}>${typeof text === 'number' ? text : xmlText(text)}</${name}>`
}

/** An element; percent-encoded and marked so where XML cannot hold the text. */
export function textElement(name: string, text: string): string {
  return notXml.test(text)
    ? `<${name} Encoded="true">${encodeURIComponent(text)}</${name}>`
    : `<${name}>${xmlText(text)}</${name}>`
}

/** The `Metadata` element of a listing. */
export function metadataElement(metadata: Readonly<Record<string, string>>): string {
  let inner = ''
  for (const name in metadata) inner += element(name, metadata[name])
  return inner === '' ? '<Metadata />' : `<Metadata>${inner}</Metadata>`
}
