import type { StorageRequest } from '../wire/request.ts'
import type { Caller } from './access.ts'

const overrides = [
  ['rscc', 'cache-control'],
  ['rscd', 'content-disposition'],
  ['rsce', 'content-encoding'],
  ['rscl', 'content-language'],
  ['rsct', 'content-type'],
] as const

/** Headers that a shared access signature puts in the place of a blob's own in the answer. */
export function overriddenHeaders(
  request: StorageRequest,
  caller: Caller,
): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {}
  if (caller.kind !== 'sas' || caller.sas.kind === 'account') return headers
  for (const [parameter, header] of overrides) {
    const value = request.query.get(parameter)
    if (value !== undefined && value !== '') headers[header] = value
  }
  return headers
}
