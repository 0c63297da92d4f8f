import type { Metadata } from '../blob/store.ts'
import type { Entry, EntryType, PosixAttributes } from './entry.ts'

// The keys are AzCopy's (`--preserve-posix-properties`), which round-trip through it. Read as well:
// rclone's `mtime`, adlfs's `is_directory`, and Lustre's `owner`, `group` and octal `permissions`.

/** `S_IFMT` and the type bits of `st_mode`: inode(7). */
const typeMask = 0o170000
const typeBits: Record<EntryType, number> = {
  file: 0o100000,
  directory: 0o040000,
  symlink: 0o120000,
  fifo: 0o010000,
  socket: 0o140000,
  'block-device': 0o060000,
  'character-device': 0o020000,
}

const typeFlags: readonly (readonly [string, EntryType])[] = [
  ['is_symlink', 'symlink'],
  ['is_fifo', 'fifo'],
  ['is_socket', 'socket'],
  ['is_block_dev', 'block-device'],
  ['is_char_dev', 'character-device'],
]

const directoryFlag = 'hdi_isfolder'

/**
 * What the flags in `metadata` say a blob of `sizeBytes` is. A blob that has content is never a
 * directory: its bytes would be out of reach.
 */
export function entryTypeOf(metadata: Metadata, sizeBytes: number): EntryType {
  if (isEmpty(metadata)) return 'file'
  const keys = lowerCaseKeys(metadata)
  const marksDirectory = isTrue(keys[directoryFlag]) || isTrue(keys['is_directory'])
  if (marksDirectory && sizeBytes === 0) return 'directory'
  return typeFlags.find(([flag]) => isTrue(keys[flag]))?.[1] ?? 'file'
}

/** Whether a key of metadata says what an entry is, or has a POSIX attribute of it. */
export function isPosixKey(key: string): boolean {
  return posixKeys.has(key.toLowerCase()) || key.toLowerCase().startsWith('posix_')
}

const posixKeys: ReadonlySet<string> = new Set([
  ...typeFlags.map(([flag]) => flag),
  directoryFlag,
  'is_directory',
  'permissions',
  'owner',
  'group',
  'modtime',
  'mtime',
])

/** The POSIX attributes that `metadata` tells; values that make no sense are as if absent. */
export function readPosixAttributes(metadata: Metadata): PosixAttributes {
  if (isEmpty(metadata)) return noAttributes
  const keys = lowerCaseKeys(metadata)
  return {
    mode: modeOf(keys),
    uid: numberOf(keys['posix_owner'] ?? keys['owner']),
    gid: numberOf(keys['posix_group'] ?? keys['group']),
    mtimeNs: nanosecondsOf(keys['modtime']) ?? timestampOf(keys['mtime']),
  }
}

/** `metadata` with `attributes` of a `type` under AzCopy's keys; all other keys untouched. */
export function withPosixAttributes(
  metadata: Metadata,
  type: EntryType,
  attributes: PosixAttributes,
): Metadata {
  const changes = { ...flagsOf(type), ...valuesOf(type, attributes) }
  const written = new Set(Object.keys(changes))
  const kept = Object.entries(metadata).filter(([key]) => !written.has(key.toLowerCase()))
  const rclone = kept.some(([key]) => key.toLowerCase() === 'mtime')
  return {
    ...Object.fromEntries(kept),
    ...changes,
    // A stale copy under the other tool's key would be what that tool believes.
    ...(rclone && attributes.mtimeNs !== undefined ? { mtime: rfc3339(attributes.mtimeNs) } : {}),
  }
}

/**
 * `attributes` with the time of modification that an entry shows so far where neither they nor its metadata have one: writing
 * metadata moves the service's.
 */
export function keepingTime(attributes: PosixAttributes, entry: Entry): PosixAttributes {
  const { posix, lastModifiedMs } = entry
  const isTold = attributes.mtimeNs !== undefined || posix.mtimeNs !== undefined
  if (isTold || lastModifiedMs === undefined) return attributes
  return { ...attributes, mtimeNs: BigInt(Math.trunc(lastModifiedMs)) * 1_000_000n }
}

function flagsOf(type: EntryType): Metadata {
  const flag = typeFlags.find(([, each]) => each === type)?.[0]
  if (flag !== undefined) return { [flag]: 'true' }
  return type === 'directory' ? { [directoryFlag]: 'true' } : {}
}

function valuesOf(type: EntryType, attributes: PosixAttributes): Metadata {
  const { mode, uid, gid, mtimeNs } = attributes
  return {
    ...(mode === undefined ? {} : { permissions: `${typeBits[type] | (mode & 0o7777)}` }),
    ...(uid === undefined ? {} : { posix_owner: `${uid}` }),
    ...(gid === undefined ? {} : { posix_group: `${gid}` }),
    ...(mtimeNs === undefined ? {} : { modtime: `${mtimeNs}` }),
  }
}

/** Shared by all files whose metadata tells nothing. */
const noAttributes: PosixAttributes = Object.freeze({})

function isEmpty(metadata: Metadata): boolean {
  for (const _key in metadata) return false
  return true
}

/** Itself where nobody has written a key otherwise: each row of a listing comes here. */
function lowerCaseKeys(metadata: Metadata): Metadata {
  for (const key in metadata) {
    if (key !== key.toLowerCase()) {
      return Object.fromEntries(
        Object.entries(metadata).map(([each, value]) => [each.toLowerCase(), value]),
      )
    }
  }
  return metadata
}

function isTrue(value: string | undefined): boolean {
  return value?.trim().toLowerCase() === 'true'
}

/** AzCopy writes all of `st_mode` in decimal; Lustre writes the permission bits in octal. */
function modeOf(keys: Metadata): number | undefined {
  const text = keys['permissions']
  if (text === undefined) return undefined
  const lustre = keys['owner'] !== undefined && keys['posix_owner'] === undefined
  if (lustre || text.startsWith('0')) {
    return /^[0-7]{1,7}$/.test(text) ? Number.parseInt(text, 8) & 0o7777 : undefined
  }
  const mode = numberOf(text)
  return mode === undefined || mode > (typeMask | 0o7777) ? undefined : mode & 0o7777
}

function numberOf(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined
  const value = Number(text)
  return value <= 0xffffffff ? value : undefined
}

function nanosecondsOf(text: string | undefined): bigint | undefined {
  return text !== undefined && /^-?\d{1,19}$/.test(text) ? BigInt(text) : undefined
}

const rfc3339Pattern = /^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/i

function timestampOf(text: string | undefined): bigint | undefined {
  const match = text === undefined ? null : rfc3339Pattern.exec(text)
  if (match === null) return undefined
  const [, seconds, fraction = '', zone] = match
  const milliseconds = Date.parse(`${seconds?.replace(' ', 'T')}${zone}`)
  if (Number.isNaN(milliseconds)) return undefined
  return BigInt(milliseconds) * 1_000_000n + BigInt(fraction.padEnd(9, '0'))
}

function rfc3339(mtimeNs: bigint): string {
  const fraction = ((mtimeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n
  const seconds = new Date(Number((mtimeNs - fraction) / 1_000_000n)).toISOString().slice(0, 19)
  return `${seconds}.${`${fraction}`.padStart(9, '0')}Z`
}
