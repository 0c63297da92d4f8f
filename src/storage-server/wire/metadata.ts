import { invalidHeader, refusal } from './refusals.ts'
import type { StorageRequest } from './request.ts'

const prefix = 'x-ms-meta-'
const maxBytes = 8 * 1024
const identifier = /^[A-Za-z_][A-Za-z0-9_]*$/
const printable = /^[\x20-\x7e\t]*$/
const noMetadata: Readonly<Record<string, string>> = Object.freeze({})

/**
 * The `x-ms-meta-` headers with their names' case. Throws 400 `EmptyMetadataKey`,
 * `InvalidMetadata` (names that are no C# identifiers, values beyond ASCII) or `MetadataTooLarge`.
 */
export function readMetadata({ rawHeaders }: StorageRequest): Readonly<Record<string, string>> {
  let metadata: Record<string, string> | undefined
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const header = rawHeaders[at] ?? ''
    if (header.length < prefix.length || !header.toLowerCase().startsWith(prefix)) continue
    metadata ??= {}
    add(metadata, header.slice(prefix.length), rawHeaders[at + 1] ?? '')
  }
  if (metadata === undefined) return noMetadata
  assertSize(metadata)
  return metadata
}

/** Adds the `x-ms-meta-` headers of an answer. */
export function addMetadataHeaders(
  headers: Record<string, string | undefined>,
  metadata: Readonly<Record<string, string>>,
): void {
  for (const name in metadata) headers[`${prefix}${name}`] = metadata[name] ?? ''
}

/** Whether the metadata marks a directory of a flat account. */
export function isFolderMarker(metadata: Readonly<Record<string, string>>): boolean {
  for (const name in metadata) {
    if (name.toLowerCase() === 'hdi_isfolder') return metadata[name]?.toLowerCase() === 'true'
  }
  return false
}

/** A header that must be there. */
export function requireHeader(request: StorageRequest, name: string): string {
  const value = request.headers[name]
  if (value === undefined) throw refusal('MissingRequiredHeader', { details: { HeaderName: name } })
  return value
}

/** A header that holds a whole number; `undefined` when absent. */
export function integerHeader(request: StorageRequest, name: string): number | undefined {
  const value = request.headers[name]
  if (value === undefined) return undefined
  if (!/^\d{1,16}$/.test(value)) throw invalidHeader(name, value)
  return Number(value)
}

function add(metadata: Record<string, string>, name: string, value: string): void {
  if (name === '') throw refusal('EmptyMetadataKey')
  if (!identifier.test(name) || !printable.test(value)) throw refusal('InvalidMetadata')
  const known = Object.keys(metadata).find((each) => each.toLowerCase() === name.toLowerCase())
  if (known === undefined) metadata[name] = value
  else metadata[known] = `${metadata[known]},${value}`
}

function assertSize(metadata: Readonly<Record<string, string>>): void {
  let size = 0
  for (const name in metadata) size += name.length + (metadata[name]?.length ?? 0)
  if (size > maxBytes) throw refusal('MetadataTooLarge')
}
