import { StorageError } from '../wire/storage-error.ts'

/** Read, write and execute as the octal digit 0 to 7. */
export type Permission = number

/** One entry of a POSIX access control list. */
export interface AclEntry {
  /** Whether children inherit the entry; it decides nothing on the directory itself. */
  readonly isDefault: boolean
  readonly type: 'user' | 'group' | 'mask' | 'other'
  /** An object id or a UPN; '' for the owner, the owning group, mask and other. */
  readonly id: string
  readonly permission: Permission
}

/** An entry as `modify` and `remove` name it. */
export type AclEntryKey = Omit<AclEntry, 'permission'>

const types = ['user', 'group', 'mask', 'other'] as const
const maxEntries = 32

/** The refusal of a list that cannot be read or is not complete; the code is spelt as Azure does. */
export function invalidAcl(cause?: unknown): StorageError {
  const message = 'The access control list value is invalid.'
  return new StorageError(400, 'InvaldAccessControlList', message, { cause })
}

/** Reads the short form `user::rwx,group::r-x,default:other::---`; throws 400. */
export function parseAcl(text: string): AclEntry[] {
  const entries = text.split(',').map((part) => {
    const fields = part.trim().split(':')
    const permission = fields.pop() ?? ''
    return { ...parseKey(fields), permission: parseTriad(permission) }
  })
  requireDistinct(entries)
  return entries
}

/** Reads the list of `remove`: entries without permissions; throws 400. */
export function parseAclKeys(text: string): AclEntryKey[] {
  const keys = text.split(',').map((part) => {
    const fields = part.trim().split(':')
    if (isScope(fields[0]) ? fields.length === 2 : fields.length === 1) {
      fields.push('')
    }
    return parseKey(fields)
  })
  requireDistinct(keys)
  return keys
}

/** Writes the short form in Azure's order. */
export function formatAcl(entries: readonly AclEntry[]): string {
  return [...entries].sort(byRank).map(formatEntry).join(',')
}

/** `rwx` for 7. */
export function formatTriad(permission: Permission): string {
  return (permission & 4 ? 'r' : '-') + (permission & 2 ? 'w' : '-') + (permission & 1 ? 'x' : '-')
}

/** Finds an entry without an id: the owner's, the owning group's, the mask or other. */
export function baseEntry(
  entries: readonly AclEntry[],
  type: AclEntry['type'],
  isDefault = false,
): AclEntry | undefined {
  return entries.find(
    (each) => each.type === type && each.id === '' && each.isDefault === isDefault,
  )
}

/**
 * Makes a list whole: owner, group and other must be there for access, and for default as soon as
 * there is any default entry; a mask that named entries need and the list leaves out is the union
 * of what it limits. Throws 400.
 */
export function completeAcl(entries: readonly AclEntry[], on: 'file' | 'directory'): AclEntry[] {
  const access = entries.filter((each) => !each.isDefault)
  const inherited = entries.filter((each) => each.isDefault)
  if (inherited.length > 0 && on === 'file') {
    throw invalidAcl()
  }
  if (access.length > maxEntries || inherited.length > maxEntries) {
    throw invalidAcl()
  }
  const whole = [...completeScope(access), ...(inherited.length ? completeScope(inherited) : [])]
  return whole.sort(byRank)
}

/** Adds or replaces entries; the mask is worked out again unless `changes` has one. */
export function modifyAcl(
  entries: readonly AclEntry[],
  changes: readonly AclEntry[],
  on: 'file' | 'directory',
): AclEntry[] {
  const applicable = on === 'file' ? changes.filter((each) => !each.isDefault) : changes
  const kept = entries.filter((each) => !applicable.some((change) => sameKey(change, each)))
  const merged = [...kept, ...applicable]
  return completeAcl(withDefaults(withoutStaleMasks(merged, applicable)), on)
}

/** Takes entries away; owner, owning group and other of the access list stay. Throws 400. */
export function removeFromAcl(
  entries: readonly AclEntry[],
  keys: readonly AclEntryKey[],
  on: 'file' | 'directory',
): AclEntry[] {
  if (keys.some((key) => !key.isDefault && key.id === '' && key.type !== 'mask')) {
    throw invalidAcl()
  }
  const kept = entries.filter((each) => !keys.some((key) => sameKey(key, each)))
  const scopes = [false, true].flatMap((isDefault) => {
    const scope = kept.filter((each) => each.isDefault === isDefault)
    const touched = keys.some((key) => key.isDefault === isDefault)
    return touched ? remask(scope) : scope
  })
  return completeAcl(scopes, on)
}

