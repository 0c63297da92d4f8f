import { decodeText } from './list-values.ts'
import type { ListEntry, ListPage } from './store.ts'

/** What a page may have that the names alone do not tell: marked directories, blobs that hide their metadata, other XML. */
const special = /<!|isfolder|is_directory|<CustomerProvidedKeySha256>/i
const blobTag = '<Blob>'
const nameTag = '<Name>'
/** Longer than a marker. */
const tailBytes = 16 * 1024
const markerTag = '</Blobs><NextMarker>'
const tail = /<\/Blobs><NextMarker(?: ?\/>|>([^<]*)<\/NextMarker>)<\/EnumerationResults>\s*$/

/**
 * Of a page of List Blobs the directories that its names lie in, each told where it begins, as a `prefix` row: a fraction of
 * what it takes to read the page. `undefined` where the page has more to it.
 */
export function scanDirectories(page: Buffer): ListPage | undefined {
  const text = page.toString('latin1')
  const end = tail.exec(text.slice(-tailBytes))
  if (end === null || special.test(text)) return undefined
  const entries: ListEntry[] = []
  let last = ''
  for (let at = text.indexOf(blobTag); at >= 0; at = text.indexOf(blobTag, at)) {
    const start = at + blobTag.length + nameTag.length
    if (!text.startsWith(nameTag, at + blobTag.length)) return undefined
    at = text.indexOf('<', start)
    const inside = text.slice(start, text.lastIndexOf('/', at - 1) + 1)
    if (inside === '' || inside === last) continue
    last = inside
    entries.push({ kind: 'prefix', name: decodeText(page, start, start + inside.length) })
  }
  return { entries, continuation: markerOf(page, end) }
}

/** The marker of the next page, whose bytes lie where the end of the page has it; `undefined` on the last page. */
function markerOf(page: Buffer, [whole, marker = '']: RegExpExecArray): string | undefined {
  if (marker === '') return undefined
  const start = page.length - whole.length + whole.indexOf(marker, markerTag.length)
  return decodeText(page, start, start + marker.length)
}
