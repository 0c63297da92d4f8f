import { expectText } from '../expect-option.ts'

/** One entry of a POSIX access control list. */
export interface AclEntry {
  /** Passed on to what is made in the directory; decides nothing about the directory itself. */
  readonly isDefault: boolean
  readonly type: 'user' | 'group' | 'mask' | 'other'
  /** Object id or user principal name; empty for the owner, the owning group, mask and other. */
  readonly id: string
  /** Read 4, write 2, execute 1. */
  readonly bits: number
}

const types = ['user', 'group', 'mask', 'other'] as const

/**
 * Reads `user::rwx,group::r-x,other::---,default:user:ID:r-x`; with `keys` entries without their
 * permissions. Throws `TypeError` for anything else.
 */
export function parseAcl(text: string, options: { readonly keys?: boolean } = {}): AclEntry[] {
  expectText('acl', text, 'entries [default:]user|group|mask|other:[ID]:rwx, separated by commas')
  return text.split(',').map((part) => parseEntry(part.trim(), options.keys === true))
}

/** The short form, access entries first, in the order that Azure gives. */
export function formatAcl(entries: readonly AclEntry[]): string {
  return [...entries]
    .sort((a, b) => rank(a) - rank(b))
    .map(formatEntry)
    .join(',')
}

/** `entries` with those of `changes` added or put in the place of their like. */
export function mergeAcl(
  entries: readonly AclEntry[],
  changes: readonly AclEntry[],
): readonly AclEntry[] {
  return [...withoutAcl(entries, changes), ...changes]
}

/** `entries` without those that `keys` name, whatever their permissions. */
export function withoutAcl(
  entries: readonly AclEntry[],
  keys: readonly AclEntry[],
): readonly AclEntry[] {
  const gone = new Set(keys.map(keyOf))
  return entries.filter((entry) => !gone.has(keyOf(entry)))
}

/** A list that says just what the permission bits `mode` say. */
export function aclOfMode(mode: number): readonly AclEntry[] {
  const entry = (type: AclEntry['type'], bits: number): AclEntry => {
    return { isDefault: false, type, id: '', bits: bits & 7 }
  }
  return [entry('user', mode >> 6), entry('group', mode >> 3), entry('other', mode)]
}

/** `entries` with the bits of owner, group (the mask where there is one) and other as in `mode`. */
export function withMode(entries: readonly AclEntry[], mode: number): readonly AclEntry[] {
  const masked = entries.some((entry) => !entry.isDefault && entry.type === 'mask')
  const [user, group, other] = aclOfMode(mode)
  const changes = [user, masked && group ? { ...group, type: 'mask' as const } : group, other]
  return mergeAcl(
    entries,
    changes.flatMap((entry) => entry ?? []),
  )
}

/** What `ls` shows: `rwxr-x---`, with `+` when the list says more than these bits. */
export function permissionsOf(entries: readonly AclEntry[], sticky = false): string {
  const access = entries.filter((entry) => !entry.isDefault && entry.id === '')
  const bitsOf = (type: AclEntry['type']) => access.find((entry) => entry.type === type)?.bits
  const other = letters(bitsOf('other') ?? 0)
  const last = sticky ? (other.endsWith('x') ? 't' : 'T') : other.slice(2)
  const shown = letters(bitsOf('user') ?? 0) + letters(bitsOf('mask') ?? bitsOf('group') ?? 0)
  const extended = entries.length > access.length || bitsOf('mask') !== undefined
  return `${shown}${other.slice(0, 2)}${last}${extended ? '+' : ''}`
}

/** The permission bits that `rwxr-x--T+` stands for; `undefined` when it is something else. */
export function modeOfPermissions(text: string | undefined): number | undefined {
  const form = /^([r-])([w-])([xsS-])([r-])([w-])([xsS-])([r-])([w-])([xtT-])\+?$/
  const match = text === undefined ? null : form.exec(text)
  if (match === null) return undefined
  const bits = match.slice(1).map((letter) => (/[rwxst]/.test(letter) ? 1 : 0))
  const mode = bits.reduce<number>((sum, bit) => sum * 2 + bit, 0)
  return mode | (/[tT]/.test(match[9] ?? '') ? 0o1000 : 0)
}

function parseEntry(text: string, isKey: boolean): AclEntry {
  const fields = text.split(':')
  const isDefault = fields[0] === 'default'
  if (isDefault) fields.shift()
  const letterField = isKey ? '---' : fields.pop()
  const [typeField = '', id = '', ...rest] = fields
  const type = types.find((each) => each === typeField)
  const bits = bitsOf(letterField ?? '')
  const isWhole = isKey || fields.length === 2
  if (type === undefined || bits === undefined || rest.length > 0 || !isWhole) {
    const form = isKey
      ? '[default:]user|group|mask|other[:ID]'
      : '[default:]user|group|mask|other:[ID]:rwx'
    throw new TypeError(`acl: expected entries ${form}, separated by commas, got '${text}'`)
  }
  return { isDefault, type, id, bits }
}

function bitsOf(text: string): number | undefined {
  if (!/^[r-][w-][x-]$/.test(text)) return undefined
  return (text[0] === 'r' ? 4 : 0) | (text[1] === 'w' ? 2 : 0) | (text[2] === 'x' ? 1 : 0)
}

function letters(bits: number): string {
  return (bits & 4 ? 'r' : '-') + (bits & 2 ? 'w' : '-') + (bits & 1 ? 'x' : '-')
}

function formatEntry(entry: AclEntry): string {
  return `${entry.isDefault ? 'default:' : ''}${entry.type}:${entry.id}:${letters(entry.bits)}`
}

function keyOf(entry: AclEntry): string {
  return `${entry.isDefault} ${entry.type} ${entry.id}`
}

function rank(entry: AclEntry): number {
  return (entry.isDefault ? 100 : 0) + types.indexOf(entry.type) * 2 + (entry.id === '' ? 0 : 1)
}