/** Whether a list says more than the nine permission bits: `+` behind them. */
export function isExtended(entries: readonly AclEntry[]): boolean {
  return entries.some((each) => each.isDefault || each.id !== '' || each.type === 'mask')
}

function parseKey(fields: string[]): AclEntryKey {
  const isDefault = fields[0] === 'default'
  if (isScope(fields[0]) && fields.length === 3) {
    fields.shift()
  }
  const [type, id] = fields
  const known = types.find((each) => each === type)
  if (fields.length !== 2 || !known || id === undefined) {
    throw invalidAcl()
  }
  if (id !== '' && (known === 'mask' || known === 'other')) {
    throw invalidAcl()
  }
  return { isDefault, type: known, id }
}

function isScope(field: string | undefined): boolean {
  return field === 'default' || field === 'access'
}

function parseTriad(text: string): Permission {
  if (!/^[r-][w-][x-]$/.test(text)) {
    throw invalidAcl()
  }
  return (text[0] === 'r' ? 4 : 0) + (text[1] === 'w' ? 2 : 0) + (text[2] === 'x' ? 1 : 0)
}

function requireDistinct(keys: readonly AclEntryKey[]): void {
  const seen = new Set(keys.map((key) => `${key.isDefault}:${key.type}:${key.id}`))
  if (seen.size !== keys.length) {
    throw invalidAcl()
  }
}

function completeScope(entries: readonly AclEntry[]): AclEntry[] {
  for (const type of ['user', 'group', 'other'] as const) {
    if (!entries.some((each) => each.type === type && each.id === '')) {
      throw invalidAcl()
    }
  }
  const named = entries.some((each) => each.id !== '')
  const masked = entries.some((each) => each.type === 'mask')
  return named && !masked ? remask(entries) : [...entries]
}

/** The scope with its mask worked out from the group class, or without one where none is needed. */
function remask(entries: readonly AclEntry[]): AclEntry[] {
  const rest = entries.filter((each) => each.type !== 'mask')
  if (!rest.some((each) => each.id !== '')) {
    return rest
  }
  const permission = rest
    .filter((each) => each.type === 'group' || each.id !== '')
    .reduce((union, each) => union | each.permission, 0)
  const isDefault = rest.some((each) => each.isDefault)
  return [...rest, { isDefault, type: 'mask', id: '', permission }]
}

function withoutStaleMasks(merged: AclEntry[], changes: readonly AclEntry[]): AclEntry[] {
  const recomputed = (isDefault: boolean): boolean =>
    changes.some((each) => each.isDefault === isDefault) &&
    !changes.some((each) => each.isDefault === isDefault && each.type === 'mask')
  return merged.filter((each) => each.type !== 'mask' || !recomputed(each.isDefault))
}

/** A first default entry brings the missing ones along, copied from the access list. */
function withDefaults(entries: readonly AclEntry[]): AclEntry[] {
  if (!entries.some((each) => each.isDefault)) {
    return [...entries]
  }
  const missing = (['user', 'group', 'other'] as const)
    .filter((type) => !baseEntry(entries, type, true))
    .flatMap((type) => baseEntry(entries, type) ?? [])
  return [...entries, ...missing.map((each) => ({ ...each, isDefault: true }))]
}

function sameKey(one: AclEntryKey, other: AclEntryKey): boolean {
  return one.isDefault === other.isDefault && one.type === other.type && one.id === other.id
}

function formatEntry(entry: AclEntry): string {
  const scope = entry.isDefault ? 'default:' : ''
  return `${scope}${entry.type}:${entry.id}:${formatTriad(entry.permission)}`
}

function byRank(one: AclEntry, other: AclEntry): number {
  return rank(one) - rank(other)
}

function rank(entry: AclEntry): number {
  const scope = entry.isDefault ? 100 : 0
  return scope + types.indexOf(entry.type) * 10 + (entry.id === '' ? 0 : 1)
}
