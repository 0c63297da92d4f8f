import { invalidHeader, refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { dfsRefusal } from './refusals.ts'

type Metadata = Readonly<Record<string, string>>

const maxBytes = 8 * 1024
const identifier = /^[A-Za-z_][A-Za-z0-9_]*$/
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/**
 * The metadata in `x-ms-properties` (`name=base64,name=base64`); `undefined` without the header.
 * Throws 400 `InvalidPropertyName`, `InvalidHeaderValue` or `MetadataTooLarge`.
 */
export function readProperties({ headers }: StorageRequest): Metadata | undefined {
  const text = headers['x-ms-properties']
  if (text === undefined) {
    return undefined
  }
  const pairs = text
    .split(',')
    .filter((part) => part.trim() !== '')
    .map((part) => readPair(part.trim(), text))
  const metadata = Object.fromEntries(pairs)
  const size = pairs.reduce((sum, [name, value]) => sum + name.length + value.length, 0)
  if (size > maxBytes) {
    throw refusal('MetadataTooLarge')
  }
  return metadata
}

/** The header that shows metadata; directories are marked as Azure marks them. */
export function writeProperties(metadata: Metadata, kind: 'blob' | 'directory'): string {
  const marker = kind === 'directory' ? { hdi_isfolder: 'true' } : {}
  return Object.entries({ ...metadata, ...marker })
    .map(([name, value]) => `${name}=${Buffer.from(value, 'latin1').toString('base64')}`)
    .join(',')
}

function readPair(part: string, header: string): [name: string, value: string] {
  const equals = part.indexOf('=')
  const name = part.slice(0, Math.max(0, equals)).trim()
  const value = part.slice(equals + 1)
  if (name === '' || !identifier.test(name)) {
    throw dfsRefusal('InvalidPropertyName')
  }
  if (!base64.test(value)) {
    throw invalidHeader('x-ms-properties', header)
  }
  return [name, Buffer.from(value, 'base64').toString('latin1')]
}
