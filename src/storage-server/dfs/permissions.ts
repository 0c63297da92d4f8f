import type { Ownership } from '../model/record.ts'
import { StorageError } from '../wire/storage-error.ts'
import { type AclEntry, baseEntry, formatTriad, isExtended, parseAcl } from './acl.ts'

/** The nine permission bits and the sticky bit, as in `chmod`. */
export type Mode = number

const sticky = 0o1000

/** Reads `0750`, `rwxr-x---` or `rwxr-x--T`; throws 400. */
export function parsePermissions(text: string, header = 'x-ms-permissions'): Mode {
  if (/^[0-1]?[0-7]{3}$/.test(text)) {
    return Number.parseInt(text, 8)
  }
  const form = /^([r-][w-][x-])([r-][w-][x-])([r-][w-])([-xtT])\+?$/.exec(text)
  if (!form) {
    throw new StorageError(
      400,
      'InvalidHeaderValue',
      'The value for one of the HTTP headers is not in the correct format.',
      { details: { HeaderName: header, HeaderValue: text } },
    )
  }
  const [, user = '', group = '', other = '', last = ''] = form
  const bits = octal(user) * 64 + octal(group) * 8 + octal(other + (/[xt]/.test(last) ? 'x' : '-'))
  return bits + (/[tT]/.test(last) ? sticky : 0)
}

/** Reads an octal umask `0027`; throws 400. */
export function parseUmask(text: string): Mode {
  if (!/^0?[0-7]{3}$/.test(text)) {
    return parsePermissions(text, 'x-ms-umask') & 0o777
  }
  return Number.parseInt(text, 8)
}

/** `rwxr-x---`, with `+` when the list says more than these bits. */
export function formatPermissions(acl: readonly AclEntry[], isSticky = false): string {
  const user = baseEntry(acl, 'user')?.permission ?? 0
  const group = (baseEntry(acl, 'mask') ?? baseEntry(acl, 'group'))?.permission ?? 0
  const other = formatTriad(baseEntry(acl, 'other')?.permission ?? 0)
  const last = isSticky ? other.slice(0, 2) + (other.endsWith('x') ? 't' : 'T') : other
  return formatTriad(user) + formatTriad(group) + last + (isExtended(acl) ? '+' : '')
}

/** A list that says just these bits. */
export function aclOfMode(mode: Mode): AclEntry[] {
  const entry = (type: AclEntry['type'], permission: number): AclEntry => ({
    isDefault: false,
    type,
    id: '',
    permission,
  })
  return [entry('user', (mode >> 6) & 7), entry('group', (mode >> 3) & 7), entry('other', mode & 7)]
}

/** chmod: the group bits go to the mask where there is one. */
export function withMode(acl: readonly AclEntry[], mode: Mode): AclEntry[] {
  const groupClass = baseEntry(acl, 'mask') ? 'mask' : 'group'
  return acl.map((entry) => {
    if (entry.isDefault || entry.id !== '') {
      return entry
    }
    const shift = entry.type === 'user' ? 6 : entry.type === groupClass ? 3 : 0
    const counts = entry.type !== 'group' || groupClass === 'group'
    return counts ? { ...entry, permission: (mode >> shift) & 7 } : entry
  })
}

function octal(triad: string): number {
  return (triad[0] === 'r' ? 4 : 0) + (triad[1] === 'w' ? 2 : 0) + (triad[2] === 'x' ? 1 : 0)
}

/** The bits of a path's rights as headers and listings show them. */
export function permissionsOf({ acl, sticky: isSticky }: Ownership): string {
  return formatPermissions(parseAcl(acl), isSticky)
}
