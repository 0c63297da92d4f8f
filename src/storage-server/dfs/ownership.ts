import type { Caller } from '../access/access.ts'
import type { Container } from '../model/container.ts'
import type { Ownership } from '../model/record.ts'
import type { StorageRequest } from '../wire/request.ts'
import { type AclEntry, baseEntry, completeAcl, formatAcl, parseAcl } from './acl.ts'
import { aclOfMode, type Mode } from './permissions.ts'

/** The name that Azure gives to whoever holds the account's key. */
export const superuser = '$superuser'

const newRoot: Ownership = {
  owner: superuser,
  group: superuser,
  acl: 'user::rwx,group::r-x,other::---',
}
const defaultUmask: Mode = 0o027

/** What the request that makes a path says about its rights. */
export interface NewPath {
  readonly kind: 'file' | 'directory'
  /** Who makes it; see `callerName`. */
  readonly maker: string
  /** `x-ms-permissions`. */
  readonly mode?: Mode | undefined
  /** `x-ms-umask`; a parent with default entries makes it idle. Default 0027. */
  readonly umask?: Mode | undefined
  readonly owner?: string | undefined
  readonly group?: string | undefined
  /** `x-ms-acl`: instead of mode, umask and inheritance. */
  readonly acl?: readonly AclEntry[] | undefined
}

/** Owner and rights of a path; '' is the root. A path that does not exist has its parent's. */
export function ownershipOf(container: Container, path: string): Ownership {
  if (path === '') {
    return container.properties.rootOwnership ?? newRoot
  }
  const record = container.paths.get(path)?.current
  return record?.ownership ?? (record ? newRoot : ownershipOf(container, parentOf(path)))
}

/** Owner and rights of a path about to be made below a directory that belongs to `parent`. */
export function ownershipOfChild(parent: Ownership, child: NewPath): Ownership {
  return {
    owner: child.owner ?? child.maker,
    group: child.group ?? parent.group,
    acl: formatAcl(child.acl ? completeAcl(child.acl, child.kind) : inheritedAcl(parent, child)),
    ...(child.kind === 'directory' && (child.mode ?? 0) & 0o1000 ? { sticky: true } : {}),
  }
}

/** Who owns what the caller makes: a signature made for somebody names its subject. */
export function callerName(caller: Caller, request: StorageRequest): string {
  if (caller.kind === 'bearer') {
    return caller.objectId
  }
  const { query } = request
  const subject = query.get('saoid') ?? query.get('suoid') ?? query.get('skoid')
  return (caller.kind === 'sas' ? subject : undefined) ?? superuser
}

/** The directory that holds a path; '' is the root. */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}

function inheritedAcl(parent: Ownership, child: NewPath): AclEntry[] {
  const inherited = parseAcl(parent.acl).filter((each) => each.isDefault)
  if (inherited.length === 0) {
    const full = child.kind === 'directory' ? 0o777 : 0o666
    return aclOfMode((child.mode ?? full) & 0o777 & ~(child.umask ?? defaultUmask))
  }
  const access = inherited.map((each) => ({ ...each, isDefault: false }))
  const limited = child.mode === undefined ? access : limit(access, child.mode)
  return child.kind === 'directory' ? [...limited, ...inherited] : limited
}

/** The mode asked for can take rights away from inherited entries, not add any. */
function limit(acl: readonly AclEntry[], mode: Mode): AclEntry[] {
  const groupClass = baseEntry(acl, 'mask') ? 'mask' : 'group'
  const bits = { user: mode >> 6, [groupClass]: mode >> 3, other: mode } as Record<string, number>
  return acl.map((each) => {
    const limitBits = each.id === '' ? bits[each.type] : undefined
    return limitBits === undefined ? each : { ...each, permission: each.permission & limitBits & 7 }
  })
}
