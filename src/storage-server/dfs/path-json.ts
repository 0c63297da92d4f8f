import type { Place } from '../model/changes.ts'
import type { Ownership, PathRecord } from '../model/record.ts'
import { isDirectory } from './create-path.ts'
import { ownershipOf } from './ownership.ts'
import { permissionsOf } from './permissions.ts'

const ticksPerMs = 10_000n
// Between 1601, where Windows begins to count, and 1970.
const epochTicks = 116_444_736_000_000_000n

/** One entry of a listing. */
export interface ListedPath {
  readonly name: string
  /** Absent for a directory that is only the beginning of names on a flat account. */
  readonly record: PathRecord | undefined
  /** Where a listing goes on after this entry. */
  readonly resume: string
}

/** The document of Path - List. */
export function pathsJson(place: Place, page: readonly ListedPath[]): string {
  // Most entries of a page have the same rights.
  const shown = new Map<string, string>()
  const permissions = (ownership: Ownership): string => {
    const known = shown.get(ownership.acl)
    if (known !== undefined && !ownership.sticky) {
      return known
    }
    const text = permissionsOf(ownership)
    if (!ownership.sticky) {
      shown.set(ownership.acl, text)
    }
    return text
  }
  const entries = page.map((listed) => pathJson(place, listed, permissions))
  return `{"paths":[${entries.join(',')}]}`
}

/** Every value is a string, names are in alphabetical order, nothing is empty. */
function pathJson(
  place: Place,
  { name, record }: ListedPath,
  permissions: (ownership: Ownership) => string,
): string {
  const { properties } = place.container
  const lastModifiedMs = record?.lastModifiedMs ?? properties.lastModifiedMs
  const isFile = record?.kind === 'blob' && !isDirectory(record)
  const ownership = place.account.settings.hierarchical
    ? (record?.ownership ?? ownershipOf(place.container, name))
    : undefined
  return JSON.stringify({
    contentLength: String(isFile ? record.content.sizeBytes : 0),
    creationTime: fileTime(record?.createdMs ?? properties.lastModifiedMs),
    etag: (record?.etag ?? properties.etag).replaceAll('"', ''),
    expiryTime: isFile && record.expiresMs !== undefined ? fileTime(record.expiresMs) : undefined,
    group: ownership?.group,
    isDirectory: isFile ? undefined : 'true',
    lastModified: new Date(lastModifiedMs).toUTCString(),
    name,
    owner: ownership?.owner,
    permissions: ownership && permissions(ownership),
  })
}

/** A time as Windows counts it: ticks of 100 nanoseconds since 1601. */
export function fileTime(timeMs: number): string {
  return String(BigInt(Math.floor(timeMs)) * ticksPerMs + epochTicks)
}
